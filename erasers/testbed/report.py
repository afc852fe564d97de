"""The pages of a run: report.json, RESULTS.md and two pictures. Every number in them is computed here from the records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from erasers.testbed import pictures, tables
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.summary import own, row, within_budget
from erasers.testbed.variants import VARIANTS


def write(directory: Path, about: dict[str, Any], records: Sequence[Record]) -> None:
    (directory / "report.json").write_text(as_json(about, records), encoding="utf-8")
    (directory / "RESULTS.md").write_text(tables.page(about, records), encoding="utf-8")
    pictures.trade_off(records, directory / tables.TRADE_OFF)
    pictures.searches(records, directory / tables.SEARCHES)


def as_json(about: dict[str, Any], records: Sequence[Record]) -> str:
    """{"run", "summary", "records"}, one record a line: two runs can be compared with `diff`."""
    head, numbers = (json.dumps(part, ensure_ascii=False) for part in (about, summary(records)))
    lines = ",\n".join(json.dumps(record, ensure_ascii=False) for record in records)
    return f'{{"run": {head},\n"summary": {numbers},\n"records": [\n{lines}\n]}}\n'


def summary(records: Sequence[Record]) -> dict[str, Any]:
    """Of each variant, at its own strength and at the strongest that the validation allows."""
    found = {}
    for variant in (ORIGIN, *VARIANTS):
        rows = {"own": row(variant, records, own), "within_budget": row(variant, records, within_budget)}
        if rows["own"] is not None:
            found[variant] = {name: asdict(one) for name, one in rows.items() if one is not None}
    return found
