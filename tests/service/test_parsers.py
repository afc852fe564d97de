"""What reads words from outside: says the same in every spelling, or refuses by its own kind of error, whatever comes."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from service.client import Event
from service.errors import RequestError
from service.http.form import fields_of
from service.lifecycle.flight import read_progress
from service.schemas.generations import EraseItem, GenerateRequest
from service.schemas.videos import VideoRequest
from tests.support.sse import read_stream

checked = partial(settings, max_examples=60, deadline=None, derandomize=True, database=None)

words = st.text(st.characters(categories=("L", "N", "P", "Z")), max_size=20)
names = st.sampled_from(["church", "golf ball", "parachute", "犬", "7-eleven"])
items = st.fixed_dictionaries({"concept": names}, optional={"version": st.integers(1, 99), "strength": st.floats(0, 100)})
bodies = st.fixed_dictionaries(
    {"prompt": words.map(lambda text: f"a{text}")},
    optional={
        "negative_prompt": words.map(lambda text: f"b{text}"),
        "seed": st.integers(0, 2**32 - 1),
        "guidance_scale": st.floats(0, 50),
        "num_inference_steps": st.integers(1, 50),
        "erase": st.lists(items, min_size=1, max_size=4, unique_by=lambda item: item["concept"]),
        "metadata": st.dictionaries(words.map(lambda text: f"k{text}"), words, min_size=1, max_size=3),
        "size": st.just("64x32"),
        "seconds": st.just("1"),
    },
)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from([*VideoRequest.model_fields, *GenerateRequest.model_fields, "concept", "metadata[a]", "erase[]", "x"])


def form_of(body: dict[str, Any]) -> list[tuple[str, str]]:
    """As the official OpenAI clients write it."""
    pairs: list[tuple[str, str]] = []
    for name, value in body.items():
        if name == "metadata":
            pairs += [(f"metadata[{key}]", text) for key, text in value.items()]
        elif name == "erase":
            pairs.append((name, json.dumps(value)))
        else:
            pairs.append((name, str(value)))
    return pairs


@checked()
@given(bodies)
def test_a_form_says_what_the_json_says(body: dict[str, Any]) -> None:
    assert VideoRequest.model_validate(fields_of(form_of(body))) == VideoRequest.model_validate(body)


@checked()
@given(st.lists(st.tuples(fields | st.text(max_size=10), st.text(max_size=20)), max_size=6))
def test_any_form_is_read_or_refused(pairs: list[tuple[str, str]]) -> None:
    with contextlib.suppress(RequestError, ValidationError):
        VideoRequest.model_validate(fields_of(pairs))


@checked()
@given(st.dictionaries(fields | st.text(max_size=10), anything, max_size=5))
def test_any_json_is_read_or_refused(body: dict[str, Any]) -> None:
    for kind in (GenerateRequest, VideoRequest):
        try:
            read = kind.model_validate(body)
        except ValidationError:
            continue
        assert set(body) <= set(kind.model_fields)  # nothing was passed over
        assert kind.model_validate(read.model_dump(exclude_unset=True) | _spelled(body)) == read


def _spelled(body: dict[str, Any]) -> dict[str, Any]:
    """A size and seconds are text, and numbers once they are read."""
    return {name: body[name] for name in ("size", "seconds") if name in body}


@checked()
@given(names, st.integers(1, 10**9 - 1))
def test_a_short_eraser_is_the_long_one(name: str, version: int) -> None:
    short = GenerateRequest.model_validate({"prompt": "a", "erase": [f"{name}@{version}"]})
    assert short.erase == [EraseItem(concept=name, version=version)]


@checked()
@given(st.text(max_size=12))
def test_a_size_is_two_numbers_or_refused(text: str) -> None:
    for size in (text, f"{text}x64", f"64x{text}"):
        try:
            read = VideoRequest.model_validate({"prompt": "a", "size": size}).size
        except ValidationError:
            continue
        assert read is not None
        assert f"{read[0]}x{read[1]}" == size


@checked()
@given(st.binary(max_size=60) | anything.map(lambda value: json.dumps(value).encode()))
def test_any_event_has_a_place_or_none(data: bytes) -> None:
    read_progress(data)


@checked()
@given(st.lists(st.tuples(st.sampled_from(["step", "settled"]), st.dictionaries(words, st.integers() | words))))
def test_events_are_read_as_they_were_written(written: list[tuple[str, dict[str, Any]]]) -> None:
    lines: list[str] = []
    for number, (name, data) in enumerate(written):
        lines += [": keep-alive", f"id: {number}", f"event: {name}"]
        lines += [f"data: {part}" for part in json.dumps(data, indent=1, ensure_ascii=False).split("\n")] + [""]
    read = read_stream("\n".join([*lines, "event: step", "data: {"]))  # and one that was cut off
    assert read == [Event(name, data, str(number)) for number, (name, data) in enumerate(written)]
