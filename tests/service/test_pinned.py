"""Which generations have a version of an eraser pinned: asked from the eraser's side."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import event

from service.domain.states import JobStatus
from service.store import pinned
from service.store.models import EraserVersion
from tests.service.calls import code, generate, settled, wait_until
from tests.service.conftest import user_of
from tests.service.hand import Hand, add_eraser, gateway_of


def pinning(client: TestClient, version: str, **query: Any) -> list[str]:
    response = client.get(f"/erasers/{version}/generations", params=query)
    assert response.status_code == 200, response.text
    return [generation["id"] for generation in response.json()["data"]]


@pytest.mark.both_databases
def test_every_key_s_generations_of_exactly_this_version(client: TestClient, hand: Hand) -> None:
    first = generate(user_of(client), erase=["church"])
    add_eraser(client, "church", active=False)
    assert client.post("/erasers/church/2/activate").is_success
    second = generate(client, erase=["church", "parachute"])
    generate(client)
    assert pinning(client, "church/1") == [first["id"]]
    assert pinning(client, "church/2") == pinning(client, "parachute/1") == [second["id"]]
    hand.finish(hand.take_generation())
    wait_until(lambda: settled(client, first["id"]))
    assert pinning(client, "church/1", status="succeeded") == [first["id"]]
    assert pinning(client, "church/1", status="queued") == []
    client.delete(f"/generations/{first['id']}")
    assert pinning(client, "church/1") == []


@pytest.mark.both_databases
def test_pages_newest_first(client: TestClient) -> None:
    made = [generate(client, erase=["church"])["id"] for _ in range(3)]
    page = client.get("/erasers/church/1/generations", params={"limit": 2}).json()
    assert [generation["id"] for generation in page["data"]] == [made[2], made[1]]
    assert page["data"][0]["erase"][0]["concept"] == "church"
    rest = client.get("/erasers/church/1/generations", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([generation["id"] for generation in rest["data"]], rest["next_cursor"]) == ([made[0]], None)


@pytest.mark.both_databases
def test_retiring_tells_how_many_there_are(client: TestClient) -> None:
    kept, deleted = (generate(client, erase=["church"])["id"] for _ in range(2))
    generate(client, erase=["parachute"])
    client.delete(f"/generations/{deleted}")
    retired = client.post("/erasers/church/1/retire").json()
    assert (retired["status"], retired["generations"]) == ("retired", 1)
    assert [item["id"] for item in client.get(retired["links"]["generations"]).json()["data"]] == [kept]


def test_they_are_for_operators_and_of_versions_that_exist(shared: TestClient, shared_user: TestClient) -> None:
    assert code(shared_user.get("/erasers/church/1/generations")) == "forbidden"
    assert code(shared.get("/erasers/church/9/generations")) == "not_found"


@pytest.mark.parametrize("status", [None, "succeeded"])
def test_they_are_found_by_an_index(shared: TestClient, status: JobStatus | None) -> None:
    """SQLite's plan names it, and sorts nothing; going through the jobs would cost as much as was ever accepted."""
    with gateway_of(shared).database.read() as session:
        said: list[tuple[str, Any]] = []
        connection = session.connection()
        event.listen(connection, "before_cursor_execute", lambda _c, _cursor, sql, values, *_: said.append((sql, values)))
        row = EraserVersion(concept="church", version=1)
        pinned.page(session, row, status=status, after="gen_2", limit=5)
        pinned.count(session, row)
        plans = [
            [str(step) for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", values)] for sql, values in tuple(said)
        ]
    assert len(plans) == 2
    for plan in plans:
        assert "generation_erasers USING" in plan[0], plan  # and then the jobs by their ids
        assert "(concept=? AND version=?" in plan[0], plan
        assert not any("SCAN" in step or "TEMP B-TREE" in step for step in plan), plan
