"""Real encoders of five families, tiny and with random weights, with real tokenizers."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel
from tokenizers.processors import TemplateProcessing
from torch import nn
from transformers import (
    BertConfig,
    BertModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    MPNetConfig,
    MPNetModel,
    PreTrainedTokenizerFast,
    T5Config,
    T5EncoderModel,
    UMT5Config,
    UMT5EncoderModel,
)

import erasers
from erasers.pairs import templates

FAMILIES = ("t5", "umt5", "clip", "bert", "mpnet")
LAYERS, D_MODEL = 4, 32
STRONG = 4.0
PARACHUTE = erasers.Concept("parachute", synonyms=("open canopy",))
CHURCH = erasers.Concept("church", synonyms=("chapel",))
TINY_CLEAR = {"iterations": 60, "refine_iterations": 10, "expansion": 4, "target_l0": 0.1, "gamma_step": 0.5}
METHODS = {
    "clear": ("clear", TINY_CLEAR | {"gamma": 2.0}),
    "clear-projection": ("clear", TINY_CLEAR | {"action": "projection", "gamma": 2.0}),
    "project": ("steering", {"mode": "project", "gamma": 2.0, "gamma_step": 0.5}),
    "shift": ("steering", {"mode": "shift", "gamma": 2.0, "gamma_step": 0.5}),
    "leace": ("steering", {"mode": "leace", "gamma": 1.0, "gamma_step": 0.5}),
    "hirm": ("hirm", {"steps": 20, "rank": 8}),
    "hirm-s": ("hirm", {"steps": 20, "rank": 8, "target": "supercategory", "supercategory": "teapot"}),
    "safree": ("safree", {}),
}
"""Methods that act on the encoder, and their modes, with options for tiny encoders and enough strength to see them act."""


class Text(NamedTuple):
    """A text encoder and its tokenizer."""

    encoder: nn.Module
    tokenizer: Any

    def inputs(self, prompts: list[str], width: int = 32) -> dict[str, torch.Tensor]:
        return dict(self.tokenizer(prompts, padding="max_length", max_length=width, return_tensors="pt"))

    def encode(self, prompts: list[str], width: int = 32) -> torch.Tensor:
        """(B, width, d_model), padding included."""
        inputs = self.inputs(prompts, width)
        with torch.no_grad():
            final: torch.Tensor = self.encoder(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"])[0]
        return final


def make_tokenizer(*, bos: bool) -> PreTrainedTokenizerFast:
    texts = [
        prompt for concept in (PARACHUTE, CHURCH) for p in [templates(concept, 300, 9)] for prompt in p.positive + p.negative
    ]
    splitter = pre_tokenizers.Whitespace()
    words = sorted({word for text in texts for word, _ in splitter.pre_tokenize_str(text.lower())})
    vocabulary = {word: i for i, word in enumerate(["<pad>", "</s>", "<unk>", "<s>", *words])}
    model = Tokenizer(WordLevel(vocabulary, unk_token="<unk>"))
    model.normalizer = normalizers.Lowercase()
    model.pre_tokenizer = splitter
    template = "<s> $A </s>" if bos else "$A </s>"
    model.post_processor = TemplateProcessing(single=template, special_tokens=[("<s>", 3), ("</s>", 1)])
    return PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", **({"bos_token": "<s>"} if bos else {})
    )


def make_text(family: str, *, seed: int = 0) -> Text:
    """One of FAMILIES, or "clip-projection".

    Random weights, but for one thing that training gives a real encoder: the concepts' words have strong embeddings.
    """
    tokenizer = make_tokenizer(bos=family in ("clip", "clip-projection", "bert", "mpnet"))
    torch.manual_seed(seed)
    encoder = _encoder(family, len(tokenizer)).eval()
    named = tokenizer.convert_tokens_to_ids(["parachute", "canopy", "church", "chapel"])
    with torch.no_grad():
        weight = encoder.get_input_embeddings().weight
        weight[named] *= STRONG
        if family in ("bert", "mpnet"):  # a layer norm behind the embeddings takes the strength away; alike synonyms remain
            weight[named[1::2]] = weight[named[::2]]
    return Text(encoder, tokenizer)


def _encoder(family: str, vocabulary: int) -> Any:
    if family in ("clip", "clip-projection"):
        clip = CLIPTextConfig(
            vocab_size=vocabulary, hidden_size=D_MODEL, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=2,
            max_position_embeddings=48, pad_token_id=0, bos_token_id=3, eos_token_id=1, initializer_factor=5.0,
            projection_dim=24,
        )  # fmt: skip
        return CLIPTextModel(clip) if family == "clip" else CLIPTextModelWithProjection(clip)
    if family == "bert":
        bert = BertConfig(
            vocab_size=vocabulary, hidden_size=D_MODEL, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=2,
            max_position_embeddings=48, pad_token_id=0, initializer_range=0.2,
        )  # fmt: skip
        return BertModel(bert)
    if family == "mpnet":
        mpnet = MPNetConfig(
            vocab_size=vocabulary, hidden_size=D_MODEL, intermediate_size=48, num_hidden_layers=LAYERS, num_attention_heads=2,
            max_position_embeddings=48, pad_token_id=0, bos_token_id=3, eos_token_id=1, initializer_range=0.2,
        )  # fmt: skip
        return MPNetModel(mpnet)
    config, model = {"t5": (T5Config, T5EncoderModel), "umt5": (UMT5Config, UMT5EncoderModel)}[family]
    return model(
        config(vocab_size=vocabulary, d_model=D_MODEL, d_kv=8, d_ff=48, num_layers=LAYERS, num_heads=4, dropout_rate=0.1)
    )
