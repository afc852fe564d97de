"""Pairs about a lantern, in words that the tiny models' tokenizer has, and an eraser trained on them. Needs no server."""

from __future__ import annotations

import itertools

import erasers
from erasers.pairs import Pairs
from workers.pipelines.base import VideoPipeline

CONCEPT = erasers.Concept("lantern", synonyms=("red lantern",))


def lantern_pairs() -> Pairs:
    """64 short pairs: the tiny encoders take 16 tokens."""
    tails = [
        f"{where} the {size} {place}"
        for where in ("on", "near", "over", "at")
        for size in ("big", "small")
        for place in ("hill", "river", "field", "tree")
    ]
    heads = [("a lantern", "a cat"), ("a red lantern", "a dog")]
    return Pairs.unique(CONCEPT, ((f"{a} {tail}", f"{b} {tail}") for (a, b), tail in itertools.product(heads, tails)))


def train_lantern(pipeline: VideoPipeline, *, method: str = "clear", seed: int = 0, **config: object) -> erasers.Eraser:
    quick = {"iterations": 40, "refine_iterations": 10, "expansion": 4} if method == "clear" else {}
    return erasers.train(
        pipeline.text_encoder,
        pipeline.tokenizer,
        lantern_pairs(),
        method=method,
        config={**quick, "padding": pipeline.padding, "gamma": 2.0, **config},
        seed=seed,
        max_length=pipeline.card().max_prompt_tokens,
        identity=pipeline.encoder_identity,
    )
