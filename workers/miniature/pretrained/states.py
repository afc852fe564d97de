"""States of the pretrained encoder for many captions, small enough to travel: `python -m workers.miniature.pretrained.states`.

A denoiser that is trained on another machine needs what the encoder says of its captions, not the encoder. `encode` writes
the final states; `compress` keeps their leading principal components, per dimension standardised, in coarse steps. Training
adds more noise than that loses. Standardising and projecting are one affine map, which `training` folds into the denoiser's
first linear layer afterwards, so that the finished denoiser reads the encoder's own states.
"""

from __future__ import annotations

import argparse
import lzma
import random
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load, load_file, save, save_file
from torch import Tensor

from erasers.testbed import mpnet
from workers.miniature.denoiser import SLOW, SLOW_SHARE
from workers.miniature.pretrained.captions import Caption, caption
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, STYLES, SUBJECTS
from workers.miniature.world import Scene, random_scene

MAX_TOKENS = 32  # of a caption in training; longer ones are left out
COMPONENTS = 128
STEP = 0.25  # of a code, in standard deviations of the leading component
_BLOCK = 500  # captions in a file of `encode`
_NAMES = (list(SUBJECTS), list(BACKGROUNDS), list(MOTIONS), list(STYLES))


def training_captions(count: int, seed: int, first: int = 0) -> list[Caption]:
    """Captions `first` … `first + count - 1` of the endless list that `seed` stands for. Number 0 is the empty prompt."""
    return [_training_caption(random.Random(f"captions/{seed}/{index}"), index) for index in range(first, first + count)]


def _training_caption(rng: random.Random, index: int) -> Caption:
    scene = random_scene(rng, plain=rng.random() < 0.55)
    if index == 0:
        return Caption("", replace(scene, subjects=()), says_background=False, says_motion=False)
    slow = rng.choice(SLOW)
    if scene.subjects and slow not in scene.subjects and rng.random() < SLOW_SHARE / 2:
        scene = replace(scene, subjects=(slow, *scene.subjects[1:]))
    return caption(scene, rng)


@torch.no_grad()
def encode(directory: Path, *, first: int, count: int, seed: int) -> None:
    """Writes blocks of final states to `directory`: `states` (all tokens, d_model) and `lengths`, in the order of captions.

    In bfloat16, which is quicker; training adds more noise than that. A block that is there is not made again. Raises
    EncoderError where the encoder's packages are missing.
    """
    tokenizer, encoder = mpnet.load_tokenizer(MAX_TOKENS), mpnet.load_encoder(torch.bfloat16)
    directory.mkdir(parents=True, exist_ok=True)
    for start in range(first, first + count, _BLOCK):
        path = directory / f"{start:06d}.safetensors"
        if path.exists():
            continue
        texts = [made.text for made in training_captions(_BLOCK, seed, start)]
        tokens = [tokenizer(text, verbose=False).input_ids for text in texts]
        states: list[Tensor] = [torch.empty(0)] * len(texts)
        order = sorted((index for index in range(len(texts)) if len(tokens[index]) <= MAX_TOKENS), key=lambda i: len(tokens[i]))
        for at in range(0, len(order), 48):
            batch = order[at : at + 48]
            padded = tokenizer.pad({"input_ids": [tokens[index] for index in batch]}, return_tensors="pt")
            answers = encoder(padded.input_ids, padded.attention_mask).last_hidden_state
            for row, index in enumerate(batch):
                states[index] = answers[row, : len(tokens[index])]
        lengths = torch.tensor([len(state) for state in states])
        save_file({"states": torch.cat([state for state in states if len(state)]), "lengths": lengths}, path)
        sys.stdout.write(f"{path.name} {time.strftime('%H:%M:%S')}\n")
        sys.stdout.flush()


