"""Where a model runs, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from workers.errors import ModelUnavailable
from workers.settings import Device, DType


@dataclass(frozen=True)
class Placement:
    device: torch.device
    dtype: torch.dtype
    encoder_dtype: torch.dtype


def place(device: Device = "auto", dtype: DType = "auto", *, encoder_in_float32: bool = False) -> Placement:
    """`auto` is CUDA in bfloat16 where there is one, else the CPU in float32. Erasers are trained with the encoder in float32."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ModelUnavailable("CLEARWAY_DEVICE is cuda, but torch finds no CUDA device: check the driver, or set auto or cpu")
    on_cuda = device == "cuda" or (device == "auto" and torch.cuda.is_available())
    if dtype == "float16" and not on_cuda:
        raise ModelUnavailable("CLEARWAY_DTYPE is float16, which needs CUDA: set bfloat16 or float32 for the CPU")
    precision = getattr(torch, dtype) if dtype != "auto" else torch.bfloat16 if on_cuda else torch.float32
    encoder_precision = torch.float32 if encoder_in_float32 else precision
    return Placement(torch.device("cuda" if on_cuda else "cpu"), precision, encoder_precision)
