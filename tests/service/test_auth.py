"""Keys: who gets in, who may do what, and what is kept of a key."""

from __future__ import annotations

import re
import stat

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text

from service.app import create_app
from service.settings import Settings
from tests.service.calls import code, generate
from tests.service.conftest import serving
from tests.service.hand import gateway_of

OPERATOR_CALLS = [
    ("POST", "/erasers", {"concept": "cat"}),
    ("POST", "/erasers/church/1/activate", None),
    ("POST", "/erasers/church/1/retire", None),
    ("GET", "/policies", None),
    ("GET", "/policies/a", None),
    ("PUT", "/policies/a", {"mandatory": ["church"]}),
    ("DELETE", "/policies/a", None),
    ("GET", "/gates", None),
    ("GET", "/gates/church", None),
    ("PUT", "/gates/church", {"max_erased": 1}),
    ("DELETE", "/gates/church", None),
    ("GET", "/audit", None),
    ("GET", "/keys", None),
    ("POST", "/keys", {"name": "mine", "role": "operator"}),
    ("PATCH", "/keys/000000000000", {}),
    ("POST", "/keys/000000000000/rotate", None),
    ("DELETE", "/keys/000000000000", None),
]
USER_CALLS = [
    ("GET", "/generations", None),
    ("POST", "/generate?dry_run=true", {"prompt": "a"}),
    ("GET", "/erasers", None),
    ("GET", "/erasers/church/1/report", None),
    ("GET", "/models", None),
]


@pytest.mark.parametrize(("method", "path", "body"), OPERATOR_CALLS + USER_CALLS)
def test_nothing_without_a_key(shared: TestClient, method: str, path: str, body: object) -> None:
    stranger = TestClient(shared.app)
    for headers in (
        {},
        {"authorization": "Bearer"},
        {"authorization": "Basic abc"},
        {"authorization": "Bearer ck_000000000000_" + "0" * 64},
        {"authorization": "Bearer " + "x" * 5000},
    ):
        response = stranger.request(method, path, json=body, headers=headers)
        assert (response.status_code, code(response)) == (401, "unauthorized")
        assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(("method", "path", "body"), OPERATOR_CALLS)
def test_users_do_not_operate(shared_user: TestClient, method: str, path: str, body: object) -> None:
    response = shared_user.request(method, path, json=body)
    assert (response.status_code, code(response)) == (403, "forbidden")


@pytest.mark.parametrize(("method", "path", "body"), USER_CALLS)
def test_users_use(shared_user: TestClient, method: str, path: str, body: object) -> None:
    assert shared_user.request(method, path, json=body).is_success


def test_the_right_id_with_another_secret_is_refused(shared: TestClient) -> None:
    made = shared.post("/keys", json={"name": "a"}).json()
    wrong = made["key"][:-1] + ("0" if made["key"][-1] != "0" else "1")
    assert TestClient(shared.app, headers={"authorization": f"Bearer {made['key']}"}).get("/models").is_success
    assert TestClient(shared.app, headers={"authorization": f"Bearer {wrong}"}).get("/models").status_code == 401


@pytest.mark.both_databases
def test_a_key_is_shown_once_and_revoked_for_good(client: TestClient) -> None:
    response = client.post("/keys", json={"name": " web shop ", "role": "user"})
    assert response.status_code == 201
    made = response.json()
    assert re.fullmatch(r"ck_[0-9a-f]{12}_[0-9a-f]{64}", made["key"])
    listed = client.get("/keys").json()["data"]
    shown = {name: value for name, value in made.items() if name != "key"}
    assert (shown["name"], shown["role"]) == ("web shop", "user")
    assert shown in listed
    assert made["key"] not in client.get("/keys").text
    holder = TestClient(client.app, headers={"authorization": f"Bearer {made['key']}"})
    asked = generate(holder)
    assert client.delete(f"/keys/{made['id']}").status_code == 204
    assert code(holder.get("/models")) == "unauthorized"
    assert code(client.delete(f"/keys/{made['id']}")) == "not_found"
    assert client.get(asked["links"]["self"]).json()["status"] == "queued"


@pytest.mark.both_databases
def test_the_last_operator_stays(client: TestClient) -> None:
    (first,) = client.get("/keys").json()["data"]
    assert code(client.delete(f"/keys/{first['id']}")) == "invalid_state"
    second = client.post("/keys", json={"name": "second", "role": "operator"}).json()
    assert client.delete(f"/keys/{first['id']}").status_code == 204
    assert client.get("/keys").status_code == 401
    successor = TestClient(client.app, headers={"authorization": f"Bearer {second['key']}"})
    assert [key["id"] for key in successor.get("/keys").json()["data"]] == [second["id"]]


def test_the_first_start_writes_the_operators_key_once(settings: Settings) -> None:
    path = settings.operator_key_path
    with serving(settings):
        token = path.read_text()
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.unlink()
    with TestClient(create_app(settings), headers={"authorization": f"Bearer {token.strip()}"}) as again:
        assert again.get("/keys").is_success
    assert not path.exists()
    content = b"".join(part.read_bytes() for part in settings.data_dir.glob("clearway.db*"))
    secret = token.strip().rpartition("_")[2]
    assert secret.encode() not in content


@pytest.mark.both_databases
def test_a_crash_before_the_commit_costs_no_key(settings: Settings) -> None:
    """The file is there, the database does not know it: the next start makes another pair."""
    with serving(settings) as first, gateway_of(first).database.write() as session:
        session.execute(text("DELETE FROM api_keys"))
    lost = settings.operator_key_path.read_text()
    with TestClient(create_app(settings)) as again:
        found = settings.operator_key_path.read_text()
        assert found != lost
        assert again.get("/keys", headers={"authorization": f"Bearer {found.strip()}"}).is_success
