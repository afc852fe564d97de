"""Going back to the version that was active before."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from fastapi.testclient import TestClient

from tests.service.calls import code, generate
from tests.service.hand import CARD, PASSING, add_eraser, gateway_of
from tests.service.test_audit import entries


def activated(client: TestClient, *versions: int) -> None:
    """`church` in these versions, each active in its turn; 1 was before."""
    for version in versions:
        add_eraser(client, "church", active=False)
        assert client.post(f"/erasers/church/{version}/activate").is_success


def back(client: TestClient, **body: Any) -> tuple[int, str]:
    response = client.post("/erasers/church/rollback", json=body)
    assert response.status_code == 200, response.text
    return response.json()["version"], response.json()["status"]


def statuses(client: TestClient) -> dict[int, str]:
    return {version["version"]: version["status"] for version in client.get("/erasers/church").json()["versions"]}


@pytest.mark.both_databases
def test_there_and_back_and_further_back(client: TestClient) -> None:
    activated(client, 2, 3)
    accepted = generate(client, erase=["church"])
    assert client.post("/erasers/church/rollback").json()["version"] == 2
    assert statuses(client) == {1: "retired", 2: "active", 3: "retired"}
    assert generate(client, erase=["church"])["erase"][0]["version"] == 2
    assert client.get(accepted["links"]["self"]).json()["erase"][0]["version"] == 3
    assert back(client) == (3, "active")
    assert back(client, version=1) == (1, "active")
    assert back(client) == (3, "active")
    last, before = entries(client, action="eraser.rolled_back")[:-3:-1]
    assert (last["subject"], last["details"]["from"]) == ("church@3", 1)
    assert (before["subject"], before["details"]["from"]) == ("church@1", 3)
    retired = entries(client, action="eraser.retired")[-1]
    assert (retired["subject"], retired["details"]["successor"]) == ("church@1", 3)
    assert last["actor"] == retired["actor"] is not None


@pytest.mark.both_databases
def test_a_retirement_is_undone(client: TestClient) -> None:
    assert client.post("/erasers/church/1/retire").is_success
    assert back(client) == (1, "active")
    assert entries(client, action="eraser.rolled_back")[0]["details"]["from"] is None
    assert client.post("/erasers/church/1/retire").is_success  # it is a version like any other


@pytest.mark.both_databases
def test_of_two_that_go_back_at_once_neither_is_lost(client: TestClient) -> None:
    activated(client, 2)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post("/erasers/church/rollback").json()["version"], range(4)))
    assert sorted(answers) == [1, 1, 2, 2]
    assert statuses(client) == {1: "retired", 2: "active"}


def test_the_gate_is_not_asked_again(client: TestClient) -> None:
    add_eraser(client, "church", evaluation={**PASSING, "erased_rate": 0.9}, active=False)
    assert client.post("/erasers/church/2/activate", json={"override": True, "reason": "a test"}).is_success
    activated(client, 3)
    assert back(client) == (2, "active")


def test_encoders_go_back_each_for_itself(client: TestClient) -> None:
    other = CARD.model_copy(update={"id": "other", "encoder_fingerprint": "e" * 64})
    gateway_of(client).store.put("models/other.json", other.model_dump_json().encode())
    add_eraser(client, "church", fingerprint="e" * 64)
    activated(client, 3)
    refused = client.post("/erasers/church/rollback", json={"model": "other"})
    assert code(refused) == "no_previous_version"
    assert code(client.post("/erasers/church/rollback", json={"version": 2})) == "eraser_wrong_encoder"
    assert back(client) == (1, "active")
    assert statuses(client) == {1: "active", 2: "active", 3: "retired"}


def test_what_cannot_be_gone_back_to(client: TestClient) -> None:
    assert code(client.post("/erasers/church/rollback")) == "no_previous_version"
    add_eraser(client, "church", active=False)
    for version in (1, 2):  # active, and never active
        refused = client.post("/erasers/church/rollback", json={"version": version})
        assert (code(refused), refused.json()["error"]["param"]) == ("invalid_state", "version")
    assert code(client.post("/erasers/church/rollback", json={"version": 3})) == "not_found"
    assert code(client.post("/erasers/tank/rollback")) == "not_found"
    assert code(client.post("/erasers/church/rollback", json={"model": "none"})) == "model_not_found"
    assert statuses(client) == {1: "active", 2: "candidate"}
    assert entries(client, action="eraser.rolled_back") == []


def test_a_policy_holds_the_version_that_it_names(client: TestClient) -> None:
    activated(client, 2)
    assert client.put("/policies/house", json={"mandatory": ["church@2"]}).is_success
    assert code(client.post("/erasers/church/rollback")) == "policy_needs_eraser"
    assert client.put("/policies/house", json={"mandatory": ["church"]}).is_success
    assert back(client) == (1, "active")


def test_users_do_not_go_back(shared_user: TestClient) -> None:
    assert code(shared_user.post("/erasers/church/rollback")) == "forbidden"
