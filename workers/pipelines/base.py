"""The seam between the worker and a video model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from erasers.artefact import EncoderIdentity
from erasers.choices import Padding
from workers.contract import ModelCard

if TYPE_CHECKING:
    from erasers import Eraser, Outcome, Use

Frames = NDArray[np.uint8]
"""(T, H, W, 3), RGB."""

OnStep = Callable[[int, int], None]
"""Called after each denoising step with its 1-based number and the total. What it raises ends the denoising."""


@dataclass(frozen=True)
class Stack:
    """The erasers of one request, each with its strength; None means the eraser's own."""

    erasers: tuple[Eraser, ...] = ()
    strengths: tuple[float | None, ...] = ()

    def __post_init__(self) -> None:
        if len(self.erasers) != len(self.strengths):
            raise ValueError(f"{len(self.erasers)} erasers but {len(self.strengths)} strengths")

    def __add__(self, other: Stack) -> Stack:
        return Stack(self.erasers + other.erasers, self.strengths + other.strengths)


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What is denoised together must agree on: sizes in pixels, frames, steps, guidance."""

    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float


@dataclass(frozen=True, kw_only=True)
class Conditioning:
    """One request's text, encoded: all that erasure can touch has happened here."""

    prompt_embeds: torch.Tensor  # (1, T, d)
    negative_prompt_embeds: torch.Tensor  # (1, T, d), encoded without erasers
    uses: tuple[Use, ...]
    outcomes: tuple[Outcome, ...]
    """One for each eraser of the stack, in its order."""


class VideoPipeline(Protocol):
    """A model in memory. Every method may be called any number of times; equal arguments give equal results."""

    @property
    def text_encoder(self) -> torch.nn.Module: ...

    @property
    def tokenizer(self) -> Any: ...

    @property
    def encoder_identity(self) -> EncoderIdentity:
        """Of text encoder and tokenizer, computed once at load; the same in whatever precision the encoder runs."""

    @property
    def fingerprint(self) -> str:
        """That of `encoder_identity`, which erasers are bound to."""

    @property
    def padding(self) -> Padding:
        """Whether the denoiser is kept from attending to the padding of a prompt, and so whether erasers must leave it alone."""

    @property
    def device(self) -> torch.device: ...

    def card(self) -> ModelCard: ...

    def encode(self, prompt: str, negative_prompt: str, stack: Stack) -> Conditioning:
        """Each prompt alone. The stack acts on `prompt`, or appends to `negative_prompt`, which is then encoded without it.

        Raises `PromptTooLong` instead of cutting anything off.
        """

    def denoise(self, rows: Sequence[Conditioning], seeds: Sequence[int], shape: Shape, on_step: OnStep) -> torch.Tensor:
        """Latents, one row per conditioning. A row's noise depends on its own seed, never on its neighbours."""

    def decode(self, latents: torch.Tensor) -> Frames:
        """Frames of one row of latents, kept as a batch of one."""
