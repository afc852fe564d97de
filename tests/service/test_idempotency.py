"""A request that is sent again under its key is accepted once, whoever sends it when; another request is refused."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from httpx import Response
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from service.acceptance.idempotency import Claim, Taken, accept_once
from service.app import create_app
from service.catalogue import Catalogue
from service.errors import StateError
from service.settings import Settings
from service.store import idempotency
from service.store.models import Job
from tests.service.calls import code, settled, wait_until
from tests.service.conftest import serving
from tests.service.hand import Hand, gateway_of


def send(client: TestClient, key: str, path: str = "/generate", /, **body: Any) -> Response:
    defaults = {"concept": "cat"} if path == "/erasers" else {"prompt": "a parachute"}
    return client.post(path, json={**defaults, **body}, headers={"Idempotency-Key": key})


def jobs_made(client: TestClient) -> int:
    with gateway_of(client).database.read() as session:
        return int(session.execute(text("SELECT count(*) FROM jobs")).scalar_one())


@pytest.mark.both_databases
def test_sent_again_it_is_the_first_job_as_it_is_now(client: TestClient, hand: Hand) -> None:
    first = send(client, "k", erase=["parachute"])
    again = send(client, "k", erase=["parachute"])
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()  # the seed, which is drawn, too
    assert again.headers["location"] == first.headers["location"]
    assert "idempotent-replayed" not in first.headers
    assert again.headers["idempotent-replayed"] == "true"
    hand.finish(hand.take_generation())
    done = wait_until(lambda: settled(client, first.json()["id"]))
    later = send(client, "k", erase=["parachute"])
    assert (later.status_code, later.json()) == (202, done)
    assert hand.take() is None


def test_the_same_request_in_other_words(client: TestClient) -> None:
    """Neither white space, nor the order of fields, nor a default that is written out makes another request."""
    headers = {"Idempotency-Key": "k", "content-type": "application/json"}
    one = client.post("/generate", content='{"prompt": "a", "seed": 1, "metadata": {"a": "1", "b": "2"}}', headers=headers)
    other = '{"metadata":{"b":"2","a":"1"},"negative_prompt":"","seed":1,"prompt":"a"}'
    assert client.post("/generate", content=other, headers=headers).json() == one.json()


@pytest.mark.parametrize(
    "change", [{"prompt": "a church"}, {"erase": ["church"]}, {"erase": []}, {"seed": 1}, {"width": 32}, {"metadata": {"a": "b"}}]
)
def test_another_request_under_the_same_key_is_refused(shared: TestClient, change: dict[str, Any]) -> None:
    before = jobs_made(shared)
    key = f"changed-{sorted(change.items())[0]}".replace(" ", "-")
    made = send(shared, key).json()["id"]
    refused = send(shared, key, **change)
    assert (refused.status_code, code(refused), refused.json()["error"]["param"]) == (
        422,
        "idempotency_key_reused",
        "Idempotency-Key",
    )
    assert made in refused.json()["error"]["message"]
    assert jobs_made(shared) == before + 1
    assert shared.delete(f"/generations/{made}").status_code == 204


@pytest.mark.both_databases
def test_a_training_is_sent_again_and_refused_alike(client: TestClient, hand: Hand) -> None:
    first = send(client, "k", "/erasers", keep=["dog"])
    again = send(client, "k", "/erasers", keep=["dog"])
    assert (first.status_code, again.status_code) == (202, 202)
    assert again.json() == first.json()
    assert (first.json()["version"], again.headers["idempotent-replayed"]) == (1, "true")
    assert again.headers["location"] == first.headers["location"] == "/erasers/cat/1"
    assert code(send(client, "k", "/erasers", keep=["cow"])) == "idempotency_key_reused"
    assert len(client.get("/erasers/cat").json()["versions"]) == 1
    hand.finish_training(hand.take_training())
    wait_until(lambda: send(client, "k", "/erasers", keep=["dog"]).json()["status"] == "candidate")


def test_a_key_is_of_one_call(client: TestClient) -> None:
    send(client, "k")
    assert code(send(client, "k", "/erasers")) == "idempotency_key_reused"


@pytest.mark.both_databases
def test_keys_of_other_callers_and_other_keys_are_other_requests(client: TestClient, user: TestClient) -> None:
    made = {send(caller, key).json()["id"] for caller in (client, user) for key in ("k", "K")}
    assert len(made) == 4
    assert {client.post("/generate", json={"prompt": "a parachute"}).json()["id"] for _ in range(2)}.isdisjoint(made)
    assert jobs_made(client) == 6


def test_what_was_refused_and_a_dry_run_use_no_key_up(client: TestClient) -> None:
    assert code(send(client, "k", erase=["nothing"])) == "unknown_concept"
    assert code(send(client, "k", width=1)) == "invalid_size"
    assert client.post("/generate?dry_run=true", json={"prompt": "a"}, headers={"Idempotency-Key": "k"}).status_code == 200
    accepted = send(client, "k", erase=["church"])
    assert accepted.status_code == 202
    assert "idempotent-replayed" not in accepted.headers


def test_a_replay_needs_nothing_that_the_request_needed(client: TestClient) -> None:
    """The eraser is retired and the model gone: a new request is refused, the old one is told of."""
    first = send(client, "k", erase=["church"])
    assert client.post("/erasers/church/1/retire").is_success
    gateway_of(client).store.delete("models/toy.json")
    assert send(client, "k", erase=["church"]).json() == first.json()
    assert code(send(client, "other", erase=["church"])) in {"eraser_not_active", "model_not_ready"}


@pytest.mark.both_databases
def test_many_at_once_make_one_job(client: TestClient, hand: Hand) -> None:
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: send(client, "k", erase=["church"]), range(16)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert sum("idempotent-replayed" not in answer.headers for answer in answers) == 1
    assert jobs_made(client) == 1
    hand.take_generation()
    assert hand.take() is None


@pytest.mark.both_databases
@pytest.mark.parametrize("path", ["/generate", "/erasers"])
def test_the_other_comes_between_the_look_and_the_insert(client: TestClient, monkeypatch: pytest.MonkeyPatch, path: str) -> None:
    """Both find no job of the key; the table decides, and the loser leaves nothing of its own."""
    card, between = Catalogue.card, []

    def meanwhile(self: Catalogue, model: str | None) -> Any:
        if not between:
            between.append(None)
            between[0] = send(client, "k", path).json()
        return card(self, model)

    monkeypatch.setattr(Catalogue, "card", meanwhile)
    late = send(client, "k", path)
    assert late.headers["idempotent-replayed"] == "true"
    assert late.json() == between[0]
    assert jobs_made(client) == 1


def test_a_different_request_that_comes_between_is_refused(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    card, between = Catalogue.card, []

    def meanwhile(self: Catalogue, model: str | None) -> Any:
        if not between:
            between.append(None)
            assert send(client, "k", prompt="another").status_code == 202
        return card(self, model)

    monkeypatch.setattr(Catalogue, "card", meanwhile)
    assert code(send(client, "k")) == "idempotency_key_reused"
    assert jobs_made(client) == 1


@pytest.mark.both_databases
def test_a_deleted_generation_is_not_made_again_and_leaves_no_digest(client: TestClient) -> None:
    made = send(client, "k").json()
    assert client.delete(made["links"]["self"]).status_code == 204
    for body in ({}, {"prompt": "another"}):
        refused = send(client, "k", **body)
        assert (code(refused), refused.json()["error"]["param"]) == ("invalid_state", "Idempotency-Key")
    with gateway_of(client).database.read() as session:
        row = session.execute(text("SELECT key, request_sha256, job_id FROM idempotency_keys")).one()
    assert tuple(row) == ("k", None, made["id"])


@pytest.mark.both_databases
def test_the_request_is_not_kept(client: TestClient) -> None:
    made = send(client, "k", prompt="very private words").json()
    with gateway_of(client).database.read() as session:
        key, request_sha256, job_id = session.execute(text("SELECT key, request_sha256, job_id FROM idempotency_keys")).one()
        columns = list(session.execute(text("SELECT * FROM idempotency_keys")).keys())
    assert (key, job_id) == ("k", made["id"])
    assert len(request_sha256) == 64
    assert columns == ["key_id", "key", "request_sha256", "job_id", "created_at"]


@pytest.mark.both_databases
def test_a_key_lives_its_time_and_no_longer(settings: Settings) -> None:
    """The sweep forgets it; until then, and across a restart, it holds."""
    with serving(settings) as client:
        first = send(client, "k").json()["id"]
    with restarted(settings) as client:
        assert send(client, "k").json()["id"] == first
        with gateway_of(client).database.write() as session:
            idempotency.purge(session, older_than=timedelta(hours=1))
        assert send(client, "k").json()["id"] == first
    with restarted(settings.model_copy(update={"idempotency_seconds": 1})) as client:
        second = wait_until(lambda: (body := send(client, "k").json())["id"] != first and body)
        assert second["status"] == "queued"


def restarted(settings: Settings) -> TestClient:
    key = settings.operator_key_path.read_text().strip()
    return TestClient(create_app(settings), headers={"authorization": f"Bearer {key}"})


@pytest.mark.both_databases
def test_another_violated_constraint_is_no_taken_key(client: TestClient) -> None:
    """It is raised once. Taken for a key that is taken, it was tried again without end."""
    claim = Claim(key_id="no such key", key="k", request_sha256="0" * 64)
    calls: list[int] = []

    def accept() -> Job:
        calls.append(1)
        with gateway_of(client).database.write() as session:
            claim.take(session, "gen_1")
        raise AssertionError("a claim of an unknown key was taken")

    with pytest.raises(IntegrityError):
        accept_once(gateway_of(client).database, claim, accept)
    assert len(calls) == 1


def test_a_key_that_is_always_taken_and_never_found_is_given_up(client: TestClient) -> None:
    def accept() -> Job:
        raise Taken

    with pytest.raises(StateError, match="try again"):
        accept_once(gateway_of(client).database, Claim(key_id="k", key="k", request_sha256="0" * 64), accept)
