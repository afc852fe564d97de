"""Measures the miniature and its shipped erasers: `python -m workers.miniature.measure [--clips 30]`.

Writes `measurements.json`, `MEASUREMENTS.md`, `contact_sheet.png` and `erasure.png` beside this file. Every number in the
project's documents about the miniature comes from there. Origin and erased clips share prompts and seeds. Cells are filmed side
by side, one process a core; the speed of one clip is measured before, with all cores.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AutoencoderKLWan
from PIL import Image

import erasers
from workers.miniature import classifier, grammar
from workers.miniature.classifier_training import accuracy
from workers.miniature.contact_sheet import sheet
from workers.miniature.grammar import Prompt, PromptKind
from workers.miniature.tables import markdown
from workers.miniature.vocabulary import ATTRIBUTES, CHARACTERS, OBJECTS, PAPER_TEN, STYLES, SUBJECTS
from workers.miniature.weights import MODEL_DIR, eraser_directory
from workers.miniature.world import Frames
from workers.pipelines.base import Stack, VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.training.evaluation import film

HERE = Path(__file__).parent
PAIRED = tuple(zip(PAPER_TEN[::2], PAPER_TEN[1::2], strict=True))
"""Which shipped erasers are measured two at a time."""


@dataclass
class Bench:
    pipeline: VideoPipeline
    judge: classifier.Classifier
    clips: int
    seed: int

    def film(self, prompts: Sequence[Prompt], stack: Stack = Stack()) -> list[Frames]:  # noqa: B008 frozen
        seeds = [1000 * self.seed + index for index in range(len(prompts))]
        return list(film(self.pipeline, [prompt.text for prompt in prompts], seeds, stack))

    def rates(self, clips: Iterable[Frames], shown: Iterable[Sequence[str]]) -> float:
        """Mean share of frames that show each of a clip's named concepts."""
        shares = [
            self.judge.read(frames).shows(name).mean() for frames, names in zip(clips, shown, strict=True) for name in names
        ]
        return round(float(np.mean(shares)), 4)

    def origin(self, concept: str, kind: PromptKind) -> float:
        prompts = grammar.prompts(concept, self.clips, self.seed, kind)
        names = [prompt.scene.subjects if kind == "pair" else (concept,) for prompt in prompts]
        return self.rates(self.film(prompts), names)

    def stacked(self, pair: tuple[str, str]) -> dict[str, float]:
        """Both concepts with both erasers on, and the other objects, each beside its origin rate."""
        stack = Stack(tuple(erasers.load(eraser_directory(name)) for name in pair), (None, None))
        numbers: dict[str, float] = {}
        for name in pair:
            prompts = grammar.prompts(name, self.clips, self.seed, "plain")
            for label, clips in (("origin", self.film(prompts)), ("erased", self.film(prompts, stack))):
                numbers[f"{name}: {label}"] = self.rates(clips, [(name,)] * len(prompts))
        spare = grammar.prompts(pair[0], self.clips + 2, self.seed, "others")
        others = [prompt for prompt in spare if pair[1] not in prompt.scene.subjects][: self.clips]
        for label, clips in (("origin", self.film(others)), ("kept", self.film(others, stack))):
            numbers[f"others: {label}"] = self.rates(clips, [prompt.scene.subjects for prompt in others])
        return numbers


_bench: Bench | None = None
"""Of this process, when it films for another one."""


def open_bench(clips: int, seed: int) -> Bench:
    return Bench(load_pipeline(WorkerSettings(model="miniature")), classifier.load(), clips, seed)


def _start_filming(clips: int, seed: int) -> None:
    global _bench
    torch.set_num_threads(1)
    _bench = open_bench(clips, seed)


def _origin(concept: str, kind: PromptKind) -> float:
    assert _bench is not None  # noqa: S101 every process of the pool has one
    return _bench.origin(concept, kind)


def _stacked(pair: tuple[str, str]) -> dict[str, float]:
    assert _bench is not None  # noqa: S101
    return _bench.stacked(pair)


