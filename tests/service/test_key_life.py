"""A key's life: it may end by itself, change its secret, and tells when it was used. Some operator's key always lasts."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event, text, update

from service.app import create_app
from service.first_start import ensure_operator_key
from service.settings import Settings
from service.store.models import ApiKey
from tests.service.calls import code, generate
from tests.service.hand import gateway_of
from tests.service.test_fair_share import key_of


def soon(**delta: float) -> str:
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def make(operator: TestClient, **body: Any) -> dict[str, Any]:
    response = operator.post("/keys", json={"name": "a", **body})
    assert response.status_code == 201, response.text
    made: dict[str, Any] = response.json()
    return made


def holder(operator: TestClient, token: str) -> TestClient:
    return TestClient(operator.app, headers={"authorization": f"Bearer {token}"})


def rotate(operator: TestClient, key_id: str, **body: Any) -> dict[str, Any]:
    response = operator.post(f"/keys/{key_id}/rotate", json=body)
    assert response.status_code == 200, response.text
    rotated: dict[str, Any] = response.json()
    return rotated


def pass_time(operator: TestClient, column: str, key_id: str) -> None:
    """As if the moment in the column were over."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    with gateway_of(operator).database.write() as session:
        session.execute(update(ApiKey).where(ApiKey.id == key_id).values({column: past}))


def test_a_key_that_expires_says_so_to_its_holder_alone(client: TestClient) -> None:
    made = make(client, expires_at=soon(hours=1))
    user = holder(client, made["key"])
    asked = generate(user)
    pass_time(client, "expires_at", made["id"])
    refused = user.get("/models")
    assert (refused.status_code, code(refused), refused.json()["error"]["type"]) == (401, "key_expired", "authentication_error")
    assert "UTC" in refused.json()["error"]["message"]
    assert code(user.post("/v1/videos", json={"prompt": "a"})) == "key_expired"
    stranger = holder(client, made["key"][:-64] + "0" * 64)
    assert code(stranger.get("/models")) == "unauthorized"
    assert client.get(asked["links"]["self"]).json()["status"] == "queued"
    assert code(client.post(f"/keys/{made['id']}/rotate")) == "invalid_state"
    assert made["id"] in {key["id"] for key in client.get("/keys").json()["data"]}
    assert client.patch(f"/keys/{made['id']}", json={"expires_at": None}).json()["expires_at"] is None
    assert user.get("/models").is_success


def test_a_rotated_key_is_the_same_key_with_another_secret(client: TestClient) -> None:
    made = make(client, limits={"max_queued": 5}, priority="high")
    before = holder(client, made["key"])
    asked = generate(before)
    rotated = rotate(client, made["id"])
    after = holder(client, rotated["key"])
    assert rotated["key"] != made["key"]
    assert {name: rotated[name] for name in ("id", "limits", "priority")} == {
        name: made[name] for name in ("id", "limits", "priority")
    }
    assert code(before.get("/models")) == "key_expired"
    assert "rotated" in before.get("/models").json()["error"]["message"]
    assert after.get(asked["links"]["self"]).is_success
    entry = client.get("/audit?action=key.rotated").json()["data"][-1]
    assert (entry["subject"], entry["actor"]) == (made["id"], key_of(client))
    assert entry["details"] == {"name": "a", "role": "user", "grace_seconds": 0}
    assert rotated["key"] not in client.get("/audit").text


def test_a_grace_in_which_both_secrets_are_valid(client: TestClient) -> None:
    made = make(client)
    first, second = holder(client, made["key"]), holder(client, rotate(client, made["id"], grace_seconds=60)["key"])
    assert first.get("/models").is_success
    assert second.get("/models").is_success
    third = holder(client, rotate(client, made["id"], grace_seconds=60)["key"])
    assert code(first.get("/models")) == "unauthorized"  # two rotations ago
    assert second.get("/models").is_success
    pass_time(client, "previous_until", made["id"])
    assert code(second.get("/models")) == "key_expired"
    assert third.get("/models").is_success
    assert client.delete(f"/keys/{made['id']}").status_code == 204
    assert code(second.get("/models")) == code(third.get("/models")) == "unauthorized"


