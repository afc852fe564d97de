"""Statements on `leases`: one holder at a time, for as long as it renews.

Correctness never rests on a lease (every move of a job is fenced by its own condition); it only saves several gateways
from doing the same work. It ends by the database's clock. One that would last longer than `MAX_SECONDS` from now is void: its
holder's clock was wrong.
"""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import or_, update

from service.store import clock
from service.store.conflicts import insert_if_absent
from service.store.database import Database
from service.store.models import Lease

MAX_SECONDS = 60.0


def hold(database: Database, name: str, *, holder: str, seconds: float) -> bool:
    """Take the lease, or renew it, for `seconds` but at most `MAX_SECONDS`. False while another holder's is running."""
    with database.write() as session:
        now = clock.now(session)
        expires_at = now + timedelta(seconds=min(seconds, MAX_SECONDS))
        is_void = or_(Lease.expires_at < now, Lease.expires_at > now + timedelta(seconds=MAX_SECONDS))
        take = (
            update(Lease)
            .where(Lease.name == name, or_(Lease.holder == holder, is_void))
            .values(holder=holder, expires_at=expires_at)
            .returning(Lease.name)
        )
        if session.execute(take).first():
            return True
        return insert_if_absent(session, Lease, {"name": name, "holder": holder, "expires_at": expires_at})


def release(database: Database, name: str, *, holder: str) -> None:
    with database.write() as session:
        session.execute(update(Lease).where(Lease.name == name, Lease.holder == holder).values(expires_at=clock.now(session)))
