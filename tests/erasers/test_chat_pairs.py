"""Pairs from a chat endpoint, against a server of that dialect on this machine."""

from __future__ import annotations

from typing import Any

import pytest

from erasers import Concept
from erasers.errors import ConfigError, PairSourceError
from erasers.pairs import ChatPairs
from tests.chat_server import completion, endpoint

CAT = Concept("cat", synonyms=("tabby",), keep=("lynx",), description="the house cat")


def good(number: int, size: int = 5) -> list[tuple[str, str]]:
    return [(f"a cat in room {number} {i}", f"a room {number} {i}") for i in range(size)]


def source(url: str, **changes: Any) -> ChatPairs:
    return ChatPairs(**{"base_url": url, "model": "writer", "batch": 5, "backoff_seconds": 0.0} | changes)


def test_it_asks_until_it_has_enough() -> None:
    with endpoint(lambda number, body: (200, {}, completion(good(number)))) as (url, seen):
        pairs = source(url, api_key="secret").pairs(CAT, 12, seed=3)
        again = source(url).pairs(CAT, 1, seed=3)
    assert len(pairs) == 12
    assert len(again) == 1
    assert [request["path"] for request in seen] == ["/v1/chat/completions"] * 4
    assert seen[0]["headers"]["Authorization"] == "Bearer secret"
    assert "Authorization" not in seen[3]["headers"]
    assert seen[0]["response_format"]["json_schema"]["strict"] is True
    task = seen[0]["messages"][1]["content"]
    assert all(word in task for word in ("cat", "tabby", "lynx", "the house cat", "5 pairs"))
    assert seen[0]["seed"] == seen[3]["seed"] != seen[1]["seed"]
    assert "secret" not in repr(source(url, api_key="secret"))


def test_what_would_train_the_wrong_thing_is_dropped() -> None:
    bad = [("a dog", "a room"), ("a cat", "two tabbies"), ("", "a room"), ("a  cat in a hat", "a hat"), ("a cat in a hat", "x")]
    with endpoint(lambda number, body: (200, {}, completion(bad if number == 1 else good(number)))) as (url, _):
        pairs = source(url).pairs(CAT, 4, seed=0)
    assert pairs.positive[0] == "a cat in a hat"
    assert len(pairs) == 4


@pytest.mark.parametrize("useless", [completion([("a dog", "a room")]), completion("not json"), {"choices": []}])
def test_it_gives_up_where_replies_bring_nothing(useless: dict[str, Any]) -> None:
    with endpoint(lambda number, body: (200, {}, useless)) as (url, seen):
        with pytest.raises(PairSourceError, match=r"0 of 4 pairs are usable .*; 3 replies in a row brought nothing new"):
            source(url, attempts=3).pairs(CAT, 4, seed=0)
        assert len(seen) == 3


@pytest.mark.parametrize("counted", [900, None])
def test_it_stops_at_its_budget(counted: int | None) -> None:
    with endpoint(lambda number, body: (200, {}, completion(good(number), counted))) as (url, seen):
        with pytest.raises(PairSourceError, match=r"of 1000 pairs are usable; the budget of 1000 tokens is spent"):
            source(url, max_tokens=1000).pairs(CAT, 1000, seed=0)
        assert 2 <= len(seen) <= 4


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again(status: int) -> None:
    def answer(number: int, body: dict[str, Any]) -> tuple[int, dict[str, str], Any]:
        return (status, {"retry-after": "0"}, {}) if number < 3 else (200, {}, completion(good(number)))

    with endpoint(answer) as (url, seen):
        assert len(source(url, backoff_seconds=100.0).pairs(CAT, 3, seed=0)) == 3
        assert len(seen) == 3


def test_errors_say_what_the_server_said() -> None:
    with endpoint(lambda number, body: (500, {}, {"error": {"message": "out of paper"}})) as (url, seen):
        with pytest.raises(PairSourceError, match=r"did not answer in 2 attempts; the last: HTTP 500: .*out of paper"):
            source(url, attempts=2).pairs(CAT, 3, seed=0)
        assert len(seen) == 2
    with (
        endpoint(lambda number, body: (401, {}, {"error": {"message": "who are you"}})) as (url, seen),
        pytest.raises(PairSourceError, match=r"refuses the request, HTTP 401: .*who are you"),
    ):
        source(url).pairs(CAT, 3, seed=0)
    with (
        endpoint(lambda number, body: (200, {}, b"<html>")) as (url, _),
        pytest.raises(PairSourceError, match="no JSON object: '<html>'"),
    ):
        source(url).pairs(CAT, 3, seed=0)
    with pytest.raises(PairSourceError, match="ConnectError"):
        source("http://127.0.0.1:9/v1", attempts=1).pairs(CAT, 3, seed=0)


def test_proxies_of_the_environment_apply_unless_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    with endpoint(lambda number, body: (200, {}, completion(good(number)))) as (url, _):
        assert len(source(url, trust_env=False).pairs(CAT, 5, seed=0)) == 5
        with pytest.raises(PairSourceError, match="proxy settings are not usable"):
            source(url).pairs(CAT, 5, seed=0)


def test_addresses_and_numbers_are_checked() -> None:
    with pytest.raises(ConfigError, match="base_url must be an http or https address"):
        source("ftp://x")
    with pytest.raises(ConfigError, match="batch must be 1 or more"):
        source("http://x", batch=0)
