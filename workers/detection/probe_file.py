"""The prompts with which erasers of watched concepts are measured: `CLEARWAY_DETECTOR_PROMPTS`, one JSON object a line.

    {"concept": "church", "cell": "plain", "prompt": "a church on a hill"}
    {"concept": "church", "cell": "synonym", "prompt": "a chapel by the sea"}
    {"concept": "church", "cell": "others", "prompt": "a golf ball on grass", "shows": "golf ball"}
    {"concept": "church", "cell": "scene", "prompt": "a church beside a golf ball", "shows": "golf ball"}

Synonyms are names that no training sees; that is for the author of the file to keep. A line of `others` says what its video
shows, and a line of `scene` what its video must show beside the concept; both must be watched too. A concept has lines of
`plain`, `synonym` and `others`, or it is not in the file. Without lines of `scene` the gate has no `scene_kept` to go by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, StringConstraints, ValidationError

from workers.detection.detectors import CELLS, Cell, MeasuredCell, Probe
from workers.errors import DetectorUnavailable
from workers.scene import WantedScene
from workers.settings import concept_key

Probes = dict[tuple[str, Cell], tuple[Probe, ...]]

_Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
_SHOWN = 5


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    concept: _Name
    cell: MeasuredCell
    prompt: _Name
    shows: _Name | None = None


def read_probes(path: Path, *, watched: Collection[str]) -> Probes:
    """By concept and cell, in the order of the file. Raises `DetectorUnavailable`, which names the lines that are wrong."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DetectorUnavailable(f"CLEARWAY_DETECTOR_PROMPTS cannot be read: {error}") from error
    found: dict[tuple[str, Cell], list[Probe]] = defaultdict(list)
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            concept, cell, probe = _parse(line, watched)
        except ValueError as wrong:
            problems.append(f"line {number}: {wrong}")
        else:
            found[concept, cell].append(probe)
    problems += [
        f"{concept!r} has no line of the cell {cell}"
        for concept in dict.fromkeys(concept for concept, _ in found)
        for cell in CELLS
        if (concept, cell) not in found
    ]
    if problems:
        more = f"\n… and {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise DetectorUnavailable(f"CLEARWAY_DETECTOR_PROMPTS, {path}: " + "\n".join(problems[:_SHOWN]) + more)
    return {key: tuple(probes) for key, probes in found.items()}


def _parse(line: str, watched: Collection[str]) -> tuple[str, Cell, Probe]:
    try:
        row = _Line.model_validate_json(line)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}".removeprefix(": ") for fault in error.errors()]
        raise ValueError("; ".join(faults)) from None
    concept = concept_key(row.concept)
    shows = concept if row.shows is None else concept_key(row.shows)
    for name in (concept, shows):
        if name not in watched:
            raise ValueError(f"no detector watches {name!r}; CLEARWAY_DETECTORS has {', '.join(watched) or 'none'}")
    if (row.cell in ("others", "scene")) != (shows != concept):
        raise ValueError("a line of others or scene says in `shows` what else its video shows; the other cells show the concept")
    if row.cell == "scene":
        return concept, row.cell, Probe(row.prompt, concept, WantedScene(objects=(shows,)))
    return concept, row.cell, Probe(row.prompt, shows)
