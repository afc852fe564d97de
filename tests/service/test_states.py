"""Every move that the tables do not list is refused: in the tables' functions, and in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from itertools import product

import pytest

from service.domain.states import (
    JOB_MOVES,
    JOB_STATUSES,
    TERMINAL,
    VERSION_MOVES,
    VERSION_STATUSES,
    IllegalMove,
    JobStatus,
    VersionStatus,
    check_job_move,
    check_version_move,
)
from service.store import erasers, jobs, keys
from service.store.database import Database
from service.store.models import EraserVersion, Job

JOB_PAIRS = list(product(JOB_STATUSES, JOB_STATUSES))
VERSION_PAIRS = list(product(VERSION_STATUSES, VERSION_STATUSES))
LEGAL_JOB = {
    ("queued", "running"),
    ("queued", "canceled"),
    ("running", "succeeded"),
    ("running", "failed"),
    ("running", "canceled"),
    ("running", "queued"),
}
LEGAL_VERSION = {
    ("training", "candidate"),
    ("training", "failed"),
    ("candidate", "active"),
    ("candidate", "failed"),
    ("active", "retired"),
    ("retired", "active"),
}


def test_the_tables_are_closed() -> None:
    assert {(source, target) for source, targets in JOB_MOVES.items() for target in targets} == LEGAL_JOB
    assert {(source, target) for source, targets in VERSION_MOVES.items() for target in targets} == LEGAL_VERSION
    assert set(JOB_MOVES) == set(JOB_STATUSES)
    assert set(VERSION_MOVES) == set(VERSION_STATUSES)
    assert {"succeeded", "failed", "canceled"} == TERMINAL


@pytest.mark.parametrize(("source", "target"), JOB_PAIRS)
def test_job_moves(source: JobStatus, target: JobStatus) -> None:
    if (source, target) in LEGAL_JOB:
        check_job_move(source, target)
    else:
        with pytest.raises(IllegalMove, match=f"{source} to {target}"):
            check_job_move(source, target)


@pytest.mark.parametrize(("source", "target"), VERSION_PAIRS)
def test_version_moves(source: VersionStatus, target: VersionStatus) -> None:
    if (source, target) in LEGAL_VERSION:
        check_version_move(source, target)
    else:
        with pytest.raises(IllegalMove, match=f"{source} to {target}"):
            check_version_move(source, target)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        with opened.write() as session:
            keys.insert(session, key_id="k", name="k", role="user", secret_sha256="0" * 64)
        yield opened


def insert_job(database: Database, status: JobStatus = "queued") -> Job:
    with database.write() as session:
        job = jobs.insert(session, job_id="gen_1", kind="generate", model="toy", key_id="k", plan={}, labels={})
        job.status = status
    return job


@pytest.mark.both_databases
@pytest.mark.parametrize("status", sorted(TERMINAL))
def test_sql_does_not_leave_a_terminal_state(database: Database, status: JobStatus) -> None:
    job = insert_job(database, status)
    with database.write() as session:
        for move in (
            lambda: jobs.start(session, job, at=job.created_at),
            lambda: jobs.succeed(session, job, result={}),
            lambda: jobs.fail(session, job, code="timeout", message=""),
            lambda: jobs.cancel(session, job),
            lambda: jobs.requeue(session, job),
        ):
            with pytest.raises(IllegalMove):
                move()


@pytest.mark.both_databases
def test_a_stale_view_of_a_job_moves_nothing(database: Database) -> None:
    """The fence: (id, attempt, status) must still be what the caller saw."""
    insert_job(database)
    with database.read() as session:
        stale, older = (session.get(Job, "gen_1", populate_existing=True) for _ in range(2))
        session.expunge_all()
    with database.read() as session:
        fresh = session.get(Job, "gen_1")
    assert stale is not None
    assert older is not None
    assert fresh is not None
    with database.write() as session:
        assert jobs.start(session, fresh, at=fresh.created_at)
        assert jobs.requeue(session, fresh)
        assert jobs.start(session, fresh, at=fresh.created_at)
    stale.status = "running"  # right about the state, wrong about the attempt
    with database.write() as session:
        assert not jobs.succeed(session, stale, result={})
    with database.read() as session:
        now = session.get(Job, "gen_1")
        assert now is not None
        assert (now.status, now.attempt, now.result) == ("running", 2, None)


@pytest.mark.both_databases
def test_sql_has_one_active_version_of_a_concept_and_encoder(database: Database) -> None:
    from sqlalchemy.exc import IntegrityError

    with database.write() as session:
        for version, fingerprint in ((1, "a"), (2, "b")):
            session.add(version_row(version, fingerprint))
    with pytest.raises(IntegrityError), database.write() as session:
        session.add(version_row(3, "a"))
    with database.read() as session:
        assert len(erasers.of_concept(session, "cat")) == 2


def version_row(version: int, fingerprint: str) -> EraserVersion:
    from datetime import UTC, datetime

    return EraserVersion(
        id=f"ers_{version}", concept="cat", version=version, status="active", method="clear", model="toy",
        encoder_fingerprint=fingerprint, config={}, created_at=datetime.now(UTC),
    )  # fmt: skip
