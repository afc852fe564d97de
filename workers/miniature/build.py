"""Rebuilds the miniature from nothing: `python -m workers.miniature.build --directory DIR`.

Stages, in order: text (tokenizer and encoder), denoiser, vae (its decoder), pipeline, classifier. A finished stage leaves
its output in the directory and is not run again; the denoiser resumes from its checkpoint. `--stage` runs one alone. The
erasers that ship have a command of their own, `workers.miniature.ship`, because they go through the library that they
demonstrate.
"""

from __future__ import annotations

import argparse
import logging
from collections.abc import Callable
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanPipeline, WanTransformer3DModel
from transformers import AutoTokenizer, UMT5EncoderModel

from workers.miniature import classifier_training, denoiser, text, vae_training
from workers.miniature.journal import Journal

STAGES = ("text", "denoiser", "vae", "pipeline", "classifier")


def assemble(directory: Path) -> WanPipeline:
    """The pipeline of the parts that lie in `directory`."""
    return WanPipeline(
        tokenizer=AutoTokenizer.from_pretrained(directory / "tokenizer"),
        text_encoder=UMT5EncoderModel.from_pretrained(directory / "text_encoder"),
        vae=AutoencoderKLWan.from_pretrained(directory / "vae"),
        scheduler=denoiser.scheduler(),
        transformer=WanTransformer3DModel.from_pretrained(directory / "transformer"),
    )


def save_pipeline(directory: Path) -> None:
    """Writes `directory/model`: denoiser and VAE in bfloat16, half the bytes, the text encoder in float32.

    transformers loads an encoder in the precision of its files, and diffusers loads its own models in float32. So
    `from_pretrained` needs no dtype.
    """
    pipeline = assemble(directory)
    for module in (pipeline.vae, pipeline.transformer):
        module.to(torch.bfloat16)
    pipeline.save_pretrained(directory / "model", safe_serialization=True)
    for path in (directory / "model").rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, required=True, help="where parts, checkpoints and the log go")
    parser.add_argument("--stage", choices=STAGES, help="run this stage alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--text-steps", type=int, default=700)
    parser.add_argument("--vae-steps", type=int, default=1200)
    parser.add_argument("--denoiser-steps", type=int, default=10500)
    parser.add_argument("--classifier-steps", type=int, default=4000)
    parser.add_argument("--batch", type=int, default=64, help="clips in a step of the denoiser")
    parser.add_argument("--learning-rate", type=float, default=1e-3, help="of the denoiser")
    parser.add_argument("--bfloat16", action="store_true", help="multiply in bfloat16, where the processor can (avx512_bf16)")
    parser.add_argument("--compile", action="store_true", help="compile the denoiser's blocks; needs a C++ compiler")
    options = parser.parse_args()
    directory: Path = options.directory
    directory.mkdir(parents=True, exist_ok=True)
    logging.getLogger("diffusers").setLevel(logging.ERROR)
    journal = Journal(directory / "build.jsonl")

    def run_denoiser() -> None:
        denoiser.Trainer(
            directory,
            seed=options.seed,
            steps=options.denoiser_steps,
            batch=options.batch,
            learning_rate=options.learning_rate,
            journal=journal,
            bfloat16=options.bfloat16,
            compiled=options.compile,
        ).run()

    stages: dict[str, tuple[Path, Callable[[], None]]] = {
        "text": (
            directory / "text_encoder",
            lambda: text.train(directory, seed=options.seed, steps=options.text_steps, journal=journal),
        ),
        "denoiser": (directory / "transformer", run_denoiser),
        "vae": (
            directory / "vae",
            lambda: vae_training.train(
                directory, seed=options.seed, steps=options.vae_steps, journal=journal, bfloat16=options.bfloat16
            ),
        ),
        "pipeline": (directory / "model", lambda: save_pipeline(directory)),
        "classifier": (
            directory / classifier_training.FILE_NAME,
            lambda: classifier_training.train(
                directory, seed=options.seed, steps=options.classifier_steps, journal=journal, bfloat16=options.bfloat16
            ),
        ),
    }
    for name in (options.stage,) if options.stage else STAGES:
        output, make = stages[name]
        if options.stage is None and output.exists():
            journal.write(stage=name, skipped=f"{output.name} exists")
            continue
        journal.write(stage=name, started=vars(options) | {"directory": str(directory)})
        make()


if __name__ == "__main__":
    main()
