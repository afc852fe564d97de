"""Signed messages: what was signed comes back, and nothing else does."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from pydantic import SecretStr, ValidationError

from workers.common_settings import CommonSettings, SettingsInvalid
from workers.queue_messages import KeyMissing, MessageRefused, QueuedTask, QueueKeys, StopCommand

KEY, OTHER, UNKNOWN = "k" * 32, "o" * 32, "u" * 32
TASK: dict[str, Any] = {"id": "gen_1", "attempt": 1, "prompt": "a cat", "erase": [{"concept": "cat"}], "seed": 7, "width": 64}
MESSAGE = QueuedTask(queue="q", name="gen_1-1", function="f", timeout_seconds=60, task=TASK)


def test_a_signed_message_opens_with_its_key_alone() -> None:
    token = QueueKeys(KEY).sign(MESSAGE)
    assert QueueKeys(KEY).open(QueuedTask, token) == MESSAGE
    with pytest.raises(MessageRefused, match="CLEARWAY_QUEUE_KEY"):
        QueueKeys(UNKNOWN).open(QueuedTask, token)


@pytest.mark.parametrize(
    "change",
    [
        lambda task: {**task, "prompt": "a dog"},
        lambda task: {**task, "erase": []},
        lambda task: {**task, "attempt": 2},
        lambda task: {**task, "seed": 8},
        lambda task: {**task, "width": 128},
    ],
)
def test_a_changed_task_is_refused(change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    head, _, body = QueueKeys(KEY).sign(MESSAGE).rpartition(b".{")
    message = json.loads(b"{" + body)
    forged = json.dumps({**message, "task": change(message["task"])}).encode()
    with pytest.raises(MessageRefused):
        QueueKeys(KEY).open(QueuedTask, head + b"." + forged)


def test_nothing_is_parsed_before_it_is_checked() -> None:
    mac = QueueKeys(KEY).sign(MESSAGE).split(b".", 2)[1]
    for token in (b"", b"v1", b"v2." + mac + b".{}", b"v1." + mac + b"." + b"[" * 10**6, b"\xff" * 100):
        with pytest.raises(MessageRefused, match=r"changed on the way|not a signed message"):
            QueueKeys(KEY).open(QueuedTask, token)


def test_a_command_does_not_pass_for_a_task_nor_a_task_for_a_command() -> None:
    keys = QueueKeys(KEY)
    with pytest.raises(MessageRefused, match="changed on the way"):
        keys.open(QueuedTask, keys.sign(StopCommand(name="gen_1-1")))
    with pytest.raises(MessageRefused, match="changed on the way"):
        keys.open(StopCommand, keys.sign(MESSAGE))


def test_a_key_is_replaced_without_losing_messages() -> None:
    before, after = QueueKeys(KEY), QueueKeys(OTHER)
    workers = QueueKeys(OTHER, KEY)
    assert workers.open(QueuedTask, before.sign(MESSAGE)) == workers.open(QueuedTask, after.sign(MESSAGE)) == MESSAGE
    with pytest.raises(MessageRefused):
        after.open(QueuedTask, before.sign(MESSAGE))


def test_a_message_of_another_version_is_refused_by_name() -> None:
    class Newer(QueuedTask):
        region: str

    keys = QueueKeys(KEY)
    newer = Newer(**MESSAGE.model_dump(), region="eu")
    body = newer.model_dump_json().encode()
    token = keys.sign(MESSAGE)
    assert keys.open(QueuedTask, token)
    from workers import queue_messages

    mac = queue_messages._mac(KEY, "task", body)
    with pytest.raises(MessageRefused, match=r"another version .*region"):
        keys.open(QueuedTask, b"v1." + mac + b"." + body)


def test_keys_are_long_and_stay_out_of_what_is_printed() -> None:
    with pytest.raises(ValueError, match="at least 32"):
        QueueKeys("short")
    with pytest.raises(KeyMissing, match="openssl rand -hex 32"):
        QueueKeys("")
    assert KEY not in repr(QueueKeys(KEY, OTHER))


def test_the_settings_read_the_key_that_up_keeps(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CLEARWAY_QUEUE_KEY")
    with pytest.raises(SettingsInvalid, match="CLEARWAY_QUEUE_KEY is not set"):
        CommonSettings(data_dir=tmp_path).queue_keys()
    (tmp_path / "queue.key").write_text(f"{KEY}\n")
    assert CommonSettings(data_dir=tmp_path).queue_keys() == QueueKeys(KEY)
    assert CommonSettings(data_dir=tmp_path, queue_key=SecretStr(OTHER)).queue_keys() == QueueKeys(OTHER)
    with pytest.raises(ValidationError, match="at least 32"):
        CommonSettings(data_dir=tmp_path, queue_key=SecretStr("short"))
