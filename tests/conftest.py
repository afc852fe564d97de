"""Markers by folder: what lies in tests/gpu needs an accelerator, what lies in tests/integration and tests/chaos is slow. The S3
server that every folder may ask for. No test writes its log to the stderr of another; files that run at once share the cores."""

from __future__ import annotations

import logging
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.s3_server import S3Server

if at_once := os.environ.get("PYTEST_XDIST_WORKER_COUNT"):
    # Before torch is imported, and for what tests start. Threads of OpenMP that have no core keep those busy that wait for them.
    os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // int(at_once))))

os.environ.setdefault("CLEARWAY_QUEUE_KEY", secrets.token_hex(32))  # of every gateway and worker that a test starts

_MARKERS = {"gpu": pytest.mark.gpu, "integration": pytest.mark.slow, "chaos": pytest.mark.slow}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if marker := _MARKERS.get(item.path.relative_to(here).parts[0]):
            item.add_marker(marker)


@pytest.fixture(autouse=True)
def _no_log_of_another() -> Iterator[None]:
    """A gateway in this process logs to the stderr that was there when it started, of another test by now."""
    _close_stderr_handlers()
    yield
    _close_stderr_handlers()


def _close_stderr_handlers() -> None:
    root = logging.getLogger()
    for handler in [one for one in root.handlers if type(one) is logging.StreamHandler]:
        root.removeHandler(handler)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def bucket(s3_server: S3Server) -> Iterator[str]:
    """The name of an empty bucket."""
    name = f"test-{secrets.token_hex(6)}"
    s3_server.make_bucket(name)
    yield name
    s3_server.remove_bucket(name)
