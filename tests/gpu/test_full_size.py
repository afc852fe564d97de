"""The real models at their real size, through the code that serves them. With random weights: that it runs, and fits.

Models are taken from the directory that CLEARWAY_TEST_MODELS names, if they are there; making one takes half a minute.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
import torch

from erasers.choices import Precision
from tests.gpu import full_size
from tests.workers.lantern import train_lantern
from workers.pipelines.base import Shape, Stack, VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device"),
    pytest.mark.timeout(1200),
]
SHAPES = {
    "wan": Shape(width=512, height=320, num_frames=17, num_inference_steps=3, guidance_scale=5.0),
    "cogvideox": Shape(width=720, height=480, num_frames=9, num_inference_steps=3, guidance_scale=6.0),
}
WITH, WITHOUT = "a lantern over the big hill", "a cat near the small river"


@pytest.fixture(scope="module", params=SHAPES)
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VideoPipeline, Shape]]:
    kept = Path(os.environ.get("CLEARWAY_TEST_MODELS", "")) / request.param
    directory = kept if (kept / "model_index.json").exists() else tmp_path_factory.mktemp("full") / request.param
    if directory != kept:
        full_size.save(directory, request.param, device="cuda")
    torch.cuda.empty_cache()
    placement = place("cuda", encoder_in_float32=True)  # as a trainer holds it
    yield load_directory(directory, model_id=request.param, placement=placement), SHAPES[request.param]
    torch.cuda.empty_cache()


def test_an_eraser_made_there_acts_there(model: tuple[VideoPipeline, Shape]) -> None:
    pipeline, shape = model
    eraser = train_lantern(pipeline, method="steering")
    origin, erased = (pipeline.encode(WITH, "", stack) for stack in (Stack(), Stack((eraser,), (None,))))
    assert not torch.equal(erased.prompt_embeds, origin.prompt_embeds)
    assert torch.equal(erased.negative_prompt_embeds, origin.negative_prompt_embeds)
    assert erased.uses[0].tokens_edited > 0
    assert torch.isfinite(erased.prompt_embeds.float()).all()
    if pipeline.padding == "masked":
        assert not erased.prompt_embeds[0, len(pipeline.tokenizer(WITH).input_ids) :].any(), "padding is zero"
    latents = pipeline.denoise([erased, origin], [1, 1], shape, lambda step, total: None)
    frames = [pipeline.decode(one[None]) for one in latents]
    assert all(one.shape == (shape.num_frames, shape.height, shape.width, 3) for one in frames)


@pytest.mark.parametrize("precision", get_args(Precision))
def test_clear_trains_at_the_real_width(model: tuple[VideoPipeline, Shape], precision: str) -> None:
    pipeline, _ = model
    eraser = train_lantern(pipeline, expansion=8, precision=precision)
    assert eraser.config.encoder.d_model == 4096
    with_, without = (pipeline.encode(prompt, "", Stack((eraser,), (None,))).uses[0].score_before for prompt in (WITH, WITHOUT))
    assert with_ > without
