"""Compares a worker's receipt with what was accepted, field by field.

A receipt comes from the artifact store. It counts only if it tells of exactly the accepted request: the words, the sizes, the
seed, and the whole stack in its order. Anything else means that another request was generated, or that the receipt is forged.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

from service.schemas.generations import AppliedEraser, AppliedFallback, Plan, PlannedCheck
from workers.contract import Check, EraserUse, FallbackUse, Receipt

_SHARED = (
    *("model", "encoder_fingerprint", "seed", "width", "height", "num_frames", "num_inference_steps"),
    *("guidance_scale", "frames_per_second"),
)
"""Fields that a plan and its receipt both have."""
_DIGITS = 4
"""Strengths are compared to so many: a worker may compute with 32 bits."""


def differences(plan: Plan, receipt: Receipt, *, video_bytes: int) -> list[str]:
    """Names of the fields in which the receipt is not of the accepted request. `video_bytes` is the size of the stored video."""
    accepted, told = dict(_accepted(plan)), dict(_told(receipt))
    found = [name for name in accepted if accepted[name] != told[name]]
    if receipt.video_bytes != video_bytes:
        found.append("video_bytes")
    applied: list[AppliedEraser | AppliedFallback] = [*plan.erase, *plan.fallbacks]
    uses: list[EraserUse | FallbackUse] = [*receipt.erasers, *receipt.fallbacks]
    must_reduce = {one.concept for one in applied if one.must_reduce}
    if any(use.verdict == "not_reduced" and use.concept in must_reduce for use in uses):
        found.append("erasers: a concept is not reduced")
    if any(check.verdict != "not_seen" or check.share > check.max_share for check in receipt.checks):
        found.append("checks: an erased concept was seen")
    return found


def _accepted(plan: Plan) -> Iterator[tuple[str, Any]]:
    yield from ((name, getattr(plan, name)) for name in _SHARED)
    yield "prompt_sha256", _sha256(plan.prompt)
    yield "negative_prompt_sha256", _sha256(plan.negative_prompt)
    yield from _stack(plan.erase, plan.fallbacks, plan.checks).items()


def _told(receipt: Receipt) -> Iterator[tuple[str, Any]]:
    yield from ((name, getattr(receipt, name)) for name in _SHARED)
    yield "prompt_sha256", receipt.prompt_sha256
    yield "negative_prompt_sha256", receipt.negative_prompt_sha256
    yield from _stack(receipt.erasers, receipt.fallbacks, receipt.checks).items()


def _stack(
    erasers: list[AppliedEraser] | tuple[EraserUse, ...],
    fallbacks: list[AppliedFallback] | tuple[FallbackUse, ...],
    checks: list[PlannedCheck] | tuple[Check, ...],
) -> Mapping[str, list[tuple[Any, ...]]]:
    return {
        "erasers": [(one.concept, one.version, one.digest, one.layer, round(one.strength, _DIGITS)) for one in erasers],
        "fallbacks": [(one.concept, one.method, one.settings, round(one.strength, _DIGITS)) for one in fallbacks],
        "checks": [(one.concept, one.detector, one.max_share) for one in checks],
    }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