def test_an_operator_rotates_its_own_key(client: TestClient) -> None:
    again = holder(client, rotate(client, key_of(client))["key"])
    assert code(client.get("/keys")) == "key_expired"
    assert again.get("/keys").is_success


def test_use_is_noted_once_a_minute(client: TestClient) -> None:
    made = make(client)
    assert made["last_used_at"] is None
    user = holder(client, made["key"])
    writes: list[str] = []

    def wrote(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE api_keys SET last_used_at"):
            writes.append(statement)

    event.listen(gateway_of(client).database.engine, "before_cursor_execute", wrote)
    for _ in range(5):
        assert user.get("/models").is_success
    assert len(writes) == 1
    event.remove(gateway_of(client).database.engine, "before_cursor_execute", wrote)
    (shown,) = (key for key in client.get("/keys").json()["data"] if key["id"] == made["id"])
    noted = datetime.fromisoformat(shown["last_used_at"])
    assert abs(datetime.now(UTC) - noted) < timedelta(seconds=30)
    with gateway_of(client).database.write() as session:
        old = noted - timedelta(minutes=2)
        session.execute(update(ApiKey).where(ApiKey.id == made["id"]).values(last_used_at=old))
    event.listen(gateway_of(client).database.engine, "before_cursor_execute", wrote)
    assert user.get("/models").is_success
    assert len(writes) == 2
    assert code(holder(client, made["key"][:-64] + "0" * 64).get("/models")) == "unauthorized"
    assert len(writes) == 2


def test_an_operators_key_that_expires_does_not_keep_the_service_governed(client: TestClient) -> None:
    first = key_of(client)
    make(client, role="operator", expires_at=soon(hours=1))
    assert code(client.delete(f"/keys/{first}")) == "invalid_state"
    assert code(client.patch(f"/keys/{first}", json={"expires_at": soon(hours=1)})) == "invalid_state"
    second = make(client, role="operator")
    assert client.patch(f"/keys/{first}", json={"expires_at": soon(hours=1)}).status_code == 200
    assert code(client.delete(f"/keys/{second['id']}")) == "invalid_state"
    assert client.delete(f"/keys/{first}").status_code == 204  # it was to end anyway


def test_two_gateways_that_revoke_the_last_two_at_once_leave_one(settings: Settings, client: TestClient) -> None:
    with TestClient(create_app(settings), headers=dict(client.headers)) as second, ThreadPoolExecutor(2) as pool:
        ids = [key_of(client), make(client, role="operator")["id"]]
        answers = list(pool.map(lambda one: one[0].delete(f"/keys/{one[1]}"), zip((client, second), ids, strict=True)))
        assert sorted(answer.status_code for answer in answers) in ([204, 409], [204, 401])
        with gateway_of(client).database.read() as session:
            left = session.execute(text("SELECT count(*) FROM api_keys WHERE revoked_at IS NULL AND role = 'operator'"))
            assert left.scalar_one() == 1


def test_a_start_without_an_operators_key_that_lasts_makes_one(client: TestClient, settings: Settings) -> None:
    settings.operator_key_path.unlink()
    ensure_operator_key(gateway_of(client).database, settings.operator_key_path)
    assert not settings.operator_key_path.exists()
    pass_time(client, "expires_at", key_of(client))
    ensure_operator_key(gateway_of(client).database, settings.operator_key_path)
    assert holder(client, settings.operator_key_path.read_text().strip()).get("/keys").is_success


@pytest.mark.parametrize("given", ["2999-12-31T23:59:59Z", "2999-12-31T23:59:59+14:00"])
def test_an_end_is_an_instant(client: TestClient, given: str) -> None:
    assert datetime.fromisoformat(make(client, expires_at=given)["expires_at"]) == datetime.fromisoformat(given)
