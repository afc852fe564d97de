"""The receipt: what was made, from what, and what each eraser did. Built from what ran, never from what was asked."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from workers.contract import EraserPin, EraserUse, GenerationTask, Receipt
from workers.errors import EraserInactive
from workers.records import utc_now

if TYPE_CHECKING:
    from erasers import Use


def eraser_uses(pins: Sequence[EraserPin], uses: Sequence[Use]) -> tuple[EraserUse, ...]:
    """One record per pinned eraser, in the order of the request. Raises `EraserInactive` unless every one of them acted."""
    by_digest = {use.digest: use for use in uses}
    return tuple(_eraser_use(pin, by_digest.get(pin.digest)) for pin in pins)


def _eraser_use(pin: EraserPin, use: Use | None) -> EraserUse:
    if use is None:
        raise EraserInactive(f"the eraser of {pin.concept!r} (version {pin.version}) was not applied to the prompt")
    if use.tokens_edited == 0 and use.strength > 0 and not use.gated:
        raise EraserInactive(f"the eraser of {pin.concept!r} (version {pin.version}) edited no token of the prompt")
    return EraserUse(
        concept=pin.concept,
        version=pin.version,
        digest=use.digest,
        layer=use.layer,
        strength=use.strength,
        tokens_edited=use.tokens_edited,
        score_before=use.score_before,
        score_after=use.score_after,
    )


def make_receipt(
    task: GenerationTask,
    *,
    fingerprint: str,
    uses: tuple[EraserUse, ...],
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
        prompt_sha256=hashlib.sha256(task.prompt.encode()).hexdigest(),
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
