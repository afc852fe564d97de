"""Writes a suite down where readers look: `python -m workers.suite.results --suite DIR [--out erasers]`.

`RESULTS.md` with the paper's tables that have a counterpart, `results/report.json`, and the trade-off as a picture. Every number
on that page comes from the suite's own `cells.jsonl` and artefacts, none is typed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path

from erasers.artefact import CONFIG_FILE, ArtefactConfig
from workers.suite.cells import ORIGIN, read
from workers.suite.curve import draw
from workers.suite.report import as_json, markdown, points
from workers.suite.tables import Search, tables
from workers.suite.variants import DEFAULT, VARIANTS


def searches(directory: Path) -> Iterator[Search]:
    """Of every eraser in the suite's directory whose method looks for its block."""
    for path in sorted((directory / "erasers").glob(f"*/*/{CONFIG_FILE}")):
        config = ArtefactConfig.from_bytes(path.read_bytes())
        if {"probe_error", "scan_l_con"} <= set(config.search):
            errors, l_con = config.search["probe_error"], config.search["scan_l_con"]
            yield Search(config.concept, path.parts[-3], config.layer, tuple(errors), tuple(l_con))


def write(directory: Path, *, page: Path, beside: Path) -> None:
    """The page, and report.json and curve.png `beside` it, of the suite in `directory`. Raises ValueError for what is none."""
    suite, measured = read(directory)
    order = [ORIGIN, *VARIANTS]
    measured.sort(key=lambda one: (order.index(one.variant), one.factor))  # as they are listed, not as they were done
    compared = [one for one in measured if one.variant in (ORIGIN, *DEFAULT)]
    beside.mkdir(parents=True, exist_ok=True)
    (beside / "report.json").write_text(json.dumps(as_json(suite, measured), indent=1) + "\n", encoding="utf-8")
    draw(points(compared)).save(beside / "curve.png", optimize=True)
    lines = [
        "# Results",
        "",
        "Written by `python -m workers.suite` and `workers.suite.results` from what was filmed; do not edit.",
        "",
        markdown(suite, compared),
        "",
        f"![What is kept over what is left, every method over strength]({(beside / 'curve.png').relative_to(page.parent)})",
        "",
        "Tables under the paper's numbers. Left: the share of frames that still show the concept. Kept: the share of frames that",
        "show what other prompts ask for, relative to the origin's.",
        "",
        tables(measured, list(searches(directory))),
    ]
    page.write_text("\n".join(lines), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.suite.results", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="the directory of a suite")
    parser.add_argument("--out", type=Path, default=Path("erasers"), help="where RESULTS.md and results/ go")
    options = parser.parse_args()
    try:
        write(options.suite, page=options.out / "RESULTS.md", beside=options.out / "results")
    except (ValueError, OSError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
