"""The suite on the miniature, small: trained, filmed, reported; and not filmed again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from workers.detection.detectors import CELLS, SPELLINGS

VARIANTS = ("project", "negprompt", "project-stack-2")


def suite(directory: Path, *options: str) -> None:
    run("workers.suite", "--out", str(directory), "--concepts", "parachute", *options)


def run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True, timeout=280)


def test_methods_are_compared_on_frames(tmp_path: Path) -> None:
    suite(tmp_path, "--clips", "2", "--variants", *VARIANTS)
    report = json.loads((tmp_path / "report.json").read_text())
    by_variant = {(point["variant"], point["factor"]): point for point in report["points"]}
    assert report["origin"]["plain"]["parachute"] > 0.5
    assert by_variant["project", 1.0]["erased"]["value"] < 0.5, "one direction takes most of a parachute out"
    assert by_variant["project", 2.0]["erased"]["value"] <= by_variant["project", 0.5]["erased"]["value"]
    assert ("negprompt", 1.0) in by_variant
    assert set(report["spellings"]["project"]) == {"misspelt", "homoglyph"} <= set(report["origin"])
    assert "Other spellings" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "report.md").read_text().count("|") > 10
    assert "](curve.png)" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "curve.png").stat().st_size > 1000
    assert (tmp_path / "search.png").stat().st_size > 1000
    both = [json.loads(line) for line in (tmp_path / "cells.jsonl").read_text().splitlines()[1:] if "project-stack-2" in line]
    assert all(sum(row["shares"]) / 2 < 0.5 for row in both if row["cell"] == "plain"), "both go"
    run("workers.suite.results", "--suite", str(tmp_path), "--out", str(tmp_path / "out"))
    page = (tmp_path / "out" / "RESULTS.md").read_text()
    assert "## Tables 15 and 19" not in page, "CLEAR was not filmed"
    assert "| negprompt |" in page
    assert "](results/curve.png)" in page
    assert (tmp_path / "out" / "results" / "curve.png").stat().st_size > 1000
    cells = (tmp_path / "cells.jsonl").read_text()
    suite(tmp_path, "--clips", "2", "--own-strength", "--variants", *VARIANTS)
    assert (tmp_path / "cells.jsonl").read_text() == cells, "nothing was filmed twice"
    suite(tmp_path, "--clips", "3", "--own-strength", "--variants", "negprompt")
    after = (tmp_path / "cells.jsonl").read_text()
    assert after.startswith(cells)
    more = {(row["variant"], row["cell"]): row["shares"] for row in map(json.loads, after.removeprefix(cells).splitlines())}
    assert set(more) == {(variant, cell) for variant in ("origin", "negprompt") for cell in (*CELLS, "scene", *SPELLINGS)}
    before = [row for row in map(json.loads, cells.splitlines()[1:]) if row["variant"] in ("origin", "negprompt")]
    assert all(more[row["variant"], row["cell"]][:2] == row["shares"] and len(row["shares"]) == 2 for row in before)
