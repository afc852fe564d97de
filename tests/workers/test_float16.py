"""Text encoders in float16: the modules whose outputs it cannot hold stay in float32."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DiffusionPipeline
from torch import Tensor, nn

import erasers
from erasers.hooks import recording_blocks
from tests.workers.parts import train_lantern
from workers.errors import ModelUnavailable
from workers.pipelines.base import Stack, VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import Placement, place

PROMPT = "a lantern over the big hill"
FLOAT16 = Placement(torch.device("cpu"), torch.float16, torch.float16)
FLOAT16_MAX = 65_504


@pytest.fixture(scope="module", params=["wan_directory", "cogvideox_directory"])
def large(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose feed-forward outputs, in UMT5 and in T5, exceed what float16 holds."""
    pipe: Any = DiffusionPipeline.from_pretrained(request.getfixturevalue(request.param), dtype=torch.float32)
    for name, module in pipe.text_encoder.named_modules():
        if name.endswith(".wo"):
            with torch.no_grad():
                module.weight *= 3e5
    directory = tmp_path_factory.mktemp("large") / "model"
    pipe.save_pretrained(directory)
    return directory


def encode(pipeline: VideoPipeline, stack: Stack) -> tuple[Tensor, float]:
    """Embeddings, and the largest value that a block returned."""
    with recording_blocks(pipeline.text_encoder) as states:
        embeddings = pipeline.encode(PROMPT, "", stack).prompt_embeds
    return embeddings, max(float(h.abs().max()) for h in states)


def test_float16_encodes_what_exceeds_it(large: Path) -> None:
    half = load_directory(large, model_id="large", placement=FLOAT16)
    kept = {name for name, weight in half.text_encoder.named_parameters() if weight.dtype == torch.float32}
    assert kept == {name for name, _ in half.text_encoder.named_parameters() if name.endswith(".wo.weight")} != set()
    full = load_directory(large, model_id="large", placement=place("cpu"))
    assert half.fingerprint == full.fingerprint
    embeddings, largest = encode(half, Stack())
    assert embeddings.dtype == torch.float16
    assert largest > FLOAT16_MAX
    expected, _ = encode(full, Stack())
    torch.testing.assert_close(embeddings.float(), expected, atol=0.02, rtol=0.02)
    half.text_encoder.to(torch.float16)  # the control: cast as a whole it overflows
    with pytest.raises(AssertionError):
        torch.testing.assert_close(encode(half, Stack())[0].float(), expected, atol=0.02, rtol=0.02)


def test_an_eraser_acts_on_states_that_exceed_float16(large: Path) -> None:
    half = load_directory(large, model_id="large", placement=FLOAT16)
    eraser = train_lantern(load_directory(large, model_id="large", placement=place("cpu")), method="steering")
    erased, largest = encode(half, Stack((eraser,), (None,)))
    assert largest > FLOAT16_MAX
    assert torch.isfinite(erased).all()
    assert not torch.equal(erased, encode(half, Stack())[0])


def test_training_in_float16_keeps_states_that_exceed_it(large: Path) -> None:
    """The eraser is like that of float32; with states cut to float16 it would not be finite."""
    half, full = (load_directory(large, model_id="large", placement=one) for one in (FLOAT16, place("cpu")))
    made, expected = (train_lantern(pipeline, method="steering").tensors for pipeline in (half, full))
    for name, tensor in expected.items():
        torch.testing.assert_close(made[name], tensor, rtol=0.1, atol=0.1 * float(tensor.abs().max()))


def test_other_weights_that_float16_cannot_hold_are_refused(wan_directory: Path, tmp_path: Path) -> None:
    pipe: Any = DiffusionPipeline.from_pretrained(wan_directory, dtype=torch.float32)
    projection: nn.Module = erasers.encoders.attention_projection(pipe.text_encoder, 0)
    with torch.no_grad():
        projection.get_parameter("weight")[0, 0] = 70_000.0
    pipe.save_pretrained(tmp_path / "model")
    load_directory(tmp_path / "model", model_id="x", placement=place("cpu", "bfloat16"))
    with pytest.raises(ModelUnavailable, match="load the encoder in bfloat16 or float32; set CLEARWAY_DTYPE"):
        load_directory(tmp_path / "model", model_id="x", placement=FLOAT16)
