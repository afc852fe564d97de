"""What stands in for an eraser that is not active, where everybody who asks for the concept allows it.

It needs no training: the worker makes it of the concept's name when the request comes. How it is set is decided here, and
pinned with the request as erasers are. A wish for a version is one for that eraser, and nothing stands in for it.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import JsonValue

from service.errors import ErrorCode, RequestError
from service.policies.policy import Wish
from service.schemas.generations import AppliedFallback
from workers.contract import FallbackMethod

SETTINGS: Mapping[FallbackMethod, Mapping[str, JsonValue]] = {
    "safree": {"alpha": 0.01, "reference": False},  # as its paper describes it; `erasers.methods.safree` says what they mean
    "negprompt": {},
}

NEEDS_GUIDANCE = ("negprompt",)
"""Methods that only classifier-free guidance carries to the video."""

MISSING: frozenset[ErrorCode] = frozenset({"unknown_concept", "eraser_not_active", "eraser_wrong_encoder"})
"""Why no eraser of a concept acts here."""


def may_stand_in(wish: Wish, refusal: ErrorCode) -> bool:
    return refusal in MISSING and bool(wish.fallbacks) and not wish.versions


def stand_in(wish: Wish, *, guidance_scale: float, must_reduce: bool, param: str | None) -> AppliedFallback:
    """For a wish that `may_stand_in`. Raises for a strength or a guidance at which the method does not do what is asked."""
    (method,) = wish.fallbacks  # of each wish at most one, and of several what they have in common
    what = f"{method}, which would stand in for an eraser of {wish.concept!r},"
    strength = max(1.0 if strength is None else strength for strength in wish.strengths)
    if strength > 1:
        message = f"{what} does all that it can at strength 1, but {strength:g} is asked for: give at most 1, or none"
        raise RequestError("invalid_strength", message, param=param and f"{param}.strength")
    check_guidance(what, method, guidance_scale)
    return AppliedFallback(
        concept=wish.concept, method=method, settings=dict(SETTINGS[method]), strength=strength, must_reduce=must_reduce
    )


def check_guidance(what: str, method: str, guidance_scale: float) -> None:
    if method in NEEDS_GUIDANCE and guidance_scale <= 1:
        message = (
            f"{what} acts through the negative prompt, which does nothing at guidance_scale {guidance_scale:g}: give one above 1"
        )
        raise RequestError("invalid_guidance", message, param="guidance_scale")


def check_negative_prompt(negative_prompt: str, guidance_scale: float) -> None:
    """Raises where the model would ignore it: it is read by classifier-free guidance only."""
    if negative_prompt.strip() and guidance_scale <= 1:
        message = (
            f"a negative prompt does nothing at guidance_scale {guidance_scale:g}: leave it out, or give a guidance_scale above 1"
        )
        raise RequestError("invalid_guidance", message, param="negative_prompt")
