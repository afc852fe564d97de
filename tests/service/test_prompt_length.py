"""A prompt with more tokens than the model takes is refused when it is sent, and one that just fits never is."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing

from service import token_counts
from tests.service.hand import CARD, gateway_of
from workers.contract import ModelCard, model_key, tokenizer_key

LIMIT = 12


@pytest.fixture
def counted(client: TestClient) -> ModelCard:
    """A model that takes 12 tokens, the end of sequence one of them. Its tokenizer is stored as a pipeline may leave it."""
    tokenizer = Tokenizer(WordLevel({"<unk>": 0, "</s>": 1}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = Whitespace()
    tokenizer.post_processor = TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    tokenizer.enable_truncation(4)
    tokenizer.enable_padding(length=20)
    card = CARD.model_copy(update={"id": "short", "encoder_fingerprint": "e" * 64, "max_prompt_tokens": LIMIT})
    store = gateway_of(client).store
    store.put(tokenizer_key(card.encoder_fingerprint), tokenizer.to_str().encode())
    store.put(model_key(card.id), card.model_dump_json().encode())
    return card


def words(count: int) -> str:
    return " ".join(["word"] * count)


@pytest.mark.parametrize("path", ["/generate", "/generate?dry_run=true", "/v1/videos"])
def test_a_prompt_that_is_too_long_is_refused(client: TestClient, counted: ModelCard, path: str) -> None:
    refused = client.post(path, json={"prompt": words(LIMIT), "model": counted.id})
    assert refused.status_code == 422, refused.text
    error = refused.json()["error"]
    assert (error["code"], error["param"]) == ("prompt_too_long", "prompt")
    assert error["message"] == "prompt has 13 tokens; short takes 12 at most: shorten it"
    assert client.post(path, json={"prompt": words(LIMIT - 1), "model": counted.id}).is_success


def test_so_is_a_negative_prompt(client: TestClient, counted: ModelCard) -> None:
    body: dict[str, Any] = {"prompt": "a cat", "model": counted.id, "negative_prompt": words(LIMIT)}
    error = client.post("/generate", json=body).json()["error"]
    assert (error["code"], error["param"]) == ("prompt_too_long", "negative_prompt")


def test_what_fits_once_the_pipeline_has_cleaned_it_is_accepted(client: TestClient, counted: ModelCard) -> None:
    prompt = " ".join(["&amp;"] * (LIMIT - 1))  # 33 tokens as sent, 11 as Wan reads them
    assert client.post("/generate", json={"prompt": prompt, "model": counted.id}).is_success


def test_pairs_are_counted_line_by_line(client: TestClient, counted: ModelCard) -> None:
    pairs = [{"positive": f"a cat by {place}", "negative": place} for place in ("sea", "lake", "river")]
    long = {"positive": f"cat {words(11)}", "negative": "a"}
    body: dict[str, Any] = {"concept": "cat", "model": counted.id, "pairs": [*pairs, long]}
    error = client.post("/erasers", json=body).json()["error"]
    assert (error["code"], error["param"]) == ("invalid_pairs", "pairs")
    assert "line 4: the positive prompt has 13 tokens" in error["message"]
    assert "line 3" not in error["message"]
    assert client.post("/erasers", json=body | {"pairs": pairs}).status_code == 202


def test_without_a_usable_tokenizer_nothing_is_counted(
    client: TestClient, counted: ModelCard, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = {"prompt": words(LIMIT), "model": counted.id}
    with monkeypatch.context() as patch:
        patch.setattr(token_counts, "MAX_BYTES", 10)
        assert client.post("/generate", json=body).is_success, "the worker counts it"
    store = gateway_of(client).store
    for fingerprint, content in (("a" * 64, b"{"), ("b" * 64, b"\xff"), ("c" * 64, None)):
        if content is not None:
            store.put(tokenizer_key(fingerprint), content)
        card = counted.model_copy(update={"encoder_fingerprint": fingerprint})
        assert token_counts.TokenCounts(store).of(card, ["a"]) is None
    assert token_counts.TokenCounts(store).of(counted, [words(LIMIT)]) == [LIMIT + 1]
