from __future__ import annotations

from pathlib import Path

import pytest

from service.evaluation import prompts
from service.evaluation.errors import PromptFileError
from service.evaluation.scene import SceneLine


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "prompts.jsonl"
    path.write_text(text, encoding="utf-8")
    return path


def test_any_prompt_with_its_objects_is_read(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        '{"prompt": "Zwei Fallschirme über dem Meer", "objects": ["Parachute", "parachute "]}\n\n'
        '{"prompt": "x", "objects": []}\n',
    )
    assert prompts.read(path) == [
        prompts.PromptLine("Zwei Fallschirme über dem Meer", ("parachute",)),
        prompts.PromptLine("x", ()),
    ]


def test_only_a_line_feed_ends_a_line_and_a_byte_order_mark_is_skipped(tmp_path: Path) -> None:
    path = write(tmp_path, '\ufeff{"prompt": "a cat\u2028a dog\x85", "objects": ["cat"]}\r\n{"prompt": "x", "objects": []}')
    assert [line.prompt for line in prompts.read(path)] == ["a cat\u2028a dog\x85", "x"]


def test_a_line_may_say_what_else_its_video_shows(tmp_path: Path) -> None:
    scene = '{"background": "Snow", "motion": "down", "style": null}'
    lines = prompts.read(
        write(
            tmp_path,
            f'{{"prompt": "x", "objects": ["cat"], "scene": {scene}}}\n{{"prompt": "y", "objects": [], "scene": null}}\n',
        )
    )
    assert [line.scene for line in lines] == [SceneLine(background="snow", motion="down"), None]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"prompt": "a cat", "objects": [], "scene": "snow"}', '"scene" must be an object'),
        ('{"prompt": "a cat", "objects": [], "scene": {"backround": "snow"}}', '"scene" has the unknown field backround'),
        ('{"prompt": "a cat", "objects": [], "scene": {"motion": 1}}', 'each part of "scene" is a text'),
        ('{"prompt": "a cat", "objects": [], "scene": {"style": " "}}', 'each part of "scene" is a text'),
        ('{"prompt": "a cat", "objects": [], "scene": {"style": null}}', '"scene" asks for nothing'),
        ("a parachute", "not JSON"),
        ('["a parachute"]', "a JSON object is needed, not list"),
        ('{"objects": ["cat"]}', '"prompt" must be a text'),
        ('{"prompt": "  ", "objects": ["cat"]}', '"prompt" must be a text'),
        ('{"prompt": "a cat", "objects": "cat"}', '"objects" must be a list of names'),
        ('{"prompt": "a cat", "objects": [1]}', '"objects" must be a list of names'),
        ('{"prompt": "a cat"}', '"objects" must be a list of names'),
        ('{"prompt": "a cat", "objects": ["cat"], "object": "cat"}', "unknown field object"),
    ],
)
def test_a_bad_line_is_named_by_its_number(tmp_path: Path, line: str, why: str) -> None:
    good = '{"prompt": "a cat", "objects": ["cat"]}'
    with pytest.raises(PromptFileError) as refused:
        prompts.read(write(tmp_path, f"{good}\n{good}\n{line}\n{good}\n"))
    assert f"line 3: {why}" in str(refused.value)
    assert "line 1" not in str(refused.value)


def test_all_bad_lines_are_counted_and_the_first_are_shown(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError, match="… and 3 more"):
        prompts.read(write(tmp_path, "x\n" * 8))


def test_a_file_without_prompts_and_one_that_is_not_there_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PromptFileError, match="there is no prompt in it"):
        prompts.read(write(tmp_path, "\n\n"))
    with pytest.raises(PromptFileError, match="No such file"):
        prompts.read(tmp_path / "absent.jsonl")
