"""`python -m service.server`: the process of one gateway, with limits on connections.

The application alone (`uvicorn service.app:create_app --factory`) has no deadline for the heads of requests and no bound on
connections: run it so only behind a proxy that has both.
"""

from __future__ import annotations

import argparse
import contextlib
import sys

import uvicorn

from service.app import create_app
from service.http.connections import ConnectionLimits, connections_for, descriptor_limit, guarded, raise_descriptor_limit
from service.settings import Settings
from workers.common_settings import SettingsInvalid

GRACEFUL_SECONDS = 3
"""How long responses under way may take when the gateway is asked to stop. Event streams have no end of their own."""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8000)
    options = parser.parse_args()
    try:
        settings = Settings.from_environment()
    except SettingsInvalid as invalid:
        sys.stderr.write(f"{invalid}\n")
        return 2
    raise_descriptor_limit()
    most = connections_for(descriptor_limit())
    limits = ConnectionLimits(
        max_connections=min(settings.max_connections or most, most),
        header_timeout_seconds=settings.header_timeout_seconds,
    )
    config = uvicorn.Config(
        create_app(settings),
        host=options.host,
        port=options.port,
        http=guarded(limits),
        backlog=limits.backlog,
        timeout_graceful_shutdown=GRACEFUL_SECONDS,
        access_log=False,
    )
    server = uvicorn.Server(config)
    with contextlib.suppress(KeyboardInterrupt):  # uvicorn has stopped in order, and raises the signal again
        server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
