"""Where an eraser's prompts come from: the request's own pairs, a language model, the miniature's grammar, or templates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from erasers.concepts import Concept
from erasers.errors import ConfigError, PairsError
from erasers.pairs import ChatPairs, Pairs, templates
from workers.addresses import is_loopback
from workers.contract import MeasuringTask
from workers.errors import InvalidPairs, PairsUnavailable
from workers.settings import WorkerSettings

GRAMMAR_PAIRS = 400
TEMPLATE_PAIRS = 400
CHAT_PAIRS = 400
KEPT_PAIRS = "pairs.jsonl"
KEEP_SEED = 1_000_003
"""Added to the training's seed for keep prompts: the evaluation films prompts of the seed itself, and must not meet these."""
KEEP_PROMPTS = 60
"""Prompts without the concept that the strength must leave alone, beside the negatives."""


@dataclass(frozen=True)
class Material:
    pairs: Pairs
    keep_prompts: tuple[str, ...]


def chat_of(settings: WorkerSettings) -> ChatPairs | None:
    """The language model that writes pairs here, if there is one."""
    if not settings.chat_url:
        return None
    return ChatPairs(
        trust_env=not is_loopback(settings.chat_url),
        base_url=settings.chat_url,
        model=settings.chat_model,
        api_key=settings.chat_api_key.get_secret_value() if settings.chat_api_key else None,
        max_tokens=settings.chat_max_tokens,
    )


def material_for(task: MeasuringTask, *, chat: ChatPairs | None = None, directory: Path | None = None) -> Material:
    """Raises `InvalidPairs`, with the offending lines where the request brought its own; `PairsUnavailable` where `chat`
    should write them and is None, and what it raises otherwise. What it wrote is kept in `directory` for the next attempt,
    which must go on with the same pairs, and not pay for them again."""
    try:
        if task.pairs is not None:
            rows = task.pairs
            pairs = Pairs(_concept(task), tuple(row.positive for row in rows), tuple(row.negative for row in rows))
            return Material(pairs, _keep_from_templates(task))
        if task.pair_source == "chat":
            return Material(_from_chat(task, chat, directory), _keep_from_templates(task))
        return _from_grammar(task) or Material(templates(_concept(task), TEMPLATE_PAIRS, task.seed), _keep_from_templates(task))
    except (PairsError, ConfigError) as error:
        raise InvalidPairs(str(error)) from error


def _concept(task: MeasuringTask, also_called: tuple[str, ...] = ()) -> Concept:
    synonyms = dict.fromkeys(name for name in (*task.synonyms, *also_called) if name != task.concept)
    return Concept(task.concept, synonyms=tuple(synonyms), keep=task.keep, description=task.description, kind=task.kind)


def _from_chat(task: MeasuringTask, chat: ChatPairs | None, directory: Path | None) -> Pairs:
    kept = directory and directory / KEPT_PAIRS
    if kept and kept.is_file():
        return Pairs.from_jsonl(kept, _concept(task))
    if chat is None:
        cure = "set CLEARWAY_CHAT_URL and CLEARWAY_CHAT_MODEL on the trainer, upload pairs, or leave pair_source out"
        raise PairsUnavailable(f"no language model writes pairs here: {cure}")
    pairs = chat.pairs(_concept(task), CHAT_PAIRS, task.seed)
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        pairs.to_jsonl(kept)
    return pairs


def _from_grammar(task: MeasuringTask) -> Material | None:
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


def _keep_from_templates(task: MeasuringTask) -> tuple[str, ...]:
    """Prompts that name the neighbours which must survive; those that also name the concept are left out."""
    if not task.keep:
        return ()
    concept = _concept(task)
    each = max(1, KEEP_PROMPTS // len(task.keep))
    prompts = [prompt for name in task.keep for prompt in templates(Concept(name, kind=task.kind), each, task.seed).positive]
    return tuple(dict.fromkeys(prompt for prompt in prompts if concept.named_in(prompt) is None))
