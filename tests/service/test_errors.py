"""Every code of the closed set is reachable, has its status, its type and its body, and is documented."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, cast, get_args
from unittest.mock import Mock

import pytest
from fastapi import FastAPI, HTTPException
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from erasers.artefact import digest_of
from service.app import MAX_BODY_BYTES, MAX_TRAINING_BODY_BYTES
from service.errors import CODES, ErrorCode, ErrorType, error_type
from service.settings import Settings
from tests.service.calls import code, generate, train, wait_until
from tests.service.conftest import serving
from tests.service.hand import CARD, PASSING, Hand, add_eraser, gateway_of
from tests.service.test_archive import tar
from workers.contract import video_key
from workers.store.artifacts import StoreAway

Send = Callable[[TestClient], Response]


def post(**body: Any) -> Send:
    return lambda client: client.post("/generate", json={"prompt": "a church", **body})


def post_raw(text: str | bytes) -> Send:
    return lambda client: client.post("/generate", content=text, headers={"content-type": "application/json"})


def raw(method: str, path: str) -> Callable[[str], Send]:
    headers = {"content-type": "application/json"}
    return lambda text: lambda client: client.request(method, path, content=text, headers=headers)


film_raw, demand_raw, teach_raw = raw("POST", "/v1/videos"), raw("PUT", "/policies/a"), raw("POST", "/erasers")
gate_raw = raw("PUT", "/gates/church")


def teach(**body: Any) -> Send:
    return lambda client: client.post("/erasers", json={"concept": "cat", **body})


def keyed(key: str | bytes, path: str = "/generate") -> Send:
    body = {"prompt": "a church"} if path == "/generate" else {"concept": "cat"}
    return lambda client: client.post(
        path, json=body, headers={b"idempotency-key": key if isinstance(key, bytes) else key.encode()}
    )


def demand(**body: Any) -> Send:
    return lambda client: client.put("/policies/a", json=body)


def gate(**body: Any) -> Send:
    return lambda client: client.put("/gates/church", json=body)


def film(**body: Any) -> Send:
    return lambda client: client.post("/v1/videos", json={"prompt": "a church", **body})


def post_form(content: bytes, content_type: str = "multipart/form-data; boundary=b") -> Send:
    return lambda client: client.post("/v1/videos", content=content, headers={"content-type": content_type})


def bring(digest: str) -> Send:
    """An archive of two files that are no eraser."""
    archive = tar((f"{digest}/config.json", b"{}"), (f"{digest}/eraser.safetensors", b""))
    return lambda client: client.post("/erasers/import", content=archive)


PAIR = {"positive": "a cat", "negative": "a dog"}
REFUSED: list[tuple[ErrorCode, str | None, Send]] = [
    ("not_found", None, lambda client: client.get("/nowhere")),
    ("not_found", None, lambda client: client.get("/generations/gen_none")),
    ("not_found", None, lambda client: client.get("/generations/%00")),
    ("not_found", None, lambda client: client.get("/erasers/nothing")),
    ("not_found", None, lambda client: client.get("/erasers/church/99")),
    ("not_found", None, lambda client: client.get("/erasers/church/99/events")),
    ("not_found", None, lambda client: client.delete("/keys/000000000000")),
    ("not_found", None, lambda client: client.get("/policies/none")),
    ("not_found", None, lambda client: client.get("/policies/none?version=1")),
    ("not_found", None, lambda client: client.delete("/policies/none")),
    ("not_found", None, lambda client: client.get("/gates/church")),
    ("not_found", None, lambda client: client.delete("/gates/church")),
    ("method_not_allowed", None, lambda client: client.put("/generate", json={})),
    ("payload_too_large", None, lambda client: client.post("/generate", json={"prompt": "x" * MAX_BODY_BYTES})),
    ("payload_too_large", None, lambda client: client.post("/erasers", json={"concept": "x" * MAX_TRAINING_BODY_BYTES})),
    ("payload_too_large", None, lambda client: client.post("/generate", content=iter([b"x" * 2**17] * 3))),
    ("payload_too_large", None, lambda client: client.post("/generate", content=b"", headers={"content-length": "9" * 99})),
    ("unsupported_media_type", "Content-Type", lambda client: client.post("/generate", content=b'{"prompt": "a church"}')),
    ("unsupported_media_type", "Content-Type", lambda client: client.post("/v1/videos", content=b'{"prompt": "a church"}')),
    ("unsupported_media_type", "Content-Type", post_form(b"{}", "text/plain")),
    ("invalid_request", None, lambda client: client.post("/generate", json=[])),
    ("repeated_header", "x-request-id", lambda client: client.get("/models", headers=[("x-request-id", "a")] * 2)),
    ("invalid_json", None, post_raw("{")),
    ("invalid_json", None, post_raw(b"\xff\xfe")),
    ("invalid_json", None, post_raw("[" * 100_000)),
    ("invalid_json", None, post_raw('{"seed": ' + "9" * 5000 + "}")),
    ("invalid_form", None, post_form(b"no boundary in sight")),
    ("invalid_form", None, post_form(b"", content_type="multipart/form-data")),
    ("invalid_request", None, post_raw("[]")),
    ("invalid_request", "prompt", post_raw("{}")),
    ("invalid_request", "prompt", post(prompt=7)),
    ("invalid_request", "width", post(width="64")),
    ("invalid_request", "width", post(width=64.5)),
    ("invalid_request", "seed", post(seed=-1)),
    ("invalid_request", "seed", post(seed=2**32)),
    ("invalid_request", "seed", film(seed=2**32 + 7)),
    ("invalid_request", "seed", teach(seed=2**32)),
    ("invalid_request", "seed", post(seed=True)),
    ("invalid_request", "guidance_scale", post(guidance_scale=51)),
    ("invalid_request", "guidance_scale", post_raw('{"prompt": "a", "guidance_scale": NaN}')),
    ("invalid_request", "guidance_scale", post_raw('{"prompt": "a", "guidance_scale": 1e999}')),
    ("invalid_request", "guidance_scale", post_raw('{"prompt": "a", "guidance_scale": ' + "9" * 400 + "}")),
    ("invalid_request", "erase", post(erase="church")),
    ("invalid_request", "erase[0]", post(erase=[7])),
    ("invalid_request", "erase[0].version", post(erase=[{"concept": "church", "version": 0}])),
    ("invalid_request", "erase[0].version", post(erase=[{"concept": "church", "version": 2**63}])),
    ("invalid_request", "limit", lambda client: client.get("/generations?limit=0")),
    ("invalid_request", "status", lambda client: client.get("/generations?status=done")),
    ("invalid_request", "cursor", lambda client: client.get("/generations?cursor=';--")),
    ("invalid_request", "version", lambda client: client.get("/erasers/church/9999999999999999999")),
    ("invalid_request", "role", lambda client: client.post("/keys", json={"name": "a", "role": "root"})),
    ("invalid_request", "priority", lambda client: client.post("/keys", json={"name": "a", "priority": 1})),
    (
        "invalid_request",
        "limits.max_running",
        lambda client: client.post("/keys", json={"name": "a", "limits": {"max_running": 0}}),
    ),
    ("unknown_field", "limits.rate", lambda client: client.patch("/keys/000000000000", json={"limits": {"rate": 1}})),
    ("not_found", None, lambda client: client.post("/keys/000000000000/rotate")),
    ("invalid_request", "grace_seconds", lambda client: client.post("/keys/000000000000/rotate", json={"grace_seconds": -1})),
    (
        "invalid_request",
        "expires_at",
        lambda client: client.post("/keys", json={"name": "a", "expires_at": "2020-01-01T00:00:00Z"}),
    ),
    ("invalid_request", "expires_at", lambda client: client.post("/keys", json={"name": "a", "expires_at": "2999-01-01"})),
    ("invalid_request", "expires_at", lambda client: client.post("/keys", json={"name": "a", "expires_at": 32503680000})),
    ("invalid_request", "expires_at", lambda client: client.patch("/keys/0", json={"expires_at": "9999-12-31T23:59:59-12:00"})),
    ("not_found", None, lambda client: client.patch("/keys/000000000000", json={})),
    ("invalid_request", "after", lambda client: client.get("/audit?after=-1")),
    ("invalid_request", "action", lambda client: client.get("/audit?action=nothing")),
    ("invalid_text", "subject", lambda client: client.get("/audit?subject=%00")),
    ("unknown_field", "eraser", post(eraser=["church"])),
    ("unknown_field", "erase[0].gamma", post(erase=[{"concept": "church", "gamma": 2}])),
    ("unknown_field", "webhook", teach(webhook="x")),
    ("unknown_field", "force", lambda client: client.post("/erasers/church/1/activate", json={"force": True})),
    ("invalid_request", "prompt", post_raw('{"prompt": "a", "prompt": "a"}')),
    ("invalid_request", "strength", post_raw('{"prompt": "a", "erase": [{"concept": "church", "strength": 1, "strength": 0}]}')),
    ("invalid_request", "a", post_raw('{"prompt": "a", "metadata": {"a": "1", "a": "2"}}')),
    ("invalid_request", "\\ud800", post_raw('{"prompt": "a", "\\ud800": 1, "\\ud800": 1}')),
    ("invalid_request", "erase", film_raw('{"prompt": "a", "erase": ["church"], "erase": []}')),
    ("invalid_request", "mandatory", demand_raw('{"mandatory": ["church"], "mandatory": []}')),
    ("invalid_text", "config", teach_raw('{"concept": "cat", "config": {"a": "\\ud800"}}')),
    ("invalid_text", "config", teach_raw('{"concept": "cat", "config": {"a": [{"\\ud800": 1}]}}')),
    ("invalid_text", "config", teach_raw('{"concept": "cat", "config": {"a": "\\u0000"}}')),
    ("invalid_request", "config.a.float", teach_raw('{"concept": "cat", "config": {"a": NaN}}')),
    ("unknown_field", "dryrun", lambda client: client.post("/generate?dryrun=true", json={"prompt": "a"})),
    ("invalid_request", "limit", lambda client: client.get("/generations?limit=1&limit=2")),
    ("invalid_idempotency_key", "Idempotency-Key", keyed("")),
    ("invalid_idempotency_key", "Idempotency-Key", keyed("k" * 256)),
    ("invalid_idempotency_key", "Idempotency-Key", keyed("two words")),
    ("invalid_idempotency_key", "Idempotency-Key", keyed("schl\u00fcssel".encode())),
    ("invalid_idempotency_key", "Idempotency-Key", keyed("k" * 256, path="/erasers")),
    ("invalid_text", "prompt", post(prompt="a\x00church")),
    ("invalid_text", "prompt", post(prompt="a \u202echurch")),
    ("invalid_text", "prompt", post_raw('{"prompt": "a \\ud800 church"}')),
    ("invalid_text", "negative_prompt", post(negative_prompt="\x1b[2J")),
    ("invalid_text", "metadata.a", post(metadata={"a": "\x07"})),
    ("empty_prompt", "prompt", post(prompt=" \n\t ")),
    ("prompt_too_long", "prompt", post(prompt="x" * 2001)),
    ("prompt_too_long", "negative_prompt", post(negative_prompt="x" * 2001)),
    ("invalid_concept", "erase[0].concept", post(erase=[""])),
    ("invalid_concept", "erase[0].concept", post(erase=["../church"])),
    ("invalid_concept", "erase[0].concept", post(erase=["x" * 81])),
    ("invalid_concept", "erase[0]", post(erase=["church@latest"])),
    ("invalid_concept", "erase[0]", post(erase=["church@0"])),
    ("invalid_concept", "concept", lambda client: client.get("/erasers/%40")),
    ("too_many_concepts", "erase", post(erase=[f"concept {n}" for n in range(17)])),
    ("duplicate_concept", "erase", post(erase=["church", " CHURCH"])),
    ("duplicate_concept", "erase", post(erase=["church", "ｃhurch@1"])),
    ("unknown_concept", "erase[1]", post(erase=["church", "tank"])),
    ("unknown_version", "erase[0]", post(erase=["church@7"])),
    ("invalid_strength", "erase[0].strength", post(erase=[{"concept": "church", "strength": 101}])),
    ("invalid_strength", "erase[0].strength", post(erase=[{"concept": "church", "strength": "2"}])),
    ("invalid_strength", "erase[0].strength", post_raw('{"prompt": "a", "erase": [{"concept": "church", "strength": NaN}]}')),
    ("unsupported_input", "input_reference", film(input_reference={"file_id": "file_1"})),
    ("invalid_seconds", "seconds", film(seconds="5")),
    ("invalid_size", "size", film(size="720x1280")),
    ("invalid_size", "width", post(width=0)),
    ("invalid_size", "width", post(width=65)),
    ("invalid_size", "height", post(height=16)),
    ("invalid_size", "height", post(height=2**70)),
    ("invalid_frames", "num_frames", post(num_frames=10)),
    ("invalid_frames", "num_frames", post(num_frames=37)),
    ("invalid_frames", "num_frames", post(num_frames=-3)),
    ("invalid_steps", "num_inference_steps", post(num_inference_steps=0)),
    ("invalid_steps", "num_inference_steps", post(num_inference_steps=51)),
    ("invalid_steps", "num_inference_steps", post(num_inference_steps=7)),
    ("invalid_guidance", "negative_prompt", post(negative_prompt="blur", guidance_scale=1)),
    ("invalid_guidance", "negative_prompt", film(negative_prompt="blur", guidance_scale=0.5)),
    ("invalid_metadata", "metadata", post(metadata={str(n): "" for n in range(17)})),
    ("invalid_metadata", "metadata", post(metadata={"a": "x" * 513})),
    ("invalid_webhook_url", "webhook_url", post(webhook_url="http://example.com/hook")),
    ("invalid_webhook_url", "webhook_url", post(webhook_url="https://me:word@example.com/hook")),
    ("not_verifiable", "verify", post(erase=["church"], verify=True)),
    ("invalid_pairs", "pairs", teach(pairs=[])),
    ("invalid_pairs", "pair_source", teach(pairs=[{"positive": "a cat", "negative": ""}], pair_source="chat")),
    ("invalid_pairs", "pairs", teach(pairs=[{"positive": "same", "negative": "same"}])),
    ("invalid_pairs", "pairs", teach(pairs=[{"positive": f"cat {n}", "negative": ""} for n in range(5001)])),
    ("invalid_pairs", "pairs", teach(pairs=[{"positive": f"a dog {n}", "negative": f"grass {n}"} for n in range(3)])),
    ("invalid_pairs", "pairs", teach(pairs=[{"positive": f"a cat {n}", "negative": f"cats {n}"} for n in range(3)])),
    ("invalid_pairs", "pairs", teach(pairs=[{"positive": f"a cat {n}", "negative": "grass"} for n in range(3)])),
    ("invalid_concept", "synonyms", teach(synonyms=["..."])),
    ("invalid_concept", "keep", teach(keep=["?"])),
    ("unknown_method", "method", teach(method="magic")),
    ("invalid_config", "config.layr", teach(config={"layr": 3})),
    ("invalid_config", "config.layer", teach(config={"layer": 8})),
    ("invalid_config", "config.layer", teach(config={"layer": "3"})),
    ("invalid_config", "config.iterations", teach(config={"iterations": 10**12}, method="clear")),
    ("invalid_config", "config.expansion", teach(config={"expansion": 100_000}, method="clear")),
    ("invalid_config", "config.gamma_step", teach(config={"gamma_step": 1e-9})),
    ("invalid_config", "config.gate", teach(config={"gate": True}, method="hirm")),
    ("model_not_found", "model", post(model="Wan-AI/none")),
    ("model_not_found", "model", post(model="../../operator.key")),
    ("invalid_state", None, lambda client: client.post("/erasers/church/1/activate")),
    ("invalid_archive", None, lambda client: client.post("/erasers/import")),
    ("digest_mismatch", None, bring("d" * 64)),
    ("invalid_eraser", None, bring(digest_of(b"{}", b""))),
    ("invalid_archive", None, lambda client: client.post("/erasers/import", files={"file": b"no archive"})),
    ("invalid_request", "digest", lambda client: client.post("/erasers/import?digest=ABC")),
    ("alias_conflict", "concept", lambda client: client.put("/aliases/nsfw", json={"concept": "nsfw"})),
    ("alias_conflict", "alias", lambda client: client.put("/aliases/church", json={"concept": "parachute"})),
    ("unknown_concept", "concept", lambda client: client.put("/aliases/nsfw", json={"concept": "nudity"})),
    ("invalid_concept", "concept", lambda client: client.put("/aliases/nsfw", json={"concept": ""})),
    ("invalid_concept", "alias", lambda client: client.put("/aliases/%40", json={"concept": "church"})),
    ("not_found", None, lambda client: client.get("/aliases/none")),
    ("not_found", None, lambda client: client.delete("/aliases/none")),
    ("no_previous_version", None, lambda client: client.post("/erasers/church/rollback")),
    ("invalid_request", "version", lambda client: client.post("/erasers/church/rollback", json={"version": 0})),
    ("unknown_field", "to", lambda client: client.post("/erasers/church/rollback", json={"to": 1})),
    ("invalid_request", "name", lambda client: client.put("/policies/A", json={})),
    ("invalid_request", None, gate()),
    ("invalid_request", None, gate(max_erased=None)),
    ("invalid_request", "max_erased", gate(max_erased=1.1)),
    ("invalid_request", "min_kept", gate(min_kept=-0.1)),
    ("invalid_request", "min_kept", gate(min_kept="0.5")),
    ("invalid_request", "min_kept", gate(min_kept=True)),
    ("invalid_request", "max_drift", gate_raw('{"max_drift": NaN}')),
    ("invalid_request", "max_drift", gate_raw('{"max_drift": 1e999}')),
    ("unknown_field", "max_erase", gate(max_erase=0.1)),
    ("invalid_concept", "concept", lambda client: client.put("/gates/-", json={"max_erased": 0.1})),
    ("invalid_request", "keys", demand(keys=[])),
    ("invalid_request", "keys[0]", demand(keys=["everybody"])),
    ("invalid_request", "keys[0]", demand(keys=["000000000000"])),
    ("invalid_request", "models", demand(models=[])),
    ("invalid_request", "limits.width", demand(limits={"width": 0})),
    ("unknown_field", "limits.seconds", demand(limits={"seconds": 1})),
    ("unknown_field", "erase", demand(erase=["church"])),
    ("invalid_concept", "mandatory[0].concept", demand(mandatory=[""])),
    ("duplicate_concept", "defaults", demand(defaults=["church", "CHURCH"])),
    ("invalid_strength", "mandatory[0].strength", demand(mandatory=[{"concept": "church", "strength": -1}])),
]


@pytest.mark.parametrize(("expected", "param", "send"), REFUSED)
def test_refused(shared: TestClient, expected: ErrorCode, param: str | None, send: Send) -> None:
    check(send(shared), expected, param)


def check(response: Response, expected: ErrorCode, param: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = response.json()["error"]
    assert (error["code"], response.status_code) == (expected, CODES[expected].status), error
    assert error["param"] == param
    assert error["type"] == error_type(expected)
    assert len(error["message"]) > 10
    assert set(response.json()) == {"error"} or expected == "not_ready"
    return error


def test_nothing_of_what_was_refused_is_on_record(shared: TestClient) -> None:
    assert shared.get("/generations").json()["data"] == []


def test_unauthorized_and_forbidden(shared: TestClient, shared_user: TestClient) -> None:
    check(TestClient(shared.app).get("/models"), "unauthorized")
    check(shared_user.get("/keys"), "forbidden")
    rotated = shared.post("/keys", json={"name": "a"}).json()
    shared.post(f"/keys/{rotated['id']}/rotate")
    response = TestClient(shared.app, headers={"authorization": f"Bearer {rotated['key']}"}).get("/models")
    check(response, "key_expired")
    assert response.headers["www-authenticate"] == "Bearer"


def test_a_method_that_is_not_allowed_comes_with_those_that_are(shared: TestClient) -> None:
    assert shared.put("/generate", json={}).headers["allow"] == "POST"


def test_a_large_body_passes_where_pairs_are_uploaded(shared: TestClient) -> None:
    body = {"concept": "x" * MAX_BODY_BYTES}  # too long for a name, but not for the call
    check(shared.post("/erasers", json=body), "invalid_concept", "concept")


def test_near_misses_and_the_cure_of_an_unknown_concept(shared: TestClient) -> None:
    error = check(shared.post("/generate", json={"prompt": "a", "erase": ["parashute"]}), "unknown_concept", "erase[0]")
    assert "'parachute'" in error["message"]
    assert 'POST /erasers {"concept": "parashute", "kind": "…"}' in error["message"]
    far = shared.post("/generate", json={"prompt": "a", "erase": ["zzz"]}).json()["error"]["message"]
    assert "did you mean" not in far


def test_all_missing_concepts_are_named_at_once_with_the_ways_on(client: TestClient) -> None:
    train(client, "cat")
    body = {"prompt": "a", "erase": ["nudity", "parachute", "trump", "cat"]}
    message = check(client.post("/generate", json=body), "unknown_concept", "erase[0]")["message"]
    for told in (
        "3 concepts have no eraser",
        'POST /erasers {"concept": "nudity", "kind": "…"}',
        'POST /erasers {"concept": "trump", "kind": "…"}',
        "'cat', version 1, is training",
        "identity, style",
        "POST /erasers/import",
        '"on_missing" set to "safree" or "negprompt"',
        '"refuse" is the default',
    ):
        assert told in message, told
    assert "'parachute'" not in message
    body["erase"] = ["cat", "nudity@1"]
    assert "2 concepts" in check(client.post("/generate", json=body), "eraser_not_active", "erase[0]")["message"]
    body["erase"] = ["nudity@1"]
    assert "on_missing" not in check(client.post("/generate", json=body), "unknown_concept", "erase[0]")["message"]
    client.put("/policies/house", json={"mandatory": ["nudity", "trump"]})
    message = check(client.post("/generate", json={"prompt": "a"}), "policy_unsatisfied", None)["message"]
    assert ["'nudity'" in message, "'trump'" in message, '"on_missing" of the policy' in message] == [True, True, True]


def test_an_eraser_in_every_state_but_active(client: TestClient, hand: Hand) -> None:
    train(client, "cat")
    check(client.post("/generate", json={"prompt": "a", "erase": ["cat"]}), "eraser_not_active", "erase[0]")
    hand.finish_training(hand.take_training())
    wait_until(lambda: client.get("/erasers/cat/1").json()["status"] == "candidate")
    message = check(client.post("/generate", json={"prompt": "a", "erase": ["cat"]}), "eraser_not_active", "erase[0]")["message"]
    assert "POST /erasers/cat/1/activate" in message
    assert client.post("/erasers/cat/1/activate").is_success
    generate(client, erase=["cat"])
    assert client.post("/erasers/cat/1/retire").is_success
    check(client.post("/generate", json={"prompt": "a", "erase": ["cat@1"]}), "eraser_not_active", "erase[0]")


def test_an_eraser_that_acts_through_guidance_alone(client: TestClient) -> None:
    add_eraser(client, "cat", method="negprompt")
    body = {"prompt": "a", "erase": ["cat"], "guidance_scale": 1.0}
    message = check(client.post("/generate", json=body), "invalid_guidance", "guidance_scale")["message"]
    assert "above 1" in message
    assert generate(client, erase=["cat"], guidance_scale=1.5)["erase"][0]["concept"] == "cat"
    assert generate(client, erase=[], guidance_scale=1.0)["erase"] == []


def test_an_eraser_of_another_encoder(client: TestClient) -> None:
    add_eraser(client, "cat", fingerprint="e" * 64)
    message = check(client.post("/generate", json={"prompt": "a", "erase": ["cat"]}), "eraser_wrong_encoder", "erase[0]")[
        "message"
    ]
    assert "POST /erasers" in message
    add_eraser(client, "cat")
    assert generate(client, erase=["cat"])["erase"][0]["version"] == 2
    check(client.post("/generate", json={"prompt": "a", "erase": ["cat@1"]}), "eraser_wrong_encoder", "erase[0]")


def test_the_default_model_before_its_worker_loaded_it(client: TestClient) -> None:
    gateway_of(client).store.delete("models/toy.json")
    response = client.post("/generate", json={"prompt": "a"})
    check(response, "model_not_ready", "model")
    assert int(response.headers["retry-after"]) > 0
    gateway_of(client).store.put("models/toy.json", b'{"schema_version": 2}')
    check(client.post("/erasers", json={"concept": "cat"}), "model_not_ready", "model")
    gateway_of(client).store.put("models/toy.json", CARD.model_dump_json().encode())
    generate(client)


def test_not_finished_and_states_that_do_not_allow_it(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    check(client.get(accepted["links"]["video"]), "not_finished")
    check(client.get(accepted["links"]["receipt"]), "not_finished")
    hand.finish(hand.take_generation())
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "succeeded")
    check(client.post(f"/generations/{accepted['id']}/cancel"), "invalid_state")
    check(client.post("/erasers/church/1/activate"), "invalid_state")
    add_eraser(client, "church", evaluation={**PASSING, "erased_rate": 0.9}, active=False)
    message = check(client.post("/erasers/church/2/activate"), "gate_not_passed")["message"]
    assert "erased_rate is 0.947 of origin" in message
    store = gateway_of(client).store
    check(client.get(accepted["links"]["video"], headers={"range": "bytes=99999-"}), "range_not_satisfiable")
    store.put(video_key(accepted["id"], 1), b"another")
    tampered = client.get(accepted["links"]["video"])
    check(tampered, "artifact_tampered")
    assert tampered.headers["x-should-retry"] == "false"
    store.delete(f"videos/{accepted['id']}")
    check(client.get(accepted["links"]["video"]), "artifact_unavailable")


def test_limits_of_a_key(client: TestClient) -> None:
    for limits, refused in (({"requests_per_minute": 1}, "rate_limited"), ({"max_queued": 1}, "too_many_queued")):
        made = client.post("/keys", json={"name": "a", "limits": limits}).json()
        caller = TestClient(client.app, headers={"authorization": f"Bearer {made['key']}"})
        generate(caller)
        response = caller.post("/generate", json={"prompt": "a"})
        check(response, cast(ErrorCode, refused))
        assert int(response.headers["retry-after"]) > 0


def test_a_full_queue(settings: Settings) -> None:
    with serving(settings.model_copy(update={"max_queued": 1})) as client:
        generate(client)
        response = client.post("/generate", json={"prompt": "a"})
        check(response, "queue_full")
        assert int(response.headers["retry-after"]) > 0


def test_only_what_may_pass_is_sent_again(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The OpenAI clients go by `x-should-retry`."""
    assert client.post("/erasers/church/1/activate").headers["x-should-retry"] == "false"

    def insert_that_violates(constraint: str) -> None:
        error = IntegrityError("insert", {}, Exception(constraint))
        monkeypatch.setattr("service.acceptance.accept._insert_training", Mock(side_effect=error))

    insert_that_violates("UNIQUE constraint failed: eraser_versions.concept, eraser_versions.version")
    busy = teach()(client)
    assert "try again" in check(busy, "invalid_state", "concept")["message"]
    assert (busy.headers["x-should-retry"], busy.headers["retry-after"]) == ("true", "1")
    insert_that_violates("FOREIGN KEY constraint failed")
    with pytest.raises(IntegrityError):  # a defect, which the test client shows
        teach()(client)


