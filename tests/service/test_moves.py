"""Several gateways with views of one job, some of them old, try every move: only what the table and the fence allow happens."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from sqlalchemy import update
from sqlalchemy.orm import Session

from service.domain.states import JOB_MOVES, TERMINAL, IllegalMove, JobStatus, check_job_move
from service.store import jobs
from service.store.models import Job
from tests.service.machines import DatabaseMachine, run

MOVES: dict[str, tuple[JobStatus, Any]] = {
    "start": ("running", lambda session, job: jobs.start(session, job, at=datetime.now(UTC))),
    "succeed": ("succeeded", lambda session, job: jobs.succeed(session, job, result={"by": job.attempt})),
    "fail": ("failed", lambda session, job: jobs.fail(session, job, code="timeout", message="")),
    "cancel": ("canceled", jobs.cancel),
    "requeue": ("queued", jobs.requeue),
}
GATEWAYS = st.integers(0, 2)


class Moves(DatabaseMachine):
    @initialize()
    def accept(self) -> None:
        Moves.number += 1
        self.id = f"gen_{Moves.number}"
        with self.database.write() as session:
            jobs.insert(session, job_id=self.id, kind="generate", model="toy", key_id="k", plan={}, labels={})
        self.status: JobStatus = "queued"
        self.attempt = 1
        self.deleted = False
        self.views = [self.truth() for _ in range(3)]

    def truth(self) -> Job:
        with self.database.read() as session:
            job = session.get(Job, self.id)
            assert job is not None
            session.expunge_all()
        return job

    @rule(gateway=GATEWAYS)
    def look(self, gateway: int) -> None:
        self.views[gateway] = self.truth()

    @rule(gateway=GATEWAYS, name=st.sampled_from(sorted(MOVES)))
    def move(self, gateway: int, name: str) -> None:
        view = self.views[gateway]
        target, move = MOVES[name]
        seen, seen_attempt = view.status, view.attempt
        legal = target in JOB_MOVES[seen]
        fresh = (seen, seen_attempt) == (self.status, self.attempt) and not self.deleted
        try:
            with self.database.write() as session:
                moved = move(session, view)
        except IllegalMove:
            assert not legal
            return
        assert legal
        assert moved == fresh
        if moved:
            self.status = target
            self.attempt += name == "requeue"
            assert (view.status, view.attempt) == (self.status, self.attempt)
        else:
            assert (view.status, view.attempt) == (seen, seen_attempt)

    @rule(gateway=GATEWAYS)
    def delete(self, gateway: int) -> None:
        if self.status in TERMINAL:
            with self.database.write() as session:
                jobs.hide(session, self.views[gateway])
            self.deleted = True

    @invariant()
    def the_row_is_whole(self) -> None:
        row = self.truth()
        assert (row.status, row.attempt) == (self.status, self.attempt)
        assert (row.finished_at is not None) == (row.status in TERMINAL)
        assert (row.result is not None) == (row.status == "succeeded" and not self.deleted)
        assert (row.error_code is not None) == (row.status in ("failed", "canceled"))
        assert row.status != "running" or row.started_at is not None
        assert row.status != "queued" or row.started_at is None
        if row.status == "succeeded" and not self.deleted:
            assert row.result == {"by": row.attempt}


@pytest.mark.both_databases
def test_moves(database_url: str) -> None:
    run(Moves, database_url, steps=20)


def test_a_missing_fence_is_seen(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a move that does not look at the attempt."""

    def unfenced(session: Session, job: Job, target: JobStatus, **values: Any) -> bool:
        check_job_move(job.status, target)
        session.execute(update(Job).where(Job.id == job.id, Job.status == job.status).values(status=target, **values))
        for name, value in {"status": target, **values}.items():
            setattr(job, name, value)
        return True

    monkeypatch.setattr(jobs, "_move", unfenced)
    with pytest.raises(AssertionError):
        run(Moves, database_url, steps=20)
