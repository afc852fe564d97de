"""From pairs to an eraser: cache, fit, strength, compaction, gate, evaluation. The same for every method."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from erasers import artefact, cache, encoders, methods, strength
from erasers.activity import chunks
from erasers.arguments import required_tokenizer, text_encoder_of
from erasers.artefact import ArtefactConfig, EncoderIdentity, Gate, Presence
from erasers.checkpoint import Checkpoint
from erasers.encoding import PromptEncoder, evaluating, max_by_prompt
from erasers.eraser import Eraser
from erasers.errors import ConfigError
from erasers.evaluate.report import report
from erasers.gate import fit_gate
from erasers.methods.base import Fitted, Progress, TrainingSet
from erasers.methods.config import MethodConfig, config_of
from erasers.pairs import Pairs, Split
from erasers.presence import TENSOR, fit_presence
from erasers.probe import LinearProbe, fit_probe
from erasers.progress import reporting

MAX_SEED = 2**32 - 1
"""torch's generator on the CPU uses 32 bits of a seed: beyond it two seeds would make one eraser."""

DRAFT = "0" * 64
"""Digest of an eraser that is not finished, and is never stored: a full SAE is gigabytes, and not worth hashing."""


def train(
    text_encoder: Any,
    tokenizer: Any,
    pairs: Pairs,
    *,
    method: str = methods.DEFAULT,
    config: MethodConfig | Mapping[str, Any] | None = None,
    keep_prompts: Sequence[str] = (),
    progress: Progress | None = None,
    checkpoint_dir: str | Path | None = None,
    checkpoint_every: int = 50,
    seed: int = 0,
    max_length: int | None = None,
    cache_budget_bytes: int = cache.DEFAULT_BUDGET_BYTES,
    identity: EncoderIdentity | None = None,
) -> Eraser:
    """Train an eraser for `pairs.concept`. The encoder is not changed.

    text_encoder: the module, or a pipeline that has exactly one. tokenizer: its own; None for that of the pipeline.
    config: the method's config, or options that differ from its default.
    keep_prompts: prompts that must not change, beside the negatives; they count in the drift budget and the gate.
    progress: called as progress(stage, step, total, info), stages encode, search, refine (or fit), calibrate, evaluate; None
        shows a bar for each stage if standard error is a terminal.
    checkpoint_dir: a training that was killed goes on from there, to the same result; saved every `checkpoint_every` steps.
    max_length: in tokens; longer prompts are refused. With config.padding "attended", the length prompts are padded to.
    cache_budget_bytes: activations beyond it are memory-mapped.
    identity: `erasers.encoders.identity(text_encoder, tokenizer)`, if known: spares reading all weights.

    The same arguments give the same bytes on the same CPU (a GPU adds in no fixed order): nothing in the artefact depends
    on the clock.
    """
    tokenizer, text_encoder = required_tokenizer(text_encoder, tokenizer), text_encoder_of(text_encoder)
    chosen = methods.get(method)
    settings = config_of(chosen.config_type, config)
    if not 0 <= seed <= MAX_SEED:
        raise ConfigError(f"seed must be from 0 to {MAX_SEED}, got {seed}")
    identity = identity or encoders.identity(text_encoder, tokenizer)
    settings.check_layer(identity.layers)
    encoder = PromptEncoder(text_encoder, tokenizer, max_length, settings.padding)
    parts = pairs.split(seed)
    with evaluating(text_encoder), reporting(progress) as tell:
        activations = cache.build(
            encoder,
            [prompt for part in parts for side in (part.positive, part.negative) for prompt in side] + list(keep_prompts),
            budget_bytes=cache_budget_bytes,
            directory=None if checkpoint_dir is None else _directory(checkpoint_dir),
            on_progress=lambda done, total: tell("encode", done, total, {}),
        )
        data = TrainingSet(
            concept=pairs.concept,
            encoder=encoder,
            cache=activations,
            positive=activations.rows(parts.train.positive),
            negative=activations.rows(parts.train.negative),
            keep=activations.rows(list(keep_prompts)),
            seed=seed,
            progress=tell,
            checkpoint=_checkpoint(
                checkpoint_dir, checkpoint_every, method, settings, pairs, keep_prompts, identity, seed, max_length
            ),
        )
        fitted = chosen.fit(data, settings)
        draft = Eraser(_config(fitted, method, settings, pairs, parts, keep_prompts, identity, seed), fitted.tensors, DRAFT)
        probe = fit_probe(activations.final[data.positive], activations.final[data.negative])
        calibration = _calibrate(draft, data, parts, keep_prompts, probe, settings)
        gamma = draft.strength if calibration is None else calibration.gamma
        tensors, compaction = chosen.compact(fitted, data, gamma, settings)
        presence = None if draft.stage == "negative_prompt" else _presence(encoder, parts, keep_prompts)
        if presence is not None:
            tensors = tensors | {TENSOR: presence[0]}
        settled = replace(
            draft.config,
            strength=gamma,
            minimum_strength=None if calibration is None else calibration.minimum or None,
            presence=None if presence is None else presence[1],
            calibration={} if calibration is None else calibration.report() | _relative_strength(draft, data, gamma),
            compact=compaction,
        )
        eraser = Eraser(settled, tensors, DRAFT)
        if settings.gate:
            eraser = replace(eraser, config=replace(settled, gate=_gate(eraser, data, parts, settings)))
        tell("evaluate", 0, 1, {})
        evaluation = report(encoder, eraser, probe, parts.test, keep_prompts=keep_prompts, fingerprint=identity.fingerprint)
        tell("evaluate", 1, 1, evaluation)
    return Eraser.build(replace(eraser.config, evaluation=evaluation), tensors)


