"""In which precision matrix products are made while training, for the length of a `with`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from erasers.choices import Precision


@contextmanager
def matmul_precision(precision: Precision, device: torch.device) -> Iterator[None]:
    """`tf32` changes nothing on a CPU, so that what is trained there stays the same to the last bit."""
    if precision == "bfloat16":
        with torch.autocast(device.type, torch.bfloat16):
            yield
        return
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if precision == "tf32" else "highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
