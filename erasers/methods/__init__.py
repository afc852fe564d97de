"""The methods, by name. Each is one file with its config beside it; a new one is added to `METHODS`, `configs.CONFIGS` and the
conformance tests.

Methods are loaded on first use (PEP 562), so that `erasers.methods.configs` can be imported without torch.
"""

from __future__ import annotations

import functools
import importlib
from typing import TYPE_CHECKING, Any

from erasers.methods.configs import DEFAULT, check_name

if TYPE_CHECKING:
    from erasers.methods.base import Method

    METHODS: dict[str, Method[Any]]

__all__ = ["DEFAULT", "METHODS", "get"]

_HOME = {
    "steering": ("erasers.methods.steering", "Steering"),
    "clear": ("erasers.methods.clear", "Clear"),
    "hirm": ("erasers.methods.hirm", "Hirm"),
    "safree": ("erasers.methods.safree", "Safree"),
    "negprompt": ("erasers.methods.negprompt", "NegPrompt"),
}


def get(name: str) -> Method[Any]:
    """Raises ConfigError for a name that no method has."""
    check_name(name)
    return _methods()[name]


def __getattr__(name: str) -> Any:
    if name == "METHODS":
        return _methods()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@functools.cache
def _methods() -> dict[str, Method[Any]]:
    return {name: getattr(importlib.import_module(module), kind)() for name, (module, kind) in _HOME.items()}
