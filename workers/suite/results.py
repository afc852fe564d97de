"""Writes a suite down where readers look: `python -m workers.suite.results --suite DIR [--out erasers]`.

`RESULTS.md` with the paper's tables that have a counterpart, and `results/` with report.json, pictures and a copy of the suite's
`cells.jsonl`, with which it can go on elsewhere. Every number on that page comes from there and from artefacts, none is typed.
"""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

from erasers.evaluate.pictures import draw_searches
from workers.suite import bars, pictures, searches
from workers.suite.cells import FILE, ORIGIN, SHEETS, read
from workers.suite.report import as_json, markdown, points, same_clips
from workers.suite.tables import tables
from workers.suite.variants import DEFAULT, VARIANTS


def write(directory: Path, *, page: Path, beside: Path) -> None:
    """The page of the suite in `directory`, and `beside` it report.json, cells.jsonl and pictures.

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
    if directory != beside:
        shutil.copyfile(directory / FILE, beside / FILE)
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
        *_sheets(directory, beside, where),
    ]
    page.write_text("\n".join(lines), encoding="utf-8")


def _sheets(directory: Path, beside: Path, where: Path) -> Iterator[str]:
    """Those that `workers.suite.sheet` drew, copied `beside` the page where they are not there already."""
    for sheet in sorted((directory / SHEETS).glob("*.png")):
        name = f"{SHEETS}/{sheet.name}"
        if directory != beside:
            (beside / SHEETS).mkdir(exist_ok=True)
            shutil.copyfile(sheet, beside / name)
        concept = sheet.stem.replace("_", " ")
        yield f"![{concept}: the same clips, method by method]({where / name})"
        yield ""


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
