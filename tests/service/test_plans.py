"""What is asked often costs by what is found, not by everything that was ever accepted."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from service.acceptance.planning import plan
from service.acceptance.verification import Lookout
from service.audit import record
from service.lifecycle.backlog import Backlog
from service.policies.binding import binding_of
from service.schemas.generations import GenerateRequest
from service.store import jobs, keys, line
from service.store.database import Database
from service.store.models import Job
from tests.service.hand import CARD, gateway_of
from tests.service.plans import statements

page = partial(jobs.page, kind="generate", key_id=None, after=None, limit=20)
job = Job(id="gen_2", kind="generate", created_at=datetime.now(UTC))


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        yield opened


@pytest.mark.parametrize(
    ("call", "index"),
    [
        (page, "sqlite_autoindex_jobs_1"),  # of the primary key
        (partial(page, after="gen_1"), "sqlite_autoindex_jobs_1 (id<?)"),
        (partial(page, after="gen_1", oldest_first=True), "sqlite_autoindex_jobs_1 (id>?)"),
        (partial(page, status="queued"), "ix_jobs_status (status=?)"),
        (partial(page, status="failed", after="gen_1"), "ix_jobs_status (status=? AND id<?)"),
        (partial(page, key_id="k", after="gen_1"), "ix_jobs_key_id_kind_id (key_id=? AND kind=? AND id<?)"),
        (partial(page, key_id="k", status="queued"), "ix_jobs_key_id_kind_id (key_id=? AND kind=?)"),
        (partial(jobs.get_many, job_ids=["gen_1", "gen_2"]), "sqlite_autoindex_jobs_1 (id=?)"),
        (partial(jobs.in_status, status="running"), "ix_jobs_status (status=?)"),
        (partial(jobs.count_before, job=job, most=9), "ix_jobs_status (status=? AND id<?)"),
        (partial(jobs.canceled_lately, within=timedelta(hours=1)), "ix_jobs_canceled (status=? AND finished_at>?)"),
        (jobs.count_unfinished, "COVERING INDEX ix_jobs_status (status=? AND id>? AND id<?)"),
        (partial(jobs.oldest_queued, kind="train"), "ix_jobs_status (status=? AND id>? AND id<?)"),
        (jobs.deleted, "ix_jobs_deleted (deleted_at>?)"),
    ],
)
def test_an_index_leads_to_what_is_asked_for(database: Database, call: Callable[[Session], object], index: str) -> None:
    ((_, plan),) = statements(database, call)
    assert [step for step in plan if "jobs USING" in step and step.endswith(index)], plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


def test_many_erasers_are_found_as_one_is(client: TestClient) -> None:
    database = gateway_of(client).database

    def planning(*erase: str) -> list[str]:
        request = GenerateRequest.model_validate({"prompt": "a", "erase": list(erase)})
        said = statements(database, lambda session: plan(session, request, CARD, binding_of(session, "k"), Lookout({}, 0)))
        return [sql for sql, _ in said if "FROM eraser_versions" in sql]

    (one,), (both,) = planning("church"), planning("church", "parachute")
    columns = set(re.findall(r"eraser_versions\.(\w+)", one + both))
    assert not columns & {"evaluation", "claimed_evaluation", "config"}, "what may be large is read too"


def test_a_queue_with_room_is_counted_now_and_then(database: Database) -> None:
    now = 0.0
    backlog = Backlog(most=3, clock=lambda: now)

    def accept(number: int) -> None:
        with database.write() as session:
            jobs.insert(session, job_id=f"gen_{number}", kind="generate", model="toy", key_id="k", plan={}, labels={})
            record(session, "generation.accepted", f"gen_{number}", {}, actor="k")

    def looks() -> tuple[bool, int]:
        answers: list[bool] = []
        said = statements(database, lambda session: answers.append(backlog.is_full(session)))
        return answers[0], sum("FROM jobs" in sql for sql, _ in said)

    with database.write() as session:
        keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)
    assert looks() == (False, 1)
    for number in range(2):
        accept(number)
        assert looks() == (False, 0)
    with database.write() as session:
        record(session, "key.created", "k2", {}, actor="k")
    assert looks() == (False, 1)  # three entries might be three jobs
    accept(2)
    assert looks() == looks() == (True, 1)
    with database.write() as session:
        jobs.cancel(session, session.get_one(Job, "gen_0"))
    assert looks() == (False, 1)
    now = 3.0
    assert looks() == (False, 1)


def test_nobody_waits_is_one_question(database: Database) -> None:
    assert len(statements(database, lambda session: line.lines(session, "generate"))) == 1