def test_a_key_of_another_request(client: TestClient) -> None:
    headers = {"Idempotency-Key": "k"}
    assert client.post("/generate", json={"prompt": "a"}, headers=headers).status_code == 202
    check(client.post("/generate", json={"prompt": "b"}, headers=headers), "idempotency_key_reused", "Idempotency-Key")


def test_what_a_policy_does_not_let_pass(client: TestClient) -> None:
    assert client.put("/policies/a", json={"mandatory": ["church", "tank"], "limits": {"num_frames": 9}}).is_success
    check(client.post("/generate", json={"prompt": "a"}), "policy_unsatisfied")
    check(client.post("/erasers/church/1/retire"), "policy_needs_eraser")
    assert client.put("/policies/a", json={"limits": {"num_frames": 9}}).is_success
    check(client.post("/generate", json={"prompt": "a", "num_frames": 13}), "policy_forbids", "num_frames")


def test_not_ready_says_what_is_missing(shared: TestClient) -> None:
    response = shared.get("/health/ready")
    check(response, "not_ready")
    assert response.json()["checks"] == {"database": "ok", "redis": "ok", "artifacts": "ok", "worker": "missing"}


@pytest.mark.both_databases
def test_a_database_that_is_away(client: TestClient, settings: Settings, request: pytest.FixtureRequest) -> None:
    url = settings.database_url.get_secret_value()
    away = postgres_away if url.startswith("postgresql") else sqlite_away
    with away(url, request):
        response = client.post("/generate", json={"prompt": "a"})
        check(response, "database_unavailable")
        assert int(response.headers["retry-after"]) > 0
        ready = client.get("/health/ready")
        assert ready.status_code == 503
    generate(client)


