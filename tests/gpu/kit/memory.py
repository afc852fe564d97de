"""Which requests still fit when torch may take no more of the device than a smaller card has."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch

from tests.gpu.kit.bench import GIB, Bench
from tests.gpu.kit.generation import PROMPT
from tests.gpu.kit.record import Findings, Value
from workers.pipelines.base import Shape, Stack, VideoPipeline


def limits(bench: Bench) -> Findings:
    """One denoising step and a decode of Wan under each limit. The one plan of today: everything resident."""
    pipeline = bench.pipeline("wan")
    rows: list[dict[str, Value]] = []
    for limit in bench.scale.limits_gib:
        for name, (family, shape) in bench.scale.shapes.items():
            if family != "wan":
                continue
            bench.empty_cache()
            with _limited(bench, limit), bench.measured() as clock:
                outcome = _generate(pipeline, replace(shape, num_inference_steps=1))
            rows.append({"limit_gib": limit, "shape": name, "outcome": outcome, "device_gib": clock.device_gib})
    return Findings(
        rows=rows,
        notes=[
            "Plan: text encoder, denoiser and VAE resident, nothing tiled. The model was loaded without a limit.",
            "A limit above the memory of the device changes nothing." if bench.scale.device == "cuda" else "No limit on a CPU.",
        ],
    )


def _generate(pipeline: VideoPipeline, shape: Shape) -> str:
    stage = "encode"
    try:
        conditioning = pipeline.encode(PROMPT, "", Stack())
        stage = "denoise"
        latents = pipeline.denoise([conditioning], [0], shape, lambda step, total: None)
        stage = "decode"
        pipeline.decode(torch.randn_like(latents))
    except torch.cuda.OutOfMemoryError:
        return f"out of memory in {stage}"
    return "fits"


@contextmanager
def _limited(bench: Bench, limit_gib: int) -> Iterator[None]:
    if bench.scale.device == "cpu":
        yield
        return
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, limit_gib * GIB / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
