"""`POST /erasers`, eraser versions, their reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from erasers.methods.configs import CONFIGS, DEFAULT
from service.domain.gate import Source
from service.domain.states import JobStatus, VersionStatus
from service.domain.text import ConceptName, Text, check_text
from service.schemas.base import JobError, Progress, Reason, RequestBody, ResponseBody, at_most
from service.schemas.generations import MAX_PROMPT_CHARACTERS
from service.schemas.interactions import Interaction
from workers.contract import ConceptKind, PairSource, Seed

METHODS = tuple(CONFIGS)
MAX_PAIRS = 5000
MAX_PHRASES = 64


class Pair(RequestBody):
    """The same prompt with and without the concept."""

    positive: Annotated[Text, StringConstraints(min_length=1, max_length=MAX_PROMPT_CHARACTERS)]
    negative: Annotated[Text, StringConstraints(max_length=MAX_PROMPT_CHARACTERS)]


def _pairs(value: list[Pair]) -> list[Pair]:
    if not value:
        raise PydanticCustomError("invalid_pairs", "0 pairs, but 1 to {limit} are taken", {"limit": MAX_PAIRS})
    for index, pair in enumerate(value):
        if pair.positive == pair.negative:
            raise PydanticCustomError("invalid_pairs", "pair {index}: both prompts are the same", {"index": index})
    return value


Phrases = Annotated[
    list[Annotated[Text, AfterValidator(str.strip), StringConstraints(min_length=1, max_length=200)]],
    Field(max_length=MAX_PHRASES),
    at_most(MAX_PHRASES, "invalid_request", "{count} phrases, but at most {limit} are taken"),
]


def _check_texts(value: JsonValue) -> JsonValue:
    """Every text within, names too: half a surrogate pair is JSON, and nothing that could be written down again."""
    if isinstance(value, str):
        return check_text(value)
    for item in (*value, *value.values()) if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_texts(item)
    return value


def _one_source_of_pairs(value: PairSource | None, info: ValidationInfo) -> PairSource | None:
    if value is not None and info.data.get("pairs") is not None:
        raise PydanticCustomError("invalid_pairs", "pairs were sent, and pair_source asks for others: leave one out")
    return value


class TrainRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"concept": "golf ball", "keep": ["balloon", "apple"]},
                {"concept": "sailboat", "pairs": [{"positive": "a sailboat on a lake", "negative": "a lake"}]},
            ]
        }
    )

    concept: ConceptName
    kind: ConceptKind = Field(
        default="object",
        description="what the concept is, which chooses the sentences of made pairs: an object (parachute), an identity (a "
        "person or character), a style (van gogh), an attribute (nudity), a scene (a harbour) or an activity (smoking)",
    )
    method: Annotated[str, StringConstraints(max_length=40)] = Field(
        default=DEFAULT, description=f"how to erase: {', '.join(METHODS)}"
    )
    description: Annotated[Text, StringConstraints(max_length=2000)] = Field(default="", description="the concept in words")
    synonyms: Phrases = Field(default=[], description="other words for it")
    keep: Phrases = Field(default=[], description="neighbours that must survive")
    pairs: (
        Annotated[
            list[Pair],
            at_most(MAX_PAIRS, "invalid_pairs", "{count} pairs, but 1 to {limit} are taken"),
            AfterValidator(_pairs),
        ]
        | None
    ) = Field(default=None, description=f"prompts with and without it, up to {MAX_PAIRS}; default: made by the trainer")
    pair_source: PairSource | None = Field(
        default=None, description="who writes the pairs: offline (grammar and templates, the default), or chat (a language model)"
    )
    model: Annotated[Text, StringConstraints(min_length=1, max_length=200)] | None = None
    config: Annotated[dict[str, JsonValue], Field(max_length=64), AfterValidator(_check_texts)] = Field(
        default={}, description="settings of the method"
    )
    seed: Seed = 0

    @field_validator("pair_source")
    @classmethod
    def _one_source(cls, value: PairSource | None, info: ValidationInfo) -> PairSource | None:
        return _one_source_of_pairs(value, info)


class EvaluateRequest(RequestBody):
    """How to measure a version. What is left out is as in the training that made it here; else the concept's name alone."""

    synonyms: Phrases | None = Field(default=None, description="other words for the concept, which must be erased too")
    keep: Phrases | None = Field(default=None, description="neighbours that must survive")
    pairs: Annotated[list[Pair], AfterValidator(_pairs)] | None = Field(
        default=None, description=f"prompts with and without the concept, up to {MAX_PAIRS}; default: made by the trainer"
    )
    pair_source: PairSource | None = Field(default=None, description="who writes the pairs where none are sent")
    seed: Seed | None = None

    @field_validator("pair_source")
    @classmethod
    def _one_source(cls, value: PairSource | None, info: ValidationInfo) -> PairSource | None:
        return _one_source_of_pairs(value, info)


