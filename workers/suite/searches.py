"""What the artefacts of a suite say about how their blocks were found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from erasers.artefact import CONFIG_FILE, ArtefactConfig


@dataclass(frozen=True)
class Search:
    concept: str
    variant: str
    layer: int
    probe_error: tuple[float, ...]
    """Of a linear probe, block by block."""
    l_con: tuple[float, ...]
    """Under the finished SAE, block by block."""
    trajectory: tuple[tuple[int, tuple[float, ...]], ...] = ()
    """(step, p over the blocks); empty where the block was given."""


def read(directory: Path) -> Iterator[Search]:
    """Of every eraser in the suite's directory whose method looks for its block."""
    for path in sorted((directory / "erasers").glob(f"*/*/{CONFIG_FILE}")):
        config = ArtefactConfig.from_bytes(path.read_bytes())
        found = config.search
        if {"probe_error", "scan_l_con"} <= set(found):
            course = tuple((int(point["step"]), tuple(point["p"])) for point in found.get("trajectory", ()))
            yield Search(
                config.concept, path.parts[-3], config.layer, tuple(found["probe_error"]), tuple(found["scan_l_con"]), course
            )
