"""Erasers on the encoder: what 0, 1, 8 and 64 of them cost at its full width and length, and what loading one costs."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

import erasers
from erasers import encoders
from erasers.artefact import CONFIG_FILE, TENSORS_FILE
from tests.gpu.kit.bench import Bench
from tests.gpu.kit.record import Findings, Value
from tests.workers.lantern import train_lantern
from workers.contract import EraserPin, eraser_key
from workers.pipelines.base import VideoPipeline
from workers.residency.eraser_cache import EraserCache
from workers.store.artifacts import DirectoryStore

METHODS = ("steering", "clear")
"""The default, which the stack evaluates one by one, and the one that it fuses."""
LAYER = 0


def stacks(bench: Bench) -> Findings:
    """Encode time of a prompt that fills the encoder, beside one hook that does nothing."""
    pipeline = bench.pipeline("wan")
    encoder, length = pipeline.text_encoder, pipeline.card().max_prompt_tokens
    ids = torch.randint(2, len(pipeline.tokenizer), (1, length), generator=torch.Generator().manual_seed(0)).to(bench.device)
    mask = torch.ones_like(ids)

    @torch.no_grad()
    def forward() -> None:
        encoder(input_ids=ids, attention_mask=mask)

    bare = bench.median_ms(forward)
    hook = encoders.block(encoder, LAYER).register_forward_hook(lambda module, args, output: None)
    idle = bench.median_ms(forward)
    hook.remove()
    rows: list[dict[str, Value]] = []
    for method in METHODS:
        made = [one.to(bench.device, torch.float32) for one in copies(pipeline, method, max(bench.scale.stack_sizes))]
        for count in bench.scale.stack_sizes:
            request, inside = _with_stack(bench, pipeline, made[:count], forward) if count else (idle, idle)
            rows.append(
                {
                    "method": method,
                    "erasers": count,
                    "encode_ms": inside,
                    "over_idle_hook_percent": 100 * (inside / idle - 1),
                    "attach_and_encode_ms": request,
                }
            )
    return Findings(
        figures={"tokens": length, "encode_ms_without_hooks": bare, "encode_ms_with_one_idle_hook": idle},
        rows=rows,
        notes=[
            f"Median of {bench.scale.repeats}. All erasers act on one block. 0 erasers: the idle hook.",
            "encode_ms: inside one `with attach(…)`. attach_and_encode_ms: with a stack attached anew, as for each request.",
        ],
    )


def swaps(bench: Bench) -> Findings:
    """Time to get an eraser that the worker has not, and one that it has."""
    pipeline = bench.pipeline("wan")
    rows: list[dict[str, Value]] = []
    for method in METHODS:
        made = copies(pipeline, method, bench.scale.swapped)
        with tempfile.TemporaryDirectory() as directory:
            store = DirectoryStore(Path(directory, "store"))
            size = sum(_store(one, store, Path(directory, "one")) for one in made) // len(made)
            cache = EraserCache(store, fingerprint=pipeline.fingerprint, device=bench.device, max_bytes=1 << 40)
            pins = [EraserPin(concept=one.concept, version=1, digest=one.digest) for one in made]
            cold, hot = ([_milliseconds(bench, cache, pin) for pin in pins] for _ in range(2))
        rows.append(
            {"method": method, "bytes": size, "n": len(pins), "cold_ms": statistics.median(cold), "cold_max_ms": max(cold)}
            | {"hot_ms": statistics.median(hot)}
        )
    return Findings(
        rows=rows,
        notes=[
            "Cold: from a directory store in the page cache, verified, to the device. Hot: already on the device.",
            "There is no tier between the two, so nothing is called warm.",
        ],
    )


def copies(pipeline: VideoPipeline, method: str, count: int) -> list[erasers.Eraser]:
    """One trained eraser under `count` names, with tensors that differ a little, as they are stored."""
    trained = train_lantern(pipeline, method=method, layer=LAYER)
    generator = torch.Generator().manual_seed(0)
    made = []
    for number in range(count):
        tensors = {name: tensor.cpu() for name, tensor in trained.tensors.items()}
        name = max(tensors, key=lambda each: tensors[each].numel())
        largest = tensors[name]
        noise = torch.randn(largest.shape, generator=generator).to(largest.dtype)
        tensors[name] = largest + noise * largest.float().abs().mean().to(largest.dtype) / 1000
        config = replace(trained.config, concept=f"lantern {number}", synonyms=())
        made.append(erasers.Eraser.build(config, tensors))
    return made


def _with_stack(
    bench: Bench, pipeline: VideoPipeline, stack: list[erasers.Eraser], forward: Callable[[], None]
) -> tuple[float, float]:
    """Milliseconds of a request, and of a forward while the stack is attached."""

    def request() -> None:
        with erasers.attach(pipeline.text_encoder, stack, fingerprint=pipeline.fingerprint) as handle:
            forward()
        _ = handle.uses

    whole = bench.median_ms(request)
    with erasers.attach(pipeline.text_encoder, stack, fingerprint=pipeline.fingerprint):
        return whole, bench.median_ms(forward)


def _store(eraser: erasers.Eraser, store: DirectoryStore, directory: Path) -> int:
    """Bytes that were stored."""
    eraser.save(directory)
    files = {name: (directory / name).read_bytes() for name in (CONFIG_FILE, TENSORS_FILE)}
    for name, content in files.items():
        store.put(eraser_key(eraser.digest, name), content)
    return sum(map(len, files.values()))


def _milliseconds(bench: Bench, cache: EraserCache, pin: EraserPin) -> float:
    bench.synchronize()
    began = time.perf_counter()
    cache.get(pin)
    bench.synchronize()
    return 1000 * (time.perf_counter() - began)
