"""Pairs of erasers where nobody can judge frames: read in the embeddings of prompts."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from itertools import islice

from erasers import Concept, Eraser
from erasers.encoding import PromptEncoder
from erasers.evaluate.pair import Legible, evaluate_pair
from erasers.pairs import Pairs
from workers.contract import EraserPin, Interaction, MeasuringTask
from workers.pipelines.base import VideoPipeline
from workers.training.pairs import Material, material_for

OTHERS = 64
"""Prompts that name neither concept, at most."""


class ReadPairs:
    """Of one new eraser, with whatever others. What concerns the new one alone is found out once."""

    def __init__(self, pipeline: VideoPipeline, eraser: Eraser, task: MeasuringTask, material: Material) -> None:
        self._eraser, self._task, self._material = eraser, task, material
        self._fingerprint = pipeline.fingerprint
        self._encoder = PromptEncoder(
            pipeline.text_encoder, pipeline.tokenizer, pipeline.card().max_prompt_tokens, pipeline.padding
        )

    def measure(self, pin: EraserPin, other: Eraser) -> Interaction:
        for eraser in (self._eraser, other):
            if eraser.stage == "negative_prompt":
                reason = f"the eraser of {eraser.concept!r} acts on the negative prompt, which no embedding of a prompt shows"
                return Interaction(eraser=pin, reason=reason)
        theirs = Legible.of(self._encoder, self._pairs_of(other), self._task.seed)
        numbers = evaluate_pair(
            self._encoder,
            (self._eraser, other),
            (self._own, theirs),
            others=tuple(islice(self._neither(other), OTHERS)),
            strengths=(None, pin.strength),
            fingerprint=self._fingerprint,
        )
        return Interaction(eraser=pin, measured="embeddings", n=len(theirs.prompts), **numbers)

    @cached_property
    def _own(self) -> Legible:
        return Legible.of(self._encoder, self._material.pairs, self._task.seed)

    def _pairs_of(self, other: Eraser) -> Pairs:
        """Made offline, whatever the other was trained on: that is not kept."""
        task = MeasuringTask(
            id=self._task.id,
            attempt=self._task.attempt,
            model=self._task.model,
            concept=other.concept,
            version=1,
            synonyms=other.config.synonyms,
            seed=self._task.seed,
        )
        return material_for(task).pairs

    def _neither(self, other: Eraser) -> Iterator[str]:
        theirs = Concept(other.concept, synonyms=other.config.synonyms)
        negatives = self._material.pairs.split(self._task.seed).test.negative
        for prompt in dict.fromkeys((*negatives, *self._material.keep_prompts)):
            if prompt.strip() and theirs.named_in(prompt) is None:
                yield prompt
