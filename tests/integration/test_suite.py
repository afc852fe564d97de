"""The suite on the miniature, small: trained, filmed, reported; and not filmed again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path


def suite(directory: Path) -> None:
    chosen = ["--concepts", "parachute", "--variants", "project", "negprompt", "project-stack-2"]
    run("workers.suite", "--out", str(directory), *chosen, "--clips", "4")


def run(module: str, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", module, *arguments], check=True, capture_output=True, text=True, timeout=280)


def test_methods_are_compared_on_frames(tmp_path: Path) -> None:
    suite(tmp_path)
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
    assert all(sum(row["shares"]) / 4 < 0.5 for row in both if row["cell"] == "plain"), "both go"
    run("workers.suite.results", "--suite", str(tmp_path), "--out", str(tmp_path / "out"))
    page = (tmp_path / "out" / "RESULTS.md").read_text()
    assert "## Tables 15 and 19" not in page, "CLEAR was not filmed"
    assert "| negprompt |" in page
    assert "](results/curve.png)" in page
    assert (tmp_path / "out" / "results" / "curve.png").stat().st_size > 1000
    cells = (tmp_path / "cells.jsonl").read_bytes()
    suite(tmp_path)
    assert (tmp_path / "cells.jsonl").read_bytes() == cells, "nothing was filmed twice"
