"""The miniature on a pretrained encoder as a `WanPipeline` directory: `python -m workers.miniature.pretrained.model`.

`model/` is complete but for two parts: the encoder's weights, which come from packages (`erasers.testbed.mpnet`), and the VAE,
which is the miniature's own. `text_encoder` and `vae` load them; everything else is read from the directory.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan
from transformers import MPNetModel

from erasers.testbed import mpnet
from workers.miniature import weights as miniature
from workers.miniature.denoiser import build
from workers.miniature.pretrained import states
from workers.miniature.pretrained.padding import PROMPT_TOKENS
from workers.miniature.pretrained.weights import MODEL_DIR, folded, read_shards


def text_encoder(dtype: torch.dtype) -> MPNetModel:
    """Raises `erasers.errors.EncoderError` where its packages are missing."""
    return mpnet.load_encoder(dtype)


def vae(dtype: torch.dtype) -> AutoencoderKLWan:
    loaded: AutoencoderKLWan = AutoencoderKLWan.from_pretrained(miniature.MODEL_DIR / "vae", torch_dtype=dtype)
    return loaded


def assemble(shards: Path, known: states.States) -> None:
    """Writes MODEL_DIR from the weights of a training. The denoiser is written in bfloat16, half the bytes."""
    encoder = mpnet.load_encoder()
    denoiser = build(encoder.config.hidden_size)
    denoiser.load_state_dict(folded(read_shards(shards), known.reading, known.offset))
    denoiser.to(torch.bfloat16).save_pretrained(MODEL_DIR / "transformer")
    encoder.config.save_pretrained(MODEL_DIR / "text_encoder")
    mpnet.load_tokenizer(PROMPT_TOKENS).save_pretrained(MODEL_DIR / "tokenizer")
    shutil.copytree(miniature.MODEL_DIR / "scheduler", MODEL_DIR / "scheduler", dirs_exist_ok=True)
    index = json.loads((miniature.MODEL_DIR / "model_index.json").read_text(encoding="utf-8"))
    index["text_encoder"] = ["transformers", "MPNetModel"]
    (MODEL_DIR / "model_index.json").write_text(json.dumps(index, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    for path in MODEL_DIR.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shards", type=Path, required=True, help="directory of a training or a distillation")
    parser.add_argument("--states", type=Path, required=True, help="the captions that it was trained on")
    options = parser.parse_args()
    assemble(options.shards, states.read(options.states))


if __name__ == "__main__":
    main()
