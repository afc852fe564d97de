"""Error messages of the service name calls of its API; at the terminal they name the commands that make these calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from shlex import quote

_PARTS = {"concept": r"[^/:;]+", "version": r"\d+", "id": r"\w+"}
"""What stands in a path for each of its names. A concept may hold spaces."""
_BODY = r"(?: (?P<body>\{[^{}]*\}))?"

Words = Mapping[str, str]
"""What a call names: parts of its path, and strings of its body."""


def _named(words: Words, name: str) -> str:
    return quote(words.get(name) or name.upper())


def _train(words: Words) -> str:
    model = f" --model {quote(words['model'])}" if "model" in words else ""
    kind = f" --kind {quote(words['kind']) if words['kind'].isalpha() else 'KIND'}" if "kind" in words else ""
    return f"clearway erasers train {_named(words, 'concept')}{kind}{model}"


def _version(command: str) -> Callable[[Words], str]:
    return lambda words: f"clearway erasers {command} " + quote(f"{words['concept']}@{words['version']}")


def _activate(words: Words) -> str:
    return _version("activate")(words) + (" --override --reason TEXT" if "reason" in words else "")


_COMMANDS: Mapping[str, Callable[[Words], str]] = {
    "POST /generate": lambda words: "clearway generate",
    "GET /generations": lambda words: "clearway generations list",
    "POST /erasers": _train,
    "GET /erasers": lambda words: "clearway erasers list",
    "POST /erasers/import": lambda words: "clearway erasers import",
    "GET /erasers/{concept}/{version}/events": _version("show"),
    "GET /erasers/{concept}/{version}/report": _version("report"),
    "POST /erasers/{concept}/{version}/activate": _activate,
    "POST /erasers/{concept}/{version}/evaluate": _version("evaluate"),
    "POST /erasers/{concept}/{version}/retire": _version("retire"),
    "POST /erasers/{concept}/{version}/cancel": _version("cancel"),
    "DELETE /erasers/{concept}/{version}": _version("delete"),
    "GET /aliases": lambda words: "clearway erasers alias list",
    "GET /gates": lambda words: "clearway gates list",
    "DELETE /gates/{concept}": lambda words: f"clearway gates unset {_named(words, 'concept')}",
    "GET /keys": lambda words: "clearway keys list",
    "PATCH /keys/{id}": lambda words: f"clearway keys update {_named(words, 'id')}",
    "GET /policies": lambda words: "clearway policies list",
    "GET /models": lambda words: "clearway models list",
}


_OPTION = re.compile(r'(?:"|`)(kind|on_missing)(?:"|`)(?!:)')
"""Fields that a message names outside of a body."""


def in_commands(message: str) -> str:
    """The message with the calls that it names replaced by commands; calls without a command stay."""
    for template in sorted(_COMMANDS, key=len, reverse=True):
        message = re.sub(_pattern(template), partial(_command, template), message)
    return _OPTION.sub(lambda named: f"--{named[1].replace('_', '-')}", message)


def _pattern(template: str) -> str:
    return re.sub(r"\\\{(\w+)\\\}", lambda name: f"(?P<{name[1]}>{_PARTS[name[1]]})", re.escape(template)) + r"(?![/\w])" + _BODY


def _command(template: str, found: re.Match[str]) -> str:
    words = {name: word for name, word in found.groupdict().items() if word is not None}
    return f"`{_COMMANDS[template](words | _strings(words.pop('body', '')))}`"


def _strings(body: str) -> dict[str, str]:
    """The strings of a JSON object; an example such as `{"concept": …}` has none."""
    try:
        return {name: value for name, value in json.loads(body or "{}").items() if isinstance(value, str)}
    except ValueError:
        return {}
