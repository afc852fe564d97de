"""Writes a suite down where readers look: `python -m workers.suite.results --suite DIR [--out erasers]`.

`RESULTS.md` with the paper's tables that have a counterpart, `results/report.json`, and the trade-off as a picture. Every number
on that page comes from the suite's own `cells.jsonl` and artefacts, none is typed.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from erasers.evaluate.pictures import draw_searches
from workers.suite import bars, pictures, searches
from workers.suite.cells import ORIGIN, read
from workers.suite.report import as_json, markdown, points, same_clips
from workers.suite.tables import tables
from workers.suite.variants import DEFAULT, VARIANTS


def write(directory: Path, *, page: Path, beside: Path) -> None:
    """The page of the suite in `directory`, and report.json, curve.png and search.png `beside` it.

    Raises ValueError for a directory that holds no suite.
    """
    suite, measured = read(directory)
    order = [ORIGIN, *VARIANTS]
    measured.sort(key=lambda one: (order.index(one.variant), one.factor))  # as they are listed, not as they were done
    comparable = same_clips(measured)
    compared = [one for one in comparable if one.variant in (ORIGIN, *DEFAULT)]
    curve = points(compared)
    beside.mkdir(parents=True, exist_ok=True)
    (beside / "report.json").write_text(
        json.dumps(as_json(suite, comparable) | {"bars": bars.as_json(measured)}, indent=1) + "\n", encoding="utf-8"
    )
    pictures.trade_off(curve, beside / "curve.png")
    found = list(searches.read(directory))
    draw_searches([one for one in found if one.variant == "clear"], beside / "search.png")
    where = beside.relative_to(page.parent)
    lines = [
        "# Results",
        "",
        "Written by `python -m workers.suite` and `workers.suite.results` from what was filmed; do not edit.",
        "",
        markdown(suite, compared),
        "",
        bars.markdown(measured, curve),
        f"![What is kept over what is left, every method over strength]({where / 'curve.png'})",
        "",
        "Tables under the paper's numbers. Left: the share of frames that still show the concept. Kept: the share of frames that",
        "show what other prompts ask for, relative to the origin's.",
        "",
        tables(comparable, found),
        "",
        f"![The search of CLEAR: the course of p, probe errors and L_con by block]({where / 'search.png'})",
        "",
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
