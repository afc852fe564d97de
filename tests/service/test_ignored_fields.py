"""A field that the model would ignore is refused, also where the model's defaults are the reason."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from tests.service.calls import generate
from tests.service.hand import CARD, gateway_of


@pytest.mark.parametrize("guidance", [1.0, 0.0])
def test_a_negative_prompt_is_refused_where_the_model_is_not_guided_by_default(client: TestClient, guidance: float) -> None:
    card = CARD.model_copy(update={"id": "distilled", "default_guidance_scale": guidance})
    gateway_of(client).store.put("models/distilled.json", card.model_dump_json().encode())
    for path in ("/generate", "/v1/videos"):
        body = {"prompt": "a cat", "model": "distilled", "negative_prompt": "blur"}
        refused = client.post(path, json=body)
        assert refused.status_code == 422
        error = refused.json()["error"]
        assert (error["code"], error["param"]) == ("invalid_guidance", "negative_prompt")
        assert client.post(path, json=body | {"guidance_scale": 4}).is_success
    assert generate(client, model="distilled")["guidance_scale"] == guidance
