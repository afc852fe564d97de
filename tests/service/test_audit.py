"""The audit log: every act is in it, in the act's own transaction, and a change to its rows is found through HTTP."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from service import audit
from service.audit import Action
from service.domain.chain import ChainBroken, Head, verify
from service.erasers.seed import take_in
from service.settings import Settings
from service.store.database import Database
from service.store.keys import LimitName
from service.store.models import Base
from tests.service.calls import code, generate, settled, train, wait_until
from tests.service.conftest import serving
from tests.service.hand import FINGERPRINT, VIDEO, Hand, add_eraser, digest_of, gateway_of
from tests.service.test_seed import ship

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()


def pages(client: TestClient, **query: Any) -> Iterator[dict[str, Any]]:
    after: int | None = 0
    while after is not None:
        page = client.get("/audit", params={"after": after, "limit": 2, **query}).json()
        yield page
        after = page["next_after"]


def entries(client: TestClient, **query: Any) -> list[dict[str, Any]]:
    return [entry for page in pages(client, **query) for entry in page["data"]]


def the(client: TestClient, action: Action) -> dict[str, Any]:
    (found,) = entries(client, action=action)
    return found


def key_of(client: TestClient) -> str:
    return str(client.headers["authorization"]).split("_")[1]


def tamper(client: TestClient, *statements: str) -> None:
    with gateway_of(client).database.write() as session:
        for statement in statements:
            session.execute(text(statement))


def broken_at(client: TestClient, saved: Head | None = None) -> int:
    with pytest.raises(ChainBroken) as found:
        verify(pages(client), saved)
    return found.value.sequence


@pytest.mark.both_databases
def test_a_generation_from_acceptance_to_deletion(client: TestClient, user: TestClient, hand: Hand) -> None:
    assert client.put("/policies/house", json={"mandatory": [{"concept": "church", "strength": 2}]}).is_success
    accepted = generate(user, prompt="very private words", erase=["parachute"], seed=7)
    entry = the(client, "generation.accepted")
    assert (entry["subject"], entry["actor"]) == (accepted["id"], key_of(user))
    assert entry["details"] == {
        "policies": [{"name": "house", "version": 1}],
        "erase": [
            {name: value for name, value in eraser.items() if name != "layer"} for eraser in accepted["erase"]
        ],
        "fallbacks": [],
        "checks": [],
        "prompt_sha256": digest_of("very private words"), "seed": 7, "model": "toy", "encoder_fingerprint": FINGERPRINT,
    }  # fmt: skip
    hand.finish(hand.take_generation())
    wait_until(lambda: settled(client, accepted["id"]))
    entry = the(client, "generation.settled")
    assert (entry["subject"], entry["actor"]) == (accepted["id"], None)
    assert entry["details"] == {
        "status": "succeeded", "attempt": 1, "error": None, "video_sha256": hashlib.sha256(VIDEO).hexdigest()
    }  # fmt: skip
    assert user.delete(accepted["links"]["self"]).status_code == 204
    told = entries(client, subject=accepted["id"])
    assert [entry["action"] for entry in told] == ["generation.accepted", "generation.settled", "generation.deleted"]
    assert told[2]["actor"] == key_of(user)
    assert "private" not in str(entries(client))
    verify(pages(client))


def test_prompts_are_kept_where_that_is_set(settings: Settings) -> None:
    with serving(settings.model_copy(update={"audit_prompts": True})) as client:
        accepted = generate(client, prompt="words\nto keep é")
        client.delete(accepted["links"]["self"])
        details = the(client, "generation.accepted")["details"]
        assert (details["prompt"], details["prompt_sha256"]) == ("words\nto keep é", digest_of("words\nto keep é"))
        verify(pages(client))


@pytest.mark.both_databases
def test_every_other_end_of_a_generation(client: TestClient, user: TestClient, hand: Hand) -> None:
    canceled, failed, deleted = (generate(user)["id"] for _ in range(3))
    assert client.post(f"/generations/{canceled}/cancel").is_success
    client.post(f"/generations/{canceled}/cancel")  # again: nothing happens, nothing is written
    hand.fail("generate", hand.take_generation(), "out_of_memory", retryable=True)
    wait_until(lambda: client.get(f"/generations/{failed}").json()["attempt"] == 2)
    assert entries(client, subject=failed, action="generation.settled") == []
    assert user.delete(f"/v1/videos/{deleted}").is_success
    hand.fail("generate", hand.take_generation())
    wait_until(lambda: settled(client, failed))
    found = {entry["subject"]: entry for entry in entries(client, action="generation.settled")}
    ends = {
        name: (entry["actor"], entry["details"]["status"], entry["details"]["attempt"], entry["details"]["error"])
        for name, entry in found.items()
    }
    assert ends == {
        canceled: (key_of(client), "canceled", 1, "cancelled"),
        failed: (None, "failed", 2, "out_of_memory"),
        deleted: (key_of(user), "canceled", 1, "cancelled"),
    }
    assert {entry["details"]["video_sha256"] for entry in found.values()} == {None}


@pytest.mark.both_databases
def test_an_eraser_from_training_to_retirement(client: TestClient, hand: Hand) -> None:
    accepted = train(client, "church", seed=3)
    entry = the(client, "training.accepted")
    assert (entry["subject"], entry["actor"]) == ("church@2", key_of(client))
    assert {**entry["details"], "job": ""} == {
        "job": "", "seed": 3, "method": "steering", "model": "toy", "encoder_fingerprint": FINGERPRINT
    }  # fmt: skip
    result = hand.finish_training(hand.take_training(), {"probe_before": 0.1})
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "candidate")
    ended = the(client, "training.settled")
    assert ended["details"] == {
        "job": entry["details"]["job"], "status": "succeeded", "attempt": 1, "error": None, "digest": result.digest
    }  # fmt: skip
    refused = client.post("/erasers/church/2/activate")
    assert (code(refused), entries(client, action="eraser.activated")) == ("gate_not_passed", [])
    assert client.post("/erasers/church/2/activate", json={"override": True, "reason": "a test"}).is_success
    retired, activated = entries(client)[-2:]
    assert (retired["action"], retired["subject"], retired["details"]["successor"]) == ("eraser.retired", "church@1", 2)
    assert (activated["action"], activated["subject"], activated["actor"]) == ("eraser.activated", "church@2", key_of(client))
    assert (activated["details"]["digest"], activated["details"]["override"]) == (result.digest, True)
    assert activated["details"]["reason"] == "a test"
    assert activated["details"]["gate"]["passed"] is False
    assert all(reason in refused.json()["error"]["message"] for reason in activated["details"]["gate"]["reasons"])
    assert client.post("/erasers/church/2/retire").is_success
    assert entries(client)[-1]["details"] == {"digest": result.digest, "successor": None}
    train(client, "cat")
    hand.fail("train", hand.take_training(), "invalid_pairs")
    wait_until(lambda: client.get("/erasers/cat/1").json()["status"] == "failed")
    assert entries(client, subject="cat@1")[-1]["details"]["error"] == "invalid_pairs"
    verify(pages(client))


@pytest.mark.both_databases
def test_policies_and_keys(client: TestClient) -> None:
    first = the(client, "key.created")
    assert (first["sequence"], first["actor"], first["subject"]) == (1, None, key_of(client))
    made = client.post("/keys", json={"name": "shop"}).json()
    client.delete(f"/keys/{made['id']}")
    rules = client.put("/policies/house", json={"defaults": ["church"]}).json()["rules"]
    client.delete("/policies/house")
    told = [(entry["action"], entry["subject"], entry["details"]) for entry in entries(client)[1:]]
    no_limits = dict.fromkeys(get_args(LimitName))
    assert told == [
        (
            "key.created",
            made["id"],
            {"name": "shop", "role": "user", "expires_at": None, "priority": "normal", "limits": no_limits},
        ),
        ("key.revoked", made["id"], {"name": "shop", "role": "user"}),
        ("policy.put", "house", {"version": 1, "rules": rules, "below_minimum": []}),
        ("policy.deleted", "house", {"version": 1}),
    ]
    assert made["key"] not in str(entries(client))


def test_what_is_refused_or_looked_at_leaves_no_entry(client: TestClient) -> None:
    before = entries(client)
    client.post("/generate?dry_run=true", json={"prompt": "a"})
    for path, body in (
        ("/generate", {"prompt": "a", "erase": ["nothing"]}), ("/erasers/church/1/activate", None),
        ("/erasers", {"concept": "cat", "method": "magic"}), ("/keys", {"name": "a", "role": "root"}),
    ):  # fmt: skip
        assert client.post(path, json=body).is_error
    client.delete(f"/keys/{key_of(client)}")
    assert entries(client) == before


@pytest.mark.both_databases
def test_a_repeated_request_is_one_entry(client: TestClient) -> None:
    for _ in range(2):
        assert client.post("/generate", json={"prompt": "a"}, headers={"Idempotency-Key": "k"}).status_code == 202
    the(client, "generation.accepted")


@pytest.mark.both_databases
def test_without_the_entry_there_is_no_act(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are of one transaction: a log that cannot be written to accepts nothing."""

    def broken(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    monkeypatch.setattr(audit.audit, "append", broken)
    for method, path, body in (
        ("POST", "/generate", {"prompt": "a"}), ("POST", "/erasers", {"concept": "cat"}), ("POST", "/keys", {"name": "a"}),
        ("POST", "/erasers/church/1/retire", None), ("PUT", "/policies/a", {}),
    ):  # fmt: skip
        assert client.request(method, path, json=body).status_code == 503
    assert client.get("/generations").json()["data"] == client.get("/policies").json()["data"] == []
    assert code(client.get("/erasers/cat")) == "not_found"
    assert client.get("/erasers/church/1").json()["status"] == "active"
    assert len(client.get("/keys").json()["data"]) == 1


@pytest.mark.both_databases
def test_many_at_once_make_one_chain(client: TestClient) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: generate(client)["id"], range(24)))
    head = verify(pages(client))
    assert {entry["subject"] for entry in entries(client, action="generation.accepted")} == set(made)
    assert head.sequence == len(entries(client)) == 25


