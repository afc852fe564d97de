"""The receipt: what was made, from what, and what each eraser did. Built from what ran, never from what was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from workers.contract import Check, EraserPin, EraserUse, FallbackPin, FallbackUse, GenerationTask, Receipt
from workers.errors import ConceptNotReduced, EraserInactive
from workers.pipelines.base import Conditioning, Stack
from workers.store.records import utc_now

if TYPE_CHECKING:
    from erasers import Eraser, Use


def eraser_uses(pins: Sequence[EraserPin], stack: Stack, conditioning: Conditioning, *, prompt: str) -> tuple[EraserUse, ...]:
    """One record per pinned eraser, in the order of the request. Raises `EraserInactive` unless each did its part, and
    `ConceptNotReduced` where that changed nothing and the pin does not allow it.

    An eraser may leave a prompt alone that has nothing of its concept: a sparse one finds no feature there, a gated one
    stays shut. A prompt that names the concept must have been edited, gate or no gate.
    """
    records = []
    for pin, eraser in zip(pins, stack.erasers, strict=True):
        what = f"the eraser of {pin.concept!r} (version {pin.version})"
        use = _checked(eraser, conditioning, prompt, what=what, cure="train it with prompts like this one")
        measured = _measured(eraser, conditioning, what=what, must_reduce=pin.must_reduce)
        records.append(
            EraserUse(concept=pin.concept, version=pin.version, digest=use.digest, layer=use.layer, **_numbers(use), **measured)
        )
    return tuple(records)


def fallback_uses(
    pins: Sequence[FallbackPin], stack: Stack, conditioning: Conditioning, *, prompt: str
) -> tuple[FallbackUse, ...]:
    """As `eraser_uses`, of those that were made of a name; the settings are what each was made with."""
    records = []
    for pin, eraser in zip(pins, stack.erasers, strict=True):
        what = f"{eraser.method}, which stands in for an eraser of {pin.concept!r},"
        use = _checked(eraser, conditioning, prompt, what=what, cure="train an eraser of it")
        measured = _measured(eraser, conditioning, what=what, must_reduce=pin.must_reduce)
        settings = {name: eraser.config.recipe[name] for name in pin.settings}
        records.append(FallbackUse(concept=pin.concept, method=pin.method, settings=settings, **_numbers(use), **measured))
    return tuple(records)


def _checked(eraser: Eraser, conditioning: Conditioning, prompt: str, *, what: str, cure: str) -> Use:
    use = next((use for use in conditioning.uses if use.digest == eraser.digest), None)
    if use is None or use.rows == 0:
        raise EraserInactive(f"{what} was not applied to the prompt")
    if use.tokens_edited == 0 and use.strength > 0:
        named = eraser.named_in(prompt)
        if named is not None:
            raise EraserInactive(f"{what} edited no token of a prompt that names {named!r}: {cure}")
    return use


def _numbers(use: Use) -> dict[str, Any]:
    return {"strength": use.strength, "tokens_edited": use.tokens_edited}


def _measured(eraser: Eraser, conditioning: Conditioning, *, what: str, must_reduce: bool) -> dict[str, Any]:
    """The fields of the contract's `Outcome`."""
    outcome = next((outcome for outcome in conditioning.outcomes if outcome.digest == eraser.digest), None)
    if outcome is None:
        raise EraserInactive(f"nothing says what {what} changed")
    if outcome.verdict == "not_reduced" and must_reduce:
        raise ConceptNotReduced(
            f"the concept {eraser.concept!r} is still in what the text encoder says of the prompt: {what} left a score of "
            f"{outcome.score_after:.2f} of {outcome.score_before:.2f}, and up to {outcome.absent_below:.2f} it counts as absent. "
            "Give it more strength, leave out other erasers, or set allow_not_reduced unless a policy makes the concept mandatory"
        )
    return {name: getattr(outcome, name) for name in ("score_before", "score_after", "absent_below", "verdict")}


def make_receipt(
    task: GenerationTask,
    *,
    fingerprint: str,
    uses: tuple[EraserUse, ...],
    fallbacks: tuple[FallbackUse, ...],
    checks: tuple[Check, ...],
    video: bytes,
    stage_seconds: Mapping[str, float],
    peak_memory_bytes: int,
    worker: str,
) -> Receipt:
    return Receipt(
        id=task.id,
        attempt=task.attempt,
        model=task.model,
        encoder_fingerprint=fingerprint,
        erasers=uses,
        fallbacks=fallbacks,
        checks=checks,
        prompt_sha256=hashlib.sha256(task.prompt.encode()).hexdigest(),
        negative_prompt_sha256=hashlib.sha256(task.negative_prompt.encode()).hexdigest(),
        seed=task.seed,
        width=task.width,
        height=task.height,
        num_frames=task.num_frames,
        num_inference_steps=task.num_inference_steps,
        guidance_scale=task.guidance_scale,
        frames_per_second=task.frames_per_second,
        video_sha256=hashlib.sha256(video).hexdigest(),
        video_bytes=len(video),
        stage_seconds=dict(stage_seconds),
        peak_memory_bytes=peak_memory_bytes,
        worker=worker,
        created_at=utc_now(),
    )
