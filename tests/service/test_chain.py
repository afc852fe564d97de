"""A chain of entries: what was written is found as it was, and every change is found, with its place."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.domain.chain import FIELDS, START, ChainBroken, Head, digest, verify

Entry = dict[str, Any]


def written(*words: str, head: Head = START) -> list[Entry]:
    entries = []
    for word in words:
        entry = {
            "sequence": head.sequence + 1, "at": "2026-01-01T00:00:00.000000+00:00", "actor": None, "action": "a",
            "subject": word, "details": {"strength": 2.0, "words": [word]}, "previous_sha256": head.sha256,
        }  # fmt: skip
        head = Head(head.sequence + 1, digest(entry))
        entries.append({**entry, "sha256": head.sha256})
    return entries


def pages(entries: list[Entry], size: int = 2, head: Head | None = None) -> list[dict[str, Any]]:
    last = head or (Head(entries[-1]["sequence"], entries[-1]["sha256"]) if entries else START)
    cut = [entries[start : start + size] for start in range(0, len(entries), size)] or [[]]
    return [{"data": page, "head": {"sequence": last.sequence, "sha256": last.sha256}} for page in cut]


def broken_at(entries: list[Entry], **options: Any) -> int:
    saved = options.pop("saved", None)
    with pytest.raises(ChainBroken, match=r"breaks at entry \d+: ") as found:
        verify(pages(entries, **options), saved)
    return found.value.sequence


LOG = written("one", "two", "three", "four", "five")
HEAD = Head(5, LOG[-1]["sha256"])


def test_a_log_that_nobody_touched() -> None:
    assert verify(pages(LOG)) == HEAD == verify(pages(LOG), HEAD) == verify(pages(LOG), Head(2, LOG[1]["sha256"]))
    assert verify(pages([])) == START


def test_the_hash_is_of_every_field_and_stays_what_it_is() -> None:
    assert set(LOG[0]) == {*FIELDS, "sha256"}
    canonical = (
        '{"action":"a","actor":null,"at":"2026-01-01T00:00:00.000000+00:00","details":{"strength":2.0,"words":["\\u00e9in"]},'
        f'"previous_sha256":"{"0" * 64}","sequence":1,"subject":"\\u00e9in"}}'
    )
    assert written("éin")[0]["sha256"] == hashlib.sha256(canonical.encode()).hexdigest()


@pytest.mark.parametrize("name", FIELDS)
def test_an_edit_of_any_field(name: str) -> None:
    edited = [dict(entry) for entry in LOG]
    edited[2][name] = 9 if name == "sequence" else "other"
    assert broken_at(edited) == 3


def test_an_edit_that_is_hashed_anew_is_found_by_the_next_entry() -> None:
    edited = [dict(entry) for entry in LOG]
    edited[2]["subject"] = "other"
    edited[2]["sha256"] = digest(edited[2])
    assert broken_at(edited) == 4


def test_entries_that_are_missing_doubled_added_or_moved() -> None:
    assert broken_at(LOG[1:]) == 1
    assert broken_at([*LOG[:2], *LOG[3:]]) == 3
    assert broken_at([*LOG[:3], *LOG[2:]]) == 4
    assert broken_at([*LOG[:2], LOG[3], LOG[2], LOG[4]]) == 3
    moved = [dict(entry) for entry in LOG]
    moved[2]["sequence"], moved[3]["sequence"] = 4, 3
    assert broken_at(sorted(moved, key=lambda entry: int(entry["sequence"]))) == 3
    inserted = written("new", head=Head(2, LOG[1]["sha256"]))
    assert broken_at([*LOG[:2], *inserted, *[{**entry, "sequence": entry["sequence"] + 1} for entry in LOG[2:]]]) == 4


def test_an_end_that_is_cut_off() -> None:
    assert broken_at(LOG[:3], head=HEAD) == 4
    assert verify(pages(LOG[:3])).sequence == 3  # the head was set back too: the chain alone cannot tell
    assert broken_at(LOG[:3], saved=HEAD) == 4
    assert broken_at([], saved=HEAD) == 1


def test_a_log_that_was_written_anew() -> None:
    anew = written("one", "two", "3", "four", "five", "six")
    assert verify(pages(anew)).sequence == 6
    assert broken_at(anew, saved=HEAD) == 5


@settings(max_examples=50, deadline=None)
@given(st.permutations(range(5)), st.integers(0, 5))
def test_nothing_but_the_whole_log_in_order_passes(order: list[int], length: int) -> None:
    shown = [LOG[index] for index in order][:length]
    if shown == LOG:
        assert verify(pages(shown, head=HEAD)) == HEAD
    else:
        assert 1 <= broken_at(shown, head=HEAD) <= 5


def test_a_head_as_text() -> None:
    assert Head.parse(str(HEAD)) == HEAD
    for wrong in ("", "5", f"5:{'0' * 63}", f"-1:{'0' * 64}", f"5:{'0' * 64}\n"):
        with pytest.raises(ValueError, match=re.escape(repr(wrong))):
            Head.parse(wrong)