def _config(
    fitted: Fitted,
    method: str,
    settings: MethodConfig,
    pairs: Pairs,
    parts: Split,
    keep_prompts: Sequence[str],
    identity: EncoderIdentity,
    seed: int,
) -> ArtefactConfig:
    """The artefact's config as far as it is known before the strength is."""
    concept = pairs.concept
    sizes = {name: len(part) for name, part in parts._asdict().items()}
    return ArtefactConfig(
        format_version=artefact.FORMAT_VERSION,
        method=method,
        concept=concept.name,
        synonyms=concept.synonyms,
        keep=concept.keep,
        description=concept.description,
        encoder=identity,
        layer=fitted.layer,
        strength=1.0,
        minimum_strength=None,
        presence=None,
        gate=None,
        parameters=fitted.parameters,
        recipe=asdict(settings),
        data={"pairs_sha256": pairs.digest(), "keep_sha256": _sha256(list(keep_prompts)), "keep_prompts": len(keep_prompts)}
        | sizes,
        seed=seed,
        mask=fitted.mask,
        search=fitted.search,
    )


def _calibrate(
    draft: Eraser,
    data: TrainingSet,
    parts: Split,
    keep_prompts: Sequence[str],
    probe: LinearProbe,
    settings: MethodConfig,
) -> strength.Calibration | None:
    """On the calibration split. None for an eraser that the embeddings do not show, and which has no more or less."""
    if draft.stage == "negative_prompt":
        return None
    final = data.cache.final
    held_out = [final[data.cache.rows(side)] for side in (parts.calibrate.positive, parts.calibrate.negative)]
    curve = strength.draw_curve(
        draft,
        data.encoder,
        strength.ConceptScale.of(probe, held_out[0], held_out[1]),
        positive=parts.calibrate.positive,
        harmless=(*parts.calibrate.negative, *keep_prompts),
        gammas=strength.grid(settings),
        fingerprint=draft.config.encoder.fingerprint,
        on_progress=lambda done, total: data.progress("calibrate", done, total, {}),
    )
    return strength.choose(curve, settings)


def _presence(encoder: PromptEncoder, parts: Split, keep_prompts: Sequence[str]) -> tuple[Tensor, Presence] | None:
    return fit_presence(
        positive=encoder.final_states(parts.train.positive),
        negative=encoder.final_states(parts.train.negative),
        held_out=encoder.final_states(parts.calibrate.positive),
        absent=encoder.final_states([*parts.calibrate.negative, *keep_prompts]),
    )


def _gate(eraser: Eraser, data: TrainingSet, parts: Split, settings: MethodConfig) -> Gate:
    """From pairs that were not trained on and prompts to keep, scored by the eraser as it is stored."""

    def scores(rows: Tensor) -> Tensor:
        found = chunks(data.cache, eraser.layer, rows)
        return torch.cat([max_by_prompt(eraser.edit(chunk.h).score, chunk.prompt) for chunk in found])

    return fit_gate(
        scores(torch.cat([data.cache.rows(parts.calibrate.negative), data.keep])),
        scores(data.cache.rows(parts.calibrate.positive)),
        false_positive_rate=settings.gate_fpr,
        margin=settings.gate_margin,
    )


def _relative_strength(eraser: Eraser, data: TrainingSet, gamma: float) -> dict[str, float]:
    """γ E‖v‖ / E‖h‖ over the tokens of positives: a strength that can be compared between erasers of a block's output."""
    if eraser.stage != "block":
        return {}
    removed, present = 0.0, 0.0
    for chunk in chunks(data.cache, eraser.layer, data.positive):
        removed += float(eraser.edit(chunk.h).v.norm(dim=1).sum())
        present += float(chunk.h.norm(dim=1).sum())
    return {"relative_strength": round(gamma * removed / present, 5)}


def _checkpoint(directory: str | Path | None, every: int, *identity: Any) -> Checkpoint | None:
    """`identity`: everything that decides the result."""
    if directory is None:
        return None
    return Checkpoint(_directory(directory), _sha256([_plain(part) for part in identity]), every=every)


def _plain(part: Any) -> Any:
    if isinstance(part, Pairs):
        return part.digest()
    if isinstance(part, MethodConfig | EncoderIdentity):
        return asdict(part)
    return list(part) if isinstance(part, Sequence) and not isinstance(part, str) else part


def _directory(path: str | Path) -> Path:
    directory = Path(path)
    directory.mkdir(parents=True, exist_ok=True)
    return directory


def _sha256(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True, ensure_ascii=False).encode()).hexdigest()

