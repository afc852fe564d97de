"""A concept without an eraser, taken out by a method without training: on the receipt, or no video."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import erasers
from tests.workers.parts import pin, task_for
from tests.workers.test_generation import MakeResident, decoded, failure_of, receipt_of, run
from workers.contract import FallbackPin, FallbackUse, video_key
from workers.errors import EraserUnavailable
from workers.pipelines.base import VideoPipeline
from workers.pipelines.load import load_directory
from workers.pipelines.placement import place
from workers.residency.fallbacks import Fallbacks
from workers.store.artifacts import DirectoryStore
from workers.training.train import put_eraser

SAFREE = {"alpha": 0.01, "reference": False}


def safree(concept: str = "lantern", *, strength: float = 1.0, **settings: object) -> FallbackPin:
    return FallbackPin(concept=concept, method="safree", settings={**SAFREE, **settings}, strength=strength)


def test_end_to_end(pipeline: VideoPipeline, make_resident: MakeResident, store: DirectoryStore) -> None:
    make_resident(pipeline)
    tasks = {
        "gen_origin": task_for(pipeline, id="gen_origin"),
        "gen_zero": task_for(pipeline, id="gen_zero", fallbacks=(safree(strength=0.0),)),
        "gen_erased": task_for(pipeline, id="gen_erased", fallbacks=(safree(),)),
    }
    for task in tasks.values():
        run(task)
    receipt = receipt_of(store, tasks["gen_erased"])
    (use,) = receipt.fallbacks
    assert (use.concept, use.method, use.settings, use.strength) == ("lantern", "safree", SAFREE, 1.0)
    assert use.tokens_edited > 0
    assert receipt.erasers == ()
    assert store.list("erasers") == [], "a fallback is no version, and leaves none behind"
    origin, zero, erased = (decoded(store.get(video_key(name, 1))) for name in tasks)
    assert np.array_equal(origin, zero)
    assert not np.array_equal(origin, erased)


def test_beside_a_trained_eraser(
    wan: VideoPipeline, wan_eraser: erasers.Eraser, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan)
    put_eraser(store, wan_eraser)
    task = task_for(wan, pin(wan_eraser), fallbacks=(safree("hill"), safree("boat")))
    run(task)
    receipt = receipt_of(store, task)
    assert [use.concept for use in receipt.erasers] == ["lantern"]
    assert [use.concept for use in receipt.fallbacks] == ["hill", "boat"], "one record each, in the order of the task"
    assert receipt.erasers[0].digest == wan_eraser.digest


def test_negprompt_acts_where_there_is_guidance_and_nowhere_else(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore
) -> None:
    make_resident(wan)
    fallback = FallbackPin(concept="lantern", method="negprompt", settings={}, strength=1.0)
    guided, without = (task_for(wan, id=f"gen_{scale:g}", guidance_scale=scale, fallbacks=(fallback,)) for scale in (4.0, 1.0))
    run(guided)
    wanted = FallbackUse(
        concept="lantern", method="negprompt", settings={}, strength=1.0, tokens_edited=1,
        score_before=None, score_after=None, absent_below=None, verdict=None,
    )  # fmt: skip
    assert receipt_of(store, guided).fallbacks == (wanted,)
    store.delete("videos/gen_4")
    run(without)
    assert failure_of(store, without).code == "invalid_request"


@pytest.mark.parametrize(
    ("fallback", "code", "says"),
    [
        (safree("降落伞"), "eraser_unavailable", "safree cannot stand in .* cannot spell '降落伞'"),
        (safree("one two three four five six seven"), "eraser_unavailable", "at most 16 fit"),
        (safree(aplha=1), "eraser_unavailable", "did you mean 'alpha'"),
        (safree(alpha=1e9), "eraser_unavailable", "alpha"),
        (safree(alpha=100.0), "eraser_inactive", "edited no token of a prompt that names 'lantern': train an eraser"),
    ],
)
def test_a_fallback_that_cannot_act_fails_the_job(
    wan: VideoPipeline, make_resident: MakeResident, store: DirectoryStore, fallback: FallbackPin, code: str, says: str
) -> None:
    make_resident(wan)
    task = task_for(wan, fallbacks=(safree("hill"), fallback))
    run(task)
    failure = failure_of(store, task)
    assert (failure.code, failure.retryable) == (code, False)
    assert re.search(says, failure.message), failure.message


def test_each_is_made_once(wan: VideoPipeline) -> None:
    fallbacks = Fallbacks(wan)
    first = fallbacks.get(safree())
    assert fallbacks.get(safree(strength=0.5)) is first, "the strength is the stack's"
    others = [fallbacks.get(other) for other in (safree("boat"), safree(alpha=0.5), safree(reference=True))]
    assert len({eraser.digest for eraser in (first, *others)}) == 4
    fallbacks.clear()
    again = fallbacks.get(safree())
    assert again is not first
    assert again.digest == first.digest
    for _ in range(2):  # a refusal is not kept in its place
        with pytest.raises(EraserUnavailable):
            fallbacks.get(safree("降落伞"))


def test_it_is_bound_to_the_encoder_as_it_is_served(wan: VideoPipeline, wan_directory: Path) -> None:
    half = load_directory(wan_directory, model_id="tiny-wan", placement=place("cpu", "bfloat16"))
    stack = Fallbacks(half).stack([safree()])
    assert stack.erasers[0].config.encoder == wan.encoder_identity
    (use,) = half.encode("a lantern over the big hill", "", stack).uses
    assert use.tokens_edited > 0
