"""The gate between `candidate` and `active`: does the evaluation say that the eraser erases, and little else?

The trainer writes numbers into the artefact's `evaluation`:

- measured on generated frames, as shares of frames: `origin_rate` (the concept without eraser), `erased_rate` (with it),
  `synonym_rate` (with it, prompts that use held-out synonyms; relative to `synonym_origin_rate` where that was measured, else
  to `origin_rate`), `kept_rate` (other concepts, already relative to origin), and `scene_kept` (what else prompts with the
  concept ask for: background, motion, style, second object; already relative to origin);
- where no detector sees the concept in frames: `probe_before`, `probe_after` (a probe on the encoder's output: share of
  concept prompts it finds) and `drift` (relative change of the embeddings of prompts without the concept).

A number that is missing, or not finite, does not pass.

Where the version was measured together with others that are active, what both leave of either concept, and of everything
else, counts too; where it was not, nothing is asked.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from service.settings import Settings
from workers.contract import Interaction

Source = Literal["concept", "deployment"]
"""Where a threshold comes from: set for one concept (`service.erasers.gates`), or the settings."""


@dataclass(frozen=True)
class Thresholds:
    min_origin_rate: float
    max_erased: float
    max_synonym: float
    min_kept: float
    min_scene_kept: float
    min_probe_before: float
    max_probe_after: float
    max_drift: float
    max_interaction: float
    min_kept_pair: float

    @classmethod
    def of(cls, settings: Settings) -> Thresholds:
        return cls(**{name: getattr(settings, f"gate_{name}") for name in cls.__dataclass_fields__})


@dataclass(frozen=True)
class Verdict:
    passed: bool
    reasons: tuple[str, ...]  # why not; empty when passed


def judge(
    evaluation: Mapping[str, Any] | None, thresholds: Thresholds, interactions: Iterable[Interaction] | None = ()
) -> Verdict:
    """`interactions` are those that count; None where they cannot be read, which does not pass. The reasons come in an order in
    which the cure of one may change those after it: first what makes the measurement itself worthless, then what is left of the
    concept, its synonyms, other concepts, the rest of the scene, and other erasers."""
    if evaluation is None:
        return Verdict(passed=False, reasons=("not evaluated yet: POST /erasers/{concept}/{version}/evaluate measures it here",))
    numbers = {key: float(value) for key, value in evaluation.items() if _is_number(value)}
    measured_frames = any(key in evaluation for key in ("origin_rate", "erased_rate", "kept_rate"))
    reasons = list(_frames(numbers, evaluation, thresholds) if measured_frames else _probe(numbers, thresholds))
    if interactions is None:
        reasons.append("interactions cannot be read: the eraser was made by another version; evaluate it again")
    for interaction in interactions or ():
        reasons += _together(interaction, thresholds, seen=measured_frames)
    return Verdict(passed=not reasons, reasons=tuple(reasons))


def _frames(numbers: Mapping[str, float], evaluation: Mapping[str, Any], limits: Thresholds) -> Iterator[str]:
    yield from _missing(numbers, "origin_rate")
    origin = numbers.get("origin_rate", math.nan)
    if origin < limits.min_origin_rate or origin == 0:
        yield (
            f"origin_rate {origin:.3f} is below {limits.min_origin_rate}: the model draws too little of the concept to measure "
            "its erasure; evaluate again with pairs whose prompts show it clearly"
        )
    yield from _missing(numbers, "erased_rate")
    enough = origin >= limits.min_origin_rate and origin > 0
    if enough and (erased := numbers.get("erased_rate", math.nan) / origin) > limits.max_erased:
        yield f"erased_rate is {erased:.3f} of origin, above {limits.max_erased}: {_ERASE_MORE}"
    yield from _missing(numbers, "synonym_rate")
    synonym_origin = numbers.get("synonym_origin_rate", origin)
    if synonym_origin == 0:
        yield ("synonym_origin_rate is 0: the model draws nothing for the synonyms; evaluate again with `synonyms` that it knows")
    elif (synonym := numbers.get("synonym_rate", math.nan) / synonym_origin) > limits.max_synonym:
        yield (
            f"synonym_rate is {synonym:.3f} of origin, above {limits.max_synonym}: the concept appears when it is called by "
            "another name; train another version and name more `synonyms`"
        )
    yield from _missing(numbers, "kept_rate")
    if (kept := numbers.get("kept_rate", math.nan)) < limits.min_kept:
        yield f"kept_rate {kept:.3f} is below {limits.min_kept}: {_KEEP_MORE}"
    yield from _missing(numbers, "scene_kept")
    if (scene := numbers.get("scene_kept", math.nan)) < limits.min_scene_kept:
        yield (
            f"scene_kept {scene:.3f} is below {limits.min_scene_kept}: the eraser changes what else prompts with the concept ask "
            f"for{_parts(evaluation)}; train another version, with the default method or a lower strength"
        )


def _parts(evaluation: Mapping[str, Any]) -> str:
    """What is kept of each part of the scene, the worst first."""
    parts = evaluation.get("scene_parts")
    kept = {
        name: numbers["kept"]
        for name, numbers in (parts.items() if isinstance(parts, Mapping) else ())
        if isinstance(numbers, Mapping) and _is_number(numbers.get("kept"))
    }
    worst = ", ".join(f"{name} {share:.0%}" for name, share in sorted(kept.items(), key=lambda item: item[1]))
    return f" (kept: {worst})" if worst else ""


def _probe(numbers: Mapping[str, float], limits: Thresholds) -> Iterator[str]:
    yield from _missing(numbers, "probe_before")
    before = numbers.get("probe_before", math.nan)
    if before < limits.min_probe_before or before == 0:
        yield (
            f"probe_before {before:.3f} is below {limits.min_probe_before}: the probe never saw the concept; evaluate again with "
            "more pairs, of which one prompt names it and the other does not"
        )
    yield from _missing(numbers, "probe_after")
    enough = before >= limits.min_probe_before and before > 0
    if enough and (after := numbers.get("probe_after", math.nan) / before) > limits.max_probe_after:
        yield f"probe_after is {after:.3f} of probe_before, above {limits.max_probe_after}: {_ERASE_MORE}"
    yield from _missing(numbers, "drift")
    if (drift := numbers.get("drift", math.nan)) > limits.max_drift:
        yield f"drift {drift:.3f} is above {limits.max_drift}: {_KEEP_MORE}"


def _together(pair: Interaction, limits: Thresholds, *, seen: bool) -> Iterator[str]:
    """`seen`: whether the version was measured on frames when it was alone; then, as there, a change of embeddings is not asked
    about. A concept of which there was too little without erasers says nothing."""
    name = f"{pair.eraser.concept}@{pair.eraser.version}"
    least = limits.min_origin_rate if pair.measured == "frames" else limits.min_probe_before
    sides = (("", pair.origin_rate, pair.left), (f" of {pair.eraser.concept}", pair.other_origin_rate, pair.other_left))
    for whose, origin, left in sides:
        if origin is not None and origin >= least and left is not None and left > limits.max_interaction:
            yield f"together with {name}, {left:.3f}{whose} is left, above {limits.max_interaction}{_APART}"
    asked = pair.measured == "frames" or not seen
    if asked and pair.kept_rate is not None and pair.kept_rate < limits.min_kept_pair:
        yield f"together with {name}, kept_rate {pair.kept_rate:.3f} is below {limits.min_kept_pair}{_APART}"
    if pair.scene_kept is not None and pair.scene_kept < limits.min_kept_pair:
        yield f"together with {name}, scene_kept {pair.scene_kept:.3f} is below {limits.min_kept_pair}{_APART}"


_ERASE_MORE = "too much of the concept is left; train another version with a higher strength, or with more pairs"
_KEEP_MORE = "other prompts change too much; train another version with a lower strength, and name in `keep` what must survive"
_APART = "; train another version, or retire the other one first"
_EVALUATE_AGAIN = (

    "evaluate the version again; where CLEARWAY_DETECTORS judge, with lines of the {cell} in CLEARWAY_DETECTOR_PROMPTS"

)
_CELLS = {
    "origin_rate": "cell plain",
    "erased_rate": "cell plain",
    "synonym_rate": "cell synonym",
    "kept_rate": "cell others",
    "scene_kept": "cell scene",
}


def _missing(numbers: Mapping[str, float], name: str) -> Iterator[str]:
    if name not in numbers:
        cure = _EVALUATE_AGAIN.format(cell=_CELLS[name]) if name in _CELLS else "evaluate the version again"
        yield f"{name} was not measured: {cure}"


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
