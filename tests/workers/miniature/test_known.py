"""The miniature's card says every word that its tokenizer has, and everything that it can draw."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from service.demo.run import PROMPTS
from service.domain.words import unknown_words
from service.schemas.generations import GenerateRequest
from service.schemas.videos import VideoRequest
from workers.miniature.vocabulary import BACKGROUNDS, MOTIONS, OBJECTS, STYLES, SUBJECTS
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_pipeline
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="module")
def pipeline() -> VideoPipeline:
    return load_pipeline(WorkerSettings(model="miniature", device="cpu"))


def test_the_card_has_the_world(pipeline: VideoPipeline) -> None:
    known = pipeline.card().knows
    assert known is not None
    assert (set(known.objects), set(known.styles)) == (set(OBJECTS), set(STYLES))
    assert (set(known.backgrounds), set(known.motions)) == (set(BACKGROUNDS), set(MOTIONS))
    assert len(known.objects) + len(known.characters) == len(SUBJECTS)


def test_every_phrase_of_the_world_is_made_of_words_on_the_card(pipeline: VideoPipeline) -> None:
    card = pipeline.card()
    assert card.knows is not None
    tables = (card.knows.objects, card.knows.backgrounds, card.knows.motions, card.knows.styles)
    phrases = [phrase for table in tables for words in table.values() for phrase in words]
    assert {word for phrase in phrases for word in phrase.split()} <= set(card.words)


def test_a_word_of_the_card_is_one_token_and_another_is_not(pipeline: VideoPipeline) -> None:
    assert "beach" not in pipeline.card().words
    assert len(pipeline.tokenizer("parachute").input_ids) == 2  # with the end of sequence
    assert len(pipeline.tokenizer("beach").input_ids) > 2
    assert len(pipeline.card().model_dump_json()) < 16_000


def examples(request: type[GenerateRequest | VideoRequest]) -> str:
    return json.dumps(request.model_json_schema()["examples"])


def prompts_in(text: str) -> list[str]:
    """Of JSON, and of `clearway generate "…"`."""
    return re.findall(r'"prompt": "([^"…]+)"', text) + re.findall(r'clearway generate "([^"]+)"', text)


@pytest.mark.parametrize(
    "text",
    [(ROOT / "README.md").read_text(), PROMPTS.read_text(), examples(GenerateRequest), examples(VideoRequest)],
    ids=["README", "demo", "generate", "videos"],
)
def test_every_example_is_one_that_the_miniature_can_draw(pipeline: VideoPipeline, text: str) -> None:
    known, prompts = pipeline.card().words, prompts_in(text)
    assert prompts
    assert [word for prompt in prompts for word in unknown_words(prompt, known)] == []
    assert unknown_words("a parachute over a beach", known) == ["beach"]
