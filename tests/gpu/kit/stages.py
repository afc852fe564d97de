"""The stages by name, and the process that runs them."""

from __future__ import annotations

import gc
import platform
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from tests.gpu.kit import generation, loading, memory, stacking, suite, training
from tests.gpu.kit.bench import GIB, Bench, Stage
from tests.gpu.kit.plan import SECONDS
from tests.gpu.kit.record import Run, StageRecord, Value

PACKAGES = ("torch", "diffusers", "transformers", "safetensors", "accelerate", "tokenizers", "av", "numpy", "pytest")
DEVICE_BROKEN = 70
"""Exit status after an error that leaves the device unusable to this process."""


STAGES: Mapping[str, Stage] = {
    "training-bfloat16": partial(training.train, precision="bfloat16"),
    "wan-load": partial(loading.load, family="wan"),
    "wan-erasers": stacking.stacks,
    "wan-832x480x81": partial(generation.generate, shape_name="wan-832x480x81"),
    "wan-1280x704x121": partial(generation.generate, shape_name="wan-1280x704x121"),
    "tests-wan": partial(suite.run, family="wan"),
    "search-tf32": partial(training.train, precision="tf32", search_only=True),
    "wan-compiled": partial(generation.compiled, shape_name="wan-832x480x81"),
    "cogvideox-load": partial(loading.load, family="cogvideox"),
    "cogvideox-720x480x49": partial(generation.generate, shape_name="cogvideox-720x480x49"),
    "tests-cogvideox": partial(suite.run, family="cogvideox"),
    "swaps": stacking.swaps,
    "memory-limits": memory.limits,
    "training-tf32": partial(training.train, precision="tf32"),
    "search-bfloat16": partial(training.train, precision="bfloat16", search_only=True),
}


def run_stages(bench: Bench, names: Sequence[str], path: Path) -> None:
    """Run them one after another and record each in the run's file. Ends the process if the device is broken."""
    for name in names:
        run = Run.read(path)
        run.versions, run.device, run.running = versions(), device(), name
        run.write(path)
        began = time.time()
        left = bench.deadline - began
        if left < SECONDS[name] and not bench.scale.tiny:
            record = StageRecord(name, "skipped", 0.0, f"it takes {SECONDS[name]} s, and {left:.0f} s were left")
        else:
            record = replace(_run(bench, name), seconds=time.time() - began)
        run.stages.append(record)
        run.running = None
        run.write(path)
        sys.stdout.write(f"{time.time() - began:8.1f} s  {name}: {record.status} {record.reason[-300:]}\n")
        sys.stdout.flush()
        gc.collect()
        try:
            bench.empty_cache()
            bench.synchronize()
        except RuntimeError:
            sys.exit(DEVICE_BROKEN)


def _run(bench: Bench, name: str) -> StageRecord:
    try:
        return StageRecord(name, "ok", 0.0, findings=STAGES[name](bench))
    except Exception:  # noqa: BLE001 - a stage that fails is a result, and the next one may work
        return StageRecord(name, "failed", 0.0, traceback.format_exc()[-4000:])


def versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "cuda": torch.version.cuda or "none"}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def device() -> dict[str, Value]:
    host: dict[str, Value] = {"cpu_threads": torch.get_num_threads(), "system": f"{platform.system()} {platform.machine()}"}
    if not torch.cuda.is_available():
        return {"name": "cpu", **host}
    properties = torch.cuda.get_device_properties(0)
    return {"name": properties.name, "memory_gib": properties.total_memory / GIB, **host}

