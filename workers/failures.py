"""From an exception to what the client is told. One table; the most special class that it has decides."""

from __future__ import annotations

import gc
import logging
import traceback
from dataclasses import dataclass
from typing import NamedTuple

import torch
from redis.exceptions import RedisError
from rq.timeouts import JobTimeoutException

import erasers.errors as library
from workers import errors
from workers.contract import FailureCode
from workers.residency.resident import Resident
from workers.store import artifacts

logger = logging.getLogger(__name__)


class Rule(NamedTuple):
    code: FailureCode
    retryable: bool = False
    """Whether another attempt may end differently."""
    message: str | None = None
    """What the client reads; None where the exception's own words are meant for it."""


_INTERNAL = "something went wrong in the worker; its log has the details under the id of this job"
_PAIR_SOURCE = "the language model that writes pairs failed, or wrote too few: try again later, or upload pairs"
"""In place of its own words, which hold the address of the endpoint and what it answered."""
_OUT_OF_MEMORY = "the model ran out of memory; ask for a smaller or shorter video"

RULES: dict[type[BaseException], Rule] = {
    errors.WorkerError: Rule("internal_error"),
    errors.Cancelled: Rule("cancelled"),
    errors.InvalidTask: Rule("internal_error"),
    errors.InvalidRequest: Rule("invalid_request"),
    errors.PromptTooLong: Rule("prompt_too_long"),
    errors.InvalidPairs: Rule("invalid_pairs"),
    errors.PairsUnavailable: Rule("pairs_unavailable"),
    errors.EraserUnavailable: Rule("eraser_unavailable"),
    errors.EraserCorrupt: Rule("eraser_corrupt"),
    errors.EraserIncompatible: Rule("eraser_incompatible"),
    errors.EraserInactive: Rule("eraser_inactive"),
    errors.ConceptNotReduced: Rule("concept_not_reduced"),
    errors.NotVerifiable: Rule("not_verifiable"),
    errors.ConceptSeen: Rule("concept_seen"),
    errors.ModelUnavailable: Rule("model_unavailable"),
    errors.DetectorUnavailable: Rule("internal_error", message=_INTERNAL),
    errors.UnusableOutput: Rule("internal_error"),
    library.EraserError: Rule("internal_error"),
    library.ConfigError: Rule("invalid_request"),
    library.PairsError: Rule("invalid_pairs"),
    library.PairSourceError: Rule("pairs_unavailable", retryable=True, message=_PAIR_SOURCE),
    library.ArtefactError: Rule("eraser_corrupt"),
    library.DigestMismatch: Rule("eraser_corrupt"),
    library.ArtefactInvalid: Rule("eraser_corrupt"),
    library.EncoderError: Rule("eraser_incompatible"),
    library.EncoderMismatch: Rule("eraser_incompatible"),
    library.HookTargetMissing: Rule("eraser_incompatible"),
    library.EraserBypassed: Rule("eraser_inactive"),
    library.PromptTooLong: Rule("prompt_too_long"),
    library.StackError: Rule("eraser_incompatible"),
    library.JudgeError: Rule("internal_error", message=_INTERNAL),
    library.PackageMissing: Rule("internal_error", message=_INTERNAL),
    library.WeightsError: Rule("internal_error", message=_INTERNAL),
    library.ReferencesError: Rule("internal_error", message=_INTERNAL),
    library.FramesError: Rule("internal_error", message=_INTERNAL),
    library.CheckpointError: Rule("internal_error", retryable=True, message=_INTERNAL),
    artifacts.ArtifactError: Rule("internal_error", retryable=True, message=_INTERNAL),
    JobTimeoutException: Rule("timeout", message="the job took longer than it may; ask for less, or raise the limit"),
    torch.OutOfMemoryError: Rule("out_of_memory", retryable=True, message=_OUT_OF_MEMORY),
    MemoryError: Rule("out_of_memory", retryable=True, message=_OUT_OF_MEMORY),
    torch.AcceleratorError: Rule("internal_error", retryable=True, message=_INTERNAL),
    RedisError: Rule("internal_error", retryable=True, message=_INTERNAL),
    OSError: Rule("internal_error", retryable=True, message=_INTERNAL),
    Exception: Rule("internal_error", message=_INTERNAL),
}

_CPU_OUT_OF_MEMORY = "DefaultCPUAllocator"  # torch raises a bare RuntimeError there


@dataclass(frozen=True)
class Failure:
    code: FailureCode
    message: str
    retryable: bool
    device_lost: bool = False


def rule_for(kind: type[BaseException]) -> Rule:
    return next(RULES[ancestor] for ancestor in kind.__mro__ if ancestor in RULES)


def translate(error: Exception) -> Failure:
    is_cpu_memory = isinstance(error, RuntimeError) and _CPU_OUT_OF_MEMORY in str(error)
    rule = RULES[MemoryError] if is_cpu_memory else rule_for(type(error))
    message = str(error) if rule.message is None else rule.message
    return Failure(rule.code, message, rule.retryable, device_lost=isinstance(error, torch.AcceleratorError))


def release(error: BaseException) -> None:
    """Drop what the tracebacks of an exception and of its causes keep alive: the variables of every frame it passed, and so the
    tensors of the failed job. Memory is freed only after this. Call it when the exception is logged."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        found = pending.pop()
        if found is None or id(found) in seen:
            continue
        seen.add(id(found))
        pending += [found.__cause__, found.__context__]
        traceback.clear_frames(found.__traceback__)
        found.__traceback__ = None


def recover(here: Resident, failure: Failure) -> None:
    """Leave the process fit for the next job, or see to it that there is no next job."""
    if failure.code == "out_of_memory":
        here.erasers.clear()
        here.fallbacks.clear()
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    if failure.device_lost:
        logger.critical("the device reported an error that outlives the job; this process ends after it")
        here.must_exit = True
