"""The contract, frozen: a diff in tests/workers/golden is a decision about what gateways and workers of two versions say."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError

from workers import contract
from workers.contract import (
    Check,
    CheckPin,
    Detectors,
    EraserPin,
    EraserUse,
    EvaluationResult,
    EvaluationTask,
    FailureRecord,
    FallbackPin,
    FallbackUse,
    GenerationTask,
    Interaction,
    KnownWorld,
    MeasuringTask,
    ModelCard,
    Outcome,
    PromptPair,
    Receipt,
    Record,
    TrainingResult,
    TrainingTask,
)
from workers.training.evaluation import clip_seeds

GOLDEN = Path(__file__).parent / "golden"
A, B, C = "a" * 64, "b" * 64, "c" * 64

RECORDS: dict[str, Record] = {
    "generation_task": GenerationTask(
        id="gen_01",
        attempt=2,
        model="miniature",
        prompt="a parachute over the dunes",
        negative_prompt="blurry",
        erase=(
            EraserPin(concept="parachute", version=1, digest=A),
            EraserPin(concept="french horn", version=3, digest=B, strength=1.5),
        ),
        fallbacks=(FallbackPin(concept="zebra", method="safree", settings={"alpha": 0.01, "reference": False}, strength=1.0),),
        checks=(CheckPin(concept="parachute", detector="miniature", max_share=0.0),),
        width=64,
        height=64,
        num_frames=9,
        num_inference_steps=10,
        guidance_scale=2.5,
        seed=7,
        frames_per_second=8,
    ),
    "training_task": TrainingTask(
        id="ers_01",
        attempt=1,
        model="miniature",
        concept="parachute",
        version=2,
        method="clear",
        description="a canopy that lets people fall slowly",
        synonyms=("chute",),
        keep=("balloon",),
        pairs=(PromptPair(positive="a parachute over dunes", negative="dunes"),),
        config={"gamma": "auto", "iterations": 400},
        seed=3,
        active=(EraserPin(concept="french horn", version=3, digest=B, strength=1.5),),
    ),
    "evaluation_task": EvaluationTask(
        id="eval_01",
        attempt=1,
        model="miniature",
        concept="parachute",
        version=2,
        digest=A,
        synonyms=("chute",),
        seed=3,
        active=(EraserPin(concept="french horn", version=3, digest=B, strength=1.5),),
    ),
    "receipt": Receipt(
        id="gen_01",
        attempt=2,
        model="miniature",
        encoder_fingerprint=C,
        erasers=(
            EraserUse(
                concept="parachute",
                version=1,
                digest=A,
                layer=4,
                strength=2.0,
                tokens_edited=6,
                score_before=1.0,
                score_after=0.25,
                absent_below=0.375,
                verdict="removed",
            ),
        ),
        fallbacks=(
            FallbackUse(
                concept="zebra",
                method="safree",
                settings={"alpha": 0.01, "reference": False},
                strength=1.0,
                tokens_edited=2,
                score_before=None,
                score_after=None,
                absent_below=None,
                verdict=None,
            ),
        ),
        checks=(Check(concept="parachute", detector="miniature", max_share=0.25, share=0.125, verdict="not_seen"),),
        prompt_sha256=B,
        negative_prompt_sha256=B,
        seed=7,
        width=64,
        height=64,
        num_frames=9,
        num_inference_steps=10,
        guidance_scale=2.5,
        frames_per_second=8,
        video_sha256=A,
        video_bytes=4096,
        stage_seconds={"denoise": 0.5},
        peak_memory_bytes=1 << 30,
        worker="generate-host-1-0a0a0a0a",
        created_at="2026-11-22T06:00:00.000+00:00",
    ),
    "training_result": TrainingResult(
        id="ers_01",
        attempt=1,
        digest=A,
        concept="parachute",
        version=2,
        method="clear",
        encoder_fingerprint=C,
        layer=4,
        strength=2.0,
        minimum_strength=1.5,
        seconds=31.5,
        evaluation={
            "origin_rate": 0.9,
            "erased_rate": 0.0,
            "seeds": [0, 1],
            "interactions": [
                Interaction(
                    eraser=EraserPin(concept="french horn", version=3, digest=B, strength=1.5),
                    measured="frames",
                    n=4,
                    origin_rate=0.9,
                    erased_rate=0.05,
                    other_origin_rate=0.8,
                    other_erased_rate=0.1,
                    kept_rate=1.02,
                    scene_kept=0.97,
                ).model_dump(mode="json")
            ],
        },
        worker="train-host-1-0a0a0a0a",
        created_at="2026-11-22T06:00:00.000+00:00",
    ),
    "evaluation_result": EvaluationResult(
        id="eval_01",
        attempt=1,
        digest=A,
        concept="parachute",
        version=2,
        seconds=12.5,
        evaluation={"probe_before": 1.0, "probe_after": 0.02, "drift": 0.03},
        worker="train-host-1-0a0a0a0a",
        created_at="2026-11-22T06:00:00.000+00:00",
    ),
    "failure_record": FailureRecord(
        id="gen_01",
        attempt=2,
        code="eraser_corrupt",
        message="the eraser of 'parachute' is not what was pinned",
        retryable=False,
        worker="generate-host-1-0a0a0a0a",
        created_at="2026-11-22T06:00:00.000+00:00",
    ),
    "detectors": Detectors(model="miniature", detectors={"parachute": "miniature", "nudity": "nsfw"}),
    "model_card": ModelCard(
        id="miniature",
        family="wan",
        encoder_fingerprint=C,
        encoder_layers=8,
        encoder_d_model=192,
        size_multiple=16,
        min_size=64,
        max_size=64,
        frames_multiple=3,
        frames_offset=0,
        max_frames=9,
        max_steps=200,
        refused_steps=(61, 103),
        max_prompt_tokens=48,
        default_width=64,
        default_height=64,
        default_num_frames=9,
        default_num_inference_steps=10,
        default_guidance_scale=2.5,
        default_frames_per_second=8,
        knows=KnownWorld(
            objects={"parachute": ("parachute", "chute")},
            characters={},
            styles={},
            attributes={},
            backgrounds={"snow": ("over snowy mountains",)},
            motions={},
        ),
        words=("chute", "mountains", "over", "parachute", "snowy"),
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_are_written_as_agreed(name: str) -> None:
    golden = (GOLDEN / f"{name}.json").read_text()
    assert RECORDS[name].model_dump_json(indent=2) + "\n" == golden
    assert type(RECORDS[name]).model_validate_json(golden) == RECORDS[name]


def test_every_record_has_a_golden_file() -> None:
    parts = {
        *(Record, Check, CheckPin, EraserPin, EraserUse, FallbackPin, FallbackUse),
        *(PromptPair, Interaction, Outcome, KnownWorld, MeasuringTask),
    }
    records = {thing for thing in vars(contract).values() if isinstance(thing, type) and issubclass(thing, Record)}
    assert records - parts == {type(record) for record in RECORDS.values()}
    assert {path.stem for path in GOLDEN.iterdir()} == set(RECORDS)


@pytest.mark.parametrize("name", RECORDS)
def test_what_a_newer_version_adds_is_refused(name: str) -> None:
    values = json.loads((GOLDEN / f"{name}.json").read_text())
    kind = type(RECORDS[name])
    for newer in (values | {"erase_more": True}, values | {"schema_version": 2}):
        with pytest.raises(ValidationError):
            kind.model_validate(newer)


def test_keys() -> None:
    assert contract.video_key("gen_1", 2) == "videos/gen_1/2/video.mp4"
    assert contract.receipt_key("gen_1", 2) == "videos/gen_1/2/receipt.json"
    assert contract.training_result_key("ers_1", 1) == "trainings/ers_1/1/result.json"
    assert contract.failure_key("generate", "gen_1", 1) == "videos/gen_1/1/failure.json"
    assert contract.failure_key("train", "ers_1", 1) == "trainings/ers_1/1/failure.json"
    assert contract.eraser_key(A, "config.json") == f"erasers/{A}/config.json"
    assert contract.model_key("THUDM/CogVideoX-2b") == "models/THUDM--CogVideoX-2b.json"
    assert contract.detectors_key("THUDM/CogVideoX-2b") == "detectors/THUDM--CogVideoX-2b.json"
    assert contract.rq_job_id("gen_1", 3) == "gen_1-3"
    assert contract.lease_key("gen_1") == "clearway:lease:gen_1"
    assert contract.fence_key("gen_1") == "clearway:fence:gen_1"
    assert contract.events_key("gen_1") == "clearway:events:gen_1"
    assert contract.worker_key("w") == "clearway:worker:w"
    assert contract.SETTLED_STREAM == "clearway:settled"


@pytest.mark.parametrize(
    ("setting", "name"),
    [
        ("miniature", "miniature"),
        ("THUDM/CogVideoX-2b", "THUDM/CogVideoX-2b"),
        ("/srv/models/my wan.v2/", "my-wan-v2"),
        ("~/models/wan", "wan"),
        ("./wan", "wan"),
    ],
)
def test_model_names(setting: str, name: str) -> None:
    assert contract.model_id(setting) == name


def test_seeds_of_more_than_32_bits_are_refused() -> None:
    """They would repeat the noise of smaller ones."""
    first, again = (torch.randn(4, generator=torch.Generator().manual_seed(seed)) for seed in (7, 2**32 + 7))
    assert torch.equal(first, again)
    for name in ("generation_task", "training_task"):
        content = RECORDS[name].model_dump(mode="json")
        assert type(RECORDS[name]).model_validate(content | {"seed": 2**32 - 1})
        with pytest.raises(ValidationError, match="seed"):
            type(RECORDS[name]).model_validate(content | {"seed": 2**32 + 7})
    seeds = clip_seeds(2**32 - 1, 50)
    assert len(set(seeds)) == 50
    assert max(seeds) < 2**32
