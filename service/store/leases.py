"""Statements on `leases`: one holder at a time, for as long as it renews.

Correctness never rests on a lease (every move of a job is fenced by its own condition); it only saves several gateways
from doing the same work.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError

from service.store.database import Database
from service.store.models import Lease


def hold(database: Database, name: str, *, holder: str, seconds: float) -> bool:
    """Take the lease, or renew it. False while another holder's is running."""
    now = datetime.now(UTC)
    expires_at = now + timedelta(seconds=seconds)
    take = (
        update(Lease)
        .where(Lease.name == name, or_(Lease.holder == holder, Lease.expires_at < now))
        .values(holder=holder, expires_at=expires_at)
        .returning(Lease.name)
    )
    with database.write() as session:
        if session.execute(take).first():
            return True
        if session.get(Lease, name):
            return False
    try:
        with database.write() as session:
            session.add(Lease(name=name, holder=holder, expires_at=expires_at))
    except IntegrityError:
        return False
    return True


def release(database: Database, name: str, *, holder: str) -> None:
    with database.write() as session:
        session.execute(update(Lease).where(Lease.name == name, Lease.holder == holder).values(expires_at=datetime.now(UTC)))
