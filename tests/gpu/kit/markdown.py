"""A run of the kit as Markdown, for people. Says nothing that the JSON file does not say."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tests.gpu.kit.record import Run, StageRecord


def render(run: Run) -> str:
    return "\n".join(_lines(run)) + "\n"


def _lines(run: Run) -> Iterator[str]:
    device = run.device.get("name", "no device")
    yield f"# {device}, {run.started[:10]}"
    yield f"Written by `tests/gpu/kit.sh` in {run.seconds:.0f} s. Models have random weights: sizes, memory and times are real."
    yield ""
    yield from _pairs("Device", run.device)
    yield from _pairs("Versions", run.versions)
    yield "## Stages"
    yield from _table([{"stage": one.name, "status": one.status, "seconds": one.seconds} for one in run.stages])
    for stage in run.stages:
        yield from _stage(stage)


def _stage(stage: StageRecord) -> Iterator[str]:
    yield f"## {stage.name}"
    if stage.status != "ok":
        yield f"{stage.status}:"
        yield ""
        yield from ("    " + line for line in stage.reason.splitlines())
        yield ""
    yield from (f"- {note}" for note in stage.findings.notes)
    if stage.findings.notes:
        yield ""
    if stage.findings.figures:
        yield from _table([{"figure": name, "value": value} for name, value in stage.findings.figures.items()])
    if stage.findings.rows:
        yield from _table(stage.findings.rows)


def _pairs(title: str, values: Mapping[str, Any]) -> Iterator[str]:
    if values:
        yield f"{title}: " + ", ".join(f"{name} {_shown(value)}" for name, value in values.items())
        yield ""


def _table(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    yield f"| {' | '.join(columns)} |"
    yield f"|{'---|' * len(columns)}"
    for row in rows:
        yield f"| {' | '.join(_shown(row.get(name)) for name in columns)} |"
    yield ""


def _shown(value: object) -> str:
    if isinstance(value, float):
        return f"{value:,.4g}" if abs(value) < 1000 else f"{value:,.0f}"
    return "" if value is None else str(value).replace("|", "\\|").replace("\n", " ")
