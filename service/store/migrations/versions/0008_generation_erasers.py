"""Which generations have which eraser versions pinned, also those that were accepted before."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision: str | None = "0007"

_BATCH = 1000


def upgrade() -> None:
    pinned = op.create_table(
        "generation_erasers",
        sa.Column("concept", sa.String(80), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("job_id", sa.String(80), sa.ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
        sa.ForeignKeyConstraint(["concept", "version"], ["eraser_versions.concept", "eraser_versions.version"]),
    )
    op.create_index("ix_generation_erasers_job_id", "generation_erasers", ["job_id"])
    jobs = sa.table("jobs", sa.column("id", sa.String), sa.column("kind", sa.String), sa.column("plan", sa.JSON))
    connection, last = op.get_bind(), ""
    while True:
        generations = sa.select(jobs.c.id, jobs.c.plan).where(jobs.c.kind == "generate", jobs.c.id > last)
        found = connection.execute(generations.order_by(jobs.c.id).limit(_BATCH)).all()
        rows = [
            {"concept": eraser["concept"], "version": eraser["version"], "job_id": job_id}
            for job_id, plan in found
            for eraser in plan.get("erase", ())  # the plan of a deleted one is empty
        ]
        if rows:
            op.bulk_insert(pinned, rows)
        if len(found) < _BATCH:
            return
        last = found[-1].id


def downgrade() -> None:
    op.drop_table("generation_erasers")
