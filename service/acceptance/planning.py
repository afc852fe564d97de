"""From a request to a plan: every default filled in from the model's card, every number checked against it, every eraser
pinned, every policy of the key applied. A plan is what runs; nothing is decided after it."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import TypeVar, get_args

from sqlalchemy.orm import Session

from service.acceptance.fallback import check_negative_prompt
from service.acceptance.stack import resolve
from service.acceptance.verification import Lookout, checks
from service.domain.words import unknown_words, unknown_words_message
from service.errors import CallerError, RequestError
from service.policies.binding import Binding
from service.policies.policy import LimitName, Rules
from service.schemas.generations import GenerateRequest, Plan, RequestWarning
from workers.contract import ModelCard

MAX_WARNED_WORDS = 20

Number = TypeVar("Number", int, float)


def plan(session: Session, request: GenerateRequest, card: ModelCard, binding: Binding, lookout: Lookout) -> Plan:
    _allow_model(card, binding)
    guidance = _or(request.guidance_scale, card.default_guidance_scale)
    check_negative_prompt(request.negative_prompt, guidance)
    stack = resolve(session, request, card, guidance_scale=guidance, binding=binding)
    concepts = sorted([*(eraser.concept for eraser in stack.erase), *(fallback.concept for fallback in stack.fallbacks)])
    width, height, frames, steps = (_default(name, card, binding) for name in get_args(LimitName))
    planned = Plan(
        model=card.id,
        encoder_fingerprint=card.encoder_fingerprint,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=_size("width", _or(request.width, width), card),
        height=_size("height", _or(request.height, height), card),
        num_frames=_frames(_or(request.num_frames, frames), card),
        num_inference_steps=_steps(_or(request.num_inference_steps, steps), card),
        guidance_scale=guidance,
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        frames_per_second=card.default_frames_per_second,
        erase=stack.erase,
        fallbacks=stack.fallbacks,
        checks=checks(concepts, lookout, requested=request.verify, binding=binding),
        policies=binding.applied,
        warnings=_warnings(request.prompt, card),
    )
    _allow_numbers(planned, binding)
    return planned


def _warnings(prompt: str, card: ModelCard) -> list[RequestWarning]:
    known = frozenset(card.words)
    words = unknown_words(prompt, known)
    if not words:
        return []
    return [
        RequestWarning(code="unknown_words", message=unknown_words_message(card.id, words, known), words=words[:MAX_WARNED_WORDS])
    ]


def _or(value: Number | None, default: Number) -> Number:
    return default if value is None else value


def _size(name: str, pixels: int, card: ModelCard) -> int:
    if pixels % card.size_multiple or not card.min_size <= pixels <= card.max_size:
        raise RequestError(
            "invalid_size",
            f"{name} {pixels}: {card.id} takes multiples of {card.size_multiple} from {card.min_size} to {card.max_size}",
            param=name,
        )
    return pixels


def _frames(count: int, card: ModelCard) -> int:
    fits = (count - card.frames_offset) % card.frames_multiple == 0
    if not fits or not max(1, card.frames_offset) <= count <= card.max_frames:
        form = f"{card.frames_multiple}·k + {card.frames_offset}"
        raise RequestError(
            "invalid_frames", f"num_frames {count}: {card.id} takes {form}, at most {card.max_frames}", param="num_frames"
        )
    return count


def _steps(count: int, card: ModelCard) -> int:
    if not card.accepts_steps(count):
        raise RequestError("invalid_steps", card.steps_refusal(count), param="num_inference_steps")
    return count


def _default(name: LimitName, card: ModelCard, binding: Binding) -> int:
    """The model's own; where policies allow less, the largest that they allow and the model makes, if it makes any."""
    default, limit = getattr(card, f"default_{name}"), binding.rules.limits.get(name)
    if limit is None or default <= limit:
        return int(default)
    if name == "num_inference_steps":
        return next((steps for steps in range(limit, 0, -1) if card.accepts_steps(steps)), int(default))
    step, offset, least = {
        "num_frames": (card.frames_multiple, card.frames_offset, max(1, card.frames_offset)),
    }.get(name, (card.size_multiple, 0, card.min_size))
    largest = limit - (limit - offset) % step
    return largest if largest >= least else int(default)


def _allow_model(card: ModelCard, binding: Binding) -> None:
    models = binding.rules.models
    if models is not None and card.id not in models:
        whose = binding.whose(lambda rules: rules.models is not None and card.id not in rules.models)
        allowed = ", ".join(map(repr, sorted(models))) or "none"
        raise CallerError("policy_forbids", f"{whose} does not allow the model {card.id!r}; allowed: {allowed}", param="model")


def _allow_numbers(planned: Plan, binding: Binding) -> None:
    for name, limit in binding.rules.limits.items():
        value = getattr(planned, name)
        if value > limit:
            whose = binding.whose(_sets(name, limit))
            raise CallerError("policy_forbids", f"{name} {value}: {whose} allows at most {limit}", param=name)


def _sets(name: LimitName, limit: int) -> Callable[[Rules], bool]:
    return lambda rules: rules.limits.get(name) == limit