@pytest.mark.both_databases
def test_pages_and_filters(client: TestClient) -> None:
    made = [generate(client)["id"] for _ in range(5)]
    assert [len(page["data"]) for page in pages(client)] == [2, 2, 2]
    assert [len(page["data"]) for page in pages(client, action="generation.accepted")] == [2, 2, 1]
    assert [entry["subject"] for entry in entries(client, action="generation.accepted")] == made
    assert [entry["sequence"] for entry in entries(client, subject=made[2])] == [4]
    assert entries(client, subject=made[2], action="key.created") == []
    past = client.get("/audit?after=6").json()
    assert (past["data"], past["next_after"], past["head"]["sequence"]) == ([], None, 6)


@pytest.mark.parametrize(
    ("statements", "place"),
    [
        (["UPDATE audit_entries SET details = replace(details, '\"seed\": 7', '\"seed\": 8') WHERE sequence = 3"], 3),
        (["UPDATE audit_entries SET actor = NULL WHERE sequence = 3"], 3),
        (["UPDATE audit_entries SET action = 'nothing' WHERE sequence = 3"], 3),
        (["UPDATE audit_entries SET at = replace(at, '20', '19') WHERE sequence = 1"], 1),
        (["UPDATE audit_entries SET details = '[]' WHERE sequence = 2"], 2),
        (["UPDATE audit_entries SET sha256 = previous_sha256 WHERE sequence = 3"], 3),
        (["DELETE FROM audit_entries WHERE sequence = 3"], 3),
        (["DELETE FROM audit_entries WHERE sequence = 1"], 1),
        (
            [
                "DELETE FROM audit_entries WHERE sequence = 3",
                "UPDATE audit_entries SET sequence = sequence - 1 WHERE sequence > 3",
            ],
            3,
        ),
        (
            [
                "UPDATE audit_entries SET sequence = 99 WHERE sequence = 3",
                "UPDATE audit_entries SET sequence = 3 WHERE sequence = 4",
                "UPDATE audit_entries SET sequence = 4 WHERE sequence = 99",
            ],
            3,
        ),
        (["DELETE FROM audit_entries WHERE sequence > 3"], 4),  # the head still knows
        (["DELETE FROM audit_entries"], 1),
    ],
)
def test_a_change_to_the_rows_is_found(client: TestClient, statements: list[str], place: int) -> None:
    for _ in range(4):
        generate(client, seed=7)
    assert verify(pages(client)).sequence == 5
    tamper(client, *statements)
    assert broken_at(client) == place


