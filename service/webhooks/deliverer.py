"""Delivering: what is due in the outbox is claimed, sent, and its outcome written down.

    end of the generation ──commit──▶ due ──claim──▶ sent ──▶ delivered
                                       ▲               │
                                       └── a pause ◀───┴──▶ given up, after the last attempt or a 410

A claim counts the attempt and puts the next one after everything that this one may take, so a gateway that dies in between
loses nothing, and two gateways never send the same thing at once. It may have arrived all the same: at least once.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass
from datetime import timedelta
from functools import cache, partial

from service.domain.webhook_signature import sign
from service.logs import about
from service.metrics import Metrics, Outcome
from service.store import clock, keys, webhooks
from service.store.database import Database
from service.store.models import Job
from service.webhooks.event import body, event_id
from service.webhooks.sender import Answer, Message, Sender, answer_of

logger = logging.getLogger(__name__)

_AT_ONCE = 100
"""Messages that one gateway sends at once."""
_PER_KEY = 10
"""Of them, those of one key."""
_LOOK_SECONDS = 0.2
"""Pause between two looks at the outbox while messages are under way."""
_FACTOR = 4
"""Every pause is so many times the one before."""


@dataclass(frozen=True)
class Patience:
    attempts: int
    first_pause_seconds: float

    def pause_after(self, attempt: int) -> timedelta | None:
        """None after the last attempt."""
        if attempt >= self.attempts:
            return None
        return timedelta(seconds=self.first_pause_seconds * _FACTOR ** (attempt - 1))

    @property
    def longest_pause(self) -> timedelta:
        return self.pause_after(self.attempts - 1) or timedelta()


@dataclass(frozen=True)
class _Claimed:
    job: Job
    attempt: int
    message: Message


class Deliverer:
    """Sends many messages at once, and of each key only so many that all other keys find room: receivers that never answer hold
    up nothing but other messages of their own key."""

    def __init__(
        self, database: Database, sender: Sender, metrics: Metrics, patience: Patience, *, interval_seconds: float
    ) -> None:
        self._database = database
        self._sender = sender
        self._metrics = metrics
        self._patience = patience
        self._interval_seconds = interval_seconds
        self._under_way: dict[Future[Answer], _Claimed] = {}

    def step(self, stopping: threading.Event) -> None:
        begun = self.begin()
        if self._under_way:
            self.finish(timeout_seconds=_LOOK_SECONDS)
        elif not begun:
            stopping.wait(self._interval_seconds)

    def begin(self) -> int:
        """Send what is due, as far as there is room. Returns how many messages."""
        claimed = self._claim()
        for one in claimed:
            self._under_way[self._sender.start(one.message)] = one
        return len(claimed)

    def finish(self, *, timeout_seconds: float) -> int:
        """Note the answers that have come, or the first that comes in this time. Returns how many messages have none yet."""
        done, pending = wait(self._under_way, timeout_seconds, FIRST_COMPLETED)
        for future in done:
            self._note(self._under_way[future], answer_of(future))
            del self._under_way[future]  # not before: an answer that could not be noted is noted later
        return len(pending)

    def stop(self) -> None:
        """Give up what has no answer yet; another gateway, or the next start, sends it again."""
        try:
            for future in self._under_way:
                future.cancel()
            self.finish(timeout_seconds=0)
        finally:
            self._sender.close()

    def _claim(self) -> list[_Claimed]:
        longest = timedelta(seconds=2 * self._sender.timeout_seconds) + self._patience.longest_pause
        room = _AT_ONCE - len(self._under_way)
        busy = Counter(one.job.key_id for one in self._under_way.values())
        with self._database.read() as session:  # usually finds nothing, and blocks no writer
            now = clock.now(session)
            if room <= 0 or not webhooks.any_due(session, at=now, longest=longest):
                return []
            found = webhooks.due(session, at=now, longest=longest, limit=room, per_key=_PER_KEY, busy=busy)
        if not found:
            return []
        claimed = []
        with self._database.write() as session:
            secret_of = cache(partial(keys.webhook_secret, session))  # many deliveries, few keys
            for job, delivery in found:
                attempt = delivery.attempts + 1
                again = (
                    now
                    + timedelta(seconds=2 * self._sender.timeout_seconds)
                    + (self._patience.pause_after(attempt) or timedelta())
                )
                if job.webhook_url is not None and webhooks.claim(session, delivery, again_at=again):
                    claimed.append(_Claimed(job, attempt, _message(job, job.webhook_url, secret_of(job.key_id))))
        return claimed

    def _note(self, one: _Claimed, answer: Answer) -> None:
        """The outcome of an attempt; nothing where the generation was deleted meanwhile."""
        pause = None if answer.gone else self._patience.pause_after(one.attempt)
        with self._database.write() as session:
            now = clock.now(session)
            again = None if answer.error is None or pause is None else now + pause
            webhooks.note(session, one.job.id, attempt=one.attempt, error=answer.error, at=now, again_at=again)
        outcome: Outcome = "delivered" if answer.error is None else "failed" if again else "given_up"
        self._metrics.webhook(outcome)
        logger.info("webhook", extra={**about(one.job), "outcome": outcome, "code": answer.error, "cause": answer.cause})


def _message(job: Job, url: str, secret: str) -> Message:
    content, timestamp = body(job), int(time.time())
    return Message(
        url=url,
        headers={
            "content-type": "application/json",
            "user-agent": "Clearway",
            "webhook-id": event_id(job),
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(secret, event_id=event_id(job), timestamp=timestamp, body=content),
        },
        body=content,
    )