def measure(bench: Bench) -> dict[str, Any]:
    started = time.monotonic()
    cells: list[tuple[str, PromptKind]] = [(name, "plain") for name in (*OBJECTS, *CHARACTERS, *STYLES, *ATTRIBUTES)]
    cells += [(name, kind) for name in PAPER_TEN for kind in ("synonym", "pair")]
    pace = speed(bench)
    with ProcessPoolExecutor(
        mp_context=get_context("spawn"), initializer=_start_filming, initargs=(bench.clips, bench.seed)
    ) as pool:
        rates = pool.map(_origin, *zip(*cells, strict=True))
        stacks = pool.map(_stacked, PAIRED)
        origin: dict[str, dict[str, float]] = {}
        for (name, kind), rate in zip(cells, rates, strict=True):
            origin.setdefault(name, {})[kind] = rate
        stacked = {" + ".join(pair): numbers for pair, numbers in zip(PAIRED, stacks, strict=True)}
    report: dict[str, Any] = {
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
        },
        "clips_per_cell": bench.clips,
        "seed": bench.seed,
        "classifier": {
            "renders": accuracy(bench.judge, seed=bench.seed + 1, clips=400),
            "vae_reconstructions": accuracy(
                bench.judge, seed=bench.seed + 2, clips=200, vae=AutoencoderKLWan.from_pretrained(MODEL_DIR / "vae").eval()
            ),
        },
        "speed": pace,
        "origin": origin,
        "origin_mean_of_ten": {
            kind: round(float(np.mean([origin[name][kind] for name in PAPER_TEN])), 4) for kind in ("plain", "synonym", "pair")
        },
        "erasers": {name: shipped(name) for name in PAPER_TEN},
        "stacked": stacked,
    }
    report["seconds"] = round(time.monotonic() - started, 1)
    return report


def speed(bench: Bench, repeats: int = 5) -> dict[str, float]:
    prompts = grammar.prompts("parachute", repeats + 1, bench.seed, "plain")
    bench.film(prompts[:1])
    seconds = []
    for prompt in prompts[1:]:
        started = time.perf_counter()
        bench.film([prompt])
        seconds.append(time.perf_counter() - started)
    return {
        "seconds_per_clip_median": round(float(np.median(seconds)), 3),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def shipped(concept: str) -> dict[str, Any]:
    """What the artefact says of itself: measured when it was made, by `workers.miniature.ship`."""
    eraser = erasers.load(eraser_directory(concept))
    numbers = {
        name: eraser.config.evaluation[name]
        for name in (
            *("origin_rate", "erased_rate", "synonym_origin_rate", "synonym_rate", "kept_rate", "n"),
            *("scene_kept", "scene_parts", "scene_clips", "unrequested_origin_rate", "unrequested_rate", "residue_rate"),
        )
    }
    size = sum(path.stat().st_size for path in eraser_directory(concept).iterdir())
    return {"method": eraser.method, "layer": eraser.layer, "strength": eraser.strength, "bytes": size, **numbers}


def contact_sheet(bench: Bench) -> Image.Image:
    """Every subject, style and attribute as the model films it, and some in pairs: the first prompt of each, as it comes."""
    titles, prompts = [], []
    for name in (*SUBJECTS, *STYLES, *ATTRIBUTES):
        titles.append(name)
        prompts += grammar.prompts(name, 1, 7, "plain")
    for name in PAPER_TEN[:4]:
        (pair,) = grammar.prompts(name, 1, 7, "pair")
        titles.append(" and ".join(pair.scene.subjects))
        prompts.append(pair)
    return sheet(titles, bench.film(prompts), columns=4)


def erasure(bench: Bench) -> Image.Image:
    """Each of the ten over snowy mountains, without and with its eraser, and what the eraser does to another object."""
    titles, clips = [], []
    for index, name in enumerate(PAPER_TEN):
        stack = Stack((erasers.load(eraser_directory(name)),), (None,))
        other = PAPER_TEN[(index + 1) % len(PAPER_TEN)]
        own, spared = (_in_the_mountains(concept) for concept in (name, other))
        for title, prompt, chosen in (
            (name, own, Stack()),
            (f"{name}, erased", own, stack),
            (f"{other}, {name} erased", spared, stack),
        ):
            titles.append(title)
            clips += bench.film([prompt], chosen)
    return sheet(titles, clips, columns=3)


def _in_the_mountains(concept: str) -> Prompt:
    """The first prompt whose scene the README's example has."""
    return next(prompt for prompt in grammar.prompts(concept, 100, 7, "scene") if _is_example(prompt))


def _is_example(prompt: Prompt) -> bool:
    return prompt.scene.background == "snow" and len(prompt.scene.subjects) == 1 and prompt.scene.style is None


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=30, help="in each cell")
    parser.add_argument(
        "--seed", type=int, default=1, help="other prompts and noise than the shipped erasers' evaluation, seed 0"
    )
    options = parser.parse_args()
    bench = open_bench(options.clips, options.seed)
    report = measure(bench)
    (HERE / "measurements.json").write_text(json.dumps(report, indent=1) + "\n")
    (HERE / "MEASUREMENTS.md").write_text(markdown(report))
    contact_sheet(bench).save(HERE / "contact_sheet.png", optimize=True)
    erasure(bench).save(HERE / "erasure.png", optimize=True)


if __name__ == "__main__":
    main()
