"""Trains and evaluates the erasers that ship with the miniature: `python -m workers.miniature.ship [--clips 30]`.

They are trained as an operator's are, by `workers.training.train` with the default method, and differ in nothing but where they
are put.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from erasers import methods
from workers.contract import TrainingTask
from workers.miniature.vocabulary import CONCEPTS, PAPER_TEN, canonical
from workers.miniature.weights import ERASERS_DIR, eraser_directory
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings
from workers.training.train import train_eraser

SHOWN = ("layer", "strength", "origin_rate", "erased_rate", "synonym_origin_rate", "synonym_rate", "kept_rate", "scene_kept", "n")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("concepts", nargs="*", default=list(PAPER_TEN), help="the paper's ten objects when none is named")
    parser.add_argument("--clips", type=int, default=30, help="in each cell of the evaluation")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--directory", type=Path, default=ERASERS_DIR)
    parser.add_argument("--method", default=methods.DEFAULT, help="the default one where none is named")
    parser.add_argument("--config", type=json.loads, default={}, help="options of the method, as JSON")
    options = parser.parse_args()
    if unknown := [concept for concept in options.concepts if canonical(concept) != concept]:
        parser.error(f"the miniature's world has no concept {', '.join(unknown)}; it has: {', '.join(CONCEPTS)}")
    pipeline = load_pipeline(WorkerSettings(model="miniature"), encoder_in_float32=True)
    for concept in options.concepts:
        task = TrainingTask(
            id=concept.replace(" ", "_"),
            attempt=1,
            model="miniature",
            concept=concept,
            version=1,
            method=options.method,
            config=options.config,
            seed=options.seed,
        )
        eraser = train_eraser(pipeline, task, on_progress=lambda *_: None, evaluation_clips=options.clips)
        eraser.save(options.directory / eraser_directory(concept).name)
        numbers = {"layer": eraser.layer, "strength": eraser.strength, **eraser.config.evaluation}
        shown = {name: numbers[name] for name in SHOWN if name in numbers}
        sys.stdout.write(json.dumps({"concept": concept} | shown) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
