"""`python -m tests.benchmarks.load [--requests 200] [--queued 10000] [--erasers 1000] …`: what a durable 202 costs.

Gateways on SQLite and on PostgreSQL, each a process of its own with a real Valkey, beside a bare FastAPI application that checks
the same body and puts it into RQ (`control`). Prints a table in Markdown: from sending a request until an idle worker starts it;
accepting, from several connections at once, while workers are busy; accepting, reading and listing with many jobs queued or many
erasers registered, beside the same gateway with one of each. Every 202 is looked for in SQL. Read the ratios: machines are noisy.
"""

from __future__ import annotations

import argparse
import os
import secrets
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from pydantic import SecretStr

from service.settings import Settings
from tests.benchmarks import servers
from tests.benchmarks.measuring import CONCEPT, Gateway, Load, Sizes
from tests.benchmarks.standing import Standing, opened
from tests.benchmarks.table import lines, place
from tests.service.postgres import Postgres

WINDOW = Settings.model_fields["generate_window"].default
DATABASES = ("SQLite", "PostgreSQL")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--requests", type=int, default=200, help="of each kind, in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--at-once", type=int, nargs="+", default=[1, 8, 32], help="connections that accepting is measured with")
    parser.add_argument("--queued", type=int, default=10_000)
    parser.add_argument("--erasers", type=int, default=1000)
    parser.add_argument("--starts", type=int, default=30, help="jobs that an idle worker starts")
    parser.add_argument("--databases", nargs="+", choices=DATABASES, default=DATABASES)
    parser.add_argument("--seed", type=int, default=0, help="of the requests")
    return parser.parse_args()


def measured(chosen: argparse.Namespace, directory: Path) -> Load:
    """Workers run only while starting is measured; later they would take processors from those who accept."""
    load = Load(Sizes(chosen.requests, chosen.starts, chosen.queued, chosen.erasers), seed=chosen.seed)
    with ExitStack() as parts:
        redis_url = parts.enter_context(servers.valkey(directory))
        control = parts.enter_context(servers.bare(directory, redis_url))
        with servers.bare_worker(directory, redis_url):
            load.starting(control)
        gateways = []
        for number, name in enumerate(chosen.databases, start=1):
            database_url = parts.enter_context(database(name, directory))
            settings = settings_of(directory / name, f"{redis_url}?db={number}", database_url)
            server = parts.enter_context(servers.gateway(name, settings))
            say(f"a worker of the gateway on {name} starts jobs")
            with servers.worker(settings, server):
                load.starting(server)
            opened_database = parts.enter_context(opened(database_url))
            gateways.append(Gateway(server, Standing(opened_database, concept=CONCEPT, window=WINDOW)))
        for number in range(chosen.rounds):
            say(f"round {number + 1} of {chosen.rounds}")
            for at_once in chosen.at_once:
                load.accepting(control, gateways, at_once=at_once)
            for gateway in gateways:
                load.crowded(gateway)
    return load


@contextmanager
def database(name: str, directory: Path) -> Iterator[str]:
    """The address of an empty one that keeps what it commits, as in production."""
    if name == "SQLite":
        yield f"sqlite:///{directory / 'clearway.db'}"
        return
    server = Postgres(durable=True)
    try:
        with server.database() as url:
            yield url
    finally:
        server.stop()


def settings_of(data_dir: Path, redis_url: str, database_url: str) -> Settings:
    data_dir.mkdir()
    return Settings(data_dir=data_dir, redis_url=SecretStr(redis_url), database_url=SecretStr(database_url), max_queued=10**6)


def say(text: str) -> None:
    sys.stderr.write(f"{text}\n")


def main() -> None:
    chosen = options()
    os.environ.setdefault("CLEARWAY_QUEUE_KEY", secrets.token_hex(32))
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("stopped"))  # and every process with it
    with tempfile.TemporaryDirectory() as directory:
        load = measured(chosen, Path(directory))
    sys.stdout.write("\n".join([*lines(load.timings, load.beside), "", f"{place()}. {vars(chosen)}", ""]))


if __name__ == "__main__":
    main()
