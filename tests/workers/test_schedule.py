"""Numbers of steps: accepted where the scheduler, given a perfect denoiser, ends on the clean video, and refused elsewhere."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import (
    CogVideoXDDIMScheduler,
    CogVideoXDPMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FlowMatchHeunDiscreteScheduler,
    UniPCMultistepScheduler,
)

from tests.workers.parts import task_for
from workers.errors import InvalidRequest, ModelUnavailable
from workers.generation.generate import check_shape
from workers.miniature.weights import MODEL_DIR
from workers.pipelines.base import Shape, Stack, VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place
from workers.pipelines.schedule import denoised, refused_steps

MOST = 200
COGVIDEOX = {
    "prediction_type": "v_prediction", "beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012,
    "rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "set_alpha_to_one": True, "clip_sample": False,
}  # fmt: skip
"""As its authors publish it."""
SCHEDULERS: dict[str, Any] = {
    "CogVideoX-2b": CogVideoXDDIMScheduler(**COGVIDEOX, snr_shift_scale=3.0),
    "CogVideoX-5b": CogVideoXDPMScheduler(**COGVIDEOX, snr_shift_scale=1.0),
    "Wan 2.2": UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=5.0),
    "Wan, Euler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    "miniature": UniPCMultistepScheduler.from_pretrained(MODEL_DIR / "scheduler"),
    "UniPC without flow": UniPCMultistepScheduler(prediction_type="epsilon"),
}
TRIED = (1, 2, 3, 6, 7, 10, 13, 49, 50, 60, 61, 62, 100, 103, 121, 122, 127, 199, 200)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers, without flow sigmas
@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_count_is_refused_exactly_where_the_whole_schedule_fails(name: str) -> None:
    """The whole schedule is run here; the module runs its end only."""
    scheduler = SCHEDULERS[name]
    refused = set(refused_steps(scheduler, MOST))
    clean = torch.linspace(-0.5, 1.0, 24).reshape(1, 4, 1, 2, 3)
    for steps in TRIED:
        scheduler.set_timesteps(steps)
        timesteps = scheduler.timesteps.tolist()
        right = len(timesteps) == len(set(timesteps)) == steps and min(timesteps) >= 0
        right = right and torch.allclose(denoised(scheduler, clean), clean, atol=1e-3)
        assert (steps not in refused) == right, steps


def test_which_counts_are_refused() -> None:
    for name in ("CogVideoX-2b", "CogVideoX-5b"):
        refused = refused_steps(SCHEDULERS[name], MOST)
        assert {6, 7, 61, 103, 121, 122} <= set(refused)
        assert len(refused) == 91
        assert not {1, 2, 4, 5, 8, 10, 20, 25, 40, 50, 100, 200} & set(refused)
    assert refused_steps(SCHEDULERS["Wan 2.2"], MOST) == refused_steps(SCHEDULERS["Wan, Euler"], MOST) == ()
    assert refused_steps(SCHEDULERS["miniature"], MOST) == tuple(range(126, MOST + 1)), "two steps at one timestep"


@pytest.mark.parametrize(
    ("scheduler", "says"),
    [
        (FlowMatchHeunDiscreteScheduler(), None),  # two calls of the model in each step but the last
        (UniPCMultistepScheduler(use_flow_sigmas=True, final_sigmas_type="sigma_min"), "does not end on the clean sample"),
        (FlowMatchEulerDiscreteScheduler(use_dynamic_shifting=True), "`mu` must be passed"),
    ],
)
def test_a_scheduler_of_no_use(scheduler: Any, says: str | None) -> None:
    if says is None:
        assert refused_steps(scheduler, MOST) == tuple(range(2, MOST + 1))
        return
    with pytest.raises(ModelUnavailable, match=says):
        refused_steps(scheduler, MOST)


@pytest.fixture(scope="module")
def ddim(cogvideox_directory: Path, tmp_path_factory: pytest.TempPathFactory) -> VideoPipeline:
    """The tiny CogVideoX with the scheduler of CogVideoX-2b."""
    directory = Path(shutil.copytree(cogvideox_directory, tmp_path_factory.mktemp("ddim") / "model"))
    shutil.rmtree(directory / "scheduler")
    SCHEDULERS["CogVideoX-2b"].save_pretrained(directory / "scheduler")
    index = json.loads((directory / "model_index.json").read_text())
    index["scheduler"] = ["diffusers", "CogVideoXDDIMScheduler"]
    (directory / "model_index.json").write_text(json.dumps(index))
    return load_directory(directory, model_id="tiny-ddim", placement=place("cpu"))


@pytest.mark.parametrize(("steps", "clean"), [(50, True), (61, False)])
def test_the_pipeline_ends_on_the_clean_video(
    ddim: VideoPipeline, monkeypatch: pytest.MonkeyPatch, steps: int, clean: bool
) -> None:
    pipe: Any = ddim.pipe  # type: ignore[attr-defined]

    def perfect(hidden_states: torch.Tensor, timestep: torch.Tensor, **_: Any) -> tuple[torch.Tensor]:
        if timestep[0] < 0:  # behind the last timestep nothing is left to predict
            return (torch.zeros_like(hidden_states),)
        alpha = pipe.scheduler.alphas_cumprod[int(timestep[0])]
        noise = (hidden_states - alpha.sqrt() * 0.5) / (1 - alpha).sqrt()
        return (alpha.sqrt() * noise - (1 - alpha).sqrt() * 0.5,)

    monkeypatch.setattr(pipe.transformer, "forward", perfect)
    shape = Shape(width=32, height=32, num_frames=9, num_inference_steps=steps, guidance_scale=3.0)
    seen: list[int] = []
    latents = ddim.denoise([ddim.encode("a cat", "", Stack())], [7], shape, lambda step, total: seen.append(step))
    assert (len(seen) == steps) == clean
    assert torch.allclose(latents, torch.full_like(latents, 0.5 if clean else 0.0), atol=0.1)
    assert torch.allclose(latents, torch.full_like(latents, 0.5), atol=1e-3) == clean


def test_the_card_says_which_and_the_worker_refuses_them(ddim: VideoPipeline, wan: VideoPipeline) -> None:
    card = ddim.card()
    assert card.refused_steps == refused_steps(SCHEDULERS["CogVideoX-2b"], card.max_steps)
    assert card.accepts_steps(card.default_num_inference_steps)
    assert wan.card().refused_steps == ()
    check_shape(task_for(ddim, num_inference_steps=62), card)
    for steps, near in ((61, "take 58 or 62$"), (7, "take 5 or 8$"), (201, "takes 1 to 200$"), (0, "takes 1 to 200$")):
        with pytest.raises(InvalidRequest, match=near):
            check_shape(task_for(ddim, num_inference_steps=steps), card)
    check_shape(task_for(wan, num_inference_steps=61), wan.card())
