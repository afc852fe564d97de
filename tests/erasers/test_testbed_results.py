"""What is kept of a run, and the numbers that are made of it, by hand."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from erasers.errors import CheckpointError
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.questions import CONCEPT
from erasers.testbed.records import Records
from erasers.testbed.results import as_json, main, write
from erasers.testbed.subjects import subjects
from erasers.testbed.summary import CELLS, row, sections
from erasers.testbed.tables import SEARCHES, TRADE_OFF, page

ABOUT = {"encoder": "none", "weights_sha256": "0" * 64, "prompts_sha256": "1" * 64, "scale": "full", "seed": 0}
BOTH = ("church", "car")


def point(factor: float, concept: float, rest: float, cosine: float, **more: float) -> dict[str, Any]:
    def mark(read: float | None) -> dict[str, Any]:
        return {"n": 4, "read": read, "change": 1 - cosine, "cosine": cosine}

    cells = {cell: mark(concept if cell in CONCEPT else rest) for cell in CELLS} | {"unrelated": mark(None)}
    asked = {cell: cells[cell] for cell in ("plain", "keep", "unrelated")}
    return {"factor": factor, "strength": 4 * factor, "test": cells, "validation": asked} | more


def made(variant: str, subject: str, half: float = 0.5) -> Record:
    """With one strength at which `half` is kept, and its own."""
    points = [point(0.5, 0.2, half, 0.9), point(1.0, 0.0, 0.5, 0.8, recoverable=0.75)]
    return {"variant": variant, "subject": subject, "layer": 0, "strength": 4.0, "reached": True, "search": {}, "points": points}


def records() -> list[Record]:
    some: list[Record] = []
    for subject, concept in (("church", 0.8), ("car", 1.0)):
        origin = point(0.0, concept, 1.0, 1.0, recoverable=1.0)
        some.append({"variant": ORIGIN, "subject": subject, "false_alarms": 0.1, "block_errors": [0.2, 0.1], "points": [origin]})
    for subject, half, weak in (("church", 0.4, 0.98), ("car", 0.0, 0.9)):
        search = {
            "scan_l_con": [2.0, 1.0], "scan_layer": 1, "probe_error": [0.1, 0.0], "trajectory": [{"step": 1, "p": [0.3, 0.7]}],
        }  # fmt: skip
        points = [point(0.5, half, 0.9, weak), point(1.0, 0.0, 0.5, 0.8, recoverable=0.75)]
        some.append(
            {"variant": "clear", "subject": subject, "layer": 1, "strength": 4.0, "reached": True, "search": search}
            | {"points": points}
        )
    return some


def test_rates_are_relative_to_the_origin() -> None:
    one = row("clear", records(), 1.0, BOTH)
    assert (one.left.value, one.kept.value, one.recoverable, one.layers) == (0.0, 0.5, 0.75, {1: 2})
    half = row("clear", records(), 0.5, BOTH)
    assert half.left.value == pytest.approx(0.4 / 1.8, abs=1e-4)
    assert (half.left.low, half.left.high) == (0.0, 0.5), "as if every subject were one of the two"
    assert half.relative["synonyms"] == half.left, "each concept cell is made alike"
    assert half.relative["others"].value == 0.9
    assert half.recoverable is None, "fitted anew at the own strength only"


def test_the_budget_is_kept_by_each_subject() -> None:
    one = row("clear", records(), None, BOTH)
    assert (one.acting, one.subjects, one.strength) == (1, 2, (2.0, 2.0, 2.0))
    assert one.left.value == pytest.approx((0.4 + 1.0) / 1.8, abs=1e-4), "nothing is erased where nothing is affordable"


def test_a_section_is_of_the_subjects_that_all_its_variants_share() -> None:
    """Otherwise a method could look better for having been spared the harder subjects."""
    alone = made("shift", "car")
    assert sections(records())["methods"].subjects == BOTH
    found = sections([*records(), alone])["methods"]
    assert found.subjects == ("car",)
    assert [one.variant for one in found.own] == ["clear", "shift"]
    assert "methods" not in sections([*records()[:3], alone]), "clear has the church alone, shift the car"
    assert set(sections(records())) == {"methods"}, "clear does not make a table of what stands beside it"


def test_what_stands_beside_a_group_takes_no_subject_from_it() -> None:
    blocks = [made("clear-block-0", subject) for subject in BOTH]
    found = sections([*records(), *blocks, made("project", "car")])["blocks"]
    assert found.subjects == BOTH
    assert [one.variant for one in found.own] == ["clear", "clear-block-0"]


def test_the_trade_off_is_read_where_enough_is_kept() -> None:
    gentle = [made("shift", subject, half=0.96) for subject in BOTH]
    kept = sections([*records(), *gentle])["methods"].where_kept
    assert kept["clear"] is None
    assert kept["shift"] is not None
    assert kept["shift"].factor == 0.5


def test_the_results_have_a_line_for_each_row() -> None:
    found = sections(records())
    text = as_json(ABOUT, found)
    read = json.loads(text)
    assert read["run"] == ABOUT
    assert read["methods"]["subjects"] == list(BOTH)
    assert [(one["variant"], one["factor"]) for one in read["methods"]["rows"]] == [
        (ORIGIN, 0.0), ("clear", 0.5), ("clear", 1.0), ("clear", None),
    ]  # fmt: skip
    assert sum(line.startswith('{"variant"') for line in text.splitlines()) == 4


def test_the_page_says_what_it_is_of() -> None:
    text = page(ABOUT, records(), sections(records()))
    assert f"2 of {len(subjects())} subjects: church, car. " in text
    assert "The origin's reads, of which the table has shares: plain 0.90, " in text
    assert "| clear | 0.00 (0.00 to 0.00) |" in text
    assert "| clear (1 of 2) |" in text
    assert "At no strength measured: clear." in text
    assert "| church | 1 | 4 | 80% → 0% |" in text
    assert "| searched (subjects) | 0 | 2 |" in text
    assert "## Every block by hand" not in text, "no such variant was made"
    more = [*records(), made("clear-block-0", "church")]
    blocks = page(ABOUT, more, sections(more)).split("## Every block by hand")[1]
    assert blocks.startswith(f"\n\n1 of {len(subjects())} subjects: church. ")
    assert "| clear-block-0 | 0.00 | 0.00 |" in blocks, "one subject has no interval"


def test_a_page_of_nothing_has_no_tables() -> None:
    assert "|" not in page(ABOUT, [], sections([]))


def test_the_pictures_are_of_the_records(tmp_path: Path) -> None:
    """The same records make the same bytes, others make others."""
    changed = records()
    changed[2]["points"][0] = point(0.5, 0.7, 0.9, 0.9)
    changed[2]["search"]["scan_l_con"] = [1.0, 2.0]
    for name in (TRADE_OFF, SEARCHES):
        drawn = []
        for index, some in enumerate((records(), records(), changed, [])):
            write(tmp_path / str(index), ABOUT, some)
            drawn.append((tmp_path / str(index) / name).read_bytes())
        assert drawn[0] == drawn[1]
        assert len(set(drawn)) == 3


def test_a_run_is_written_down_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Records(tmp_path / "run", ABOUT)
    for record in reversed(records()):
        kept.put(record)
    monkeypatch.setattr(sys, "argv", ["results", "--testbed", str(tmp_path / "run"), "--out", str(tmp_path / "out")])
    main()
    write(tmp_path / "here", ABOUT, Records.of(tmp_path / "run").everything())
    for name in ("RESULTS.md", "results.json", TRADE_OFF, SEARCHES):
        assert (tmp_path / "out" / name).read_bytes() == (tmp_path / "here" / name).read_bytes()


def test_a_directory_without_a_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["results", "--testbed", str(tmp_path), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit):
        main()
    assert "holds no run: there is no run.json" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_run_goes_on_where_it_was(tmp_path: Path) -> None:
    first = Records(tmp_path, ABOUT)
    record = records()[0] | {"recipe": {"factors": [1.0]}}
    assert first.get(ORIGIN, "church", {"factors": (1.0,)}) is None
    first.put(record)
    again = Records(tmp_path, ABOUT)
    assert again.get(ORIGIN, "church", {"factors": (1.0,)}) == record
    assert again.everything() == [record]
    with pytest.raises(CheckpointError, match="another recipe of 'origin'; delete it"):
        again.get(ORIGIN, "church", {"factors": (2.0,)})


def test_another_run_does_not_go_on_there(tmp_path: Path) -> None:
    Records(tmp_path, ABOUT)
    with pytest.raises(CheckpointError, match="of another run, which differs in seed"):
        Records(tmp_path, ABOUT | {"seed": 1})
