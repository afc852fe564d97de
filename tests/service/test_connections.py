"""A gateway without a proxy goes on answering whatever clients do with their connections."""

from __future__ import annotations

import contextlib
import resource
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import pytest

from service.http.connections import connections_for
from service.settings import Settings
from tests.service.conftest import Valkey, settings_in, sqlite_in
from tests.service.test_server import gateway_process

DESCRIPTORS = 256
HALF_A_HEAD = b"POST /generate HTTP/1.1\r\nhost: a\r\nx-slow:"


@pytest.fixture(scope="module")
def module_settings(tmp_path_factory: pytest.TempPathFactory, valkey: Valkey, migrated: Path) -> Settings:
    directory = tmp_path_factory.mktemp("connections")
    return settings_in(directory, f"{valkey.url}?db=2", sqlite_in(directory, migrated))


@pytest.fixture(scope="module")
def address(module_settings: Settings) -> Iterator[tuple[str, int]]:
    """A gateway with few file descriptors and short deadlines."""
    limited = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    deadlines = {"CLEARWAY_HEADER_TIMEOUT_SECONDS": "8", "CLEARWAY_BODY_TIMEOUT_SECONDS": "1"}
    with gateway_process(module_settings, preexec_fn=limited, **deadlines) as (url, _):
        parsed = httpx.URL(url)
        assert parsed.port
        yield parsed.host, parsed.port


def send(address: tuple[str, int], content: bytes) -> bytes:
    """What the server answers until it closes the connection."""
    with socket.create_connection(address, timeout=20) as connection:
        connection.sendall(content)
        received = b""
        with contextlib.suppress(ConnectionResetError):
            while part := connection.recv(65_536):
                received += part
    return received


def live(address: tuple[str, int]) -> int:
    return httpx.get(f"http://{address[0]}:{address[1]}/health/live", timeout=5, trust_env=False).status_code


def test_half_sent_requests_do_not_keep_others_out(address: tuple[str, int]) -> None:
    with contextlib.ExitStack() as held:
        for _ in range(DESCRIPTORS + 50):
            connection = held.enter_context(socket.create_connection(address, timeout=5))
            connection.sendall(HALF_A_HEAD)
        for _ in range(5):
            assert live(address) == 200


def test_a_head_that_does_not_come_is_waited_for_so_long_and_no_longer(address: tuple[str, int]) -> None:
    began = time.monotonic()
    assert send(address, HALF_A_HEAD).startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began > 4
    assert live(address) == 200


@pytest.mark.parametrize(
    "head", [b"content-length: 900\r\n", b"transfer-encoding: chunked\r\n"], ids=["declared", "chunked"]
)
def test_a_body_that_does_not_end_is_refused(address: tuple[str, int], module_settings: Settings, head: bytes) -> None:
    key = module_settings.operator_key_path.read_bytes().strip()
    request = b"POST /generate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\nauthorization: Bearer " + key
    answer = send(address, request + b"\r\nconnection: close\r\n" + head + b"\r\n" + b"1\r\n{\r\n")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"request_timeout"' in answer


@pytest.mark.parametrize("second", [b"2", b"3"])
def test_a_length_that_is_sent_twice_is_refused(address: tuple[str, int], second: bytes) -> None:
    length = b"POST /generate HTTP/1.1\r\nhost: a\r\ncontent-length: 2\r\n"
    assert b" 400 " in send(address, length + b"content-length: " + second + b"\r\nconnection: close\r\n\r\n{}")[:20]
    assert b" 401 " in send(address, length + b"connection: close\r\n\r\n{}")[:20]  # sent once it is read on


def test_a_large_body_without_a_key_does_not_hold_others_up(address: tuple[str, int]) -> None:
    body = b'{"concept": "' + b"[" * (4 * 2**20 - 100) + b'"}'
    request = b"POST /erasers HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    answers: list[bytes] = []

    def flood() -> None:
        with contextlib.suppress(OSError):
            answers.append(send(address, request + body))

    threads = [threading.Thread(target=flood) for _ in range(8)]
    for thread in threads:
        thread.start()
    assert live(address) == 200
    for thread in threads:
        thread.join()
    assert all(b" 401 " in answer[:20] for answer in answers if answer)


def test_some_descriptors_are_left_for_everything_else() -> None:
    assert connections_for(256) == (256 - 128) * 2 // 3
    assert connections_for(64) == 16
    for descriptors in (256, 1024, 65_536):
        assert connections_for(descriptors) * 3 // 2 + 128 <= descriptors
