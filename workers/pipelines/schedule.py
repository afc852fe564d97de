"""The numbers of denoising steps for which a scheduler's schedule is right.

Schedulers accept counts for which it is wrong. CogVideoX's DDIM makes 62 steps of 61, the last at timestep -1; in 7 it stops
one timestep before the clean sample. So each count is tried: the schedule must have exactly that many timesteps, distinct and
not negative, and its last steps, given a perfect denoiser, must end on the clean sample.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

import torch
from diffusers import CogVideoXDPMScheduler
from torch import Tensor

from workers.errors import ModelUnavailable

_LAST_STEPS = 2
"""Steps that are run. With a perfect denoiser, a scheduler of second order forgets all before them."""

_TOLERANCE = 1e-3


def refused_steps(scheduler: Any, max_steps: int) -> tuple[int, ...]:
    """The counts from 1 to `max_steps` whose schedule is wrong, ascending. Raises `ModelUnavailable` if all are."""
    scheduler_class: Any = type(scheduler)
    return _refused(scheduler_class, scheduler.to_json_string(), max_steps)


@lru_cache
def _refused(scheduler_class: Any, config: str, max_steps: int) -> tuple[int, ...]:
    scheduler = scheduler_class.from_config(json.loads(config))
    try:
        refused = tuple(steps for steps in range(1, max_steps + 1) if not _is_right(scheduler, steps))
    except (ValueError, TypeError, AttributeError, KeyError) as error:  # another signature, or settings that nobody gives it
        raise ModelUnavailable(f"the model's {scheduler_class.__name__} cannot be used: {error}") from error
    if len(refused) == max_steps:
        raise ModelUnavailable(
            f"the model's {scheduler_class.__name__} does not end on the clean sample with any number of steps up to "
            f"{max_steps}; check its scheduler_config.json"
        )
    return refused


def _is_right(scheduler: Any, steps: int) -> bool:
    scheduler.set_timesteps(steps)
    timesteps = scheduler.timesteps.tolist()
    if len(timesteps) != steps or len(set(timesteps)) != steps or min(timesteps) < 0:
        return False
    clean = torch.tensor([0.5, -0.25]).reshape(1, 2, 1, 1, 1)
    return torch.allclose(denoised(scheduler, clean, last_steps=_LAST_STEPS), clean, atol=_TOLERANCE)


def denoised(scheduler: Any, clean: Tensor, *, last_steps: int | None = None) -> Tensor:
    """Where the set schedule, or the end of it, arrives from noise if every prediction is exactly that of `clean`."""
    timesteps = scheduler.timesteps
    start = 0 if last_steps is None else max(0, len(timesteps) - last_steps)
    if hasattr(scheduler, "set_begin_index"):
        scheduler.set_begin_index(start)
    generator = torch.Generator().manual_seed(0)
    sample, before = torch.randn(clean.shape, generator=generator), None
    for i in range(start, len(timesteps)):
        prediction = _prediction(scheduler, i, sample, clean)
        if isinstance(scheduler, CogVideoXDPMScheduler):
            back = timesteps[i - 1] if i > 0 else None
            sample, before = scheduler.step(prediction, before, timesteps[i], back, sample, generator=generator)
        else:
            sample = scheduler.step(prediction, timesteps[i], sample, return_dict=False)[0]
    return sample


def _prediction(scheduler: Any, i: int, sample: Tensor, clean: Tensor) -> Tensor:
    """What a perfect denoiser says at step i of sample = α clean + σ noise, in the terms that the scheduler expects."""
    alpha, sigma = _alpha_sigma(scheduler, i)
    noise = (sample - alpha * clean) / sigma
    kind = scheduler.config.get("prediction_type", "flow_prediction")
    predictions = {
        "sample": clean,
        "epsilon": noise,
        "v_prediction": alpha * noise - sigma * clean,
        "flow_prediction": noise - clean,
    }
    if kind not in predictions:
        raise ValueError(f"prediction_type {kind!r} is not one of {', '.join(predictions)}")
    return predictions[kind]


def _alpha_sigma(scheduler: Any, i: int) -> tuple[Tensor, Tensor]:
    if not hasattr(scheduler, "sigmas"):
        alphas_cumprod = scheduler.alphas_cumprod[int(scheduler.timesteps[i])]
        return alphas_cumprod.sqrt(), (1 - alphas_cumprod).sqrt()
    sigma = scheduler.sigmas[i]
    if scheduler.config.get("use_flow_sigmas", "prediction_type" not in scheduler.config):  # FlowMatch* has neither setting
        return 1 - sigma, sigma
    alpha = (sigma**2 + 1).rsqrt()
    return alpha, sigma * alpha
