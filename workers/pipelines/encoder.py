"""The text encoder of a diffusers directory, its tokenizer, and the fingerprint that erasers are bound to."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers

from erasers.artefact import EncoderIdentity
from erasers.encoders import identity
from erasers.errors import EncoderError
from workers.errors import ModelUnavailable
from workers.pipelines.index import ModelIndex
from workers.pipelines.placement import Placement

ENCODER_CLASSES = ("UMT5EncoderModel", "T5EncoderModel", "MPNetModel")
TOKENIZER_CLASSES = ("T5Tokenizer", "T5TokenizerFast", "PreTrainedTokenizerFast", "AutoTokenizer", "TokenizersBackend")


@dataclass(frozen=True)
class Encoder:
    text_encoder: torch.nn.Module
    tokenizer: Any
    identity: EncoderIdentity


def load_encoder(
    directory: Path, index: ModelIndex, placement: Placement, *, text_encoder: torch.nn.Module | None = None
) -> Encoder:
    """Load text encoder and tokenizer, and compute their identity. Raises `ModelUnavailable`.

    `text_encoder` is one whose weights do not lie in `directory`, already loaded.

    The weights are loaded in the precision that they run in and never cast afterwards. For float16, transformers keeps those
    modules in float32 whose outputs exceed 65,504 (`wo` of T5 and UMT5); a cast would not.
    """
    encoder_class = _class(index, "text_encoder", ENCODER_CLASSES)
    if text_encoder is None:
        text_encoder = encoder_class.from_pretrained(
            directory / "text_encoder", dtype=placement.encoder_dtype, use_safetensors=True, local_files_only=True
        )
    tokenizer = _class(index, "tokenizer", TOKENIZER_CLASSES).from_pretrained(directory / "tokenizer", local_files_only=True)
    try:
        who = identity(text_encoder, tokenizer)
    except EncoderError as error:
        raise ModelUnavailable(f"the text encoder in {directory} cannot be used: {error}; set CLEARWAY_DTYPE") from error
    return Encoder(text_encoder.eval().requires_grad_(False).to(placement.device), tokenizer, who)


def _class(index: ModelIndex, component: str, known: tuple[str, ...]) -> Any:
    name = index.components[component]
    if name not in known:
        raise ModelUnavailable(f"the model's {component} is a {name}; this version knows {', '.join(known)}")
    return getattr(transformers, name)
