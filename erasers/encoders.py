"""What is particular to a family of text encoders: where its blocks are, what they return, and who it is.

Works on any transformers T5EncoderModel, UMT5EncoderModel, CLIPTextModel, CLIPTextModelWithProjection, BertModel or MPNetModel.
The only module that knows families. Blocks of BERT and MPNet end in a layer norm of their own, with none behind the last one:
h of the last block is the embeddings. Their leading [CLS] or <s> sees the whole prompt and is a real token like any other; CLIP's
leading BOS is not.
"""

from __future__ import annotations

import hashlib
import json
from operator import attrgetter
from typing import Any

from torch import Tensor, nn

from erasers import weights
from erasers.arguments import required_tokenizer, text_encoder_of
from erasers.artefact import EncoderIdentity
from erasers.errors import EncoderError, EncoderMismatch, HookTargetMissing

_BLOCK_PATHS = ("encoder.block", "encoder.layers", "text_model.encoder.layers", "encoder.layer")
"""T5 and UMT5; CLIP; CLIP with a projection; BERT and MPNet."""

_FINAL_NORM_PATHS = ("encoder.final_layer_norm", "final_layer_norm", "text_model.final_layer_norm")
"""T5 and UMT5; CLIP; CLIP with a projection. BERT and MPNet have none."""

_PROJECTION_PATHS = ("layer.0.SelfAttention.o", "self_attn.out_proj", "attention.output.dense", "attention.attn.o")
"""T5 and UMT5; CLIP; BERT; MPNet."""

_NAMED_TOKENS = ("bos_token", "eos_token", "unk_token", "pad_token", "sep_token", "cls_token", "mask_token")


def blocks(text_encoder: nn.Module) -> nn.ModuleList:
    """The encoder's blocks, shallowest first."""
    for path in _BLOCK_PATHS:
        try:
            found = attrgetter(path)(text_encoder)
        except AttributeError:
            continue
        if isinstance(found, nn.ModuleList) and len(found):
            return found
    lists = [name for name, module in text_encoder.named_modules() if isinstance(module, nn.ModuleList)]
    raise HookTargetMissing(
        f"{type(text_encoder).__name__} has no blocks at {' or '.join(_BLOCK_PATHS)}; "
        f"its module lists are {', '.join(lists) or 'none'}"
    )


def block(text_encoder: nn.Module, layer: int) -> nn.Module:
    found = blocks(text_encoder)
    if not 0 <= layer < len(found):
        raise HookTargetMissing(f"{type(text_encoder).__name__} has blocks 0 to {len(found) - 1}, there is no block {layer}")
    return found[layer]


def attention_projection(text_encoder: nn.Module, layer: int) -> nn.Module:
    """The linear module W_o (d_inner → d_model) with which a block's self-attention writes to the residual stream."""
    for path in _PROJECTION_PATHS:
        try:
            found = attrgetter(path)(block(text_encoder, layer))
        except AttributeError:
            continue
        if isinstance(found, nn.Linear):
            return found
    raise HookTargetMissing(f"blocks of {type(text_encoder).__name__} have no linear module at {' or '.join(_PROJECTION_PATHS)}")


def hidden(output: Any) -> Tensor:
    """h (B, T, d_model) in what a block returns: the tensor itself (UMT5, CLIP, BERT) or a tuple's first item (T5)."""
    h = output[0] if isinstance(output, tuple) else output
    if not isinstance(h, Tensor):
        raise EncoderError(f"a block returned {type(h).__name__} where a tensor or a tuple with a tensor first was expected")
    return h


def with_hidden(output: Any, h: Tensor) -> Any:
    """What the block returned, with its hidden states replaced."""
    return (h, *output[1:]) if isinstance(output, tuple) else h


def final_module(text_encoder: nn.Module) -> nn.Module:
    """Return the module that makes the embeddings: the final norm, or the last block of encoders without one (BERT)."""
    for path in _FINAL_NORM_PATHS:
        try:
            found = attrgetter(path)(text_encoder)
        except AttributeError:
            continue
        if isinstance(found, nn.Module):
            return found
    layers = blocks(text_encoder)
    if layers is getattr(getattr(text_encoder, "encoder", None), "layer", None):  # BERT
        return block(text_encoder, len(layers) - 1)
    raise HookTargetMissing(f"{type(text_encoder).__name__} has no final norm at {' or '.join(_FINAL_NORM_PATHS)}")


def embeddings(output: Any) -> Tensor:
    """Return the last hidden states (B, T, d_model) of an encoder's output, a ModelOutput or a tuple."""
    found = getattr(output, "last_hidden_state", None)
    if found is None and isinstance(output, tuple):  # CLIP with a projection puts its (B, d) text embedding first
        found = next((part for part in output if isinstance(part, Tensor) and part.ndim == 3), None)
    if not isinstance(found, Tensor):
        raise EncoderError(f"the encoder returned {type(output).__name__} without hidden states (B, T, d_model)")
    return found


