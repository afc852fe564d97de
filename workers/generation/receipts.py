"""The receipt: what was made, from what, and what each eraser did. Built from what ran, never from what was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from erasers.concepts import Concept
from workers.contract import Check, EraserPin, EraserUse, FallbackPin, FallbackUse, GenerationTask, Receipt
from workers.errors import EraserInactive
from workers.pipelines.base import Stack
from workers.store.records import utc_now

if TYPE_CHECKING:
    from erasers import Eraser, Use


def eraser_uses(pins: Sequence[EraserPin], stack: Stack, uses: Sequence[Use], *, prompt: str) -> tuple[EraserUse, ...]:
    """One record per pinned eraser, in the order of the request. Raises `EraserInactive` unless each did its part.

    An eraser may leave a prompt alone that has nothing of its concept: a sparse one finds no feature there, a gated one
    stays shut. A prompt that names the concept must have been edited, gate or no gate.
    """
    records = []
    for pin, eraser in zip(pins, stack.erasers, strict=True):
        what = f"the eraser of {pin.concept!r} (version {pin.version})"
        use = _checked(eraser, uses, prompt, what=what, cure="train it with prompts like this one")
        records.append(EraserUse(concept=pin.concept, version=pin.version, digest=use.digest, layer=use.layer, **_numbers(use)))
    return tuple(records)


def fallback_uses(pins: Sequence[FallbackPin], stack: Stack, uses: Sequence[Use], *, prompt: str) -> tuple[FallbackUse, ...]:
    """As `eraser_uses`, of those that were made of a name; the settings are what each was made with."""
    records = []
    for pin, eraser in zip(pins, stack.erasers, strict=True):
        what = f"{eraser.method}, which stands in for an eraser of {pin.concept!r},"
        use = _checked(eraser, uses, prompt, what=what, cure="train an eraser of it")
        settings = {name: eraser.config.recipe[name] for name in pin.settings}
        records.append(FallbackUse(concept=pin.concept, method=pin.method, settings=settings, **_numbers(use)))
    return tuple(records)


def _checked(eraser: Eraser, uses: Sequence[Use], prompt: str, *, what: str, cure: str) -> Use:
    use = next((use for use in uses if use.digest == eraser.digest), None)
    if use is None or use.rows == 0 or use.score_before is None or use.score_after is None:
        raise EraserInactive(f"{what} was not applied to the prompt")
    if use.tokens_edited == 0 and use.strength > 0:
        named = Concept(eraser.concept, synonyms=eraser.config.synonyms).named_in(prompt)
        if named is not None:
            raise EraserInactive(f"{what} edited no token of a prompt that names {named!r}: {cure}")
    return use


def _numbers(use: Use) -> dict[str, Any]:
    names = ("strength", "tokens_edited", "score_before", "score_after")
    return {name: getattr(use, name) for name in names}


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