@pytest.mark.both_databases
def test_a_row_that_is_written_behind_the_end(client: TestClient) -> None:
    """It is not in the log until something is appended, and then it is in the way: nothing is accepted on top of it."""
    columns = "at, actor, action, subject, details, previous_sha256, sha256"
    tamper(client, f"INSERT INTO audit_entries (sequence, {columns}) SELECT sequence + 1, {columns} FROM audit_entries")
    assert verify(pages(client)).sequence == 1
    quiet = TestClient(client.app, headers=dict(client.headers), raise_server_exceptions=False)
    assert quiet.post("/generate", json={"prompt": "a"}).status_code == 500


@pytest.mark.both_databases
def test_a_cut_end_with_its_head_set_back_is_found_by_a_saved_head(client: TestClient) -> None:
    for _ in range(3):
        generate(client)
    saved = verify(pages(client))
    generate(client)
    assert verify(pages(client), saved).sequence == 5
    cut = "UPDATE audit_head SET sequence = 3, sha256 = (SELECT sha256 FROM audit_entries WHERE sequence = 3)"
    tamper(client, "DELETE FROM audit_entries WHERE sequence > 3", cut)
    assert verify(pages(client)).sequence == 3  # all that is left is in order
    assert broken_at(client, saved) == 4
    generate(client)  # and so it is when the log has grown again
    assert broken_at(client, saved) == 4


def test_a_shipped_eraser_is_activated_by_the_service(client: TestClient, tmp_path: Path) -> None:
    with gateway_of(client).database.exclusive() as session:
        row = take_in(session, gateway_of(client).store, ship(tmp_path / "cat", "cat"), model="toy")
    entry = the(client, "eraser.activated")
    assert (entry["actor"], entry["details"]) == (None, {"digest": row.digest, "shipped": True})


@pytest.mark.both_databases
def test_a_log_begins_with_the_migration_and_goes_with_it(empty_url: str) -> None:
    database = Database(empty_url)
    for _ in range(2):
        database.migrate()
        with database.write() as session:
            audit.record(session, "key.created", "k", {}, actor=None)
        with database.read() as session:
            assert session.execute(text("SELECT id, sequence FROM audit_head")).all() == [(1, 1)]
        database.migrate("base")
    database.close()


def test_every_action_is_in_the_readme() -> None:
    for action in get_args(Action):
        assert f"| `{action}` |" in README
    assert "audit_entries" in Base.metadata.tables


def test_users_do_not_read_it(user: TestClient) -> None:
    assert code(user.get("/audit")) == "forbidden"
    add_eraser(user, "cat")  # nor does what a test puts into the registry appear
    assert user.get("/erasers/cat").is_success
