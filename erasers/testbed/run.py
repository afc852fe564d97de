"""Every variant for every subject: train, examine, keep. What is there already is not made again.

One subject after another: a run that is stopped compares all its variants on the subjects that it came to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import erasers
from erasers import encoders
from erasers.artefact import CONFIG_FILE
from erasers.encoding import PromptEncoder
from erasers.eraser import Eraser
from erasers.testbed import encoder as testbed_encoder
from erasers.testbed.measure import ORIGIN, Desk
from erasers.testbed.questions import FULL, QUICK, Sizes
from erasers.testbed.readers import Readers, fit_readers
from erasers.testbed.records import Records
from erasers.testbed.subjects import Subject, subjects
from erasers.testbed.training import train
from erasers.testbed.variants import VARIANTS, Variant


@dataclass(frozen=True)
class Scale:
    """How much is asked, and how thoroughly CLEAR is trained."""

    sizes: Sizes
    clear: Mapping[str, Any] = field(default_factory=dict)
    """Options of CLEAR in place of its defaults."""


NOTHING = Variant(ORIGIN, ORIGIN)
SCALES: dict[str, Scale] = {
    "full": Scale(FULL, {"expansion": 4}),  # 1,536 features, as on the miniature: there are 160 pairs to learn them from
    "quick": Scale(QUICK, {"iterations": 12, "refine_iterations": 4, "expansion": 2, "gamma_step": 2.0}),
}


def run(
    directory: Path,
    *,
    scale: str,
    seed: int,
    concepts: Sequence[str],
    variants: Sequence[str],
    on_progress: Callable[[int, int], None],
) -> Records:
    """All that the run's directory holds by now."""
    encoder = testbed_encoder.load()
    about = {
        "encoder": testbed_encoder.version(),
        "weights_sha256": encoders.weights_sha256(encoder.text_encoder),
        "prompts_sha256": _prompts_sha256(),
        "scale": scale,
        "sizes": asdict(SCALES[scale].sizes),
        "clear": dict(SCALES[scale].clear),
        "seed": seed,
    }
    records = Records(directory, about)
    session = _Session(encoder, records, SCALES[scale], seed)
    jobs = [
        (variant, subjects()[concept]) for concept in concepts for variant in (NOTHING, *(VARIANTS[name] for name in variants))
    ]
    for done, (variant, subject) in enumerate(jobs):
        on_progress(done, len(jobs))
        session.make(variant, subject)
    on_progress(len(jobs), len(jobs))
    return records


class _Session:
    def __init__(self, encoder: PromptEncoder, records: Records, scale: Scale, seed: int) -> None:
        self._encoder, self._records, self._scale, self._seed = encoder, records, scale, seed
        self._desks: dict[Subject, Desk] = {}

    def make(self, variant: Variant, subject: Subject) -> None:
        """Unless it is there."""
        recipe = asdict(variant)
        if self._records.get(variant.name, subject.name, recipe) is not None:
            return
        desk = self._desk(subject)
        if variant is NOTHING:
            found = desk.origin()
        else:
            found = desk.examine(self._eraser(variant, subject), variant.factors, self._fingerprint)
        self._records.put({"variant": variant.name, "subject": subject.name, "recipe": recipe} | found)

    def _eraser(self, variant: Variant, subject: Subject) -> Eraser:
        directory = self._records.eraser_directory(variant.name, subject.name)
        if (directory / CONFIG_FILE).exists():
            return erasers.load(directory)
        eraser = train(self._encoder, subject, variant, self._seed, self._scale.clear)
        eraser.save(directory)
        return eraser

    def _desk(self, subject: Subject) -> Desk:
        if subject not in self._desks:
            everything = list(subjects().values())
            self._desks[subject] = Desk(self._encoder, subject, everything, self._readers, self._scale.sizes, self._seed)
        return self._desks[subject]

    @cached_property
    def _readers(self) -> Readers:
        return fit_readers(self._encoder, list(subjects().values()), self._scale.sizes, self._seed)

    @cached_property
    def _fingerprint(self) -> str:
        return encoders.fingerprint(self._encoder.text_encoder, self._encoder.tokenizer)


def _prompts_sha256() -> str:
    total = hashlib.sha256()
    for name in ("subjects.toml", "frames.toml", "unrelated.toml"):
        total.update(Path(__file__).with_name(name).read_bytes())
    return total.hexdigest()
