"""Verifying: whether the frames of a generation still show what was to be erased.

Who looks was decided when the request was accepted, by what the worker had told of its detectors: `known` is told, `check_pins`
holds a task against it before anything is made, `look` looks. What it sees is for the caller to judge by `withhold`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from workers.contract import Check, CheckPin
from workers.detection.watch import Watch
from workers.errors import ConceptSeen, NotVerifiable
from workers.miniature.weights import MINIATURES
from workers.settings import concept_key

if TYPE_CHECKING:
    from workers.pipelines.base import Frames

MINIATURE = "miniature"
"""The name of the miniature's own classifier, as a detector."""


def known(model: str, watch: Watch) -> dict[str, str]:
    """Every name of a concept that can be looked for in the model's frames, and by which detector. What the operator chose
    goes before the miniature's classifier."""
    if model not in MINIATURES:
        return watch.kinds
    from workers.miniature.vocabulary import CONCEPTS

    return {name: MINIATURE for word in CONCEPTS.values() for name in word.all} | watch.kinds


def check_pins(pins: Sequence[CheckPin], model: str, watch: Watch) -> None:
    """Raises `NotVerifiable` unless each can be looked for as it was promised."""
    here = known(model, watch) if pins else {}
    for pin in pins:
        if (found := here.get(concept_key(pin.concept))) != pin.detector:
            has = "no detector for it" if found is None else f"the detector {found} for it"
            raise NotVerifiable(
                f"{pin.concept!r} was to be looked for by the detector {pin.detector}, and this worker has {has}: give all "
                "workers of a model the same CLEARWAY_DETECTORS"
            )


def look(pins: Sequence[CheckPin], frames: Frames, watch: Watch, on_step: Callable[[int, int], None]) -> tuple[Check, ...]:
    """What is seen of each, in order. A concept that is called by a synonym is the concept."""
    seen = []
    for done, pin in enumerate(pins, start=1):
        share = _share(pin, frames, watch)
        seen.append(Check(**pin.model_dump(), share=share, verdict="seen" if share > pin.max_share else "not_seen"))
        on_step(done, len(pins))
    return tuple(seen)


def withhold(checks: Sequence[Check], num_frames: int) -> None:
    """Raises `ConceptSeen` where one of them is seen."""
    found = [
        f"{check.concept!r} is seen in {round(check.share * num_frames)} of {num_frames} frames "
        f"by the detector {check.detector}, and {check.max_share:.0%} of them may show it"
        for check in checks
        if check.verdict == "seen"
    ]
    if found:
        raise ConceptSeen(f"the video is withheld: {'; '.join(found)}. Another seed or a greater strength may help")


def _share(pin: CheckPin, frames: Frames, watch: Watch) -> float:
    if pin.detector != MINIATURE:
        return float(watch.shown(pin.concept, frames).mean())
    from workers.miniature import classifier
    from workers.miniature.vocabulary import canonical

    concept = canonical(pin.concept)
    if concept is None:
        raise AssertionError(f"the classifier was promised for {pin.concept!r}")
    return float(classifier.load().read(frames).shows(concept).mean())
