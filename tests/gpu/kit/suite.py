"""The tests of tests/gpu in a pytest of their own, test by test."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree
from pathlib import Path

from tests.gpu.kit.bench import Bench
from tests.gpu.kit.record import Findings, Value

TESTS = Path(__file__).parent.parent
SPARE_SECONDS = 5
"""Kept of the time for writing down what the tests said."""


def run(bench: Bench, family: str) -> Findings:
    """Raises RuntimeError if pytest did not get to any test."""
    bench.release()
    if not bench.scale.tiny:
        bench.directory("wan" if family == "wan" else "cogvideox")  # so that the tests need not make it
    report, log = bench.out / f"tests-{family}.xml", bench.out / f"tests-{family}.log"
    arguments = [str(TESTS), "-k", family, "-W", "default", "-p", "no:cacheprovider", "-p", "pytest_timeout"]
    arguments += ["-vv", "--tb=short", "--color=no", f"--junitxml={report}"]
    own = {"CLEARWAY_TEST_MODELS": str(bench.models.absolute()), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    with log.open("wb") as output:
        try:
            subprocess.run(
                [sys.executable, "-m", "pytest", *arguments],
                env=os.environ | own,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=max(1.0, bench.deadline - time.time() - SPARE_SECONDS),
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise RuntimeError("the time was over before the tests were:\n" + _end(log)) from None
    if not report.exists():
        raise RuntimeError("pytest wrote no report:\n" + _end(log))
    rows = results(report)
    if not rows:
        raise RuntimeError("pytest ran no test:\n" + _end(log))
    return Findings(
        figures={status: sum(row["outcome"] == status for row in rows) for status in ("passed", "failed", "skipped")},
        rows=rows,
        notes=["Warnings are shown and not errors. seconds: with the fixtures that a test is the first to need."],
    )


def results(report: Path) -> list[dict[str, Value]]:
    """One row for each test of a JUnit report."""
    rows: list[dict[str, Value]] = []
    for case in ElementTree.parse(report).getroot().iter("testcase"):  # written by our own pytest
        found = next((child for child in case if child.tag in ("failure", "error", "skipped")), None)
        outcome = "passed" if found is None else "skipped" if found.tag == "skipped" else "failed"
        message = "" if found is None else (found.get("message") or "")[:300] + "\n" + (found.text or "")[-1500:]
        row = {"test": case.get("name"), "outcome": outcome, "seconds": float(case.get("time", 0))}
        rows.append(row | {"message": message.strip()})
    return rows


def _end(log: Path) -> str:
    return log.read_text(errors="replace")[-2000:]
