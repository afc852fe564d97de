"""A form says the same as the JSON that it stands for, or is refused."""

from __future__ import annotations

import io
from typing import Any

import pytest
from starlette.datastructures import UploadFile

from service.errors import RequestError
from service.http.form import fields_of

STRENGTHS = '[{"concept": "church", "strength": 2}, "dog@3"]'
DEEP = "[" * 100_000


@pytest.mark.parametrize(
    ("items", "fields"),
    [
        ([], {}),
        ([("prompt", "7"), ("model", "true"), ("seconds", "4")], {"prompt": "7", "model": "true", "seconds": "4"}),
        ([("seed", "7"), ("guidance_scale", "2.5")], {"seed": 7, "guidance_scale": 2.5}),
        ([("seed", "seven"), ("num_inference_steps", DEEP)], {"seed": "seven", "num_inference_steps": DEEP}),
        ([("erase", "church")], {"erase": ["church"]}),
        ([("erase", "church"), ("erase", "dog@3")], {"erase": ["church", "dog@3"]}),
        ([("erase[]", "church"), ("erase[]", "dog@3")], {"erase": ["church", "dog@3"]}),
        ([("erase", STRENGTHS)], {"erase": [{"concept": "church", "strength": 2}, "dog@3"]}),
        ([("erase[]", "[]")], {"erase": []}),
        ([("erase", "church"), ("erase[]", "church")], {"erase": ["church"]}),
        ([("erase", "")], {}),
        ([("erase", ""), ("erase", "church"), ("erase[]", "")], {"erase": ["church"]}),
        ([("erase[", "a"), ("erase[][concept]", "b"), ("Erase", "c")], {"erase[": "a", "erase[][concept]": "b", "Erase": "c"}),
        ([("metadata[a]", "1"), ("metadata[b[c]]", "2")], {"metadata": {"a": "1", "b[c]": "2"}}),
        ([("input_reference[file_id]", "f")], {"input_reference": "f"}),
        ([("video_params[fps]", "16")], {"video_params[fps]": "16"}),
    ],
)
def test_fields(items: list[tuple[str, str]], fields: dict[str, Any]) -> None:
    assert fields_of(items) == fields


@pytest.mark.parametrize(
    ("items", "code", "param"),
    [
        ([("prompt", "a"), ("prompt", "b")], "invalid_request", "prompt"),
        ([("metadata[a]", "1"), ("metadata[a]", "1")], "invalid_request", "metadata[a]"),
        ([("metadata", "a"), ("metadata[a]", "1")], "invalid_request", "metadata"),
        ([("erase", "church"), ("erase[]", "dog")], "invalid_request", "erase"),
        ([("erase", "[church]")], "invalid_request", "erase"),
        ([("erase", '[{"concept": "church", "concept": "cat"}]')], "invalid_request", "concept"),
        ([("erase", DEEP)], "invalid_request", "erase"),
    ],
)
def test_what_is_said_twice_or_cannot_be_read_is_refused(items: list[tuple[str, str]], code: str, param: str) -> None:
    with pytest.raises(RequestError) as refused:
        fields_of(items)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_file_is_refused_under_any_name() -> None:
    for name in ("input_reference", "prompt", "erase", "erase[]"):
        with pytest.raises(RequestError) as refused:
            fields_of([("prompt", "a"), (name, UploadFile(io.BytesIO(b"a")))])
        assert (refused.value.code, refused.value.param) == ("unsupported_input", name)
