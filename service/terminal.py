"""Server-sent events as one progress bar."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

if TYPE_CHECKING:
    from service.client import Event

console = Console(stderr=True)


def bar() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def show(events: Iterable[Event], title: str) -> None:
    """Draws until the events end. Where the output is no terminal nothing is drawn, and the events are still read."""
    with bar() as progress:
        task = progress.add_task(f"{title}: queued", total=None)
        for event in events:
            stage = event.data.get("stage")
            if event.name == "step":
                progress.update(task, completed=event.data["step"], total=event.data["total"])
            if stage:
                progress.update(task, description=f"{title}: {stage}")