@contextmanager
def sqlite_away(url: str, _: pytest.FixtureRequest) -> Iterator[None]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as other:
        other.execute("ALTER TABLE jobs RENAME TO jobs_away")
        yield
        other.execute("ALTER TABLE jobs_away RENAME TO jobs")


@contextmanager
def postgres_away(url: str, request: pytest.FixtureRequest) -> Iterator[None]:
    """Every connection is cut, and no new one let in."""
    postgres, name = request.getfixturevalue("postgres"), make_url(url).database
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
    postgres.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
    yield
    postgres.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")


def test_a_store_that_is_away(client: TestClient, tmp_path: Path) -> None:
    (tmp_path / "artifacts").rename(tmp_path / "away")
    (tmp_path / "artifacts").mkdir(mode=0o700)
    check(client.post("/generate", json={"prompt": "a"}), "artifact_unavailable")  # what lies in its place is not the store
    (tmp_path / "artifacts").rmdir()
    (tmp_path / "away").rename(tmp_path / "artifacts")
    assert client.post("/generate", json={"prompt": "a"}).status_code == 202


def test_a_defect_is_told_without_its_insides(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the secret insides")

    monkeypatch.setattr(type(gateway_of(client).catalogue), "cards", broken)
    quiet = TestClient(client.app, headers=dict(client.headers), raise_server_exceptions=False)
    response = quiet.get("/models")
    check(response, "internal_error")
    assert "secret" not in response.text


def test_every_code_has_a_test() -> None:
    source = "".join(path.read_text() for path in Path(__file__).parent.glob("test_*.py"))
    assert {known for known in CODES if f'"{known}"' not in source} == set()


def test_the_table_is_closed() -> None:
    assert set(CODES) == set(get_args(ErrorCode))
    assert {error_type(known) for known in CODES} == set(get_args(ErrorType))


def test_every_code_is_documented(shared: TestClient) -> None:
    readme = (Path(__file__).parents[2] / "service" / "README.md").read_text()
    for known, meaning in CODES.items():
        assert f"| `{known}` | {meaning.status} | {meaning.text} |" in readme
    openapi = json.dumps(shared.get("/openapi.json").json())
    general = {"internal_error", "method_not_allowed"}  # of every route, and of none
    assert {known for known in CODES if f"`{known}`" not in openapi} <= general | {"not_ready"}
    assert code(shared.get("/nowhere")) == "not_found"


@pytest.mark.parametrize(("status", "code_"), [(418, "invalid_request"), (426, "invalid_request"), (501, "internal_error")])
def test_a_status_that_no_code_has_stays_what_it_is(client: TestClient, status: int, code_: str) -> None:
    def raises() -> None:
        raise HTTPException(status, "said so")

    cast(FastAPI, client.app).add_api_route("/odd", raises)
    answer = client.get("/odd")
    assert (answer.status_code, code(answer), answer.json()["error"]["message"]) == (status, code_, "said so")


def test_an_error_of_the_operating_system_is_not_blamed_on_the_store(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what the store itself reports is `artifact_unavailable`."""
    careful = TestClient(client.app, headers=client.headers, raise_server_exceptions=False)
    monkeypatch.setattr(gateway_of(client).catalogue, "cards", Mock(side_effect=OSError(24, "Too many open files")))
    assert code(careful.get("/models")) != "artifact_unavailable"
    monkeypatch.setattr(gateway_of(client).catalogue, "cards", Mock(side_effect=StoreAway("it is not mounted")))
    assert code(careful.get("/models")) == "artifact_unavailable"
