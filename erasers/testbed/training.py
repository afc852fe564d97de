"""From a subject and a variant to an eraser: the pairs it is told, and what it must keep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

import erasers
from erasers.encoding import PromptEncoder
from erasers.eraser import Eraser
from erasers.pairs import Pairs
from erasers.testbed.scenes import Scene, scenes
from erasers.testbed.subjects import Subject
from erasers.testbed.variants import Variant

KEEP_PROMPTS = 24


def train(encoder: PromptEncoder, subject: Subject, variant: Variant, seed: int, cheaper: Mapping[str, Any]) -> Eraser:
    """`cheaper` are options that CLEAR is trained with on top of the variant's."""
    config = dict(variant.config) | (dict(cheaper) if variant.method == "clear" else {})
    if variant.broader:
        config["supercategory"] = subject.broader
    return erasers.train(
        encoder.text_encoder,
        encoder.tokenizer,
        pairs(subject, variant, seed),
        method=variant.method,
        config=config,
        keep_prompts=keep_prompts(subject, seed) if variant.neighbours == "kept" else (),
        seed=seed,
        max_length=encoder.max_length,
    )


def pairs(subject: Subject, variant: Variant, seed: int) -> Pairs:
    """`variant.pairs` of them, every name equally often, in the scenes of the train part."""
    names = subject.names if variant.synonyms else subject.names[:1]
    stages = scenes(subject.kind, "train", ceil(variant.pairs / len(names)), seed)
    told = [(scene.showing(name), without) for scene, without in _negatives(subject, variant, stages) for name in names]
    return Pairs.unique(subject.concept(synonyms=variant.synonyms), told[: variant.pairs])


def keep_prompts(subject: Subject, seed: int) -> list[str]:
    stages = scenes(subject.kind, "train", KEEP_PROMPTS // len(subject.keep), seed)
    return [scene.showing(phrase) for phrase in subject.keep for scene in stages]


def _negatives(subject: Subject, variant: Variant, stages: list[Scene]) -> Iterator[tuple[Scene, str]]:
    """Each scene, and the same without the concept; `negatives` has what is near it there in every other scene."""
    for index, scene in enumerate(stages):
        near = variant.neighbours == "negatives" and index % 2 == 0
        yield scene, scene.showing(subject.keep[index // 2 % len(subject.keep)]) if near else scene.without
