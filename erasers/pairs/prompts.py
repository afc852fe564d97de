"""Checked prompt pairs and their split into parts that share no prompt."""

from __future__ import annotations

import hashlib
import json
import random
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from erasers.concepts import Concept
from erasers.errors import PairsError
from erasers.shown import short, short_list

TRAIN_SHARE, CALIBRATE_SHARE = 0.7, 0.15


class Split(NamedTuple):
    """Three `Pairs` without a prompt in common: fit on one, choose γ on the next, report on the last."""

    train: Pairs
    calibrate: Pairs
    test: Pairs


@dataclass(frozen=True, repr=False)
class Pairs:
    """`positive[i]` names the concept; `negative[i]` is the same prompt without it, and names none of its synonyms.

    Several positives may share a negative ("a parachute over dunes" and "a chute over dunes" both leave "dunes");
    no positive occurs twice.
    """

    concept: Concept
    positive: tuple[str, ...]
    negative: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "positive", tuple(self.positive))
        object.__setattr__(self, "negative", tuple(self.negative))
        if len(self.positive) != len(self.negative):
            raise PairsError(f"{len(self.positive)} positive but {len(self.negative)} negative prompts; they come in pairs")
        if not self.positive:
            raise PairsError("no pairs given; at least one is needed")
        lines = list(self._faults())
        if lines:
            names = short_list(map(repr, self.concept.names))
            raise PairsError(f"{len(lines)} faults in pairs for {names}:", lines)

    def _faults(self) -> Iterable[str]:
        seen: dict[str, int] = {}
        for line, (positive, negative) in enumerate(zip(self.positive, self.negative, strict=True), start=1):
            if not positive.strip() or not negative.strip():
                yield f"line {line}: the {'negative' if positive.strip() else 'positive'} prompt is empty"
                continue
            if self.concept.named_in(positive) is None:
                yield f"line {line}: the positive prompt does not name the concept: {short(positive)}"
            if (name := self.concept.named_in(negative)) is not None:
                yield f"line {line}: the negative prompt names {short(name)}: {short(negative)}"
            if positive in seen:
                yield f"line {line}: repeats the positive prompt of line {seen[positive]}: {short(positive)}"
            seen.setdefault(positive, line)

    def __len__(self) -> int:
        return len(self.positive)

    def __repr__(self) -> str:
        first = f"{textwrap.shorten(self.positive[0], 60)!r} / {textwrap.shorten(self.negative[0], 60)!r}"
        return f"Pairs({self.concept.name!r}, {len(self)} pairs, the first is {first})"

    @classmethod
    def unique(cls, concept: Concept, pairs: Iterable[tuple[str, str]]) -> Pairs:
        """From (positive, negative) tuples, leaving out those whose positive prompt came before."""
        first: dict[str, str] = {}
        for positive, negative in pairs:
            first.setdefault(positive, negative)
        return cls(concept, tuple(first), tuple(first.values()))

    @classmethod
    def from_jsonl(cls, path: str | Path, concept: Concept) -> Pairs:
        """One `{"positive": …, "negative": …}` a line; blank lines are skipped, other keys are refused."""
        rows: list[tuple[str, str]] = []
        for line, text in enumerate(Path(path).read_text(encoding="utf-8-sig").split("\n"), start=1):
            if text.strip():
                rows.append(_row(text, line))
        return cls(concept, tuple(row[0] for row in rows), tuple(row[1] for row in rows))

    def to_jsonl(self, path: str | Path) -> None:
        """One object a line, as `from_jsonl` reads it; never half a file."""
        rows = [
            {"positive": positive, "negative": negative} for positive, negative in zip(self.positive, self.negative, strict=True)
        ]
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        partial = Path(path).with_name(Path(path).name + ".partial")
        partial.write_text("".join(lines), encoding="utf-8")
        partial.replace(path)

    def digest(self) -> str:
        """sha256 over concept names and prompts, in order."""
        content = [self.concept.names, self.positive, self.negative]
        return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()

    def split(self, seed: int) -> Split:
        """70 / 15 / 15. Pairs that share a negative stay together, so that no prompt is in two parts."""
        groups: dict[str, list[int]] = {}
        for index, negative in enumerate(self.negative):
            groups.setdefault(negative, []).append(index)
        order = list(groups.values())
        random.Random(seed).shuffle(order)  # noqa: S311 - it must repeat
        if len(order) < 3:
            raise PairsError(f"a split needs at least 3 different negative prompts, got {len(order)}")
        shares = (TRAIN_SHARE, CALIBRATE_SHARE, 1 - TRAIN_SHARE - CALIBRATE_SHARE)
        parts: tuple[list[int], list[int], list[int]] = ([], [], [])
        for group in order:  # to the part that lacks most, so that no part is empty even when a group is large
            parts[min(range(3), key=lambda part: len(parts[part]) / shares[part])].extend(group)
        return Split(*(self._subset(sorted(part)) for part in parts))

    def _subset(self, rows: list[int]) -> Pairs:
        return Pairs(self.concept, tuple(self.positive[i] for i in rows), tuple(self.negative[i] for i in rows))


def _row(text: str, line: int) -> tuple[str, str]:
    try:
        row = json.loads(text)
    except json.JSONDecodeError as error:
        raise PairsError(f"line {line} is not JSON: {error}") from error
    if not isinstance(row, dict) or set(row) != {"positive", "negative"}:
        raise PairsError(f'line {line} must be {{"positive": …, "negative": …}}, got {text[:200]!r}')
    if not all(isinstance(prompt, str) for prompt in row.values()):
        raise PairsError(f"line {line}: both prompts must be strings, got {text[:200]!r}")
    return row["positive"], row["negative"]
