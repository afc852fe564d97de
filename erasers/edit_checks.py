"""Whether what an eraser does to hidden states is an edit: it changes prompts that name its concept, and replaces none.

Runs prompts through the encoder, so it is called once per artifact, before the artifact is used for the first time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from erasers import encoders
from erasers.encoding import PromptEncoder, evaluating
from erasers.eraser import Eraser
from erasers.errors import ArtefactInvalid
from erasers.stack import attach

MAX_RELATIVE_EDIT = 10.0
"""γ ‖v‖ / ‖h‖, averaged over the tokens of a batch of prompts."""


def check_edit(
    eraser: Eraser, encoder: PromptEncoder, *, positive: Sequence[str], negative: Sequence[str], fingerprint: str | None = None
) -> None:
    """Raises ArtefactInvalid for an eraser of hidden states that changes nothing on prompts with the concept, or more than
    MAX_RELATIVE_EDIT on any prompt. An eraser that acts on the negative prompt changes no hidden state, and passes."""
    if eraser.stage == "negative_prompt":
        return
    with evaluating(encoder.text_encoder):
        _check_size(eraser, encoder, [*positive, *negative])
        with attach(encoder.text_encoder, [eraser], encoder.tokenizer, fingerprint=fingerprint) as handle:
            after = encoder.final_states(positive).tokens
        before = encoder.final_states(positive).tokens
    if not bool(torch.isfinite(after).all()):
        raise ArtefactInvalid(f"{eraser!r} makes embeddings that are not finite")
    if handle.uses[0].tokens_edited == 0 or torch.equal(after, before):
        prompts = f"{len(positive)} prompts that name {eraser.concept!r}"
        raise ArtefactInvalid(f"{eraser!r} is the identity on {prompts}: it erases nothing")


def _check_size(eraser: Eraser, encoder: PromptEncoder, prompts: Sequence[str]) -> None:
    if eraser.stage == "embeddings":
        return  # a projection into a subspace: never longer than the embedding
    site = encoders.block if eraser.stage == "block" else encoders.attention_projection
    with _read(site(encoder.text_encoder, eraser.layer)) as read:
        for batch in encoder.batches(prompts):
            h, x = read(batch.real)
            v = eraser.edit(h, x if eraser.stage == "attention" else None).v
            share = eraser.strength * v.norm(dim=1) / h.norm(dim=1).clamp_min(1e-8)
            largest = float(share.mean())
            if not largest <= MAX_RELATIVE_EDIT:
                most = f"at most {MAX_RELATIVE_EDIT:g} is an edit"
                raise ArtefactInvalid(f"{eraser!r} changes hidden states by {largest:.3g} times their norm; {most}")


@contextmanager
def _read(module: nn.Module) -> Iterator[Callable[[Tensor], tuple[Tensor, Tensor]]]:
    """What the module returned and was given at its last forward, for the real tokens (B, T): (n, d_model) and (n, d_inner)."""
    seen: list[tuple[Tensor, Tensor]] = []

    def keep(_module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        seen[:] = [(encoders.hidden(output).detach(), args[0].detach())]

    def read(real: Tensor) -> tuple[Tensor, Tensor]:
        h, x = seen[0]
        return h[real].float(), x[real].float()

    handle = module.register_forward_hook(keep)
    try:
        yield read
    finally:
        handle.remove()
