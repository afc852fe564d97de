"""How the miniature's judge is trained, and how well it judges.

Part of the training shows *spoilt* subjects, which count as absent: blobs of the right colour, silhouettes, shuffled
quarters, coarse mosaics, blurs, faint ghosts, and the smears that the denoiser makes of mere noise. Some true clips are the
denoiser's own, and all pass through what a video file does to them: noise, blur, chroma subsampling.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image, ImageFilter
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

from workers.miniature.classifier import MOTION_STRIDE, STYLE_NAMES, Classifier, Network
from workers.miniature.journal import Journal
from workers.miniature.text import training_caption
from workers.miniature.vae import PatchPCA, to_frames, to_pixels
from workers.miniature.vae_training import Estimate, decode_frames, estimate_of
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, STYLES, SUBJECTS
from workers.miniature.weights import CLASSIFIER_FILE
from workers.miniature.world import Frames, Scene, random_scene, render, sprite

FILE_NAME = CLASSIFIER_FILE.name


def spoilt(name: str, rng: random.Random) -> Image.Image:
    """A drawing with the colours or the outline of `name` that nobody would take for it."""
    image = sprite(name)
    alpha = image.getchannel("A")
    match rng.randrange(6):
        case 0:  # a blob of its mean colour
            blob = Image.new("RGBA", image.size, _mean_colour(image))
            blob.putalpha(alpha.filter(ImageFilter.GaussianBlur(9)))
            return blob
        case 1:  # its silhouette
            flat = Image.new("RGBA", image.size, _mean_colour(image))
            flat.putalpha(alpha)
            return flat
        case 2:  # quarters in the wrong places
            half = image.width // 2
            boxes = [(x, y, x + half, y + half) for x in (0, half) for y in (0, half)]
            pieces = [image.crop(box) for box in boxes]
            order = rng.choice([(1, 0, 3, 2), (3, 2, 1, 0), (2, 3, 0, 1), (1, 2, 3, 0)])
            shuffled = Image.new("RGBA", image.size)
            for box, piece in zip(boxes, order, strict=True):
                shuffled.paste(pieces[piece], box[:2])
            return shuffled
        case 3:  # a mosaic too coarse to tell
            cells = rng.choice((2, 3))
            return image.resize((cells, cells), Image.Resampling.BOX).resize(image.size, Image.Resampling.NEAREST)
        case 4:  # a blur too strong to tell
            return image.filter(ImageFilter.GaussianBlur(rng.uniform(11, 16)))
        case _:  # a ghost
            ghost = image.copy()
            opacity = rng.uniform(0.08, 0.2)
            ghost.putalpha(alpha.point([round(value * opacity) for value in range(256)]))
            return ghost


def _mean_colour(image: Image.Image) -> tuple[int, int, int, int]:
    values = np.asarray(image, np.float32)
    weights = values[..., 3:] / 255
    red, green, blue = (values[..., :3] * weights).sum((0, 1)) / weights.sum()
    return round(red), round(green), round(blue), 255


@dataclass(frozen=True)
class _Example:
    frames: Frames
    scene: Scene
    present: frozenset[str]  # the subjects that are really there


def _practice(rng: random.Random) -> Scene:
    """A scene of the world, more often in a style or on fire: there the judge errs most (LOG.md)."""
    scene = random_scene(rng)
    style = rng.choice(list(STYLES)) if rng.random() < 0.25 else scene.style
    return replace(scene, style=style, on_fire=scene.on_fire or (bool(scene.subjects) and rng.random() < 0.15))


def _example(scene: Scene, rng: random.Random) -> _Example:
    fake = {name: spoilt(name, rng) for name in scene.subjects if rng.random() < 0.4}
    frames = render(scene, rng.getrandbits(32), picture=lambda name: fake.get(name) or sprite(name))
    return _Example(frames, scene, frozenset(set(scene.subjects) - set(fake)))


def _labels(examples: list[_Example]) -> dict[str, Tensor]:
    """Per clip: subjects (B, n) float, the others (B,) class indices; motion is −100 where no true subject shows it."""
    names = list(SUBJECTS)
    return {
        "subjects": torch.tensor([[float(name in example.present) for name in names] for example in examples]),
        "styles": torch.tensor([STYLE_NAMES.index(example.scene.style or "none") for example in examples]),
        "fire": torch.tensor([float(example.scene.on_fire) for example in examples]),
        "backgrounds": torch.tensor([list(BACKGROUNDS).index(example.scene.background) for example in examples]),
        "motions": torch.tensor([list(MOTIONS).index(example.scene.motion) if example.present else -100 for example in examples]),
    }


def _loss(answers: dict[str, Tensor], labels: dict[str, Tensor]) -> Tensor:
    frames = answers["subjects"].shape[1]
    subjects = labels["subjects"][:, None].expand(-1, frames, -1)
    total = 8 * F.binary_cross_entropy_with_logits(answers["subjects"], subjects)
    total = total + F.binary_cross_entropy_with_logits(answers["fire"][..., 0], labels["fire"][:, None].expand(-1, frames))
    for name in ("styles", "backgrounds"):
        total = total + 0.3 * F.cross_entropy(answers[name].flatten(0, 1), labels[name].repeat_interleave(frames))
    return total + 0.3 * F.cross_entropy(answers["motions"], labels["motions"], ignore_index=-100)


class _Generated:
    """Clips as the miniature's denoiser and VAE return them when asked to clean up noised ones.

    Under little noise what was there comes back, with their blurs: it counts as present. Under nearly nothing but noise they
    return a smear of the right colours: it counts as absent.
    """

    TRUE = (0.0, 0.5)
    SMEARED = (0.98, 1.0)
    """σ, drawn uniformly from these."""

    def __init__(self, vae: AutoencoderKLWan, pca: PatchPCA, estimate: Estimate, generator: torch.Generator) -> None:
        self._vae, self._pca, self._estimate, self._generator = vae, pca, estimate, generator

    @torch.no_grad()
    def __call__(self, frames: Frames, texts: list[str], sigmas: tuple[float, float]) -> Tensor:
        """uint8 (B, T, H, W, 3) → pixels (B, 3, MOTION_FRAMES, H, W)."""
        clean = self._pca.denoiser_latents(to_pixels(frames))
        low, high = sigmas
        sigma = low + (high - low) * torch.rand(len(clean), generator=self._generator)
        wide = sigma.view(-1, 1, 1, 1, 1)
        noise = torch.randn(clean.shape, generator=self._generator)
        latents = self._estimate((1 - wide) * clean + wide * noise, sigma, texts)[:, :, ::MOTION_STRIDE]
        codes = latents * self._pca.latents_std.view(1, -1, 1, 1, 1)
        decoded = decode_frames(self._vae, codes.transpose(1, 2).flatten(0, 1)[:, :, None]).float().clamp(-1, 1)
        pixels: Tensor = decoded[:, :, 0].unflatten(0, (len(clean), -1)).transpose(1, 2)
        return pixels


def _degraded(pixels: Tensor, generator: torch.Generator) -> Tensor:
    """Each clip as a video file might leave it."""

    def chance() -> float:
        return float(torch.rand((), generator=generator))

    if chance() < 0.4:  # chroma subsampling, as in H.264
        luma = pixels.mean(1, keepdim=True)
        chroma = F.interpolate(F.avg_pool3d(pixels - luma, (1, 2, 2)), scale_factor=(1.0, 2.0, 2.0))
        pixels = luma + chroma
    if chance() < 0.4:
        blurred = F.avg_pool3d(F.pad(pixels, (1, 1, 1, 1, 0, 0), mode="replicate"), (1, 3, 3), 1)
        pixels = pixels.lerp(blurred, chance())
    gain = 0.85 + 0.3 * torch.rand(len(pixels), 1, 1, 1, 1, generator=generator)
    return pixels * gain + 0.1 * chance() * torch.randn(pixels.shape, generator=generator)


def train(directory: Path, *, seed: int, steps: int, journal: Journal, bfloat16: bool = False) -> None:
    """Writes `directory/classifier.safetensors` and its accuracy on fresh renders to the journal.

    Goes on from such a file if there is one. Needs the pipeline's parts in `directory`.
    """
    torch.manual_seed(seed)
    rng = random.Random(f"classifier/{seed}")
    generator = torch.Generator().manual_seed(seed)
    vae = AutoencoderKLWan.from_pretrained(directory / "vae").eval()
    generated = _Generated(vae, PatchPCA.fit(seed=seed), estimate_of(directory), generator)
    network = Network()
    if (directory / FILE_NAME).exists():
        network.load_state_dict(load_file(directory / FILE_NAME))
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=2e-3, total_steps=steps, pct_start=0.05)
    for step in range(1, steps + 1):
        examples = [_example(_practice(rng), rng) for _ in range(24)]
        pixels = to_pixels(np.stack([example.frames[::MOTION_STRIDE] for example in examples]))
        whole = [index for index, example in enumerate(examples) if len(example.present) == len(example.scene.subjects)]
        with torch.autocast("cpu", torch.bfloat16, enabled=bfloat16):
            for chosen, sigmas in ((whole[:4], generated.TRUE), (whole[4:7], generated.SMEARED)):
                if chosen:
                    clips = np.stack([examples[index].frames for index in chosen])
                    texts = [training_caption(examples[index].scene, rng) for index in chosen]
                    pixels[chosen] = generated(clips, texts, sigmas)
            for index in whole[4:7]:
                examples[index] = replace(examples[index], present=frozenset())
            answers = network(_degraded(pixels, generator))
        labels = _labels(examples)
        for name in ("styles", "backgrounds"):
            labels[name][whole[4:7]] = -100  # a smear may have another, where the caption leaves it open
        loss = _loss({name: logits.float() for name, logits in answers.items()}, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            journal.write(stage="classifier", step=step, loss=loss.item())
    save_file({name: tensor.contiguous() for name, tensor in network.state_dict().items()}, directory / FILE_NAME)
    journal.write(stage="classifier", **accuracy(Classifier(network), seed=seed + 1, clips=600))


def accuracy(judge: Classifier, *, seed: int, clips: int, vae: AutoencoderKLWan | None = None) -> dict[str, float | int]:
    """Per frame, on fresh renders (through `vae` where given), the share of right answers of each head.

    `subjects_exact`: every subject that is there and none that is not; `single_exact`: the same, of clips with one subject and
    neither style nor fire; `subjects_each`: of all answers about one subject in one frame.
    """
    rng = random.Random(f"accuracy/{seed}")
    names = list(SUBJECTS)
    right: dict[str, list[float]] = {
        name: []
        for name in (
            "single_exact",
            "subjects_exact",
            "subjects_each",
            "spoilt_refused",
            "style",
            "fire",
            "background",
            "motion",
        )
    }
    for index in range(clips):
        scene = random_scene(rng)
        example = _example(scene, rng) if index % 2 else _whole(scene, rng)
        frames = example.frames
        if vae is not None:
            with torch.no_grad():
                frames = to_frames(vae.decode(vae.encode(to_pixels(frames)[None]).latent_dist.mode()).sample)[0]
        reading = judge.read(frames)
        wanted = np.array([name in example.present for name in names])
        fakes = [names.index(name) for name in example.scene.subjects if name not in example.present]
        if fakes:
            right["spoilt_refused"].extend(np.all(~reading.subjects[:, fakes], axis=1).tolist())
        else:
            exact = np.all(reading.subjects == wanted, axis=1).tolist()
            right["subjects_exact"].extend(exact)
            if len(example.scene.subjects) == 1 and example.scene.style is None and not example.scene.on_fire:
                right["single_exact"].extend(exact)
        right["subjects_each"].extend((reading.subjects == wanted).mean(axis=1).tolist())
        right["style"].extend([style == (example.scene.style or "none") for style in reading.styles])
        right["fire"].extend((reading.on_fire == example.scene.on_fire).tolist())
        right["background"].extend([background == example.scene.background for background in reading.backgrounds])
        if example.present:
            right["motion"].append(reading.motion == example.scene.motion)
    return {name: float(np.mean(values)) for name, values in right.items()} | {"clips": clips}


def _whole(scene: Scene, rng: random.Random) -> _Example:
    return _Example(render(scene, rng.getrandbits(32)), scene, frozenset(scene.subjects))
