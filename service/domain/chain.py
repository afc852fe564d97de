"""A chain of hashes over entries: each carries the hash of the one before, so that none can be changed, taken out, put in or
moved without breaking every later one.

Pure, and the same for the gateway, which appends, and for `clearway audit verify`, which believes nothing that it did not
compute. What a chain cannot tell by itself is that its end was cut off and the head set back: a saved `Head` does.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

FIELDS = ("sequence", "at", "actor", "action", "subject", "details", "previous_sha256")


@dataclass(frozen=True)
class Head:
    """The last entry of a chain; it stands for all before it. As text `17:<sha256>`."""

    sequence: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.sequence}:{self.sha256}"

    @classmethod
    def parse(cls, text: str) -> Head:
        match = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", text)
        if match is None:
            raise ValueError(f"{text!r} is no head; one looks like 17:{'0' * 8}…, a number and 64 hexadecimal digits")
        return cls(int(match[1]), match[2])


START = Head(0, "0" * 64)


class ChainBroken(Exception):
    """`sequence` is the first place that cannot be right."""

    def __init__(self, sequence: int, why: str) -> None:
        super().__init__(f"the audit log breaks at entry {sequence}: {why}")
        self.sequence = sequence


def digest(entry: Mapping[str, Any]) -> str:
    """SHA-256 of the entry without its own hash, as JSON in ASCII with sorted keys and no white space."""
    fields = {name: entry[name] for name in FIELDS}
    canonical = json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def follow(head: Head, entry: Mapping[str, Any]) -> Head:
    """The head after one more entry. Raises `ChainBroken` where it is not the one that comes next."""
    expected = head.sequence + 1
    if entry["sequence"] != expected:
        raise ChainBroken(expected, f"it is missing; entry {entry['sequence']} comes instead")
    if entry["previous_sha256"] != head.sha256:
        raise ChainBroken(expected, f"it was not written after entry {head.sequence} as that is now")
    if entry["sha256"] != digest(entry):
        raise ChainBroken(expected, "its content is not what was hashed when it was written")
    return Head(expected, entry["sha256"])


def verify(pages: Iterable[Mapping[str, Any]], saved: Head | None = None) -> Head:
    """Walks a whole log, page by page as `GET /audit` answers, and returns its head. `saved` is one of an earlier walk."""
    head = claimed = START
    for page in pages:
        for entry in page["data"]:
            head = follow(head, entry)
            if saved is not None and head.sequence == saved.sequence and head != saved:
                raise ChainBroken(head.sequence, "it is another one than that of the saved head: the log was written anew")
        claimed = Head(**page["head"])
    if head != claimed:
        raise ChainBroken(head.sequence + 1, f"the log ends before it, but its head is entry {claimed.sequence}")
    if saved is not None and head.sequence < saved.sequence:
        raise ChainBroken(head.sequence + 1, f"the log ends before it, and once had entry {saved.sequence}: its end was cut off")
    return head
