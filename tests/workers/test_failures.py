"""The table from exceptions to failure codes: complete, and used."""

from __future__ import annotations

import gc
import weakref
from typing import get_args

import pytest
import torch
from rq.timeouts import JobTimeoutException

import erasers.errors as library
from workers import errors, failures
from workers.contract import FailureCode
from workers.store import artifacts

OWN_RULE_NOT_NEEDED = {
    errors.LeaseLost,  # leaves no record
    errors.LeaseRefused,
    errors.TaskRefused,  # never raised itself
    errors.ErasureRefused,
}


def exceptions_of(module: object) -> set[type[BaseException]]:
    return {
        thing
        for thing in vars(module).values()
        if isinstance(thing, type) and issubclass(thing, BaseException) and thing.__module__ == module.__name__  # type: ignore[attr-defined]
    }


def test_every_exception_of_the_library_has_its_own_rule() -> None:
    assert exceptions_of(library) - set(failures.RULES) == set()


def test_every_exception_of_the_workers_has_its_own_rule() -> None:
    assert exceptions_of(errors) - set(failures.RULES) == OWN_RULE_NOT_NEEDED


def test_every_code_comes_from_somewhere() -> None:
    given_by_the_gateway = {"worker_lost", "receipt_mismatch"}
    assert {rule.code for rule in failures.RULES.values()} == set(get_args(FailureCode)) - given_by_the_gateway


@pytest.mark.parametrize(
    ("error", "code", "retryable"),
    [
        (errors.PromptTooLong("prompt", tokens=20, max_tokens=16), "prompt_too_long", False),
        (library.DigestMismatch("x"), "eraser_corrupt", False),
        (library.PairsError("bad", ["line 1: x"]), "invalid_pairs", False),
        (torch.OutOfMemoryError("CUDA out of memory"), "out_of_memory", True),
        (MemoryError(), "out_of_memory", True),
        (RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"), "out_of_memory", True),
        (RuntimeError("shape mismatch"), "internal_error", False),
        (ZeroDivisionError("division by zero"), "internal_error", False),
        (OSError(28, "No space left on device", "/secret/path"), "internal_error", True),
        (artifacts.ArtifactMissing("videos/x"), "internal_error", True),
        (JobTimeoutException("Task exceeded maximum timeout value (10 seconds)"), "timeout", False),
    ],
)
def test_translation(error: Exception, code: FailureCode, retryable: bool) -> None:
    failure = failures.translate(error)
    assert (failure.code, failure.retryable) == (code, retryable)
    assert failure.message


def test_what_was_not_meant_for_clients_stays_in_the_log() -> None:
    for error in (ZeroDivisionError("division by zero"), OSError(28, "No space left", "/secret/path"), RuntimeError("secret")):
        message = failures.translate(error).message
        assert "secret" not in message
        assert "division" not in message
    inside = library.PairSourceError("http://chat.internal:8080/v1 did not answer in 4 attempts; the last: ConnectError")
    assert "internal" not in failures.translate(inside).message
    assert "line 1: x" in failures.translate(library.PairsError("bad", ["line 1: x"])).message


def allocate(held: list[weakref.ref[torch.Tensor]]) -> None:
    latents, embeddings = torch.zeros(1000), torch.zeros(1000)
    held += [weakref.ref(latents), weakref.ref(embeddings)]
    try:
        raise torch.OutOfMemoryError("CUDA out of memory")
    except torch.OutOfMemoryError as error:
        raise RuntimeError("decoding failed") from error


def test_memory_of_a_failed_job_is_free_before_the_caches_are_emptied() -> None:
    """The control: the exception alone keeps the tensors alive."""
    held: list[weakref.ref[torch.Tensor]] = []
    try:
        allocate(held)
    except RuntimeError as error:
        gc.collect()
        assert [tensor() is None for tensor in held] == [False, False]
        failures.release(error)
        gc.collect()
        assert [tensor() is None for tensor in held] == [True, True]
