"""What the stages share: the model in memory, clocks that wait for the device, and peaks of memory."""

from __future__ import annotations

import gc
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch

from tests.gpu import full_size
from tests.gpu.kit.record import Findings
from tests.gpu.kit.scale import MODEL_IDS, Family, Scale
from tests.workers import tiny_models
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place

GIB = 2**30
SAMPLE_SECONDS = 0.02


@dataclass
class Clock:
    seconds: float = 0.0
    host_gib: float | None = None
    """Highest resident memory of this process, pages of mapped files left out. None where /proc does not say."""
    device_gib: float | None = None
    """Highest allocation of torch on the device. None on the CPU."""


@dataclass
class Bench:
    """Holds at most one model at a time. Models are made once, under `models`, and kept there for later stages."""

    scale: Scale
    models: Path
    out: Path
    iterations: int
    deadline: float
    """A time of `time.time()`; a stage that starts processes gives them no longer."""
    making: dict[Family, Clock] = field(default_factory=dict)
    loading: dict[Family, Clock] = field(default_factory=dict)
    _loaded: tuple[Family, VideoPipeline] | None = None

    @property
    def device(self) -> torch.device:
        return torch.device(self.scale.device)

    def directory(self, family: Family) -> Path:
        """The model of random weights, made if it is not there."""
        target = self.models / family
        if not (target / "model_index.json").exists():
            with self.measured() as clock:
                if not self.scale.tiny:
                    full_size.save(target, family, device=self.scale.device)
                else:
                    (tiny_models.save_wan if family == "wan" else tiny_models.save_cogvideox)(target)
            self.making[family] = clock
            self.empty_cache()
        return target

    def pipeline(self, family: Family) -> VideoPipeline:
        if self._loaded is not None and self._loaded[0] == family:
            return self._loaded[1]
        self.release()
        directory = self.directory(family)
        with self.measured() as clock:
            pipeline = load_directory(directory, model_id=MODEL_IDS[family], placement=place(self.scale.device))
        self.loading[family] = clock
        self._loaded = (family, pipeline)
        return pipeline

    def release(self) -> None:
        self._loaded = None
        self.empty_cache()

    def empty_cache(self) -> None:
        gc.collect()
        if self.scale.device == "cuda":
            torch.cuda.empty_cache()

    def synchronize(self) -> None:
        if self.scale.device == "cuda":
            torch.cuda.synchronize()

    @contextmanager
    def measured(self) -> Iterator[Clock]:
        """Seconds and peaks of the block; the clock is filled in when the block is left."""
        clock = Clock()
        if self.scale.device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        with _host_peak(clock):
            self.synchronize()
            began = time.perf_counter()
            yield clock
            self.synchronize()
            clock.seconds = time.perf_counter() - began
        if self.scale.device == "cuda":
            clock.device_gib = torch.cuda.max_memory_allocated() / GIB

    def median_ms(self, run: Callable[[], object]) -> float:
        taken: list[float] = []
        for _ in range(self.scale.repeats + self.scale.repeats // 5):
            self.synchronize()
            began = time.perf_counter()
            run()
            self.synchronize()
            taken.append(1000 * (time.perf_counter() - began))
        return statistics.median(taken[-self.scale.repeats :])


Stage = Callable[[Bench], Findings]


@contextmanager
def _host_peak(clock: Clock) -> Iterator[None]:
    """Sample the process's memory in a thread: the kernel's own high-water mark cannot be set back everywhere."""
    done = threading.Event()

    def sample() -> None:
        while (found := resident_bytes()) is not None:
            clock.host_gib = max(clock.host_gib or 0.0, found / GIB)
            if done.wait(SAMPLE_SECONDS):
                break

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def resident_bytes() -> int | None:
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return None
    found = [line.split()[1] for line in status.splitlines() if line.startswith(("RssAnon:", "RssShmem:"))]
    return 1024 * sum(map(int, found)) if found else None
