"""Signed messages from the gateway to workers: the payload of an attempt, and the command to stop one.

Redis is not trusted: whoever can write to it may delete or repeat messages, but not forge or change one. A message is one
token of bytes, `v1.<hex HMAC-SHA256>.<JSON body>`. The receiver checks the HMAC over the exact bytes of the body before it
parses anything, and then that the message is about this queue, this job and this attempt. The key is a setting that the
gateway and the workers share (`workers.common_settings`).

A repeated token is valid again. It is harmless: the fence and the terminal record of an attempt keep it from running twice,
and the gateway reads only the attempt that its database names.

Imports neither torch, rq nor redis.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from pydantic import Field, JsonValue, ValidationError

from workers.contract import Record

MIN_KEY_CHARACTERS = 32
_VERSION = b"v1"
_MAC_CHARACTERS = 64

Purpose = Literal["task", "stop"]


class MessageRefused(Exception):
    """The message was not signed with a known key, or is about something else. Its content is not to be used."""


class KeyMissing(Exception):
    """No key is set, so no message can be signed or checked."""

    def __init__(self) -> None:
        super().__init__(
            "CLEARWAY_QUEUE_KEY is not set: set the same secret for the gateway and all workers, "
            "for instance the output of `openssl rand -hex 32` (`clearway up` makes one in its data directory)"
        )


class QueuedTask(Record):
    """One attempt as the queue carries it. `name` is `workers.contract.rq_job_id`."""

    queue: str
    name: str
    function: str = Field(description="task function that runs it, one of those that the worker's kind has")
    timeout_seconds: int = Field(ge=1)
    task: dict[str, JsonValue] = Field(description="GenerationTask | TrainingTask | EvaluationTask")


class StopCommand(Record):
    """The client does not want the attempt any more."""

    name: str


Message = TypeVar("Message", QueuedTask, StopCommand)
_PURPOSES: dict[type[Record], Purpose] = {QueuedTask: "task", StopCommand: "stop"}


@dataclass(frozen=True)
class QueueKeys:
    """`current` signs. `current` and `other` are accepted, so that keys can be replaced without losing messages."""

    current: str = field(repr=False)
    other: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        if not self.current:
            raise KeyMissing
        for key in filter(None, (self.current, self.other)):
            if len(key) < MIN_KEY_CHARACTERS:
                raise ValueError(f"a queue key has at least {MIN_KEY_CHARACTERS} characters: use `openssl rand -hex 32`")

    def sign(self, message: QueuedTask | StopCommand) -> bytes:
        body = message.model_dump_json().encode()
        return b".".join((_VERSION, _mac(self.current, _PURPOSES[type(message)], body), body))

    def open(self, kind: type[Message], token: bytes) -> Message:
        """The message in the token. Raises `MessageRefused` unless a known key signed exactly this."""
        version, _, rest = token.partition(b".")
        mac, _, body = rest.partition(b".")
        if version != _VERSION or len(mac) != _MAC_CHARACTERS:
            raise MessageRefused("it is not a signed message of this version of Clearway")
        expected = [_mac(key, _PURPOSES[kind], body) for key in (self.current, self.other) if key]
        if not any(hmac.compare_digest(mac, candidate) for candidate in expected):
            raise MessageRefused(
                "it was changed on the way, or signed with another key: "
                "CLEARWAY_QUEUE_KEY must be the same for gateway and workers"
            )
        try:
            return kind.model_validate_json(body)
        except ValidationError as error:
            fields = ", ".join(sorted({".".join(map(str, fault["loc"])) for fault in error.errors(include_input=False)}))
            raise MessageRefused(f"another version of Clearway wrote it (fields: {fields})") from None


def _mac(key: str, purpose: Purpose, body: bytes) -> bytes:
    """With the purpose inside, so that a command never passes for a task."""
    return hmac.new(key.encode(), b"clearway %s\n%s" % (purpose.encode(), body), hashlib.sha256).hexdigest().encode()