class ActivateRequest(RequestBody):
    override: bool = Field(default=False, description="activate although the evaluation does not pass the gate; needs a `reason`")
    reason: Reason | None = Field(
        default=None, description="why the gate is overridden; kept in the audit log and shown with the version"
    )

    @model_validator(mode="after")
    def _override_has_a_reason(self) -> Self:
        if self.override and self.reason is None:
            raise PydanticCustomError("invalid_request", "an override needs a reason of 1 to 500 characters: send `reason` too")
        if self.reason is not None and not self.override:
            raise PydanticCustomError("invalid_request", "a reason is for an override only: send `override` too, or leave it out")
        return self


class RollbackRequest(RequestBody):
    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="any that was active once; default the one that was directly before"
    )
    model: Annotated[Text, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="whose text encoder is meant; default the model of this installation"
    )


class Evaluation(ResponseBody):
    """The last evaluation of a version: a job of its own, beside the version's state."""

    id: str
    status: JobStatus
    created_at: datetime
    finished_at: datetime | None
    progress: Progress | None = Field(description="while it runs")
    error: JobError | None


class EraserLinks(ResponseBody):
    self: str
    report: str
    events: str
    artifact: str = Field(description="the archive that `POST /erasers/import` takes; for operators")
    generations: str = Field(description="those that have it pinned; for operators")
    evaluate: str = Field(description="`POST` measures it again; for operators")
    cancel: str = Field(description="`POST` cancels its training or evaluation; for operators")


class Eraser(ResponseBody):
    """One version of the eraser of one concept. Immutable once trained; its digest is its content."""

    concept: str
    version: int
    status: VersionStatus
    method: str
    model: str
    encoder_fingerprint: str
    digest: str | None
    layer: int | None = Field(description="encoder block, 0-based, at which it acts; the last for what acts behind the encoder")
    strength: float | None
    minimum_strength: float | None = Field(
        description="the smallest that calibration measured to erase the concept; policies may demand no less"
    )
    evaluation: dict[str, Any] | None = Field(description="measured on this installation; null until that is done")
    claimed_evaluation: dict[str, Any] | None = Field(
        description="the sender's claim: numbers that an imported artifact brought along. The gate never reads them"
    )
    evaluation_job: Evaluation | None = Field(description="the last `POST …/evaluate`, or the one that an import started")
    config: dict[str, Any]
    created_at: datetime
    activated_at: datetime | None
    override_reason: str | None = Field(description="why an operator activated it although it did not pass the gate")
    progress: Progress | None = Field(description="while it trains")
    error: JobError | None
    links: EraserLinks


class TrainingWarning(ResponseBody):
    """A measurement that the version will not have, and how to provide it."""

    code: Literal["no_detector"]
    message: str


class AcceptedTraining(Eraser):
    estimated_seconds: float | None = Field(
        description="of the training, once it has begun: the median of the last ones with the same method and config "
        "on this model; null while there are none"
    )
    warnings: list[TrainingWarning] = Field(description="what the gate will not be able to ask; nothing was refused for it")


class RetiredEraser(Eraser):
    generations: int = Field(description="how many have it pinned, whatever became of them; `links.generations` lists them")


class Concept(ResponseBody):
    """Every version of one concept's eraser, newest first."""

    concept: str
    aliases: list[str] = Field(description="other names that requests may use for it")
    versions: list[Eraser]


class GateVerdict(ResponseBody):
    passed: bool
    reasons: list[str]
    thresholds: dict[str, float] = Field(description="those that judged")
    sources: dict[str, Source] = Field(description="of each: set for this concept, or for all of the deployment")
    deployment: dict[str, float] = Field(description="what would judge if nothing were set for this concept")


class Report(ResponseBody):
    """The measured numbers of one version, and what the gate says of them."""

    concept: str
    version: int
    status: VersionStatus
    digest: str | None
    evaluation: dict[str, Any] | None = Field(description="measured on this installation; null until that is done")
    claimed_evaluation: dict[str, Any] | None = Field(description="the sender's claim, which the gate never reads")
    gate: GateVerdict
    interactions: list[Interaction] = Field(description="with erasers that were active when the training was accepted")
