"""Both families behind one seam: what reaches the text encoder, what is deterministic, what is refused."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import erasers
from tests.workers import tiny_models
from tests.workers.parts import lantern_pairs
from workers.errors import ModelUnavailable, PromptTooLong, UnusableOutput
from workers.pipelines.base import Shape, Stack, VideoPipeline
from workers.pipelines.load import find_directory, load_directory
from workers.pipelines.placement import place
from workers.settings import WorkerSettings

SHAPE = Shape(width=32, height=32, num_frames=9, num_inference_steps=4, guidance_scale=3.0)
PROMPT = "a lantern over the big hill"


def quiet(step: int, total: int) -> None:
    pass


def test_stock_embeddings_without_erasers(pipeline: VideoPipeline) -> None:
    """Without erasers the embeddings are those of the stock pipeline, bit for bit."""
    conditioning = pipeline.encode(PROMPT, "blue", Stack())
    stock = pipeline.pipe.encode_prompt(PROMPT, "blue", True, max_sequence_length=16)  # type: ignore[attr-defined]
    assert torch.equal(conditioning.prompt_embeds, stock[0])
    assert torch.equal(conditioning.negative_prompt_embeds, stock[1])
    assert conditioning.uses == ()


def test_the_stack_acts_on_the_prompt_alone(pipeline: VideoPipeline, eraser: erasers.Eraser) -> None:
    plain = pipeline.encode(PROMPT, PROMPT, Stack())
    erased = pipeline.encode(PROMPT, PROMPT, Stack((eraser,), (None,)))
    assert not torch.equal(erased.prompt_embeds, plain.prompt_embeds)
    assert torch.equal(erased.negative_prompt_embeds, plain.negative_prompt_embeds)
    assert [use.digest for use in erased.uses] == [eraser.digest]
    assert erased.uses[0].tokens_edited > 0
    after = pipeline.encode(PROMPT, PROMPT, Stack())
    assert torch.equal(after.prompt_embeds, plain.prompt_embeds), "the hook stayed behind"


def test_an_eraser_of_the_negative_prompt_acts_there(pipeline: VideoPipeline) -> None:
    eraser = erasers.train(pipeline.text_encoder, pipeline.tokenizer, lantern_pairs(), method="negprompt")
    plain = pipeline.encode(PROMPT, "blue, lantern, red lantern", Stack())
    found = pipeline.encode(PROMPT, "blue", Stack((eraser,), (None,)))
    assert torch.equal(found.prompt_embeds, plain.prompt_embeds)
    assert torch.equal(found.negative_prompt_embeds, plain.negative_prompt_embeds)
    assert found.uses[0].tokens_edited == 2
    with pytest.raises(PromptTooLong, match="negative prompt"):
        pipeline.encode(PROMPT, "big " * 12, Stack((eraser,), (None,)))


def test_strength_zero_is_the_identity(pipeline: VideoPipeline, eraser: erasers.Eraser) -> None:
    plain = pipeline.encode(PROMPT, "", Stack())
    assert torch.equal(pipeline.encode(PROMPT, "", Stack((eraser,), (0.0,))).prompt_embeds, plain.prompt_embeds)


def test_padding_stays_what_the_model_expects(wan: VideoPipeline, wan_eraser: erasers.Eraser, cogvideox: VideoPipeline) -> None:
    tokens = len(wan.tokenizer(PROMPT).input_ids)
    embeds = wan.encode(PROMPT, "", Stack((wan_eraser,), (None,))).prompt_embeds[0]
    assert embeds[:tokens].abs().sum(-1).min() > 0
    assert not embeds[tokens:].any(), "Wan's padding must be exactly zero"
    assert cogvideox.encode(PROMPT, "", Stack()).prompt_embeds[0].abs().sum(-1).min() > 0, "CogVideoX attends to its padding"


def test_a_prompt_that_is_too_long_is_refused(pipeline: VideoPipeline) -> None:
    fits = " ".join(["red"] * 15)
    assert len(pipeline.tokenizer(fits).input_ids) == 16
    pipeline.encode(fits, fits, Stack())
    for prompt, negative in ((fits + " red", ""), ("", fits + " red")):
        with pytest.raises(PromptTooLong, match=r"17 tokens.*takes 16"):
            pipeline.encode(prompt, negative, Stack())


def test_a_request_gives_the_same_video_again_and_next_to_others(pipeline: VideoPipeline) -> None:
    mine, other = pipeline.encode(PROMPT, "", Stack()), pipeline.encode("a blue cat", "red", Stack())
    alone = pipeline.denoise([mine], [7], SHAPE, quiet)
    assert torch.equal(alone, pipeline.denoise([mine], [7], SHAPE, quiet))
    assert not torch.allclose(alone, pipeline.denoise([mine], [8], SHAPE, quiet), atol=1e-2)
    together = pipeline.denoise([other, mine], [8, 7], SHAPE, quiet)
    torch.testing.assert_close(together[1:], alone, atol=1e-4, rtol=1e-4)


def test_frames(pipeline: VideoPipeline) -> None:
    latents = pipeline.denoise([pipeline.encode(PROMPT, "", Stack())], [7], SHAPE, quiet)
    frames = pipeline.decode(latents)
    assert frames.shape == (9, 32, 32, 3)
    assert frames.dtype == np.uint8
    with pytest.raises(UnusableOutput):
        pipeline.decode(torch.full_like(latents, torch.nan))


def test_steps_are_counted_and_what_they_raise_ends_the_run(pipeline: VideoPipeline) -> None:
    conditioning = pipeline.encode(PROMPT, "", Stack())
    seen: list[tuple[int, int]] = []
    pipeline.denoise([conditioning], [7], SHAPE, lambda step, total: seen.append((step, total)))
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]

    def stop(step: int, total: int) -> None:
        seen.append((step, total))
        raise InterruptedError

    with pytest.raises(InterruptedError):
        pipeline.denoise([conditioning], [7], SHAPE, stop)
    assert len(seen) == 5


def test_every_frame_kept_by_the_vae(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The miniature's layout: no frame is added behind our back, and nothing is said about it."""
    pipeline = load_directory(
        tiny_models.save_wan_with_every_frame(tmp_path / "m"), model_id="every-frame", placement=place("cpu")
    )
    assert (pipeline.card().frames_multiple, pipeline.card().frames_offset) == (3, 0)
    diffusers_logger = logging.getLogger("diffusers")
    diffusers_logger.addHandler(caplog.handler)
    try:
        latents = pipeline.denoise([pipeline.encode(PROMPT, "", Stack())], [7], SHAPE, quiet)
    finally:
        diffusers_logger.removeHandler(caplog.handler)
    assert pipeline.decode(latents).shape == (9, 32, 32, 3)
    assert caplog.messages == []


