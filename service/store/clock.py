"""The time by the database's clock, so that gateways whose clocks differ agree on what is over.

SQLite has no clock of its own: there it is the machine's. A clock can also be wrong for a while and be put right. So a stored
time that lies further ahead than its writer could have meant is void: every comparison has such a bound.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session


def now(session: Session) -> datetime:
    if session.get_bind().dialect.name != "postgresql":
        return datetime.now(UTC)
    moment: datetime = session.scalars(select(func.clock_timestamp())).one()
    return moment.astimezone(UTC)
