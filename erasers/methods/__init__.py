"""The methods, by name. Each is one file; a new one is added to the table and to the conformance tests."""

from __future__ import annotations

from typing import Any

from erasers.errors import ConfigError
from erasers.methods.base import Method
from erasers.methods.clear import Clear
from erasers.methods.hirm import Hirm
from erasers.methods.negprompt import NegPrompt
from erasers.methods.safree import Safree
from erasers.methods.steering import Steering
from erasers.options import near_misses

METHODS: dict[str, Method[Any]] = {method.name: method for method in (Steering(), Clear(), Hirm(), Safree(), NegPrompt())}
DEFAULT = Steering.name
"""With its default mode, `project`: LOG.md, 2026-11-27, has what that was decided by."""


def get(name: str) -> Method[Any]:
    if name not in METHODS:
        near = near_misses(name, METHODS, 1)
        hint = f"{near} " if near else ""
        raise ConfigError(f"there is no method {name!r}; {hint}there are {', '.join(METHODS)}")
    return METHODS[name]
