"""Words that a model of a small world does not know are told with the plan and the generation; nothing is refused."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.domain.words import unknown_words, unknown_words_message
from tests.service.hand import CARD, Hand, gateway_of
from workers.contract import ModelCard, model_key
from workers.miniature.known import known_world

KNOWN = ("a", "parachute", "over", "snowy", "mountains", "8-bit", "video")


@pytest.mark.parametrize(
    ("prompt", "unknown"),
    [
        ("A Parachute over snowy, mountains.", []),
        ("an 8-bit video", ["an"]),
        ("a parachute over a beach, a beach", ["beach"]),
        ("(ｐａｒａｃｈｕｔｅ) — over!", []),
        ("eine Schneelandschaft", ["eine", "schneelandschaft"]),
    ],
)
def test_words_are_compared_as_the_tokenizer_reads_them(prompt: str, unknown: list[str]) -> None:
    assert unknown_words(prompt, KNOWN) == unknown


def test_a_model_that_spells_any_word_gives_no_warning() -> None:
    assert unknown_words("a beach", ()) == []


def test_the_message_says_what_may_be_meant_and_stays_short() -> None:
    message = unknown_words_message("miniature", ["parachutes", "beach"], KNOWN)
    assert message == (
        "miniature does not know 'parachutes' (did you mean 'parachute'?), 'beach', and draws nothing of it; "
        "GET /models/miniature lists what it knows"
    )
    long = unknown_words_message("miniature", [f"{index}" + "x" * 4000 for index in range(50)], KNOWN)
    assert "and 42 more" in long
    assert len(long) < 600


@pytest.fixture
def small_world(client: TestClient) -> ModelCard:
    card = CARD.model_copy(update={"id": "small", "words": KNOWN, "knows": known_world()})
    gateway_of(client).store.put(model_key(card.id), card.model_dump_json().encode())
    return card


def test_plan_generation_and_video_warn_of_unknown_words(client: TestClient, hand: Hand, small_world: ModelCard) -> None:
    request: dict[str, Any] = {"prompt": "a parachute over a beach", "model": small_world.id}
    planned = client.post("/generate?dry_run=true", json=request).json()
    accepted = client.post("/generate", json=request).json()
    video = client.post("/v1/videos", json=request).json()
    for answer in (planned, accepted, client.get(accepted["links"]["self"]).json(), video):
        (warning,) = answer["warnings"]
        assert (warning["code"], warning["words"]) == ("unknown_words", ["beach"])
        assert "small does not know 'beach'" in warning["message"]
    assert hand.take_generation().prompt == request["prompt"], "it runs as it was sent"


def test_known_words_and_models_of_any_word_are_planned_without_a_warning(client: TestClient, small_world: ModelCard) -> None:
    for request in ({"prompt": "a parachute over snowy mountains", "model": small_world.id}, {"prompt": "a beach"}):
        assert client.post("/generate?dry_run=true", json=request).json()["warnings"] == []


def test_a_model_of_a_small_world_lists_what_it_knows(client: TestClient, small_world: ModelCard) -> None:
    found = client.get(f"/models/{small_world.id}").json()
    assert found["id"] == small_world.id
    assert "skydiver" in found["knows"]["objects"]["parachute"]
    assert found["knows"]["backgrounds"]["snow"] == ["over snowy mountains", "in a white winter valley", "in front of icy peaks"]
    assert found["knows"].keys() == {"objects", "characters", "styles", "attributes", "backgrounds", "motions"}
    assert client.get(f"/models/{CARD.id}").json()["knows"] is None
    assert all("knows" not in model and "words" not in model for model in client.get("/models").json()["data"])
    missing = client.get("/models/Wan-AI/absent")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
