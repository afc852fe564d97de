"""What is kept of a run, and the numbers that are made of it, by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from erasers.errors import CheckpointError
from erasers.testbed import pictures
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import CONCEPT
from erasers.testbed.records import Records
from erasers.testbed.report import as_json, summary
from erasers.testbed.summary import CELLS, at, own, row, within_budget
from erasers.testbed.tables import page

ABOUT = {"encoder": "none", "weights_sha256": "0" * 64, "prompts_sha256": "1" * 64, "scale": "full", "seed": 0}


def point(factor: float, concept: float, rest: float, cosine: float, **more: float) -> dict[str, Any]:
    def mark(read: float | None) -> dict[str, Any]:
        return {"n": 4, "read": read, "change": 1 - cosine, "cosine": cosine}

    cells = {cell: mark(concept if cell in CONCEPT else rest) for cell in CELLS} | {"unrelated": mark(None)}
    asked = {cell: cells[cell] for cell in ("plain", "keep", "unrelated")}
    return {"factor": factor, "strength": 4 * factor, "test": cells, "validation": asked} | more


def records() -> list[Record]:
    made: list[Record] = []
    for subject, concept in (("church", 0.8), ("car", 1.0)):
        origin = point(0.0, concept, 1.0, 1.0, recoverable=1.0)
        made.append({"variant": ORIGIN, "subject": subject, "false_alarms": 0.1, "block_errors": [0.2, 0.1], "points": [origin]})
    for subject, half, weak in (("church", 0.4, 0.98), ("car", 0.0, 0.9)):
        search = {
            "scan_l_con": [2.0, 1.0], "scan_layer": 1, "probe_error": [0.1, 0.0], "trajectory": [{"step": 1, "p": [0.3, 0.7]}],
        }  # fmt: skip
        points = [point(0.5, half, 0.9, weak), point(1.0, 0.0, 0.5, 0.8, recoverable=0.75)]
        made.append(
            {"variant": "clear", "subject": subject, "layer": 1, "strength": 4.0, "reached": True, "search": search}
            | {"points": points}
        )
    return made


def test_rates_are_relative_to_the_origin() -> None:
    one = row("clear", records(), own)
    assert one is not None
    assert (one.left.value, one.kept.value, one.recoverable, one.layers) == (0.0, 0.5, 0.75, {1: 2})
    half = row("clear", records(), at(0.5))
    assert half is not None
    assert half.left.value == pytest.approx(0.4 / 1.8, abs=1e-4)
    assert (half.left.low, half.left.high) == (0.0, 0.5), "as if every subject were one of the two"
    assert half.recoverable is None, "fitted anew at the own strength only"


def test_the_budget_is_kept_by_each_subject() -> None:
    one = row("clear", records(), within_budget)
    assert one is not None
    assert (one.acting, one.subjects, one.strength) == (1, 2, (2.0, 2.0, 2.0))
    assert one.left.value == pytest.approx((0.4 + 1.0) / 1.8, abs=1e-4), "nothing is erased where nothing is affordable"


def test_what_was_not_made_has_no_row() -> None:
    assert row("shift", records(), own) is None
    assert row("clear", records(), own, among=["tench"]) is None
    assert set(summary(records())) == {ORIGIN, "clear"}


def test_the_report_has_a_line_for_each_record() -> None:
    text = as_json(ABOUT, records())
    assert json.loads(text)["records"] == records()
    assert sum(line.startswith('{"variant"') for line in text.splitlines()) == len(records())


def test_the_page_says_what_it_is_of() -> None:
    text = page(ABOUT, records())
    assert "church, car." in text
    assert "| origin | 1.00 (1.00 to 1.00) | 0.90 |" in text
    assert "| clear | 0.00 (0.00 to 0.00) |" in text
    assert "| clear (1 of 2) |" in text
    assert "| church | 1 | 4 | 80% → 0% |" in text
    assert "| searched (subjects) | 0 | 2 |" in text
    assert "## Every block by hand" not in text, "no such variant was made"


def test_the_pictures_are_of_the_records(tmp_path: Path) -> None:
    """The same records make the same bytes, others make others."""
    changed = records()
    changed[2]["points"][0] = point(0.5, 0.7, 0.9, 0.9)
    changed[2]["search"]["scan_l_con"] = [1.0, 2.0]
    for draw in (pictures.trade_off, pictures.searches):
        drawn = []
        for index, made in enumerate((records(), records(), changed, [])):
            path = tmp_path / f"{index}.png"
            draw(made, path)
            drawn.append(path.read_bytes())
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) == 3


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Records(tmp_path, ABOUT)
    record = records()[0] | {"recipe": {"factors": [1.0]}}
    assert first.get(ORIGIN, "church", {"factors": (1.0,)}) is None
    first.put(record)
    again = Records(tmp_path, ABOUT)
    assert again.get(ORIGIN, "church", {"factors": (1.0,)}) == record
    assert again.everything(["clear", ORIGIN], ["car", "church"]) == [record]
    with pytest.raises(CheckpointError, match="another recipe of 'origin'; delete it"):
        again.get(ORIGIN, "church", {"factors": (2.0,)})


def test_another_run_does_not_go_on_there(tmp_path: Path) -> None:
    Records(tmp_path, ABOUT)
    with pytest.raises(CheckpointError, match="of another run, which differs in seed"):
        Records(tmp_path, ABOUT | {"seed": 1})
