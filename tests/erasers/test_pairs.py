from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from erasers import Concept, Pairs
from erasers.errors import PairsError
from erasers.pairs import templates

CAT = Concept("cat", synonyms=("tabby",))


def test_every_fault_is_listed_with_its_line() -> None:
    positive = ["a cat", "a dog", "two tabbies", "two tabbies", " "]
    negative = ["", "a dog", "the cats", "a room", "a room"]
    with pytest.raises(PairsError) as caught:
        Pairs(CAT, tuple(positive), tuple(negative))
    assert [line.split(":")[0] for line in caught.value.lines] == ["line 1", "line 2", "line 3", "line 4", "line 5"]
    assert "'cat': 'the cats'" in caught.value.lines[2]
    assert "repeats the positive prompt" not in str(caught.value.lines[1])


def test_a_repeated_positive_is_refused_and_unique_drops_it() -> None:
    with pytest.raises(PairsError, match="line 2: repeats the positive prompt of line 1"):
        Pairs(CAT, ("a cat", "a cat"), ("a dog", "a room"))
    assert Pairs.unique(CAT, [("a cat", "a dog"), ("a cat", "a room")]).negative == ("a dog",)


@pytest.mark.parametrize(("positive", "negative", "message"), [((), (), "no pairs"), (("a cat",), (), "come in pairs")])
def test_unequal_or_empty_sides_are_refused(positive: tuple[str, ...], negative: tuple[str, ...], message: str) -> None:
    with pytest.raises(PairsError, match=message):
        Pairs(CAT, positive, negative)


@given(groups=st.lists(st.integers(1, 12), min_size=3, max_size=30), seed=st.integers(0, 99))
def test_a_split_loses_nothing_and_shares_no_prompt(groups: list[int], seed: int) -> None:
    rows = [(f"a cat {group} {member}", f"a room {group}") for group, size in enumerate(groups) for member in range(size)]
    pairs = Pairs.unique(CAT, rows)
    parts = pairs.split(seed)
    prompts = [set(part.positive) | set(part.negative) for part in parts]
    assert sum(map(len, parts)) == len(pairs)
    assert all(len(part) > 0 for part in parts)
    assert sum(map(len, prompts)) == len(set.union(*prompts))
    assert parts == pairs.split(seed)


def test_a_split_is_70_15_15_and_depends_on_the_seed() -> None:
    pairs = Pairs.unique(CAT, [(f"a cat {i}", f"a room {i}") for i in range(200)])
    assert [len(part) for part in pairs.split(0)] == [140, 30, 30]
    assert pairs.split(0) != pairs.split(1)


def test_a_split_needs_three_negatives() -> None:
    with pytest.raises(PairsError, match="at least 3"):
        Pairs(CAT, ("a cat", "a tabby"), ("a room", "a room")).split(0)


def test_jsonl_round_trip_and_its_faults(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"positive": "a cat", "negative": "a room"}\n\n{"positive": "a tabby", "negative": "a hall"}\n')
    read = Pairs.from_jsonl(path, CAT)
    assert read.positive == ("a cat", "a tabby")
    read.to_jsonl(tmp_path / "again.jsonl")
    assert Pairs.from_jsonl(tmp_path / "again.jsonl", CAT) == read
    for line in ("nonsense", '{"positive": "a cat"}', '{"positive": "a cat", "negative": 3}', '["a cat", "a room"]'):
        path.write_text(line)
        with pytest.raises(PairsError, match="line 1"):
            Pairs.from_jsonl(path, CAT)


@pytest.mark.parametrize("separator", ["\u2028", "\u2029", "\x85", "\x0b", "\x1c"])
def test_only_a_line_feed_ends_a_line_of_a_file(tmp_path: Path, separator: str) -> None:
    pairs = Pairs(CAT, (f"a cat{separator}here", "a tabby"), ("a room", f"a{separator}hall"))
    pairs.to_jsonl(tmp_path / "pairs.jsonl")
    assert Pairs.from_jsonl(tmp_path / "pairs.jsonl", CAT) == pairs


def test_files_with_a_byte_order_mark_and_windows_line_ends_are_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    rows = [{"positive": "a cat", "negative": "a room"}, {"positive": "a tabby", "negative": "a hall"}]
    path.write_text("\ufeff" + "".join(json.dumps(row) + "\r\n" for row in rows), newline="")
    assert Pairs.from_jsonl(path, CAT).positive == ("a cat", "a tabby")


def test_the_digest_tells_pairs_apart() -> None:
    pairs = Pairs(CAT, ("a cat", "a tabby"), ("a room", "a hall"))
    assert pairs.digest() == Pairs(CAT, pairs.positive, pairs.negative).digest()
    assert pairs.digest() != Pairs(CAT, ("a tabby", "a cat"), ("a hall", "a room")).digest()


@pytest.mark.parametrize(
    "concept", [Concept("french horn", ("bugle",)), Concept("horse"), Concept("Ada Lovelace"), Concept("market")]
)
def test_templates_make_valid_pairs_for_any_thing(concept: Concept) -> None:
    pairs = templates(concept, 400, seed=3)  # the constructor checks every pair
    assert len(pairs) == 400
    assert pairs == templates(concept, 400, seed=3)
    assert pairs != templates(concept, 400, seed=4)
    named = {concept.named_in(prompt) for prompt in pairs.positive}
    assert named == set(concept.names)
    assert len(set(pairs.negative)) > 100
