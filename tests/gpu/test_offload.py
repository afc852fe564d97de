"""Training and attaching while diffusers keeps the text encoder's weights in the host's memory and runs it on the GPU."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import accelerate
import pytest
import torch
from diffusers import WanPipeline

import erasers
from tests.workers.lantern import lantern_pairs
from tests.workers.tiny_models import save_wan

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")

PROMPT = "a lantern over the big hill"
KINDS: dict[str, Any] = {
    "model": lambda pipe: pipe.enable_model_cpu_offload(),
    "sequential": lambda pipe: pipe.enable_sequential_cpu_offload(),
    "group": lambda pipe: pipe.enable_group_offload(onload_device=torch.device("cuda"), offload_type="leaf_level"),
    "accelerate": lambda pipe: accelerate.cpu_offload(pipe.text_encoder, execution_device=torch.device("cuda")),
}


def load(directory: Path) -> Any:
    return WanPipeline.from_pretrained(directory, dtype=torch.float32)


def embed(pipe: Any) -> torch.Tensor:
    embeddings: torch.Tensor = pipe.encode_prompt(
        PROMPT, do_classifier_free_guidance=False, max_sequence_length=16, device=torch.device("cuda")
    )[0]
    return embeddings


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_wan(tmp_path_factory.mktemp("models") / "wan")


@pytest.mark.parametrize("kind", KINDS)
def test_an_offloaded_encoder_is_trained_on_and_edited(kind: str, directory: Path) -> None:
    plain, pipe = load(directory).to("cuda"), load(directory)
    KINDS[kind](pipe)
    for method in ("steering", "hirm", "safree"):
        eraser = erasers.train(pipe.text_encoder, pipe.tokenizer, lantern_pairs(), method=method)
        with erasers.attach(plain.text_encoder, [eraser], plain.tokenizer):
            expected = embed(plain)
        with erasers.attach(pipe.text_encoder, [eraser], pipe.tokenizer) as handle:
            found = embed(pipe)
        assert handle.uses[0].tokens_edited > 0
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-3)
        assert not torch.allclose(found, embed(plain), atol=1e-3)
