"""Where an eraser's prompts come from: the request's own pairs, the miniature's grammar, or the library's templates."""

from __future__ import annotations

from dataclasses import dataclass

from erasers.concepts import Concept
from erasers.errors import ConfigError, PairsError
from erasers.pairs import Pairs, templates
from workers.contract import TrainingTask
from workers.errors import InvalidPairs

GRAMMAR_PAIRS = 400
TEMPLATE_PAIRS = 400
KEEP_SEED = 1_000_003
"""Added to the training's seed for keep prompts: the evaluation films prompts of the seed itself, and must not meet these."""
KEEP_PROMPTS = 60
"""Prompts without the concept that the strength must leave alone, beside the negatives."""


@dataclass(frozen=True)
class Material:
    pairs: Pairs
    keep_prompts: tuple[str, ...]


def material_for(task: TrainingTask) -> Material:
    """Raises `InvalidPairs`, with the offending lines where the request brought its own."""
    try:
        if task.pairs is not None:
            rows = task.pairs
            pairs = Pairs(_concept(task), tuple(row.positive for row in rows), tuple(row.negative for row in rows))
            return Material(pairs, _keep_from_templates(task))
        return _from_grammar(task) or Material(templates(_concept(task), TEMPLATE_PAIRS, task.seed), _keep_from_templates(task))
    except (PairsError, ConfigError) as error:
        raise InvalidPairs(str(error)) from error


def _concept(task: TrainingTask, also_called: tuple[str, ...] = ()) -> Concept:
    synonyms = dict.fromkeys(name for name in (*task.synonyms, *also_called) if name != task.concept)
    return Concept(task.concept, synonyms=tuple(synonyms), keep=task.keep, description=task.description)


def _from_grammar(task: TrainingTask) -> Material | None:
    """The miniature's own captions, for concepts of its world; held-out synonyms stay held out."""
    if task.model != "miniature":
        return None
    from workers.miniature import grammar
    from workers.miniature.vocabulary import CONCEPTS, canonical

    known = canonical(task.concept)
    if known is None:
        return None
    concept = _concept(task, also_called=CONCEPTS[known].trainable)
    pairs = Pairs.unique(concept, grammar.pairs(known, GRAMMAR_PAIRS, task.seed))
    keep = dict.fromkeys(prompt.text for prompt in grammar.prompts(known, KEEP_PROMPTS, task.seed + KEEP_SEED, "others"))
    return Material(pairs, (*keep, *_keep_from_templates(task)))


def _keep_from_templates(task: TrainingTask) -> tuple[str, ...]:
    """Prompts that name the neighbours which must survive; those that also name the concept are left out."""
    if not task.keep:
        return ()
    concept = _concept(task)
    each = max(1, KEEP_PROMPTS // len(task.keep))
    prompts = [prompt for name in task.keep for prompt in templates(Concept(name), each, task.seed).positive]
    return tuple(dict.fromkeys(prompt for prompt in prompts if concept.named_in(prompt) is None))
