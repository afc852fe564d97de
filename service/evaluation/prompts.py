"""The prompt file: one JSON object a line, `{"prompt": "…", "objects": ["parachute", …], "scene": {"background": "snow"}}`.

`scene` may be left out; `service.evaluation.scene` says what it holds.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from service.evaluation.errors import PromptFileError
from service.evaluation.scene import SceneLine, parse_scene


@dataclass(frozen=True)
class PromptLine:
    """A prompt, the objects that a video of it should show, and what else."""

    prompt: str
    objects: tuple[str, ...]
    scene: SceneLine | None = None


def read(path: Path) -> list[PromptLine]:
    """Every line of the file, or `PromptFileError` naming each bad one by its number. Empty lines are skipped."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as unreadable:
        raise PromptFileError(path, [str(unreadable)]) from unreadable
    lines: list[PromptLine] = []
    problems: list[str] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if line.strip():
            try:
                lines.append(_parse(line))
            except ValueError as wrong:
                problems.append(f"line {number}: {wrong}")
    if not lines and not problems:
        problems.append("there is no prompt in it")
    if problems:
        raise PromptFileError(path, problems)
    return lines


def _parse(line: str) -> PromptLine:
    try:
        value = json.loads(line)
    except json.JSONDecodeError as wrong:
        raise ValueError(f"not JSON: {wrong.msg} at column {wrong.colno}") from wrong
    if not isinstance(value, dict):
        raise ValueError(f"a JSON object is needed, not {type(value).__name__}")
    if unknown := sorted(value.keys() - {"prompt", "objects", "scene"}):
        raise ValueError(f"unknown field {', '.join(unknown)}")
    prompt, objects = value.get("prompt"), value.get("objects")
    if not isinstance(prompt, str) or not prompt.strip():
        raise ValueError('"prompt" must be a text that is not empty')
    if not isinstance(objects, list) or not all(isinstance(name, str) and name.strip() for name in objects):
        raise ValueError('"objects" must be a list of names')
    return PromptLine(prompt, tuple(dict.fromkeys(name.strip().lower() for name in objects)), parse_scene(value.get("scene")))
