"""Writes a run down where readers look: `python -m erasers.testbed.results --testbed DIR [--out erasers/testbed]`.

`RESULTS.md`, `results.json` and two pictures. Every number in them is computed here from the records in the run's directory, none
is typed; the records themselves stay there.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from erasers.errors import EraserError
from erasers.testbed import pictures, tables
from erasers.testbed.measure import Record
from erasers.testbed.records import Records
from erasers.testbed.summary import Section, sections


def write(directory: Path, about: Mapping[str, Any], records: Sequence[Record]) -> None:
    found = sections(records)
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "results.json").write_text(as_json(about, found), encoding="utf-8")
    (directory / "RESULTS.md").write_text(tables.page(about, records, found), encoding="utf-8")
    pictures.trade_off(found.get("methods"), directory / tables.TRADE_OFF)
    pictures.searches(records, directory / tables.SEARCHES)


def as_json(about: Mapping[str, Any], found: Mapping[str, Section]) -> str:
    """{"run", a key for each section: {"subjects", "rows"}}, one row a line: two runs can be compared with `diff`."""
    parts = [f'"run": {_line(about)}']
    for name, section in found.items():
        rows = ",\n".join(_line(asdict(one)) for one in section.rows)
        parts.append(f'"{name}": {{"subjects": {_line(section.subjects)}, "rows": [\n{rows}\n]}}')
    return "{" + ",\n".join(parts) + "}\n"


def _line(content: Any) -> str:
    return json.dumps(content, ensure_ascii=False)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m erasers.testbed.results", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--testbed", type=Path, required=True, help="the directory of a run")
    parser.add_argument("--out", type=Path, default=Path("erasers/testbed"), help="where RESULTS.md and what belongs to it go")
    options = parser.parse_args()
    try:
        records = Records.of(options.testbed)
        write(options.out, records.run, records.everything())
    except (EraserError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
