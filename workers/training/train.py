"""One training, start to finish:

pairs ─▶ erasers.train ─▶ evaluate ─▶ artefact ─▶ store, and the result that makes it count
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import replace
from pathlib import Path

import erasers
from erasers.artefact import CONFIG_FILE, TENSORS_FILE
from erasers.errors import CheckpointError
from erasers.pairs import ChatPairs
from workers import failures
from workers.attempts.attempt import Attempt
from workers.contract import TrainingResult, TrainingTask, eraser_key
from workers.detection.watch import Watch
from workers.errors import InvalidRequest, LeaseLost, ModelUnavailable
from workers.pipelines.base import VideoPipeline
from workers.residency.resident import Resident
from workers.store.artifacts import ArtifactStore
from workers.store.records import utc_now
from workers.training.checkpoints import Checkpoints
from workers.training.interactions import Load
from workers.training.measuring import OnProgress, measure
from workers.training.pairs import Material, chat_of, material_for


def train(here: Resident, task: TrainingTask, attempt: Attempt) -> TrainingResult:
    """Store the artefact and return the record that registers it, which the caller writes last."""
    started = time.monotonic()
    checkpoints = Checkpoints(here.settings.data_dir / "checkpoints")
    checkpoints.remove_abandoned()
    try:
        eraser = train_eraser(
            here.pipeline,
            task,
            on_progress=attempt.progress,
            evaluation_clips=here.settings.evaluation_clips,
            interaction_clips=here.settings.interaction_clips,
            load=here.erasers.get,
            checkpoint_dir=checkpoints.directory(task.id),
            chat=chat_of(here.settings),
            watch=here.watch,
        )
    except Exception as error:
        if _useless(error):
            checkpoints.discard(task.id)
        raise
    attempt.enter("store")
    put_eraser(here.store, eraser)
    checkpoints.discard(task.id)
    return TrainingResult(
        id=task.id,
        attempt=task.attempt,
        digest=eraser.digest,
        concept=task.concept,
        version=task.version,
        method=eraser.method,
        encoder_fingerprint=eraser.config.encoder.fingerprint,
        layer=eraser.layer,
        strength=eraser.strength,
        minimum_strength=eraser.config.minimum_strength,
        seconds=round(time.monotonic() - started, 2),
        evaluation=eraser.config.evaluation,
        worker=here.name,
        created_at=utc_now(),
    )


def _useless(error: Exception) -> bool:
    """Whether no later attempt will want the checkpoint: it is unreadable, or the training has ended."""
    if isinstance(error, CheckpointError):
        return True
    return not isinstance(error, LeaseLost) and not failures.translate(error).retryable


def train_eraser(
    pipeline: VideoPipeline,
    task: TrainingTask,
    *,
    on_progress: OnProgress,
    evaluation_clips: int,
    interaction_clips: int = 0,
    load: Load | None = None,
    checkpoint_dir: Path | None = None,
    chat: ChatPairs | None = None,
    material: Material | None = None,
    watch: Watch | None = None,
) -> erasers.Eraser:
    """Train and evaluate, on `material` or what `material_for` makes of the task; with `load` also together with each of
    `task.active`.

    The numbers are in the artefact, and so under its digest; nothing in it depends on the clock.
    """
    card = pipeline.card()
    if task.model != card.id:
        raise ModelUnavailable(f"the training is for the model {task.model!r}; this trainer holds {card.id!r}")
    if task.config.get("padding", pipeline.padding) != pipeline.padding:
        raise InvalidRequest(
            f"config.padding is {task.config['padding']!r}, but {card.id} is served {pipeline.padding!r}: leave it out"
        )
    material = material or material_for(task, chat=chat, directory=checkpoint_dir)
    eraser = erasers.train(
        pipeline.text_encoder,
        pipeline.tokenizer,
        material.pairs,
        method=task.method,
        config={**task.config, "padding": pipeline.padding},
        keep_prompts=material.keep_prompts,
        progress=on_progress,
        checkpoint_dir=checkpoint_dir,
        seed=task.seed,
        max_length=card.max_prompt_tokens,
        identity=pipeline.encoder_identity,
    )
    evaluation = measure(
        pipeline,
        eraser,
        task,
        material,
        eraser.config.evaluation,
        on_progress=on_progress,
        evaluation_clips=evaluation_clips,
        interaction_clips=interaction_clips,
        load=load,
        watch=watch or Watch(),
    )
    return erasers.Eraser.build(replace(eraser.config, evaluation=evaluation), eraser.tensors)


def put_eraser(store: ArtifactStore, eraser: erasers.Eraser) -> None:
    """Under its digest; the same eraser twice is the same keys with the same bytes."""
    with tempfile.TemporaryDirectory(prefix="clearway-eraser-") as directory:
        eraser.save(directory)
        for name in (TENSORS_FILE, CONFIG_FILE):
            store.put_file(eraser_key(eraser.digest, name), Path(directory, name))
