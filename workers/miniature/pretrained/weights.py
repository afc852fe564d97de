"""The denoiser's weights: where they lie, their shards after a training, and folding the reading of states into them."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor, nn

MODEL_DIR = Path(__file__).parent / "model"
"""A diffusers `WanPipeline` without the weights of its encoder and its VAE; `model` says where these come from."""

_SHARD_BYTES = 14_000_000
_READS_TEXT = "condition_embedder.text_embedder.linear_1"


def write_shards(model: nn.Module, directory: Path) -> None:
    """Writes `denoiser-N.safetensors` in float32. Shards appear only once all of them are written."""
    shards: list[dict[str, Tensor]] = [{}]
    size = 0
    for name, tensor in model.state_dict().items():
        whole = tensor.detach().float().cpu().contiguous()
        if size + whole.nbytes > _SHARD_BYTES:
            shards.append({})
            size = 0
        shards[-1][name] = whole
        size += whole.nbytes
    for number, shard in enumerate(shards):
        save_file(shard, directory / f"denoiser-{number}.partial")
    for number in range(len(shards)):
        (directory / f"denoiser-{number}.partial").replace(directory / f"denoiser-{number}.safetensors")


def read_shards(directory: Path) -> dict[str, Tensor]:
    """FileNotFoundError where `directory` has none."""
    paths = sorted(directory.glob("denoiser-*.safetensors"))
    if not paths:
        raise FileNotFoundError(f"{directory} holds no denoiser-*.safetensors")
    return {name: tensor for path in paths for name, tensor in load_file(path).items()}


def folded(weights: dict[str, Tensor], reading: Tensor, offset: Tensor) -> dict[str, Tensor]:
    """Weights that take codes → weights that take the encoder's states h (code = h @ reading + offset)."""
    matrix = weights[f"{_READS_TEXT}.weight"]
    return weights | {
        f"{_READS_TEXT}.weight": (matrix @ reading.T).contiguous(),
        f"{_READS_TEXT}.bias": weights[f"{_READS_TEXT}.bias"] + matrix @ offset,
    }
