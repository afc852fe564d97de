"""What a run keeps in its directory: one file a variant and subject, so that a run that was stopped goes on where it was."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from erasers.errors import CheckpointError
from erasers.testbed.measure import ORIGIN, Record
from erasers.testbed.subjects import subjects
from erasers.testbed.variants import VARIANTS

RUN = "run.json"


class Records:
    """`run.json` says what the run is; another run is refused. `records/<variant>/<subject>.json` are whole or not there."""

    def __init__(self, directory: Path, run: dict[str, Any]) -> None:
        """Raises CheckpointError for a directory that holds another run."""
        self._directory, self.run = directory, run
        path = directory / RUN
        if not path.exists():
            _write(path, run)
        found = json.loads(path.read_text(encoding="utf-8"))
        if found != run:
            differ = ", ".join(sorted(name for name in {*found, *run} if found.get(name) != run.get(name)))
            raise CheckpointError(f"{path} is of another run, which differs in {differ}; give another directory")

    @classmethod
    def of(cls, directory: Path) -> Records:
        """Raises CheckpointError for a directory that holds no run."""
        path = directory / RUN
        if not path.exists():
            raise CheckpointError(f"{directory} holds no run: there is no {RUN}; python -m erasers.testbed --out makes one")
        return cls(directory, json.loads(path.read_text(encoding="utf-8")))

    def get(self, variant: str, subject: str, recipe: dict[str, Any]) -> Record | None:
        """Raises CheckpointError for a record that was made by another recipe."""
        path = self._path(variant, subject)
        if not path.exists():
            return None
        record: Record = json.loads(path.read_text(encoding="utf-8"))
        if record["recipe"] != json.loads(json.dumps(recipe)):
            raise CheckpointError(
                f"{path} is of another recipe of {variant!r}; delete it and {self.eraser_directory(variant, subject)}"
            )
        return record

    def everything(self) -> list[Record]:
        """What is there: the origin's records, then by variant and subject as they are listed."""
        paths = (self._path(variant, subject) for variant in (ORIGIN, *VARIANTS) for subject in subjects())
        return [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.exists()]

    def put(self, record: Record) -> None:
        _write(self._path(record["variant"], record["subject"]), record)

    def eraser_directory(self, variant: str, subject: str) -> Path:
        return self._directory / "erasers" / variant / _slug(subject)

    def _path(self, variant: str, subject: str) -> Path:
        return self._directory / "records" / variant / f"{_slug(subject)}.json"


def _slug(name: str) -> str:
    return name.casefold().replace(" ", "_")


def _write(path: Path, content: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(content, ensure_ascii=False) + "\n", encoding="utf-8")
    os.replace(partial, path)
