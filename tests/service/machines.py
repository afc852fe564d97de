"""State machines of hypothesis that move rows of a real database."""

from __future__ import annotations

from hypothesis import Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from service.store import keys
from service.store.database import Database


class DatabaseMachine(RuleBasedStateMachine):
    database: Database
    number = 0
    """Of runs so far: each has rows of its own."""


def run(machine: type[DatabaseMachine], url: str, *, steps: int) -> None:
    """The same moves each time. The database has a key, `k`."""
    machine.database = Database(url)
    try:
        with machine.database.write() as session:
            keys.insert(session, key_id="k", name="k", role="operator", secret_sha256="0" * 64)
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=20,
                stateful_step_count=steps,
                deadline=None,
                database=None,
                derandomize=True,
                phases=[Phase.generate],
                report_multiple_bugs=False,
            ),
        )
    finally:
        machine.database.close()
