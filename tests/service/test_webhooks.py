"""Webhooks from acceptance to delivery: told once where all goes well, and at last where it does not."""

from __future__ import annotations

import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.testclient import TestClient
from openai import OpenAI
from sqlalchemy import text

from service.metrics import Metrics
from service.settings import Settings
from service.store import jobs, keys, webhooks
from service.store.database import Database
from service.webhooks.deliverer import Deliverer, Patience
from service.webhooks.sender import Sender
from tests.service.calls import code, generate, settled, wait_until
from tests.service.conftest import serving, user_of
from tests.service.hand import Hand, gateway_of
from tests.service.plans import statements
from tests.service.test_audit import the
from tests.service.test_metrics import series
from tests.service.test_server import gateway_process

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()
(README_CODE,) = re.findall(r"<!-- runs in tests/service/test_webhooks.py -->\n```python\n(.*?)```", README, re.DOTALL)
LONGEST = timedelta(hours=1)
RETRY = {"webhook_private": True, "webhook_retry_seconds": 0.2, "webhook_timeout_seconds": 2.0, "webhook_attempts": 4}


class Receiver:
    """A client's server. It answers with `status`, and keeps what it was sent."""

    def __init__(self, port: int = 0, status: int = 200) -> None:
        self.status = status
        self.sent: list[tuple[dict[str, str], bytes]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                receiver.sent.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/hook?who=me"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in self.sent]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with closing(Receiver()) as opened:
        yield opened


@pytest.fixture
def client(settings: Settings) -> Iterator[TestClient]:
    with serving(settings.model_copy(update=RETRY)) as opened:
        yield opened


def down() -> str:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return f"http://127.0.0.1:{probe.getsockname()[1]}/hook"


def webhook_of(client: TestClient, generation_id: str) -> dict[str, Any]:
    found: dict[str, Any] = client.get(f"/generations/{generation_id}").json()["webhook"]
    return found


@pytest.mark.both_databases
def test_told_once_and_signed_for_the_key(client: TestClient, hand: Hand, receiver: Receiver) -> None:
    user = user_of(client)
    accepted = generate(user, prompt="very private words", webhook_url=receiver.url, metadata={"order": "7"})
    assert accepted["webhook"] == {
        "url": receiver.url, "attempts": 0, "delivered_at": None, "next_attempt_at": None, "last_error": None
    }  # fmt: skip
    hand.finish(hand.take_generation())
    told = wait_until(lambda: (shown := webhook_of(user, accepted["id"]))["delivered_at"] and shown)
    assert (told["attempts"], told["last_error"], told["next_attempt_at"]) == (1, None, None)
    ((headers, body),) = receiver.sent
    secret = user.get("/webhook-secret").json()["secret"]
    OpenAI(api_key="unused").webhooks.verify_signature(body, headers, secret=secret)
    assert secret != client.get("/webhook-secret").json()["secret"], "each key has its own"
    event = json.loads(body)
    assert headers["webhook-id"] == event["id"] == accepted["id"].replace("gen_", "evt_")
    assert (event["object"], event["type"]) == ("event", "generation.succeeded")
    assert event["data"] == {"id": accepted["id"], "status": "succeeded", "error": None, "metadata": {"order": "7"}}
    assert b"private" not in body
    assert client.get("/generations").json()["data"][0]["webhook"] == told
    assert client.get(f"/v1/videos/{accepted['id']}").json()["webhook"] == told
    now = series(client)
    assert now['clearway_webhook_attempts_total{outcome="delivered"}'] == 1
    assert now["clearway_webhooks_due{}"] == 0


def test_every_end_is_told_and_nothing_else(client: TestClient, hand: Hand, receiver: Receiver) -> None:
    failed, canceled, _silent = (
        generate(client, webhook_url=receiver.url)["id"],
        generate(client, webhook_url=receiver.url)["id"],
        generate(client)["id"],
    )
    hand.fail("generate", hand.take_generation(), "eraser_inactive")
    assert client.post(f"/generations/{canceled}/cancel").json()["webhook"]["attempts"] == 0
    wait_until(lambda: len(receiver.sent) == 2)
    told = {event["data"]["id"]: (event["type"], event["data"]["error"]["code"]) for event in receiver.events}
    assert told == {failed: ("generation.failed", "eraser_inactive"), canceled: ("generation.canceled", "cancelled")}


def test_a_receiver_that_was_down_is_told_when_it_is_up(client: TestClient, hand: Hand) -> None:
    url = down()
    accepted = generate(client, webhook_url=url)
    hand.finish(hand.take_generation())
    failing = wait_until(lambda: (shown := webhook_of(client, accepted["id"]))["last_error"] and shown)
    assert failing["last_error"].startswith("no HTTP answer within 2 s")
    assert (failing["delivered_at"], failing["next_attempt_at"] is None) == (None, False)
    with closing(Receiver(port=int(url.rsplit(":")[-1].partition("/")[0]))) as receiver:
        told = wait_until(lambda: (shown := webhook_of(client, accepted["id"]))["delivered_at"] and shown, seconds=20)
        assert (told["attempts"] > 1, told["last_error"], len(receiver.sent)) == (True, None, 1)


def test_it_has_an_end(client: TestClient, hand: Hand, receiver: Receiver) -> None:
    receiver.status = 500
    accepted = generate(client, webhook_url=receiver.url)
    hand.finish(hand.take_generation())
    wait_until(lambda: len(receiver.sent) == RETRY["webhook_attempts"], seconds=30)
    given_up = wait_until(lambda: (shown := webhook_of(client, accepted["id"]))["next_attempt_at"] is None and shown)
    assert (given_up["attempts"], given_up["last_error"], given_up["delivered_at"]) == (4, "it answered 500", None)
    assert len({body for _, body in receiver.sent}) == 1, "every attempt says the same"
    assert series(client)['clearway_webhook_attempts_total{outcome="given_up"}'] == 1


def test_whoever_is_gone_is_asked_once(client: TestClient, hand: Hand, receiver: Receiver) -> None:
    receiver.status = 410
    accepted = generate(client, webhook_url=receiver.url)
    hand.finish(hand.take_generation())
    shown = wait_until(lambda: (shown := webhook_of(client, accepted["id"]))["last_error"] and shown)
    assert (shown["attempts"], shown["next_attempt_at"]) == (1, None)


def test_a_private_address_is_refused(settings: Settings, hand: Hand, receiver: Receiver) -> None:
    with serving(settings) as client:
        for url in (receiver.url, receiver.url.replace("http:", "https:"), "https://u:p@example.com/", 7, "x" * 3000):
            answer = client.post("/generate", json={"prompt": "a", "webhook_url": url})
            expected = "invalid_request" if url == 7 else "invalid_webhook_url"
            assert (answer.status_code, code(answer), answer.json()["error"]["param"]) == (422, expected, "webhook_url")
        hidden = receiver.url.replace("http://127.0.0.1", "https://localhost")  # a name: known when it is looked up
        accepted = generate(client, webhook_url=hidden)
        hand.finish(hand.take_generation())
        shown = wait_until(lambda: (shown := webhook_of(client, accepted["id"]))["last_error"] and shown)
        assert shown["last_error"].startswith("no HTTP answer within 10 s"), "the same as of an address where nobody is"
    assert receiver.sent == []


def test_a_gateway_that_is_killed_after_the_commit_has_lost_nothing(settings: Settings, hand: Hand, receiver: Receiver) -> None:
    """The end is in SQL and the event is not sent; the next gateway sends it."""
    with gateway_process(settings, CLEARWAY_SWEEP_INTERVAL_SECONDS="60", CLEARWAY_WEBHOOK_PRIVATE="true") as (url, server):
        key = settings.operator_key_path.read_text().strip()
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as outside:
            accepted = outside.post("/generate", json={"prompt": "a", "webhook_url": receiver.url}).json()
            hand.finish(hand.take_generation())
            wait_until(lambda: outside.get(accepted["links"]["self"]).json()["status"] == "succeeded", seconds=30)
        server.send_signal(signal.SIGKILL)
        server.wait(10)
    assert receiver.sent == []
    with serving(settings.model_copy(update=RETRY)) as client:
        wait_until(lambda: webhook_of(client, accepted["id"])["delivered_at"], seconds=20)
    assert [event["data"]["id"] for event in receiver.events] == [accepted["id"]]


def test_what_is_deleted_is_told_to_nobody(client: TestClient, receiver: Receiver) -> None:
    accepted = generate(client, webhook_url=receiver.url)
    assert client.delete(accepted["links"]["self"]).status_code == 204
    with gateway_of(client).database.read() as session:
        assert webhooks.count_due(session) == 0


def test_another_secret(client: TestClient) -> None:
    first = client.get("/webhook-secret").json()
    assert client.get("/webhook-secret").json() == first
    second = client.post("/webhook-secret/rotate").json()
    assert client.get("/webhook-secret").json() == second != first
    assert the(client, "key.webhook_secret_rotated")["details"] == {}


@contextmanager
def outbox(url: str, *, attempts: int = 3) -> Iterator[tuple[Database, Deliverer]]:
    """A database with a key, and a deliverer without a thread."""
    with closing(Database(url)) as database:
        with database.write() as session:
            for key_id in "kq":
                keys.insert(session, key_id=key_id, name=key_id, role="user", secret_sha256=key_id * 64)
        deliverer = Deliverer(database, *parts(attempts), interval_seconds=0.2)
        yield database, deliverer
        deliverer.stop()


def parts(attempts: int = 3) -> tuple[Sender, Metrics, Patience]:
    """What a deliverer is made of."""
    return Sender(timeout_seconds=5, private=True), Metrics(), Patience(attempts=attempts, first_pause_seconds=60)


def delivered(deliverer: Deliverer) -> int:
    """Send all that is due now, to the end. How many messages it was."""
    begun = deliverer.begin()
    while deliverer.finish(timeout_seconds=0.1):
        continue
    return begun


def ended(database: Database, name: str, url: str, *, key_id: str = "k") -> None:
    with database.write() as session:
        job = jobs.insert(
            session, job_id=f"gen_{name}", kind="generate", model="toy", key_id=key_id, plan={}, labels={}, webhook_url=url
        )
        assert jobs.cancel(session, job)


@pytest.mark.both_databases
def test_two_gateways_send_a_thing_once(database_url: str, receiver: Receiver) -> None:
    with outbox(database_url) as (database, deliverer):
        for number in range(6):
            ended(database, str(number), receiver.url)
        other = Deliverer(database, *parts(), interval_seconds=0.2)
        threads = [threading.Thread(target=delivered, args=(one,)) for one in (deliverer, other)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        other.stop()
        assert sorted(event["data"]["id"] for event in receiver.events) == [f"gen_{number}" for number in range(6)]
        assert delivered(deliverer) == 0


@pytest.mark.both_databases
def test_one_who_died_after_the_claim_is_followed_by_another(database_url: str, receiver: Receiver) -> None:
    with outbox(database_url) as (database, deliverer):
        ended(database, "1", receiver.url)
        with database.write() as session:
            ((_, delivery),) = webhooks.due(session, at=datetime.now(UTC), longest=LONGEST, limit=1, per_key=1, busy={})
            assert webhooks.claim(session, delivery, again_at=datetime.now(UTC) + timedelta(minutes=1))
            assert not webhooks.claim(session, delivery, again_at=datetime.now(UTC)), "one of two"
        assert delivered(deliverer) == 0, "while it may still be sending"
        with database.write() as session:
            session.execute(text("UPDATE webhook_deliveries SET due_at = '2026-01-01 00:00:00'"))
        assert delivered(deliverer) == 1
        assert len(receiver.sent) == 1
        with database.read() as session:
            (row,) = webhooks.of_jobs(session, jobs.in_status(session, "canceled")).values()
        assert (row.attempts, row.due_at, row.delivered_at is None) == (2, None, False)


@pytest.mark.both_databases
def test_keys_take_turns(database_url: str) -> None:
    with outbox(database_url) as (database, _):
        for number in range(5):
            ended(database, str(number), down())
        ended(database, "of another", down(), key_id="q")
        with database.read() as session:
            due = partial(webhooks.due, session, at=datetime.now(UTC), longest=LONGEST)
            found = due(limit=4, per_key=9, busy={})
            shared = due(limit=9, per_key=3, busy={"k": 1})
            full = due(limit=9, per_key=3, busy={"k": 3, "q": 7})
    assert [job.id for job, _ in found] == ["gen_0", "gen_of another", "gen_1", "gen_2"]
    assert [job.id for job, _ in shared] == ["gen_0", "gen_of another", "gen_1"], "what is under way counts"
    assert full == []


@contextmanager
def silent() -> Iterator[str]:
    """The URL of a receiver that takes every connection and never answers."""
    with socket.create_server(("127.0.0.1", 0), backlog=500) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/hook"


@pytest.mark.both_databases
def test_dead_receivers_of_one_key_hold_up_no_other(database_url: str, receiver: Receiver) -> None:
    """A hundred and twenty messages that are never answered are due before the one of another key."""
    stopping = threading.Event()
    with silent() as dead, outbox(database_url) as (database, deliverer):

        def run() -> None:
            while not stopping.is_set():
                deliverer.step(stopping)

        for number in range(120):
            ended(database, f"dead_{number}", dead)
        loop = threading.Thread(target=run)
        loop.start()
        try:
            wait_until(lambda: attempted(database) >= 10)
            started = time.monotonic()
            ended(database, "of another", receiver.url, key_id="q")
            wait_until(lambda: receiver.sent)
            assert time.monotonic() - started < 3, "before any of the others has timed out"
            assert attempted(database) == 11, "a key has ten messages under way at most"
        finally:
            stopping.set()
            loop.join()


def attempted(database: Database) -> int:
    with database.read() as session:
        return int(session.scalar(text("SELECT COUNT(*) FROM webhook_deliveries WHERE attempts > 0")) or 0)


def test_nothing_due_is_one_question_of_an_index(database_url: str) -> None:
    with closing(Database(database_url)) as database:
        said = statements(database, lambda session: webhooks.any_due(session, at=datetime.now(UTC), longest=LONGEST))
    ((_, plan),) = said
    assert [step for step in plan if "ix_webhook_deliveries_due" in step], plan
    assert not [step for step in plan if "TEMP B-TREE" in step], plan


def test_the_readmes_receiver(client: TestClient, hand: Hand, receiver: Receiver) -> None:
    accepted = generate(client, webhook_url=receiver.url)
    hand.finish(hand.take_generation())
    wait_until(lambda: receiver.sent)
    wait_until(lambda: settled(client, accepted["id"]))
    ((headers, body),) = receiver.sent
    secret = client.get("/webhook-secret").json()["secret"]
    scope: dict[str, Any] = {"SECRET": secret}
    exec(README_CODE, scope)
    assert scope["genuine"](headers, body)
    assert not scope["genuine"](headers, body + b" ")
    assert not scope["genuine"]({**headers, "webhook-timestamp": "1"}, body)
