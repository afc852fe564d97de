"""Writes a suite down where readers look: `python -m workers.suite.results --suite DIR [--out erasers]`.

`RESULTS.md` with the paper's tables that have a counterpart, `results/report.json`, and the trade-off as a picture. Every number
on that page comes from the suite's own `cells.jsonl` and artefacts, none is typed.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

from erasers.artefact import CONFIG_FILE, ArtefactConfig
from workers.suite.cells import Measured, read
from workers.suite.curve import draw
from workers.suite.report import as_json, markdown, points
from workers.suite.tables import Search, tables
from workers.suite.variants import DEFAULT


def searches(directory: Path) -> Iterator[Search]:
    """Of every eraser in the suite's directory whose method looks for its block."""
    for path in sorted((directory / "erasers").glob(f"*/*/{CONFIG_FILE}")):
        config = ArtefactConfig.from_bytes(path.read_bytes())
        if {"probe_error", "scan_l_con"} <= set(config.search):
            errors, l_con = config.search["probe_error"], config.search["scan_l_con"]
            yield Search(config.concept, path.parts[-3], config.layer, tuple(errors), tuple(l_con))


def page(suite: dict[str, object], measured: Sequence[Measured], found: Sequence[Search]) -> str:
    compared = [one for one in measured if one.variant in ("origin", *DEFAULT)]
    return "\n".join(
        [
            "# Results",
            "",
            "Written by `python -m workers.suite.results` from what `python -m workers.suite` filmed; do not edit.",
            "",
            markdown(suite, compared),
            "",
            "![What is kept over what is left, every method over strength](results/curve.png)",
            "",
            "Tables under the paper's numbers. Left: the share of frames that still show the concept. Kept: the share of frames",
            "that show what other prompts ask for, relative to the origin. `LOG.md` says what follows from them.",
            "",
            tables(measured, found),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m workers.suite.results", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--suite", type=Path, required=True, help="the directory of a suite")
    parser.add_argument("--out", type=Path, default=Path("erasers"), help="where RESULTS.md and results/ go")
    options = parser.parse_args()
    try:
        suite, measured = read(options.suite)
    except (ValueError, OSError) as error:
        parser.error(str(error))
    (options.out / "results").mkdir(parents=True, exist_ok=True)
    (options.out / "RESULTS.md").write_text(page(suite, measured, list(searches(options.suite))), encoding="utf-8")
    report = json.dumps(as_json(suite, measured), indent=1) + "\n"
    (options.out / "results" / "report.json").write_text(report, encoding="utf-8")
    compared = [one for one in measured if one.variant in ("origin", *DEFAULT)]
    draw(points(compared)).save(options.out / "results" / "curve.png", optimize=True)


if __name__ == "__main__":
    main()
