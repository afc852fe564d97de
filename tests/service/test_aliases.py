"""Second names of concepts: what they mean everywhere a concept is named, and what cannot be a name."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from service.erasers.seed import take_in_all
from tests.service.calls import code, generate, train
from tests.service.hand import Hand, add_eraser, gateway_of
from tests.service.test_audit import entries
from tests.service.test_errors import check
from tests.service.test_import import made, packed
from tests.service.test_seed import ship


def name(client: TestClient, alias: str, concept: str) -> dict[str, Any]:
    response = client.put(f"/aliases/{alias}", json={"concept": concept})
    assert response.status_code == 200, response.text
    body: dict[str, Any] = response.json()
    return body


@pytest.mark.both_databases
def test_an_alias_is_its_concept_before_anything_is_pinned(client: TestClient, hand: Hand) -> None:
    alias = name(client, "Chapel", "CHURCH")
    assert (alias["alias"], alias["concept"]) == ("chapel", "church")
    pinned = generate(client, erase=["church@1"])["erase"]
    hand.take_generation()
    for erase in (["chapel"], ["CHAPEL@1"], [{"concept": "chapel", "strength": 1.5}]):
        assert client.post("/generate?dry_run=true", json={"prompt": "a", "erase": erase}).json()["erase"] == pinned
        assert generate(client, erase=erase)["erase"] == pinned
    task = hand.take_generation()
    assert [pin.concept for pin in task.erase] == ["church"]
    film = client.post("/v1/videos", json={"prompt": "a", "erase": ["chapel"]}).json()
    assert film["erase"] == pinned
    accepted = entries(client, action="generation.accepted")[-1]
    assert [eraser["concept"] for eraser in accepted["details"]["erase"]] == ["church"]
    assert client.get("/erasers/church").json()["aliases"] == ["chapel"]
    assert [item["aliases"] for item in client.get("/erasers").json()["data"]] == [["chapel"], []]


@pytest.mark.both_databases
def test_made_moved_and_deleted(client: TestClient, user: TestClient) -> None:
    first = name(client, "roof", "church")
    assert name(client, "roof", "church") == first  # nothing to do, nothing on record
    moved = name(client, "roof", "parachute")
    assert user.get("/aliases/roof").json() == moved
    assert generate(user, erase=["roof"])["erase"][0]["concept"] == "parachute"
    assert client.delete("/aliases/roof").status_code == 204
    check(client.get("/aliases/roof"), "not_found")
    check(user.post("/generate", json={"prompt": "a", "erase": ["roof"]}), "unknown_concept", "erase[0]")
    acts = [(entry["action"], entry["details"]) for entry in entries(client, subject="roof")]
    assert acts == [
        ("alias.put", {"concept": "church", "before": None}),
        ("alias.put", {"concept": "parachute", "before": "church"}),
        ("alias.deleted", {"concept": "parachute"}),
    ]
    for refused in (user.put("/aliases/roof", json={"concept": "church"}), user.delete("/aliases/roof")):
        check(refused, "forbidden")


@pytest.mark.both_databases
def test_the_list_pages_by_name(client: TestClient) -> None:
    for alias in ("c", "a", "b"):
        name(client, alias, "church")
    page = client.get("/aliases", params={"limit": 2}).json()
    assert [item["alias"] for item in page["data"]] == ["a", "b"]
    rest = client.get("/aliases", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([item["alias"] for item in rest["data"]], rest["next_cursor"]) == (["c"], None)


def test_no_chains_and_no_shadows(client: TestClient) -> None:
    name(client, "chapel", "church")
    message = check(client.put("/aliases/shrine", json={"concept": "chapel"}), "alias_conflict", "concept")["message"]
    assert "'church'" in message
    check(client.put("/aliases/parachute", json={"concept": "church"}), "alias_conflict", "alias")
    train(client, "cat")  # a concept from its first training on
    check(client.put("/aliases/cat", json={"concept": "church"}), "alias_conflict", "alias")
    assert name(client, "kitten", "cat")["concept"] == "cat"
    assert [item["alias"] for item in client.get("/aliases").json()["data"]] == ["chapel", "kitten"]


def test_no_concept_takes_the_name_of_an_alias(client: TestClient, tmp_path: Path) -> None:
    name(client, "chapel", "church")
    message = check(client.post("/erasers", json={"concept": "Chapel"}), "alias_conflict", "concept")["message"]
    assert "'church'" in message
    archive = packed(made(tmp_path / "made", "chapel"))
    check(client.post("/erasers/import", content=archive), "alias_conflict")
    ship(tmp_path / "shipped" / "chapel", "chapel")
    ship(tmp_path / "shipped" / "tench", "tench")
    gateway = gateway_of(client)
    assert [row.concept for row in take_in_all(gateway.database, gateway.store, tmp_path / "shipped", model="toy")] == ["tench"]
    assert "'chapel' is an alias of 'church'" in check(client.get("/erasers/chapel"), "not_found")["message"]
    assert "'chapel' is an alias of 'church'" in check(client.get("/erasers/chapel/1"), "not_found")["message"]
    assert client.delete("/aliases/chapel").is_success
    assert client.post("/erasers/import", content=archive).status_code == 201


@pytest.mark.both_databases
def test_a_name_that_becomes_both_at_once_becomes_one(client: TestClient) -> None:
    for concept in ("ant", "bee", "cow"):
        together = threading.Barrier(2)

        def send(method: str, path: str, body: dict[str, str]) -> int:
            together.wait()  # noqa: B023  used before the next turn
            return client.request(method, path, json=body).status_code

        with ThreadPoolExecutor(2) as pool:
            alias = pool.submit(send, "PUT", f"/aliases/{concept}", {"concept": "church"})
            training = pool.submit(send, "POST", "/erasers", {"concept": concept})
            assert sorted((alias.result(), training.result())) in ([200, 409], [202, 409])
        assert (client.get(f"/aliases/{concept}").status_code == 200) != (client.get(f"/erasers/{concept}").status_code == 200)


def test_two_names_of_one_concept_are_one_concept_twice(client: TestClient) -> None:
    name(client, "chapel", "church")
    name(client, "kirk", "church")
    for erase in (["church", "chapel"], ["kirk", {"concept": "chapel", "strength": 0}]):
        check(client.post("/generate", json={"prompt": "a", "erase": erase}), "duplicate_concept", "erase")
    check(client.put("/policies/house", json={"defaults": ["kirk", "church"]}), "duplicate_concept", "defaults")


def test_what_is_wrong_with_the_concept_is_said_where_its_alias_stands(client: TestClient) -> None:
    name(client, "chapel", "church")
    check(client.post("/generate", json={"prompt": "a", "erase": ["parachute", "chapel@7"]}), "unknown_version", "erase[1]")
    assert client.post("/erasers/church/1/retire").is_success
    message = check(client.post("/generate", json={"prompt": "a", "erase": ["chapel"]}), "eraser_not_active", "erase[0]")[
        "message"
    ]
    assert "'church'" in message


def test_near_misses_know_aliases(client: TestClient) -> None:
    name(client, "skydiver", "parachute")
    error = check(client.post("/generate", json={"prompt": "a", "erase": ["skydriver"]}), "unknown_concept", "erase[0]")
    assert "did you mean 'skydiver' (an alias of 'parachute')?" in error["message"]


@pytest.mark.both_databases
def test_a_policy_keeps_the_concept_that_an_alias_meant(client: TestClient) -> None:
    name(client, "roof", "church")
    put = client.put("/policies/house", json={"mandatory": [{"concept": "roof", "strength": 3}]}).json()
    assert put["rules"]["mandatory"] == [{"concept": "church", "version": None, "strength": 3.0}]
    assert code(client.post("/erasers/church/1/retire")) == "policy_needs_eraser"
    name(client, "roof", "parachute")
    assert [(item["concept"], item["strength"]) for item in generate(client)["erase"]] == [("church", 3.0)]
    assert client.delete("/aliases/roof").is_success
    weaker = generate(client, erase=[{"concept": "church", "strength": 0.1}])
    assert [(item["concept"], item["strength"]) for item in weaker["erase"]] == [("church", 3.0)]


def test_a_policy_that_names_a_concept_to_come_keeps_its_name_free(client: TestClient) -> None:
    assert client.put("/policies/house", json={"keys": None, "defaults": ["nudity@2"]}).is_success
    message = check(client.put("/aliases/nudity", json={"concept": "church"}), "alias_conflict", "alias")["message"]
    assert "'house'" in message
    assert client.delete("/policies/house").is_success
    assert name(client, "nudity", "church")["concept"] == "church"


def test_every_encoder_s_eraser_goes_by_the_same_alias(client: TestClient) -> None:
    add_eraser(client, "cat", fingerprint="e" * 64)
    name(client, "kitten", "cat")
    check(client.post("/generate", json={"prompt": "a", "erase": ["kitten"]}), "eraser_wrong_encoder", "erase[0]")
    add_eraser(client, "cat")
    assert generate(client, erase=["kitten"])["erase"][0]["version"] == 2
