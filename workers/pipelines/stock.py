"""What the families share: a stock diffusers pipeline, asked for one stage at a time.

Requests are told apart before the pipeline sees them: embeddings and noise are made here, per request, so that a request
gives the same video alone or next to others. The pipeline's own code denoises. Nothing here knows a family.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import torch

import erasers
from erasers.artefact import EncoderIdentity
from erasers.choices import Padding
from workers.contract import MAX_CARD_WORDS, KnownWorld, ModelCard
from workers.errors import PromptTooLong, UnusableOutput
from workers.pipelines.base import Conditioning, Frames, OnStep, Shape, Stack
from workers.pipelines.encoder import Encoder
from workers.pipelines.profiles import Profile
from workers.pipelines.schedule import refused_steps

MAX_STEPS = 200


WORD_START = "▁"
"""What SentencePiece begins a word with."""


def _known_world() -> KnownWorld:
    from workers.miniature.known import known_world

    return known_world()


class StockPipeline(ABC):
    """A diffusers pipeline in memory, behind `VideoPipeline`. Not for several threads at once: the scheduler has state."""

    def __init__(self, pipe: Any, encoder: Encoder, *, model_id: str, profile: Profile) -> None:
        self.pipe = pipe
        self.model_id = model_id
        self.profile = profile
        self._encoder = encoder
        self._refused_steps = refused_steps(pipe.scheduler, MAX_STEPS)
        pipe.set_progress_bar_config(disable=True)

    @property
    @abstractmethod
    def padding(self) -> Padding: ...

    @property
    def text_encoder(self) -> torch.nn.Module:
        return self._encoder.text_encoder

    @property
    def tokenizer(self) -> Any:
        return self._encoder.tokenizer

    @property
    def encoder_identity(self) -> EncoderIdentity:
        return self._encoder.identity

    @property
    def fingerprint(self) -> str:
        return self._encoder.identity.fingerprint

    @property
    def device(self) -> torch.device:
        return torch.device(self.pipe.device)

    def encode(self, prompt: str, negative_prompt: str, stack: Stack) -> Conditioning:
        self._check_length("prompt", prompt)
        if stack.erasers:
            with erasers.read_presence(self.text_encoder, stack.erasers) as before:
                self._embed(prompt)
            with (
                erasers.attach(
                    self.text_encoder, stack.erasers, strengths=stack.strengths, fingerprint=self.fingerprint
                ) as handle,
                erasers.read_presence(self.text_encoder, stack.erasers) as after,
            ):
                prompt_embeds = self._embed(prompt)
            negative_prompt = handle.negative_prompt(negative_prompt)
            handle.require(rows=1, negative_prompts=1)
            uses = tuple(handle.uses)
            outcomes = tuple(
                erasers.outcome(eraser, before, after, named=eraser.named_in(prompt) is not None) for eraser in stack.erasers
            )
        else:
            prompt_embeds, uses, outcomes = self._embed(prompt), (), ()
        self._check_length("negative prompt", negative_prompt)
        return Conditioning(
            prompt_embeds=prompt_embeds,
            negative_prompt_embeds=self._embed(negative_prompt),
            uses=uses,
            outcomes=outcomes,
        )

    @torch.no_grad()
    def denoise(self, rows: Sequence[Conditioning], seeds: Sequence[int], shape: Shape, on_step: OnStep) -> torch.Tensor:
        # Schedulers keep multistep history and their place in the schedule: every run gets a fresh one.
        self.pipe.scheduler = type(self.pipe.scheduler).from_config(self.pipe.scheduler.config)
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
        size = self._latent_size(shape)
        noise = torch.cat([torch.randn((1, *size), generator=generator) for generator in generators])

        def callback(pipe: Any, step: int, _timestep: Any, _tensors: dict[str, Any]) -> dict[str, Any]:
            on_step(step + 1, pipe.num_timesteps)
            return {}

        latents: torch.Tensor = self.pipe(
            prompt_embeds=torch.cat([row.prompt_embeds for row in rows]),
            negative_prompt_embeds=torch.cat([row.negative_prompt_embeds for row in rows]),
            latents=noise.to(self.device, self._noise_dtype()),
            generator=generators,  # for schedulers that add noise at each step
            width=shape.width,
            height=shape.height,
            num_frames=shape.num_frames,
            num_inference_steps=shape.num_inference_steps,
            guidance_scale=shape.guidance_scale,
            callback_on_step_end=callback,
            max_sequence_length=self._max_tokens(),
            output_type="latent",
            return_dict=False,
        )[0]
        return self._trim(latents, shape)

    @torch.no_grad()
    def decode(self, latents: torch.Tensor) -> Frames:
        video = self._decode(latents)[0].float()  # (3, T, H, W) in -1..1
        if not torch.isfinite(video).all():
            raise UnusableOutput("the model made values that are not finite: lower the erasers' strengths or the guidance scale")
        frames: Frames = ((video.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 3, 0).cpu().numpy()
        return frames

    def card(self) -> ModelCard:
        profile, multiple = self.profile, self._size_multiple()
        frames_multiple, frames_offset = self._frame_rule()
        return ModelCard(
            id=self.model_id,
            family=self._family(),
            encoder_fingerprint=self.fingerprint,
            encoder_layers=self.encoder_identity.layers,
            encoder_d_model=self.encoder_identity.d_model,
            size_multiple=multiple,
            min_size=max(profile.min_size, multiple),
            max_size=profile.max_size,
            frames_multiple=frames_multiple,
            frames_offset=frames_offset,
            max_frames=profile.max_frames,
            max_steps=MAX_STEPS,
            refused_steps=self._refused_steps,
            max_prompt_tokens=self._max_tokens(),
            default_width=profile.width // multiple * multiple,
            default_height=profile.height // multiple * multiple,
            default_num_frames=profile.num_frames,
            default_num_inference_steps=self._default_steps(),
            default_guidance_scale=profile.guidance_scale,
            default_frames_per_second=profile.frames_per_second,
            knows=_known_world() if profile.world == "miniature" else None,
            words=self._words() if profile.world is not None else (),
        )

    def _words(self) -> tuple[str, ...]:
        """What the tokenizer of a small world has a piece for; none where it has so many pieces that it spells any word."""
        pieces = self.tokenizer.get_vocab()
        if len(pieces) > MAX_CARD_WORDS:
            return ()
        return tuple(sorted(piece[1:] for piece in pieces if piece.startswith(WORD_START) and len(piece) > 1))

    def _default_steps(self) -> int:
        """The profile's, or the nearest with which the scheduler ends on a clean video."""
        usable = set(range(1, MAX_STEPS + 1)) - set(self._refused_steps)
        return min(usable, key=lambda steps: (abs(steps - self.profile.num_inference_steps), steps))

    def _check_length(self, what: str, text: str) -> None:
        tokens = len(self.tokenizer(self._clean(text), verbose=False).input_ids)
        if tokens > self._max_tokens():
            raise PromptTooLong(what, tokens=tokens, max_tokens=self._max_tokens())

    @torch.no_grad()
    def _embed(self, text: str) -> torch.Tensor:
        embeds: torch.Tensor = self.pipe.encode_prompt(
            prompt=text, do_classifier_free_guidance=False, max_sequence_length=self._max_tokens(), device=self.device
        )[0]
        return embeds.to(self._denoiser_dtype())

    def _denoiser_dtype(self) -> torch.dtype:
        dtype: torch.dtype = (self.pipe.transformer or self.pipe.transformer_2).dtype
        return dtype

    def _trim(self, latents: torch.Tensor, _shape: Shape) -> torch.Tensor:
        return latents

    def _noise_dtype(self) -> torch.dtype:
        return torch.float32

    @abstractmethod
    def _family(self) -> Any: ...

    @abstractmethod
    def _clean(self, text: str) -> str:
        """The text as the family's own `encode_prompt` hands it to the tokenizer."""

    @abstractmethod
    def _max_tokens(self) -> int:
        """Tokens of a prompt, end of sequence included; prompts are padded up to it."""

    @abstractmethod
    def _size_multiple(self) -> int: ...

    @abstractmethod
    def _frame_rule(self) -> tuple[int, int]:
        """(multiple, offset): videos have k * multiple + offset frames."""

    @abstractmethod
    def _latent_size(self, shape: Shape) -> tuple[int, int, int, int]: ...

    @abstractmethod
    def _decode(self, latents: torch.Tensor) -> torch.Tensor:
        """(1, 3, T, H, W), about -1..1."""
