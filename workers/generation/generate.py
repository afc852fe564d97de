"""One generation, start to finish:

    erasers ─▶ encode ─▶ denoise ─▶ decode [─▶ verify] ─▶ mp4 ─▶ store, and the receipt that makes it count

Whatever goes wrong on the way raises; there is no path on which a requested eraser is left out and a video comes out.
"""

from __future__ import annotations

from workers.attempts.attempt import Attempt
from workers.contract import Check, GenerationTask, ModelCard, Receipt, video_key
from workers.errors import InvalidRequest, ModelUnavailable, UnusableOutput
from workers.generation import memory, verification
from workers.generation.receipts import eraser_uses, fallback_uses, make_receipt
from workers.generation.video import encode_mp4
from workers.pipelines.base import Frames, Shape, Stack
from workers.residency.resident import Resident


def generate(here: Resident, task: GenerationTask, attempt: Attempt) -> Receipt:
    """Store the video and return its receipt, which the caller writes last."""
    pipeline = here.pipeline
    shape = check_shape(task, pipeline.card())
    memory.reset_peak(pipeline.device)
    with attempt.stage("erasers"):
        trained, untrained = here.erasers.stack(task.erase), here.fallbacks.stack(task.fallbacks)
        stack = trained + untrained
        check_guidance(stack, shape, task.negative_prompt)
        verification.check_pins(task.checks, task.model, here.watch)
    with attempt.stage("encode"):
        conditioning = pipeline.encode(task.prompt, task.negative_prompt, stack)
        uses = eraser_uses(task.erase, trained, conditioning, prompt=task.prompt)
        fallbacks = fallback_uses(task.fallbacks, untrained, conditioning, prompt=task.prompt)
    with attempt.stage("denoise"):
        latents = pipeline.denoise([conditioning], [task.seed], shape, attempt.step)
    with attempt.stage("decode"):
        frames = _whole(pipeline.decode(latents), shape)
    checks: tuple[Check, ...] = ()
    if task.checks:
        with attempt.stage("verify"):
            checks = verification.look(task.checks, frames, here.watch, attempt.step)
            verification.withhold(checks, len(frames))
    with attempt.stage("mp4"):
        metadata = {"comment": f"clearway generation {task.id}", "clearway_id": task.id, "synthetic": "true"}
        video = encode_mp4(frames, frames_per_second=task.frames_per_second, metadata=metadata)
    with attempt.stage("store"):
        attempt.lease.verify()  # the video that a receipt speaks of is not overwritten by who has lost the lease meanwhile
        here.store.put(video_key(task.id, task.attempt), video)
    return make_receipt(
        task,
        fingerprint=pipeline.fingerprint,
        uses=uses,
        fallbacks=fallbacks,
        checks=checks,
        video=video,
        stage_seconds=attempt.stage_seconds,
        peak_memory_bytes=memory.peak_bytes(pipeline.device),
        worker=here.name,
    )


def check_shape(task: GenerationTask, card: ModelCard) -> Shape:
    """The gateway checks the same against the card it knows; a worker trusts only the model it holds."""
    if task.model != card.id:
        raise ModelUnavailable(f"the task is for the model {task.model!r}; this worker holds {card.id!r}")
    for name, size in (("width", task.width), ("height", task.height)):
        if size % card.size_multiple or not card.min_size <= size <= card.max_size:
            raise InvalidRequest(
                f"{name} must be a multiple of {card.size_multiple} from {card.min_size} to {card.max_size}, got {size}"
            )
    frames, offset = task.num_frames, card.frames_offset
    if not 1 <= frames <= card.max_frames or (frames - offset) % card.frames_multiple:
        rule = f"a multiple of {card.frames_multiple}" + (f" plus {offset}" if offset else "")
        raise InvalidRequest(f"num_frames must be {rule}, at most {card.max_frames}, got {frames}")
    if not card.accepts_steps(task.num_inference_steps):
        raise InvalidRequest(card.steps_refusal(task.num_inference_steps))
    if task.frames_per_second < 1:
        raise InvalidRequest(f"frames_per_second must be at least 1, got {task.frames_per_second}")
    return Shape(
        width=task.width,
        height=task.height,
        num_frames=frames,
        num_inference_steps=task.num_inference_steps,
        guidance_scale=task.guidance_scale,
    )


def check_guidance(stack: Stack, shape: Shape, negative_prompt: str) -> None:
    """Without classifier-free guidance the denoiser never sees the negative prompt, nor what an eraser put there."""
    if negative_prompt.strip() and shape.guidance_scale <= 1:
        raise InvalidRequest(f"a negative prompt does nothing at guidance_scale {shape.guidance_scale:g}: give one above 1")
    for eraser, strength in zip(stack.erasers, stack.strengths, strict=True):
        if eraser.stage == "negative_prompt" and strength != 0 and shape.guidance_scale <= 1:
            raise InvalidRequest(
                f"the eraser of {eraser.concept!r} acts through the negative prompt, which does nothing at guidance_scale "
                f"{shape.guidance_scale:g}: give one above 1"
            )


def _whole(frames: Frames, shape: Shape) -> Frames:
    wanted = (shape.num_frames, shape.height, shape.width, 3)
    if frames.shape != wanted:
        raise UnusableOutput(f"the model made frames of shape {frames.shape} where {wanted} was asked for")
    return frames
