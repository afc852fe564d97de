"""One generation, stage by stage as the worker does it; and the same with the denoiser's blocks compiled."""

from __future__ import annotations

import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

from tests.gpu.kit.bench import Bench
from tests.gpu.kit.record import Findings, Value
from workers.pipelines.base import Conditioning, Frames, Shape, Stack, VideoPipeline

PROMPT = "a lantern over the big hill"


def generate(bench: Bench, shape_name: str) -> Findings:
    """Encode, denoise, decode and MP4 of one shape."""
    family, shape = bench.scale.shapes[shape_name]
    pipeline = bench.pipeline(family)
    with bench.measured() as encode:
        conditioning = pipeline.encode(PROMPT, "", Stack())
    with bench.measured() as denoise:
        latents, steps = denoised(bench, pipeline, conditioning, shape)
    noise = torch.randn_like(latents)  # of random weights latents need not be finite; time does not depend on what they say
    with bench.measured() as decode:
        frames = pipeline.decode(noise)
    card = pipeline.card()
    mp4, mp4_note = mp4_seconds(frames, card.default_frames_per_second)
    per_step, all_steps = statistics.median(steps[1:]), card.default_num_inference_steps
    return Findings(
        figures={
            "encode_seconds": encode.seconds,
            "denoise_first_step_seconds": steps[0],
            "denoise_seconds_per_step": per_step,
            "denoise_steps_measured": len(steps),
            f"denoise_seconds_of_{all_steps}_steps_extrapolated": all_steps * per_step,
            "denoise_device_gib": denoise.device_gib,
            "decode_seconds": decode.seconds,
            "decode_device_gib": decode.device_gib,
            "mp4_seconds": mp4,
            "latents_finite": bool(torch.isfinite(latents).all()),
        },
        notes=[
            f"Extrapolated: {all_steps} × the median of {len(steps) - 1} steps after the first. A step is two forwards.",
            "Encode, decode and MP4 are first calls, of one request. Decoded are latents of noise.",
            mp4_note,
        ],
    )


def compiled(bench: Bench, shape_name: str) -> Findings:
    """Seconds a step, eager and with `torch.compile` of each of the denoiser's blocks."""
    family, shape = bench.scale.shapes[shape_name]
    pipeline: Any = bench.pipeline(family)
    conditioning = pipeline.encode(PROMPT, "", Stack())
    transformer = pipeline.pipe.transformer
    blocks = transformer.blocks if family == "wan" else transformer.transformer_blocks
    before, eager = denoised(bench, pipeline, conditioning, shape)
    try:
        for block in blocks:
            block.compile(fullgraph=True, backend="eager" if bench.scale.tiny else "inductor")
        after, steps = denoised(bench, pipeline, conditioning, shape)
    finally:
        for block in blocks:
            block._compiled_call_impl = None
    one, other = statistics.median(eager[1:]), statistics.median(steps[1:])
    change = (after.float() - before.float()).norm() / before.float().norm()
    size = f"{shape.width}x{shape.height}x{shape.num_frames}"
    return Findings(
        figures={
            "eager_seconds_per_step": one,
            "compiled_seconds_per_step": other,
            "eager_over_compiled": one / other,
            "compiling_seconds": steps[0] - other,
            "latents_relative_change": float(change),
        },
        notes=[f"{size}. Median of {len(steps) - 1} steps after the first, which compiles."],
    )


def denoised(
    bench: Bench, pipeline: VideoPipeline, conditioning: Conditioning, shape: Shape
) -> tuple[torch.Tensor, list[float]]:
    """Latents, and the seconds of each step."""
    steps: list[float] = []
    bench.synchronize()
    began = time.perf_counter()

    def on_step(_step: int, _total: int) -> None:
        nonlocal began
        bench.synchronize()
        now = time.perf_counter()
        steps.append(now - began)
        began = now

    latents = pipeline.denoise([conditioning], [0], shape, on_step)
    return latents, steps


def mp4_seconds(frames: Frames, frames_per_second: int) -> tuple[Value, str]:
    """Seconds, and how to read them. None where `av` is not installed."""
    if importlib.util.find_spec("av") is None:
        return None, "MP4: not run, the package av is not installed."
    from workers.generation.video import encode_mp4

    encode: Callable[..., bytes] = encode_mp4
    began = time.perf_counter()
    encode(frames, frames_per_second=frames_per_second, metadata={})
    return time.perf_counter() - began, "MP4: of noise, on one core of the host; real pictures take x264 less time."
