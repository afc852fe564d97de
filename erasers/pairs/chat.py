"""Pairs written by a language model, through any endpoint that speaks OpenAI's chat completions.

The model is asked for a batch of pairs at a time, as JSON of a fixed schema. What comes back is not trusted: a pair that
does not name the concept in its positive, names it in its negative, is empty or came before is dropped and counted. The
source goes on until it has enough, and stops with an error at its budget of tokens, or when replies stop being of use.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from erasers.concepts import Concept, ConceptKind
from erasers.errors import PairSourceError
from erasers.options import require
from erasers.pairs.prompts import Pairs

_SETTINGS = (
    "outdoors by day", "indoors", "at night in a city", "by the water", "in the mountains", "in bad weather", "among people",
    "close up", "from far away", "in motion", "as a quiet still scene", "in an unusual style", "in another century", "on a stage",
)  # fmt: skip
"""One is named in each request, so that batches differ."""
_RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
_SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "required": ["pairs"],
    "properties": {
        "pairs": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["positive", "negative"],
                "properties": {"positive": {"type": "string"}, "negative": {"type": "string"}},
            },
        }
    },
}


@dataclass(frozen=True, kw_only=True)
class ChatPairs:
    """`base_url` ends before `/chat/completions`, with `/v1` where the server has it."""

    base_url: str
    model: str
    api_key: str | None = field(default=None, repr=False)
    batch: int = 20
    """Pairs asked for in a request."""
    max_tokens: int = 400_000
    """Budget of one call of `pairs`, prompt and completion tokens together, as the server counts them."""
    attempts: int = 4
    """Of one request, where the server is busy or unreachable."""
    backoff_seconds: float = 1.0
    """Pause before the second attempt; it doubles. A server's Retry-After counts instead, up to a minute."""
    timeout_seconds: float = 60.0
    trust_env: bool = True
    """Whether proxy settings of the environment apply. Turn it off for a server on this machine."""

    def __post_init__(self) -> None:
        for name in ("batch", "max_tokens", "attempts"):
            require(getattr(self, name) >= 1, name, getattr(self, name), "1 or more")
        require(self.base_url.startswith(("http://", "https://")), "base_url", self.base_url, "an http or https address")

    def pairs(self, concept: Concept, n: int, seed: int) -> Pairs:
        """`n` checked pairs. Raises PairSourceError where the endpoint fails, is of no use, or the budget is spent."""
        found: dict[str, str] = {}
        dropped: Counter[str] = Counter()
        spent, fruitless = 0, 0
        with self._client() as client:
            for request in _requests(self.model, concept, self.batch, seed):
                if len(found) >= n:
                    break
                if spent >= self.max_tokens:
                    raise PairSourceError(f"{_state(found, n, dropped)}; the budget of {self.max_tokens} tokens is spent")
                if fruitless >= self.attempts:
                    raise PairSourceError(f"{_state(found, n, dropped)}; {fruitless} replies in a row brought nothing new")
                reply = self._ask(client, request)
                spent += _tokens(request, reply)
                before = len(found)
                _take(reply, concept, found, dropped)
                fruitless = fruitless + 1 if len(found) == before else 0
        chosen = list(found.items())[:n]
        return Pairs.unique(concept, chosen)

    def _client(self) -> httpx.Client:
        headers = {} if self.api_key is None else {"Authorization": f"Bearer {self.api_key}"}
        base_url = self.base_url.rstrip("/") + "/"
        try:
            return httpx.Client(base_url=base_url, headers=headers, timeout=self.timeout_seconds, trust_env=self.trust_env)
        except (httpx.InvalidURL, ValueError, ImportError) as unusable:  # ImportError: a SOCKS proxy needs another package
            raise PairSourceError(
                f"no way to {self.base_url}: its address or the environment's proxy settings are not usable: {unusable}"
            ) from unusable

    def _ask(self, client: httpx.Client, request: Mapping[str, Any]) -> dict[str, Any]:
        trouble = ""
        for attempt in range(self.attempts):
            pause = self.backoff_seconds * 2**attempt
            try:
                response = client.post("chat/completions", json=request)
            except httpx.TransportError as error:
                trouble = f"{type(error).__name__}: {error}"
            else:
                if response.is_success:
                    return _json(response)
                trouble = f"HTTP {response.status_code}: {response.text[:200]}"
                if response.status_code not in _RETRIED:
                    raise PairSourceError(f"{self.base_url} refuses the request, {trouble}")
                pause = _retry_after(response, otherwise=pause)
            if attempt + 1 < self.attempts:
                time.sleep(max(pause, 0.0))
        raise PairSourceError(f"{self.base_url} did not answer in {self.attempts} attempts; the last: {trouble}")