def pooled_positions(text_encoder: nn.Module, ids: Tensor) -> Tensor | None:
    """(B,): the position of the embedding that pooled outputs are made of: CLIP's end-of-sequence. None for other families,
    which make none, or make them of a token like any other."""
    if not leads_with_bos(text_encoder):
        return None
    config: Any = text_encoder.config
    # A config from before transformers 4.30 says 2, and end-of-sequence is the highest id.
    is_end = ids == (ids.amax(1, keepdim=True) if config.eos_token_id == 2 else config.eos_token_id)
    return is_end.int().argmax(1)


def before_norm(norm: nn.LayerNorm, x: Tensor, change: Tensor) -> Tensor:
    """x (…, d) moved so that the norm, with the mean and variance of x, makes norm(x) + change of it."""
    spread = (x.float().var(-1, correction=0, keepdim=True) + norm.eps).sqrt()
    scaled = change.float() if norm.weight is None else change.float() / norm.weight.float()
    moved: Tensor = x + (scaled * spread).nan_to_num(0.0, 0.0, 0.0).to(x.dtype)
    return moved


def with_last_recorded(output: Any, state: Tensor, replacement: Tensor) -> Any:
    """Return the encoder's output, with the last recorded hidden state replaced if it is `state`."""
    if not isinstance(output, tuple):
        recorded = getattr(output, "hidden_states", None)
        if recorded and recorded[-1] is state:
            output["hidden_states"] = (*recorded[:-1], replacement)
        return output
    return tuple(
        (*part[:-1], replacement) if isinstance(part, tuple) and part and part[-1] is state else part for part in output
    )


def leads_with_bos(text_encoder: nn.Module) -> bool:
    """Whether position 0 is a beginning-of-sequence token that sees nothing else (CLIP). It is neither read nor edited."""
    return type(text_encoder).__name__.startswith("CLIPText")


def d_model(text_encoder: nn.Module) -> int:
    config: Any = text_encoder.config
    return int(getattr(config, "d_model", None) or config.hidden_size)


def weights_sha256(text_encoder: nn.Module) -> str:
    """sha256 over architecture and all weights; the same in whatever precision they are held (`erasers.weights` says how far).

    Raises EncoderError for weights that are not finite.
    """
    config: Any = text_encoder.config
    architecture = [type(text_encoder).__name__, len(blocks(text_encoder)), d_model(text_encoder), config.vocab_size]
    return weights.sha256(text_encoder, architecture)


def tokenizer_sha256(tokenizer: Any) -> str:
    """sha256 over vocabulary and special tokens."""
    named = {name: _text(getattr(tokenizer, name, None)) for name in _NAMED_TOKENS}
    special = sorted(map(str, tokenizer.all_special_tokens))
    content = [sorted(tokenizer.get_vocab().items()), named, special]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False).encode()).hexdigest()


def fingerprint(text_encoder: Any, tokenizer: Any) -> str:
    """64 hexadecimal digits for encoder and tokenizer together; of a pipeline with a tokenizer of None, for its own.

    The same model has one fingerprint in float32, bfloat16 and float16; for float16 the files that it was loaded from are read.
    Reads every weight: a second for each two gigabytes or so. A server computes it once, when it loads the model.
    Raises EncoderError for weights that are not finite.
    """
    tokenizer, text_encoder = required_tokenizer(text_encoder, tokenizer), text_encoder_of(text_encoder)
    return _combined(weights_sha256(text_encoder), tokenizer_sha256(tokenizer))


def identity(text_encoder: Any, tokenizer: Any) -> EncoderIdentity:
    tokenizer, text_encoder = required_tokenizer(text_encoder, tokenizer), text_encoder_of(text_encoder)
    weights_digest = weights_sha256(text_encoder)
    return EncoderIdentity(
        fingerprint=_combined(weights_digest, tokenizer_sha256(tokenizer)),
        weights_sha256=weights_digest,
        class_name=type(text_encoder).__name__,
        layers=len(blocks(text_encoder)),
        d_model=d_model(text_encoder),
    )


def check_same(wanted: EncoderIdentity, text_encoder: nn.Module, tokenizer: Any, known_fingerprint: str | None) -> None:
    """Raise EncoderMismatch unless `wanted` is this encoder. With neither tokenizer nor fingerprint, weights alone decide."""
    if known_fingerprint is None and tokenizer is None:
        found, expected, what = weights_sha256(text_encoder), wanted.weights_sha256, "weights"
    else:
        found, expected, what = known_fingerprint or fingerprint(text_encoder, tokenizer), wanted.fingerprint, "fingerprint"
    if found != expected:
        cure = "train an eraser for it, or load the encoder it was made for"
        if weights.lost_precision(text_encoder):
            cure += " in bfloat16 or float32, or from a directory: its weights are held in a dtype that loses what they were"
        raise EncoderMismatch(
            f"the eraser was trained on a {wanted.class_name} of {wanted.layers} blocks with {what} {expected[:12]}…, this "
            f"{type(text_encoder).__name__} has {found[:12]}…; {cure}"
        )


def _combined(weights_digest: str, tokenizer_digest: str) -> str:
    return hashlib.sha256(f"{weights_digest}\n{tokenizer_digest}".encode()).hexdigest()


def _text(token: object) -> str | None:
    return None if token is None else str(token)
