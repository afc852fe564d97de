"""The erasers of one request, hooked onto a text encoder inside a `with`.

At one place every v is computed from the same unmodified h, and h' = h - Σ γ v, for CLEAR erasers as one pair of matrix
products however many there are (`fused`). A deeper place sees what the shallower ones left. The sum is taken in the order
of digests, so that the order of the request never matters, not even in the last bit. Padding, a leading BOS (CLIP) and rows
that were not asked for are not touched.

The stack edits every forward inside the `with`: encode the negative prompt outside of it, as `Handle.negative_prompt` gives it.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from math import isfinite
from typing import Any

from torch import nn

from erasers import encoders
from erasers.acting import Acting, Turn, Use
from erasers.arguments import text_encoder_of, tokenizer_of
from erasers.edits import EmbeddingEdit, TokenEdit
from erasers.eraser import Eraser
from erasers.errors import ConfigError, EraserBypassed, StackError
from erasers.hooks import reading_real_tokens, running_eagerly
from erasers.methods.base import STAGES
from erasers.proof import Proof, Site

__all__ = ["Handle", "Use", "attach"]

_attached: weakref.WeakSet[nn.Module] = weakref.WeakSet()
_attached_lock = threading.Lock()


class Handle:
    """What a stack did so far. `uses` may be read inside and after the `with`; it is in the stack's canonical order."""

    def __init__(self, acting: Sequence[Acting], proof: Proof) -> None:
        self._acting, self._proof = acting, proof

    @property
    def forwards(self) -> int:
        """Forwards of the encoder in which every eraser read every row of real tokens; any other forward raises."""
        return self._proof.forwards

    def require(self, *, rows: int, negative_prompts: int = 0) -> None:
        """Raise EraserBypassed unless every eraser was applied to exactly this many prompts.

        rows: prompts encoded inside the `with`, for erasers with a hook. negative_prompts: calls of `negative_prompt`, for
        erasers that act there. Call it after encoding: if the encoder ran elsewhere or not at all, no hook could raise.
        """
        for acting in self._acting:
            appends = acting.eraser.stage == "negative_prompt"
            wanted = negative_prompts if appends else rows
            if acting.rows != wanted:
                cure = (
                    "pass each negative prompt through `Handle.negative_prompt`"
                    if appends
                    else "encode each prompt once, inside the `with`, with the encoder that the erasers are attached to"
                )
                what = "negative prompts" if appends else "prompts"
                raise EraserBypassed(
                    f"the eraser of {acting.eraser.concept!r} was applied to {acting.rows} {what} instead of {wanted}; {cure}"
                )

    def negative_prompt(self, text: str) -> str:
        """The negative prompt with what the stack's erasers append to it: `text` itself if there is none that does.

        Call it for the negative prompt of every prompt; an eraser that acts there has done nothing until then.
        """
        phrases = [text] if text.strip() else []
        for acting in self._acting:
            if acting.eraser.stage != "negative_prompt":
                continue
            words = acting.eraser.negative_words() if acting.strength > 0 else ()
            acting.applied(1)
            acting.edited(len(words))
            acting.found(0.0)
            acting.left(0.0)
            phrases += words
        return ", ".join(phrases) if phrases else text

    @property
    def uses(self) -> tuple[Use, ...]:
        return tuple(acting.use() for acting in self._acting)


@contextmanager
def attach(
    text_encoder: Any,
    erasers: Eraser | Sequence[Eraser],
    tokenizer: Any = None,
    *,
    strengths: float | Sequence[float | None] | None = None,
    fingerprint: str | None = None,
    rows: Sequence[int] | None = None,
) -> Iterator[Handle]:
    """Hook the erasers for the duration of the `with`.

    text_encoder: the module, or a pipeline that has exactly one. erasers: a list, or a single one.
    strengths: γ of each eraser in the order given, None for its own; 0 is the identity, bit for bit.
    tokenizer: with it the eraser must match encoder and tokenizer, without it the encoder's weights alone.
    fingerprint: `erasers.fingerprint(text_encoder, tokenizer)`, if known: spares reading all weights at each call.
    rows: edit only these rows of each batch; None edits all.

    The attention mask of each forward decides which positions are padding; without one every position is edited. Everything that
    the encoder computes after an eraser's block is erased: the embeddings, pooled outputs, and `hidden_states[k]` for k > layer.
    Earlier states are not.
    Compiled code runs as plain Python inside the `with`, because graphs skip hooks; so denoise outside of it.

    Raises EncoderError for a text encoder that cannot be hooked, EncoderMismatch for one that the eraser was not made for,
    HookTargetMissing, and StackError for erasers that cannot stand together. A forward inside the `with` raises EraserBypassed
    if an eraser did not run; `Handle.require` raises it if there was no forward.
    """
    tokenizer = tokenizer_of(text_encoder, tokenizer)
    text_encoder = text_encoder_of(text_encoder)
    turn = Turn()
    stack = _canonical(_erasers_of(erasers), strengths, turn)
    for acting in stack:
        encoders.check_same(acting.eraser.config.encoder, text_encoder, tokenizer, fingerprint)
    sites = _by_site(stack)
    with ExitStack() as leaving:
        leaving.enter_context(_alone(text_encoder))
        leaving.enter_context(running_eagerly())
        real_tokens = leaving.enter_context(reading_real_tokens(text_encoder))
        proof = Proof(sites, real_tokens, turn)

        def add(module: nn.Module, hook: Callable[..., Any]) -> None:
            # First, so that whatever else reads this output (transformers records hidden states so) reads the edited one.
            leaving.callback(module.register_forward_hook(hook, prepend=True).remove)

        add(text_encoder, proof.check)
        for site, group in reversed(sites.items()):  # the deepest first: where two share a module, it runs last
            stage, layer = site
            if stage == "embeddings":
                edit = EmbeddingEdit(text_encoder, site, group, real_tokens, rows, proof, turn)
                add(encoders.final_module(text_encoder), edit)
                add(text_encoder, edit.edit_recorded)
            else:
                place = encoders.block if stage == "block" else encoders.attention_projection
                add(place(text_encoder, layer), TokenEdit(site, group, real_tokens, rows, proof))
        yield Handle(stack, proof)


