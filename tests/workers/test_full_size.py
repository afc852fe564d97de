"""The configurations of the real models make models of their real size. Without memory for one: on torch's meta device."""

from __future__ import annotations

import pytest
import torch

from tests.gpu.full_size import components, made_in

BILLIONS = {
    "wan": {"text_encoder": 5.68, "transformer": 5.00, "vae": 0.70},
    "cogvideox": {"text_encoder": 4.76, "transformer": 1.69, "vae": 0.22},
}


@pytest.mark.parametrize("family", BILLIONS)
def test_as_many_parameters_as_published(family: str) -> None:
    with made_in(torch.bfloat16, "meta"):
        made = components(family)
    found = {name: round(sum(each.numel() for each in part.parameters()) / 1e9, 2) for name, part in made.items()}
    assert found == pytest.approx(BILLIONS[family], abs=0.01)
