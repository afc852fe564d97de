"""The progress of a training: the caller's own callback, or a bar in a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tqdm import tqdm

from erasers.methods.base import Progress


@contextmanager
def reporting(progress: Progress | None) -> Iterator[Progress]:
    """`progress` itself; without one a bar on standard error for each stage if that is a terminal, and else nothing."""
    if progress is not None:
        yield progress
    elif sys.stderr is None or not sys.stderr.isatty():
        yield _silent
    else:
        bars = _Bars()
        try:
            yield bars
        finally:
            bars.close()


class _Bars:
    """A bar for the stage in progress, below those of the stages before it."""

    def __init__(self) -> None:
        self._stage = ""
        self._bar: tqdm[Any] | None = None

    def __call__(self, stage: str, step: int, total: int, info: dict[str, Any]) -> None:
        if self._bar is None or stage != self._stage:
            self.close()
            self._stage, self._bar = stage, tqdm(total=total, desc=stage.rjust(9), file=sys.stderr, dynamic_ncols=True)
        self._bar.total = total
        loss = info.get("loss")
        if isinstance(loss, float):
            self._bar.set_postfix(loss=f"{loss:.4g}", refresh=False)
        self._bar.update(step - self._bar.n)

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()


def _silent(stage: str, step: int, total: int, info: dict[str, Any]) -> None:
    pass