def _erasers_of(given: Eraser | Sequence[Eraser]) -> tuple[Eraser, ...]:
    """Return the erasers as a tuple. Raises StackError for objects of another kind."""
    erasers: tuple[Any, ...] = tuple(given) if isinstance(given, list | tuple) else (given,)
    for one in erasers:
        if not isinstance(one, Eraser):
            cure = "; erasers.load(directory) gives one" if isinstance(one, str) or hasattr(one, "__fspath__") else ""
            raise StackError(f"attach takes an eraser, or a list of erasers, not {type(one).__name__}{cure}")
    return erasers


def _strengths_of(given: float | Sequence[float | None] | None, erasers: Sequence[Eraser]) -> Sequence[float | None]:
    """One strength for each eraser; None is the eraser's own. A number alone is the strength of a single eraser."""
    if given is None:
        return [None] * len(erasers)
    strengths = [given] if isinstance(given, int | float) else given
    if len(strengths) != len(erasers):
        raise StackError(f"{len(strengths)} strengths for {len(erasers)} erasers; give one each, None for an eraser's own")
    return strengths


def _by_site(stack: Sequence[Acting]) -> dict[Site, list[Acting]]:
    """Group the erasers that need a hook by its place. The negative prompt needs none: `Handle` edits it."""
    sites: dict[Site, list[Acting]] = {}
    for acting in stack:
        if acting.eraser.stage != "negative_prompt":
            sites.setdefault((acting.eraser.stage, acting.eraser.layer), []).append(acting)
    return sites


def _canonical(erasers: Sequence[Eraser], strengths: float | Sequence[float | None] | None, turn: Turn) -> list[Acting]:
    """By stage and layer as a prompt comes by, then by digest; refuses sets that mean two things at once."""
    if not erasers:
        raise StackError("no erasers given; without any, call the encoder as it is")
    chosen = [
        own.strength if given is None else float(given)
        for own, given in zip(erasers, _strengths_of(strengths, erasers), strict=True)
    ]
    for eraser, strength in zip(erasers, chosen, strict=True):
        if not (isfinite(strength) and strength >= 0):
            raise ConfigError(f"strength of {eraser.concept!r} must be a finite number, 0 or more, got {strength!r}")
    for attribute in ("digest", "concept"):
        values = [getattr(eraser, attribute).casefold() for eraser in erasers]
        if repeated := {value for value in values if values.count(value) > 1}:
            raise StackError(f"{attribute} {', '.join(sorted(repeated))} is in the stack more than once; keep one")
    acting = [Acting(eraser, strength, turn) for eraser, strength in zip(erasers, chosen, strict=True)]
    return sorted(acting, key=lambda one: (_depth(one.eraser), one.eraser.digest))


def _depth(eraser: Eraser) -> tuple[bool, int, int]:
    """Blocks in their order, each after its own attention; then what acts behind them."""
    stage = STAGES.index(eraser.stage)
    return eraser.stage not in ("attention", "block"), eraser.layer, stage


@contextmanager
def _alone(text_encoder: nn.Module) -> Iterator[None]:
    """A second stack on the same encoder would read what the first one edited."""
    with _attached_lock:
        if text_encoder in _attached:
            raise StackError("this encoder has a stack attached already; attach all erasers at once, or leave the first `with`")
        _attached.add(text_encoder)
    try:
        yield
    finally:
        _attached.discard(text_encoder)
