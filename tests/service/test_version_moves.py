"""Several gateways with views of the versions of one concept, some of them old, try every move: only what the table allows
happens, one that is refused changes nothing, and never are two versions active for one text encoder."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from service.domain.gate import Thresholds
from service.domain.states import VERSION_MOVES, IllegalMove, VersionStatus, check_version_move
from service.erasers import registry
from service.errors import StateError
from service.settings import Settings
from service.store import erasers, jobs
from service.store.models import EraserVersion
from tests.service.hand import PASSING, digest_of
from tests.service.machines import DatabaseMachine, run

ENCODERS = ("a" * 64, "b" * 64)
MADE = {"digest": digest_of("made"), "layer": 3, "strength": 2.0, "evaluation": PASSING}
THRESHOLDS = Thresholds.of(Settings())
GATEWAYS, VERSIONS = st.integers(0, 1), st.integers(1, 4)


class Versions(DatabaseMachine):
    @initialize()
    def begin(self) -> None:
        Versions.number += 1
        self.concept = f"concept {Versions.number}"
        self.encoders: dict[int, str] = {}
        self.statuses: dict[int, VersionStatus] = {}
        self.views: list[dict[int, EraserVersion]] = [{}, {}]
        for encoder in (*ENCODERS, ENCODERS[0], ENCODERS[0]):
            self.train(encoder)
        for gateway in range(2):
            self.look(gateway)

    def train(self, encoder: str) -> None:
        with self.database.write() as session:
            version = erasers.next_version(session, self.concept)
            job_id = f"train_{self.number}_{version}"
            jobs.insert(session, job_id=job_id, kind="train", model="toy", key_id="k", plan={}, labels={})
            erasers.insert_training(
                session,
                concept=self.concept,
                version=version,
                method="clear",
                model="toy",
                encoder_fingerprint=encoder,
                config={},
                job_id=job_id,
            )
        self.encoders[version], self.statuses[version] = encoder, "training"

    def truth(self) -> dict[int, EraserVersion]:
        with self.database.read() as session:
            rows = erasers.of_concept(session, self.concept)
            session.expunge_all()
        return {row.version: row for row in rows}

    @rule(gateway=GATEWAYS)
    def look(self, gateway: int) -> None:
        self.views[gateway] = self.truth()

    @rule(gateway=GATEWAYS, version=VERSIONS)
    def complete(self, gateway: int, version: int) -> None:
        self.end(gateway, version, "candidate", MADE)

    @rule(gateway=GATEWAYS, version=VERSIONS)
    def give_up(self, gateway: int, version: int) -> None:
        self.end(gateway, version, "failed", {})

    def end(self, gateway: int, version: int, target: VersionStatus, values: dict[str, Any]) -> None:
        view = self.views[gateway][version]
        seen = view.status
        try:
            with self.database.write() as session:
                moved = erasers.move(session, view, target, **values)
        except IllegalMove:
            assert target not in VERSION_MOVES[seen]
            return
        assert target in VERSION_MOVES[seen]
        assert moved == (seen == self.statuses[version])
        if moved:
            self.statuses[version] = target

    @rule(gateway=GATEWAYS, version=VERSIONS)
    def activate(self, gateway: int, version: int) -> None:
        view = self.views[gateway][version]
        call = lambda session: registry.activate(session, view, THRESHOLDS, override_reason=None, actor="k")  # noqa: E731
        if self.happened(gateway, version, "candidate", call):
            for other, status in self.statuses.items():
                if status == "active" and self.encoders[other] == self.encoders[version]:
                    self.statuses[other] = "retired"
            self.statuses[version] = "active"

    @rule(gateway=GATEWAYS, version=VERSIONS)
    def retire(self, gateway: int, version: int) -> None:
        view = self.views[gateway][version]
        if self.happened(gateway, version, "active", lambda session: registry.retire(session, view, actor="k")):
            self.statuses[version] = "retired"

    def happened(self, gateway: int, version: int, needed: VersionStatus, call: Callable[[Session], None]) -> bool:
        """Only where the version is what it must be, and the gateway knows."""
        ready = self.views[gateway][version].status == self.statuses[version] == needed
        try:
            with self.database.exclusive() as session:
                call(session)
        except StateError:
            assert not ready
            self.look(gateway)  # its view may have gone on where the transaction did not
            return False
        assert ready
        return True

    @invariant()
    def the_registry_is_whole(self) -> None:
        rows = self.truth()
        assert {version: row.status for version, row in rows.items()} == self.statuses
        active = [row.encoder_fingerprint for row in rows.values() if row.status == "active"]
        assert len(active) == len(set(active))
        for row in rows.values():
            made = row.status in ("candidate", "active", "retired")
            assert row.status == "failed" or (row.digest is not None) == made  # what was a candidate may have failed later
            assert (row.activated_at is not None) == (row.status in ("active", "retired"))
            assert (row.retired_at is not None) == (row.status == "retired")


@pytest.mark.both_databases
def test_moves(database_url: str) -> None:
    run(Versions, database_url, steps=25)


def test_a_missing_fence_is_seen(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The negative control: a move that believes what it saw."""

    def unfenced(session: Session, row: EraserVersion, target: VersionStatus, **values: Any) -> bool:
        check_version_move(row.status, target)
        session.execute(update(EraserVersion).where(EraserVersion.id == row.id).values(status=target, **values))
        row.status = target
        return True

    monkeypatch.setattr(erasers, "move", unfenced)
    with pytest.raises((AssertionError, IntegrityError)):
        run(Versions, database_url, steps=25)
