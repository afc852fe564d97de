"""One evaluation, start to finish: artifact ─▶ checks ─▶ pairs ─▶ the numbers of a training, measured here.

Nothing that the artifact says of itself decides what it is measured with: the concept, its synonyms, the prompts and the seed
come from the task. The artifact is not changed.
"""

from __future__ import annotations

import time

from erasers.edit_checks import check_edit
from erasers.encoding import PromptEncoder
from erasers.evaluate.report import evaluate_embeddings
from workers.attempts.attempt import Attempt
from workers.contract import EvaluationResult, EvaluationTask
from workers.errors import ModelUnavailable
from workers.residency.resident import Resident
from workers.store.records import utc_now
from workers.training.checkpoints import Checkpoints
from workers.training.measuring import measure
from workers.training.pairs import chat_of, material_for

PROBE_PROMPTS = 32
"""Prompts of each side of the pairs on which the size of the edit is checked."""


def evaluate(here: Resident, task: EvaluationTask, attempt: Attempt) -> EvaluationResult:
    """Measure the artifact `task.digest` and return the record that gives the version its numbers.

    Raises `EraserUnavailable`, `EraserCorrupt` or `EraserIncompatible` where it cannot be loaded, and `ArtefactInvalid` where
    what it does to hidden states is not what an eraser does."""
    started = time.monotonic()
    pipeline = here.pipeline
    card = pipeline.card()
    if task.model != card.id:
        raise ModelUnavailable(f"the evaluation is for the model {task.model!r}; this trainer holds {card.id!r}")
    attempt.enter("load")
    eraser = here.erasers.get(task.pin)
    checkpoints = Checkpoints(here.settings.data_dir / "checkpoints")
    material = material_for(task, chat=chat_of(here.settings), directory=checkpoints.directory(task.id))
    attempt.enter("check")
    encoder = PromptEncoder(pipeline.text_encoder, pipeline.tokenizer, card.max_prompt_tokens, pipeline.padding)
    pairs = material.pairs
    check_edit(
        eraser,
        encoder,
        positive=pairs.positive[:PROBE_PROMPTS],
        negative=pairs.negative[:PROBE_PROMPTS],
        fingerprint=pipeline.fingerprint,
    )
    attempt.enter("evaluate")
    report = evaluate_embeddings(
        pipeline.text_encoder,
        pipeline.tokenizer,
        eraser,
        pairs,
        keep_prompts=material.keep_prompts,
        seed=task.seed,
        max_length=card.max_prompt_tokens,
        padding=pipeline.padding,
        fingerprint=pipeline.fingerprint,
    )
    evaluation = measure(
        pipeline,
        eraser,
        task,
        material,
        report,
        on_progress=attempt.progress,
        evaluation_clips=here.settings.evaluation_clips,
        interaction_clips=here.settings.interaction_clips,
        load=here.erasers.get,
        watch=here.watch,
    )
    checkpoints.discard(task.id)
    return EvaluationResult(
        id=task.id,
        attempt=task.attempt,
        digest=eraser.digest,
        concept=task.concept,
        version=task.version,
        seconds=round(time.monotonic() - started, 2),
        evaluation=evaluation,
        worker=here.name,
        created_at=utc_now(),
    )
