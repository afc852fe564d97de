"""Teaches the miniature's denoiser to read the pretrained encoder: `python -m workers.miniature.pretrained.distillation`.

The miniature's own denoiser draws the world already; what changes is the language that it is asked in. Text enters it at one
place, the cross-attention of its blocks. So the student is a copy of the denoiser in which only what reads text is new: the text
embedder, and the keys and values of each block. For one scene the teacher reads a caption of the miniature's grammar, the
student a natural caption through codes of the pretrained encoder's states (`states`). The student's cross-attention is fitted
to the output of the teacher's, for the same input. No step runs the rest of the denoiser, so a step costs a
twentieth of a training step.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import PreTrainedTokenizerFast, UMT5EncoderModel

from workers.miniature.denoiser import build, noise_levels, optimizers
from workers.miniature.journal import Journal
from workers.miniature.pretrained import states
from workers.miniature.pretrained.captions import Caption
from workers.miniature.pretrained.padding import PaddingOnce, noisy_codes
from workers.miniature.pretrained.weights import read_shards, write_shards
from workers.miniature.text import MAX_TOKENS as TEACHER_TOKENS
from workers.miniature.vae import PatchPCA, to_pixels
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS
from workers.miniature.weights import MODEL_DIR
from workers.miniature.world import render

PLACES = 12  # random ones of the 48 tokens of a clip
_AT_ONCE = 32  # clips in one pass of the teacher
_BLOCK = 512  # clips in a file of lessons
_READS_TEXT = ("attn2.to_k", "attn2.to_v", "attn2.norm_k", "text_embedder")


def teacher_text(caption: Caption) -> str:
    """What `caption` says, in the miniature's grammar and its plainest words."""
    if caption.text == "" and not caption.says_background and not caption.scene.subjects:
        return ""
    scene = caption.scene
    subjects = [name if name.split()[0] in _NAMELIKE else f"a {name}" for name in scene.subjects]
    words = [" and ".join(subjects) or "an empty scene"]
    words += ["on fire"] if scene.on_fire else []
    words += [MOTIONS[scene.motion].seen[0]] if caption.says_motion else []
    words += [BACKGROUNDS[scene.background].seen[0]] if caption.says_background else []
    text = " ".join(words)
    return text if scene.style is None else f"a {scene.style} video of {text}"


_NAMELIKE = ("robo", "zorblax", "merlo", "count")


class Teacher:
    """The miniature's own denoiser and text encoder."""

    def __init__(self) -> None:
        self._tokenizer = PreTrainedTokenizerFast.from_pretrained(MODEL_DIR / "tokenizer")
        self._encoder = UMT5EncoderModel.from_pretrained(MODEL_DIR / "text_encoder").eval()
        self.denoiser = WanTransformer3DModel.from_pretrained(MODEL_DIR / "transformer").float().eval()

    @torch.no_grad()
    def lessons(self, noisy: Tensor, sigma: Tensor, texts: list[str]) -> tuple[Tensor, Tensor]:
        """Inputs and outputs of each block's cross-attention, both (B, blocks, tokens, d_model)."""
        batch = self._tokenizer(
            texts, padding="max_length", max_length=TEACHER_TOKENS, truncation=True, return_tensors="pt"
        )
        text = self._encoder(batch.input_ids, batch.attention_mask).last_hidden_state * batch.attention_mask[..., None]
        with _listening(self.denoiser) as heard:
            self.denoiser(noisy, sigma * 1000, text, return_dict=False)
        return torch.stack([taken for taken, _ in heard], 1), torch.stack([added for _, added in heard], 1)


@contextmanager
def _listening(denoiser: WanTransformer3DModel) -> Iterator[list[tuple[Tensor, Tensor]]]:
    heard: list[tuple[Tensor, Tensor]] = []

    def hook(_module: nn.Module, taken: tuple[Any, ...], added: Tensor) -> None:
        heard.append((taken[0], added))

    handles = [block.attn2.register_forward_hook(hook) for block in denoiser.blocks]
    try:
        yield heard
    finally:
        for handle in handles:
            handle.remove()


