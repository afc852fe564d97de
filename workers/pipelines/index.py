"""`model_index.json`: what a diffusers directory says it is. Nothing is loaded that it does not name, and no code of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from workers.errors import ModelUnavailable

_LIBRARIES = ("diffusers", "transformers")


@dataclass(frozen=True)
class ModelIndex:
    pipeline_class: str
    components: dict[str, str]
    """Component name → class name; components that the model does without are left out."""


def read_index(directory: Path) -> ModelIndex:
    path = directory / "model_index.json"
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        components = {name: value for name, value in content.items() if isinstance(value, list)}
        index = ModelIndex(str(content["_class_name"]), {name: cls for name, (_, cls) in components.items() if cls is not None})
        libraries = {name: library for name, (library, cls) in components.items() if cls is not None}
    except FileNotFoundError:
        raise ModelUnavailable(f"{directory} is no diffusers model: it has no model_index.json") from None
    except (OSError, ValueError, KeyError, AttributeError) as error:
        raise ModelUnavailable(f"{path} cannot be read as a model index: {error}") from error
    for name, library in libraries.items():
        if library not in _LIBRARIES:
            raise ModelUnavailable(
                f"{path}: component {name!r} comes from {library!r}; models with code of their own are refused"
            )
    return index