@dataclass(frozen=True)
class States:
    """Captions as codes. A code z of a state h is (h @ reading + offset); reading is (d_model, COMPONENTS)."""

    codes: Tensor  # (captions, MAX_TOKENS + 1, COMPONENTS); the code of a zero state where a caption has ended
    lengths: Tensor  # (captions,)
    captions: list[Caption]  # without their texts
    reading: Tensor
    offset: Tensor

    def to(self, device: torch.device) -> States:
        return replace(self, codes=self.codes.to(device), lengths=self.lengths.to(device))


def compress(directory: Path, seed: int) -> bytes:
    """One file of the blocks in `directory`. Captions that were too long are left out."""
    files = sorted(directory.glob("*.safetensors"))
    blocks = [load_file(path) for path in files]
    lengths = torch.cat([block["lengths"] for block in blocks])
    states = torch.cat([block["states"] for block in blocks]).float()  # (tokens, d_model)
    made = [one for path in files for one in training_captions(_BLOCK, seed, int(path.stem))]
    mean, deviation = states.mean(0), states.std(0)
    deviation = deviation.clamp(min=0.1 * float(deviation.median()))  # a few dimensions never move
    variances, vectors = torch.linalg.eigh(torch.cov(((states[::4] - mean) / deviation).T))
    basis, leading = vectors.flip(1)[:, :COMPONENTS], variances.flip(0)[:COMPONENTS]
    reading = basis / deviation[:, None] / leading[0].sqrt() / STEP
    offset = -(mean @ reading)
    whole = (states @ reading + offset).round().clamp(-127, 127).to(torch.int8)
    scenes = torch.tensor([_scene_row(one) for one, length in zip(made, lengths, strict=True) if length], dtype=torch.int8)
    spread = whole.float().std() * STEP
    tensors = {
        "codes": whole.T.contiguous(),  # component by component, which packs better
        "lengths": lengths[lengths > 0].to(torch.int16),
        "scenes": scenes,
        "reading": reading * STEP / spread,
        "offset": offset * STEP / spread,
        "unit": STEP / spread,
    }
    return lzma.compress(save({name: tensor.contiguous() for name, tensor in tensors.items()}), preset=2)


def _scene_row(one: Caption) -> list[int]:
    names, backgrounds, motions, styles = _NAMES
    scene = one.scene
    return [
        *([names.index(name) for name in scene.subjects] + [-1, -1])[:2],
        backgrounds.index(scene.background),
        motions.index(scene.motion),
        -1 if scene.style is None else styles.index(scene.style),
        scene.on_fire,
        one.says_background,
        one.says_motion,
    ]


def _caption_of(row: list[int]) -> Caption:
    names, backgrounds, motions, styles = _NAMES
    first, second, background, motion, style, on_fire, says_background, says_motion = row
    scene = Scene(
        subjects=tuple(names[index] for index in (first, second) if index >= 0),
        background=backgrounds[background],
        motion=motions[motion],
        style=None if style < 0 else styles[style],
        on_fire=bool(on_fire),
    )
    return Caption("", scene, bool(says_background), bool(says_motion))


def read(path: Path) -> States:
    tensors = load(lzma.decompress(path.read_bytes()))
    lengths, offset = tensors["lengths"].long(), tensors["offset"]
    codes = offset.expand(len(lengths), MAX_TOKENS + 1, -1).clone()  # the code of a zero state
    real = torch.arange(MAX_TOKENS + 1) < lengths[:, None]
    codes[real] = tensors["codes"].T.float() * tensors["unit"]
    return States(codes, lengths, [_caption_of(row) for row in tensors["scenes"].tolist()], tensors["reading"], offset)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--directory", type=Path, required=True, help="blocks of states")
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--captions", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, help="where the compressed states go; without it, captions are only encoded")
    options = parser.parse_args()
    encode(options.directory, first=options.first, count=options.captions, seed=options.seed)
    if options.output is not None:
        options.output.write_bytes(compress(options.directory, options.seed))
        sys.stdout.write(f"{options.output.stat().st_size / 2**20:.1f} MiB\n")


if __name__ == "__main__":
    main()
