"""What an operator should know before a training starts: which measurements the gate will miss, and how to provide them."""

from __future__ import annotations

from service.catalogue import Catalogue
from service.schemas.erasers import TrainingWarning
from service.store.models import EraserVersion
from workers.store.artifacts import ArtifactError


def training_warnings(catalogue: Catalogue, row: EraserVersion) -> list[TrainingWarning]:
    """A version is measured on frames only where a detector of its model's workers sees the concept. The training is accepted
    already, so a store that does not answer is no error: then nothing is known, and nothing is said."""
    try:
        detectors = catalogue.detectors(row.model)
    except ArtifactError:
        return []
    if row.concept in detectors:
        return []
    message = (
        f"no detector for {row.concept!r} is set up for the model {row.model!r}: the version will be measured on embeddings "
        "only, and the gate cannot ask what is seen in frames. To measure it on frames, name a detector for it in "
        "CLEARWAY_DETECTORS and prompts in CLEARWAY_DETECTOR_PROMPTS of the workers and trainers, restart them, and then "
        f"POST /erasers/{row.concept}/{row.version}/evaluate"
    )
    return [TrainingWarning(code="no_detector", message=message)]