def _requests(model: str, concept: Concept, batch: int, seed: int) -> Iterator[dict[str, Any]]:
    rng = random.Random(f"chat/{concept.name}/{seed}")  # noqa: S311 - it must repeat
    while True:
        yield {
            "model": model,
            "messages": [{"role": "system", "content": _SYSTEM}, {"role": "user", "content": _task(concept, batch, rng)}],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "prompt_pairs", "strict": True, "schema": _SCHEMA},
            },
            "temperature": 1.0,
            "seed": rng.getrandbits(31),
        }


_KINDS: Mapping[ConceptKind, str] = {
    "object": "a thing",
    "identity": "a person or a character",
    "style": "a style or an artist",
    "attribute": "a quality of a scene",
    "scene": "a place",
    "activity": "something that people do",
}
_SYSTEM = (
    "You write prompts for a text-to-video model, in pairs. The positive prompt shows a given concept. The negative prompt is "
    "the same prompt, word for word, with the concept left out or exchanged for something unrelated, and never names it. Prompts "
    "are 5 to 30 English words, varied in setting, camera and wording. Reply with the JSON object that the schema describes."
)


def _task(concept: Concept, batch: int, rng: random.Random) -> str:
    lines = [f"Concept: {concept.name}, which is {_KINDS[concept.kind]}"]
    if concept.description:
        lines.append(f"What it is: {concept.description}")
    if concept.synonyms:
        lines.append(f"It is also called: {', '.join(concept.synonyms)}. Use each name in some positives, none in a negative.")
    if concept.keep:
        lines.append(f"Close to it, but not it: {', '.join(concept.keep)}. Put these in its place in some negatives.")
    lines.append(
        f"Write {batch} pairs, {rng.choice(_SETTINGS)}. Leave the concept out in half of the negatives, exchange it in half."
    )
    return "\n".join(lines)


def _take(reply: Mapping[str, Any], concept: Concept, found: dict[str, str], dropped: Counter[str]) -> None:
    """Adds to `found` what can be used, and to `dropped` why the rest cannot."""
    for positive, negative in _rows(reply, dropped):
        if not positive or not negative:
            dropped["empty"] += 1
        elif concept.named_in(positive) is None:
            dropped["without the concept in the positive"] += 1
        elif concept.named_in(negative) is not None:
            dropped["with the concept in the negative"] += 1
        elif positive in found:
            dropped["repeated"] += 1
        else:
            found[positive] = negative


def _rows(reply: Mapping[str, Any], dropped: Counter[str]) -> Iterator[tuple[str, str]]:
    try:
        content = json.loads(reply["choices"][0]["message"]["content"])
        rows = [(row["positive"], row["negative"]) for row in content["pairs"]]
    except (KeyError, IndexError, TypeError, ValueError):
        dropped["replies of another form"] += 1
        return
    for positive, negative in rows:
        if isinstance(positive, str) and isinstance(negative, str):
            yield " ".join(positive.split()), " ".join(negative.split())
        else:
            dropped["not text"] += 1


def _tokens(request: Mapping[str, Any], reply: Mapping[str, Any]) -> int:
    """As the server counts them; a quarter of the characters where it does not say."""
    usage = reply.get("usage")
    total = usage.get("total_tokens") if isinstance(usage, Mapping) else None
    return total if isinstance(total, int) and total > 0 else (len(json.dumps(request)) + len(json.dumps(reply))) // 4


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise PairSourceError(f"{response.url} answered with something that is no JSON object: {response.text[:200]!r}")
    return content


def _retry_after(response: httpx.Response, *, otherwise: float) -> float:
    try:
        return min(float(response.headers["retry-after"]), 60.0)
    except (KeyError, ValueError):
        return otherwise


def _state(found: Mapping[str, str], n: int, dropped: Counter[str]) -> str:
    why = ", ".join(f"{count} {reason}" for reason, count in dropped.most_common())
    return f"{len(found)} of {n} pairs are usable" + (f" (dropped: {why})" if why else "")
