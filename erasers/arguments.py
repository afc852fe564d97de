"""Accept a module, a compiled module or a pipeline as text encoder; refuse modules that run without hooks, by name.

A diffusers pipeline stands for its text encoder where it has exactly one, a compiled module for the module that was compiled.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from erasers.errors import EncoderError


def text_encoder_of(given: Any) -> nn.Module:
    """Return the module to hook. Raises EncoderError for anything else; the message says what to pass."""
    module = given if isinstance(given, nn.Module) else _of_pipeline(given)
    while (compiled := getattr(module, "_orig_mod", None)) is not None:  # torch.compile(module)
        module = compiled
    if isinstance(module, torch.jit.ScriptModule):
        raise EncoderError(f"a scripted module ({_name(module)}) runs without hooks; pass and run the encoder it was made from")
    if isinstance(module, torch.fx.GraphModule):
        raise EncoderError("an exported module (GraphModule) has no blocks; pass and run the encoder it was made from")
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        raise EncoderError(f"{_name(module)} runs copies of the encoder; pass and run the encoder itself, its `.module`")
    return module


def tokenizer_of(given: Any, tokenizer: Any) -> Any:
    """Return the tokenizer; if None was passed, that of the pipeline. Raises EncoderError for objects of another kind."""
    if tokenizer is None and not isinstance(given, nn.Module):
        tokenizer = getattr(given, "tokenizer", None)
    if tokenizer is not None and not (callable(tokenizer) and hasattr(tokenizer, "get_vocab")):
        raise EncoderError(f"the tokenizer must be the encoder's transformers tokenizer, got {_name(tokenizer)}")
    return tokenizer


def required_tokenizer(given: Any, tokenizer: Any) -> Any:
    """Return the tokenizer as `tokenizer_of` does, and raise EncoderError if there is none."""
    found = tokenizer_of(given, tokenizer)
    if found is None:
        raise EncoderError("a tokenizer is needed, and none was given: pass the encoder's own, `pipe.tokenizer`")
    return found


def _of_pipeline(given: Any) -> nn.Module:
    """The text encoder of a pipeline that has exactly one."""
    parts = {name: getattr(given, name, None) for name in ("text_encoder", "text_encoder_2", "text_encoder_3")}
    found = {name: part for name, part in parts.items() if isinstance(part, nn.Module)}
    if len(found) == 1:
        return next(iter(found.values()))
    if found:
        raise EncoderError(
            f"{_name(given)} has {len(found)} text encoders, {', '.join(found)}; pass the one that the erasers were trained on"
        )
    what = "with no text encoder loaded" if hasattr(given, "text_encoder") else "which has none"
    raise EncoderError(f"the text encoder must be a torch module, or a pipeline with one; got {_name(given)}, {what}")


def _name(given: Any) -> str:
    return type(given).__name__
