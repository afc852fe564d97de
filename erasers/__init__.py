"""Erase a concept from the embeddings of a frozen text encoder.

    eraser = erasers.train(pipe.text_encoder, pipe.tokenizer, pairs)
    with erasers.attach(pipe.text_encoder, [eraser]) as handle:
        prompt_embeds, _ = pipe.encode_prompt("a parachute over the dunes", do_classifier_free_guidance=False)
    handle.require(rows=1)  # raises unless the prompt went through the eraser
    negative_prompt_embeds, _ = pipe.encode_prompt("blurry", do_classifier_free_guidance=False)
    video = pipe(prompt_embeds=prompt_embeds, negative_prompt_embeds=negative_prompt_embeds)

Encode the negative prompt outside of the `with`: everything that is encoded inside it is erased, and a negative prompt without
the concept no longer steers away from it.

Names are loaded on first use (PEP 562), so that `erasers.artefact` and `erasers.pairs` can be imported without torch.
The library is handed a module and a tokenizer; it loads no models, knows no pipelines, queues or servers.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from erasers.concepts import Concept
    from erasers.encoders import fingerprint
    from erasers.eraser import Eraser, load
    from erasers.errors import EraserError
    from erasers.evaluate.report import evaluate_embeddings
    from erasers.methods.clear_config import ClearConfig
    from erasers.pairs import Pairs
    from erasers.reading import Outcome, Reading, outcome, read_presence
    from erasers.stack import Handle, Use, attach
    from erasers.training import train
    from erasers.untrained import from_names

_HOME = {
    "ClearConfig": "erasers.methods.clear_config",
    "Concept": "erasers.concepts",
    "Eraser": "erasers.eraser",
    "EraserError": "erasers.errors",
    "Handle": "erasers.stack",
    "Outcome": "erasers.reading",
    "Pairs": "erasers.pairs",
    "Reading": "erasers.reading",
    "Use": "erasers.stack",
    "attach": "erasers.stack",
    "evaluate_embeddings": "erasers.evaluate.report",
    "fingerprint": "erasers.encoders",
    "from_names": "erasers.untrained",
    "load": "erasers.eraser",
    "outcome": "erasers.reading",
    "read_presence": "erasers.reading",
    "train": "erasers.training",
}

__all__ = [
    "ClearConfig",
    "Concept",
    "Eraser",
    "EraserError",
    "Handle",
    "Outcome",
    "Pairs",
    "Reading",
    "Use",
    "attach",
    "evaluate_embeddings",
    "fingerprint",
    "from_names",
    "load",
    "outcome",
    "read_presence",
    "train",
]


_MODULES = ("artefact", "errors", "pairs")
"""Reached as `erasers.pairs` without an import of their own. None of them needs torch."""


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return importlib.import_module(f"erasers.{name}")
    if name not in _HOME:
        raise AttributeError(f"module 'erasers' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return __all__
