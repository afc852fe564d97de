"""Measures the miniature on a pretrained encoder: `python -m workers.miniature.pretrained.measure [--clips 10]`.

Writes `measurements.json`, `MEASUREMENTS.md` and `contact_sheet.png` beside this file. The judge is the miniature's. Clips are
made the way that the service makes them.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch

from workers.miniature import classifier
from workers.miniature.contact_sheet import sheet
from workers.miniature.pretrained.captions import PromptKind, prompts
from workers.miniature.vocabulary import CONCEPTS, PAPER_TEN, SUBJECTS
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.training.evaluation import clip_seeds, film

HERE = Path(__file__).parent
KINDS: tuple[PromptKind, ...] = ("plain", "word", "description", "pair")
TITLES = {"plain": "its name", "word": "held-out words", "description": "held-out descriptions", "pair": "two objects"}

_pipeline: VideoPipeline | None = None
"""Of this process, when it films for another one."""


def _open() -> None:
    global _pipeline
    torch.set_num_threads(1)
    _pipeline = load_pipeline(WorkerSettings(model="miniature-pretrained"))


def _rate(concept: str, kind: PromptKind, clips: int, seed: int) -> float:
    """Share of frames that show the concept; of two objects, the mean of both."""
    assert _pipeline is not None  # noqa: S101 every process of the pool has one
    judge = classifier.load()
    made = prompts(concept, clips, seed, kind)
    filmed = film(_pipeline, [prompt.text for prompt in made], clip_seeds(seed, clips))
    shares = [
        float(judge.read(frames).shows(name).mean())
        for frames, prompt in zip(filmed, made, strict=True)
        for name in (prompt.scene.subjects if kind == "pair" else (concept,))
    ]
    return round(float(np.mean(shares)), 4)


def measure(clips: int, seed: int, processes: int) -> dict[str, Any]:
    started = time.monotonic()
    cells: list[tuple[str, PromptKind]] = [(name, "plain") for name in CONCEPTS]
    cells += [(name, "word") for name in CONCEPTS]
    cells += [(name, "description") for name in SUBJECTS]
    cells += [(name, "pair") for name in PAPER_TEN]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn"), initializer=_open) as pool:
        futures = [pool.submit(_rate, name, kind, clips, seed) for name, kind in cells]
        rates = [future.result() for future in futures]
    origin: dict[str, dict[str, float]] = {}
    for (name, kind), rate in zip(cells, rates, strict=True):
        origin.setdefault(name, {})[kind] = rate
    return {
        "clips_per_cell": clips,
        "seed": seed,
        "torch": torch.__version__,
        "origin": origin,
        "mean_of_subjects": {kind: _mean(origin, SUBJECTS, kind) for kind in ("plain", "word", "description")},
        "mean_of_ten": {kind: _mean(origin, PAPER_TEN, kind) for kind in KINDS},
        "seconds": round(time.monotonic() - started, 1),
    }


def _mean(origin: dict[str, dict[str, float]], names: Sequence[str] | dict[str, Any], kind: str) -> float:
    return round(float(np.mean([origin[name][kind] for name in names])), 4)


def markdown(report: dict[str, Any]) -> str:
    lines = [
        "# The miniature on a pretrained encoder, measured",
        "",
        "Written by `python -m workers.miniature.pretrained.measure`; do not edit.",
        f"{report['clips_per_cell']} clips a cell, seed {report['seed']}, torch {report['torch']}.",
        "A rate is the share of frames in which the miniature's classifier sees what the prompt asks for.",
        "",
        f"| concept | {' | '.join(TITLES[kind] for kind in KINDS)} |",
        "|---|---|---|---|---|",
    ]
    rows = {name: (row, "") for name, row in report["origin"].items()}
    rows |= {"mean of the subjects": (report["mean_of_subjects"], "**"), "mean of the paper's ten": (report["mean_of_ten"], "**")}
    for name, (row, bold) in rows.items():
        cells = (f"{bold}{row[kind]:.0%}{bold}" if kind in row else "" for kind in KINDS)
        lines.append(f"| {bold}{name}{bold} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def contact_sheet() -> None:
    """Every subject by a held-out word, as it comes: the first prompt of each."""
    _open()
    assert _pipeline is not None  # noqa: S101 just opened
    made = [prompts(name, 1, 7, "word")[0] for name in CONCEPTS]
    clips = list(film(_pipeline, [prompt.text for prompt in made], [7] * len(made)))
    titles = [f"{prompt.text[:62]}" for prompt in made]
    sheet(titles, clips, columns=4).save(HERE / "contact_sheet.png", optimize=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--clips", type=int, default=10, help="in each cell")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--processes", type=int, default=2, help="each holds the model: 1 GB")
    options = parser.parse_args()
    report = measure(options.clips, options.seed, options.processes)
    (HERE / "measurements.json").write_text(json.dumps(report, indent=1) + "\n")
    (HERE / "MEASUREMENTS.md").write_text(markdown(report))
    contact_sheet()


if __name__ == "__main__":
    main()