def test_card(wan: VideoPipeline, cogvideox: VideoPipeline) -> None:
    assert wan.card().family == "wan"
    assert (wan.card().frames_multiple, wan.card().frames_offset, wan.card().size_multiple) == (4, 1, 16)
    assert cogvideox.card().family == "cogvideox"
    assert (cogvideox.card().frames_multiple, cogvideox.card().frames_offset) == (8, 1)
    for pipeline in (wan, cogvideox):
        card = pipeline.card()
        assert card.encoder_fingerprint == erasers.fingerprint(pipeline.text_encoder, pipeline.tokenizer)
        assert (card.encoder_layers, card.max_prompt_tokens) == (3, 16)
        assert card.default_width % card.size_multiple == card.default_height % card.size_multiple == 0
        assert (card.default_num_frames - card.frames_offset) % card.frames_multiple == 0


def test_the_fingerprint_does_not_depend_on_the_precision_of_serving(wan: VideoPipeline, wan_directory: Path) -> None:
    half = load_directory(wan_directory, model_id="tiny-wan", placement=place("cpu", "bfloat16"))
    assert half.text_encoder.dtype == torch.bfloat16
    assert half.fingerprint == wan.fingerprint
    frames = half.decode(half.denoise([half.encode(PROMPT, "", Stack())], [7], SHAPE, quiet))
    assert frames.shape == (9, 32, 32, 3)
    trainers = load_directory(wan_directory, model_id="tiny-wan", placement=place("cpu", "bfloat16", encoder_in_float32=True))
    assert trainers.text_encoder.dtype == torch.float32
    trainers.denoise([trainers.encode(PROMPT, "", Stack())], [7], SHAPE, quiet)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda index: index.update(_class_name="FluxPipeline"), "holds a FluxPipeline"),
        (lambda index: index.update(transformer=["my_code", "Transformer"]), "code of their own"),
        (lambda index: index.update(text_encoder=["transformers", "CLIPTextModel"]), "is a CLIPTextModel"),
        (lambda index: index.pop("_class_name"), "cannot be read as a model index"),
    ],
)
def test_a_model_of_another_kind_is_refused(wan_directory: Path, tmp_path: Path, change: object, says: str) -> None:
    copy = shutil.copytree(wan_directory, tmp_path / "copy")
    index = json.loads((copy / "model_index.json").read_text())
    change(index)  # type: ignore[operator]
    (copy / "model_index.json").write_text(json.dumps(index))
    with pytest.raises(ModelUnavailable, match=says):
        load_directory(copy, model_id="x", placement=place("cpu"))


def test_pickled_weights_are_refused(wan_directory: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(wan_directory, tmp_path / "copy")
    weights = copy / "text_encoder" / "model.safetensors"
    weights.unlink()
    torch.save({}, copy / "text_encoder" / "pytorch_model.bin")
    with pytest.raises(ModelUnavailable, match="safetensors"):
        load_directory(copy, model_id="x", placement=place("cpu"))


def test_where_a_setting_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_directory(WorkerSettings(model=str(tmp_path))) == tmp_path
    assert find_directory(WorkerSettings(model="miniature")).name == "model"
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match="CLEARWAY_MODEL_DOWNLOAD"):
        find_directory(WorkerSettings(model="THUDM/CogVideoX-2b"))
    with pytest.raises(ModelUnavailable, match=r"no model_index\.json"):
        load_directory(tmp_path, model_id="x", placement=place("cpu"))