def gather(directory: Path, known: states.States, *, clips: int, seed: int) -> None:
    """Writes `clips` lessons to `directory`, _BLOCK in a file: `taken`, `added` (clips, blocks, PLACES, d_model), `captions`."""
    directory.mkdir(parents=True, exist_ok=True)
    teacher, analysis = Teacher(), PatchPCA.of_vae(MODEL_DIR / "vae")
    for start in range(0, clips, _BLOCK):
        path = directory / f"{start:06d}.safetensors"
        if path.exists():
            continue
        rng, generator = random.Random(f"lessons/{seed}/{start}"), torch.Generator().manual_seed(seed * 1_000_003 + start)
        parts: list[tuple[Tensor, Tensor, Tensor]] = []
        for _ in range(_BLOCK // _AT_ONCE):
            chosen = [0 if rng.random() < 0.05 else rng.randrange(1, len(known.captions)) for _ in range(_AT_ONCE)]
            captions = [known.captions[index] for index in chosen]
            clean = analysis.denoiser_latents(
                to_pixels(np.stack([render(caption.film(rng), rng.getrandbits(32)) for caption in captions]))
            )
            sigma = noise_levels(_AT_ONCE, generator)
            wide = sigma.view(-1, 1, 1, 1, 1)
            noisy = (1 - wide) * clean + wide * torch.randn(clean.shape, generator=generator)
            taken, added = teacher.lessons(noisy, sigma, [teacher_text(caption) for caption in captions])
            places = torch.rand(_AT_ONCE, taken.shape[2], generator=generator).argsort(1)[:, :PLACES]
            index = places[:, None, :, None].expand(-1, taken.shape[1], -1, taken.shape[3])
            parts.append((taken.gather(2, index).half(), added.gather(2, index).half(), torch.tensor(chosen)))
        taken_, added_, captions_ = (torch.cat(part) for part in zip(*parts, strict=True))
        save_file({"taken": taken_, "added": added_, "captions": captions_}, path.with_suffix(".partial"))
        path.with_suffix(".partial").replace(path)


def student_of(teacher: WanTransformer3DModel, text_dim: int) -> WanTransformer3DModel:
    """The teacher with a text embedder of its own for codes."""
    student = build(text_dim)
    weights = {name: tensor for name, tensor in teacher.state_dict().items() if "text_embedder.linear_1" not in name}
    student.load_state_dict(weights, strict=False)
    for name, parameter in student.named_parameters():
        parameter.requires_grad_(any(part in name for part in _READS_TEXT))
    for block in student.blocks:
        block.attn2.set_processor(PaddingOnce())
    return student


def distil(
    lessons: Path,
    known: states.States,
    *,
    steps: int,
    batch: int,
    rate: float,
    seed: int,
    journal: Journal,
    start: dict[str, Tensor] | None = None,
) -> WanTransformer3DModel:
    """The student after `steps`; the learning rate falls to zero over the last 70 % of them. `start`: weights to go on from."""
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    blocks = [load_file(path) for path in sorted(lessons.glob("*.safetensors"))]
    taken, added, captions = (torch.cat([block[name] for block in blocks]) for name in ("taken", "added", "captions"))
    size = added[::7].float().square().mean((0, 2, 3))  # (blocks,) mean squares
    student = student_of(Teacher().denoiser, known.codes.shape[-1])
    if start is not None:
        student.load_state_dict(start)
    trained = optimizers(student, rate)
    running: float | None = None
    for step in range(1, steps + 1):
        for optimizer in trained:
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1.0, step / 50) * min(1.0, (1 - (step - 1) / steps) / 0.7)
            optimizer.zero_grad(set_to_none=True)
        chosen = torch.randint(len(captions), (batch,), generator=generator)
        text = student.condition_embedder.text_embedder(noisy_codes(known, captions[chosen], generator))
        taken_, added_ = taken[chosen].float(), added[chosen].float()
        losses = [
            F.mse_loss(block.attn2(taken_[:, layer], text), added_[:, layer]) / size[layer]
            for layer, block in enumerate(student.blocks)
        ]
        loss = torch.stack(losses).mean()
        loss.backward()
        nn.utils.clip_grad_norm_([parameter for parameter in student.parameters() if parameter.requires_grad], 1.0)
        for optimizer in trained:
            optimizer.step()
        running = loss.item() if running is None else 0.95 * running + 0.05 * loss.item()
        if step % 50 == 0:
            journal.write(stage="distillation", step=step, loss=running)
    journal.write(stage="distilled", steps=steps, lessons=len(captions), captions=len(known.captions))
    student.requires_grad_(True)
    return student


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--states", type=Path, required=True, help="what `workers.miniature.pretrained.states` wrote")
    parser.add_argument("--lessons", type=Path, required=True, help="directory of recorded inputs and outputs of the teacher")
    parser.add_argument("--clips", type=int, default=12_288, help="lessons to gather; none are made twice")
    parser.add_argument("--directory", type=Path, help="where weights and the log go; without it, lessons are gathered only")
    parser.add_argument("--resume", type=Path, help="directory with weights to go on from")
    parser.add_argument("--steps", type=int, default=3000)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    torch.set_num_threads(1)
    known = states.read(options.states)
    gather(options.lessons, known, clips=options.clips, seed=options.seed)
    if options.directory is not None:
        options.directory.mkdir(parents=True, exist_ok=True)
        student = distil(
            options.lessons,
            known,
            steps=options.steps,
            batch=options.batch,
            rate=options.learning_rate,
            seed=options.seed,
            journal=Journal(options.directory / "build.jsonl"),
            start=None if options.resume is None else read_shards(options.resume),
        )
        write_shards(student, options.directory)


if __name__ == "__main__":
    main()
