"""From a request to a plan: every default filled in from the model's card, every number checked against it, every eraser
pinned. A plan is what runs; nothing is decided after it."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy.orm import Session

from service.errors import RequestError
from service.policy import Wish, resolve
from service.schemas.generations import GenerateRequest, Plan
from workers.contract import ModelCard

Number = TypeVar("Number", int, float)


def plan(session: Session, request: GenerateRequest, card: ModelCard, *, mandatory: Sequence[Wish] = ()) -> Plan:
    return Plan(
        model=card.id,
        encoder_fingerprint=card.encoder_fingerprint,
        prompt=request.prompt,
        negative_prompt=request.negative_prompt,
        width=_size("width", _or(request.width, card.default_width), card),
        height=_size("height", _or(request.height, card.default_height), card),
        num_frames=_frames(_or(request.num_frames, card.default_num_frames), card),
        num_inference_steps=_steps(_or(request.num_inference_steps, card.default_num_inference_steps), card),
        guidance_scale=_or(request.guidance_scale, card.default_guidance_scale),
        seed=secrets.randbelow(2**31) if request.seed is None else request.seed,
        frames_per_second=card.default_frames_per_second,
        erase=resolve(session, request.erase, card, mandatory=mandatory),
    )


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
    if not 1 <= count <= card.max_steps:
        message = f"num_inference_steps {count}: {card.id} takes 1 to {card.max_steps}"
        raise RequestError("invalid_steps", message, param="num_inference_steps")
    return count
