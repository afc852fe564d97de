"""CLEAR at the paper's scale: d_model 4,096, d_sae 131,072, 2,000 pairs, 2,500 iterations of 16 pairs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from torch import nn

from erasers.choices import Precision
from erasers.methods.clear_config import ClearConfig
from tests.benchmarks.training import miniature_material, paper_encoder, paper_material, timed
from tests.gpu.kit.bench import Bench
from tests.gpu.kit.record import Findings, Value
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings

PAPER_SECONDS, GOAL_SECONDS = 7200, 60
PAPER_ITERATIONS = ClearConfig.paper().iterations


def train(bench: Bench, precision: Precision, *, search_only: bool = False) -> Findings:
    """A training, or its first steps. With fewer iterations than the paper's its time is extrapolated."""
    bench.release()
    miniature = load_pipeline(WorkerSettings(model="miniature", device="cpu"))
    encoder: nn.Module = miniature.text_encoder if bench.scale.tiny else paper_encoder(seed=0)
    config: dict[str, Any] = asdict(ClearConfig.paper()) | {
        "precision": precision,
        "expansion": bench.scale.expansion,
        "iterations": PAPER_ITERATIONS if search_only else bench.iterations,
    }
    material = paper_material(miniature_material(0), bench.scale.training_pairs, 0)
    with bench.measured() as clock:
        trained = timed(
            encoder,
            miniature.tokenizer,
            material,
            "clear",
            config,
            0,
            search_steps=bench.scale.search_steps if search_only else None,
        )
    steps = trained.steps["search"]
    extrapolated = trained.seconds_at(PAPER_ITERATIONS)
    figures: dict[str, Value] = {
        "prompts": trained.prompts,
        "tokens": trained.tokens,
        "iterations_measured": steps,
        "seconds_measured": clock.seconds,
        "search_ms_per_iteration": 1000 * (trained.seconds["search"] - trained.first_search_step) / max(1, steps - 1),
        "first_iteration_seconds": trained.first_search_step,
        "device_gib": clock.device_gib,
        "host_gib": clock.host_gib,
    }
    notes = ["encode: with the sha256 of the encoder's weights. calibrate: with the report on the search, of every block."]
    if search_only:
        notes.append(f"Ended after {steps} of {PAPER_ITERATIONS:,} iterations; what comes after the search is not in it.")
        figures[f"seconds_to_end_of_search_of_{PAPER_ITERATIONS}_iterations_extrapolated"] = extrapolated
    elif steps < PAPER_ITERATIONS:
        notes.append(f"Extrapolated from {steps:,} to {PAPER_ITERATIONS:,} iterations; all other stages were run whole.")
        figures[f"seconds_of_{PAPER_ITERATIONS}_iterations_extrapolated"] = extrapolated
    figures |= {"paper_seconds": PAPER_SECONDS, "goal_seconds": GOAL_SECONDS}
    return Findings(
        figures=figures,
        rows=[{"stage": name, "seconds": seconds, "steps": trained.steps[name]} for name, seconds in trained.seconds.items()],
        notes=notes,
    )
