"""What gateway and workers say to each other: queue payloads, stored records, and the names of keys.

Everything that crosses a process boundary is one of these records, as JSON. The gateway imports this module and no other
of `workers`; it imports neither torch nor rq. Records are frozen and refuse unknown fields, so that a payload written by
a newer version fails loudly instead of losing an instruction (an eraser, say) on the way.

The module does not validate requests of clients (`service.schemas` does) and knows no policy.
"""

from __future__ import annotations

import math
import os
import re
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue

from erasers.concepts import ConceptKind as ConceptKind
from erasers.verdict import Verdict

SCHEMA_VERSION: Literal[1] = 1

Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,80}$")]

WorkerKind = Literal["generate", "train"]
WORKER_KINDS: tuple[WorkerKind, ...] = get_args(WorkerKind)
JobKind = Literal["generate", "train", "evaluate"]
"""What a job does. A trainer runs evaluations too: they need the text encoder in float32, the detectors and the prompts."""
JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)
GENERATE_QUEUE = "clearway-generate"
TRAIN_QUEUE = "clearway-train"
GENERATE_FUNCTION = "workers.tasks.generate"
TRAIN_FUNCTION = "workers.tasks.train"
EVALUATE_FUNCTION = "workers.tasks.evaluate"

MAX_SEED = 2**32 - 1
"""torch's generator on the CPU, which makes the noise, uses 32 bits of a seed: 7 and 2**32 + 7 give the same video."""

MAX_ATTEMPTS = 3
MAX_INTERACTIONS = 64
"""Erasers with which one training is measured, at most."""

FailureCode = Literal[
    "eraser_unavailable",  # a pinned eraser is not in the store, or a fallback cannot be made of the concept's name
    "eraser_corrupt",  # its bytes do not have the pinned digest, or do not parse
    "eraser_incompatible",  # made for another text encoder than the one loaded
    "eraser_inactive",  # not proven to have run, or it edited no token of a prompt it should have edited
    "concept_not_reduced",  # measured: a concept is as present after all erasers acted as before, or put there by one
    "concept_seen",  # verified: what was to be erased is still in the frames
    "not_verifiable",  # to be verified, and the worker has not the detector that was promised
    "prompt_too_long",  # more tokens than the encoder takes; nothing is silently cut off
    "invalid_request",  # sizes that this model cannot make
    "invalid_pairs",  # training pairs refused; the message lists the offending lines
    "pairs_unavailable",  # the chat endpoint that should write them is not configured, fails, or is of no use
    "out_of_memory",
    "timeout",
    "worker_lost",  # used up its attempts without a terminal record
    "model_unavailable",
    "receipt_mismatch",  # the gateway's: the receipt in the store is not of the accepted request
    "cancelled",
    "internal_error",
]


Share = Annotated[float, Field(ge=0, le=1)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED)]


def _measured(value: object) -> object:
    return None if isinstance(value, float) and not math.isfinite(value) else value


Measured = Annotated[float | None, BeforeValidator(_measured)]
"""A number that was measured; None where it is not finite, which JSON cannot say. It passes no gate, and spoils no record."""
MeasuredShare = Annotated[Share | None, BeforeValidator(_measured)]


class Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


# --- Queue payloads -------------------------------------------------------------------------------------------------


class EraserPin(Record):
    """One eraser version of one request, pinned by digest when the request was accepted."""

    concept: str
    version: int = Field(ge=1)
    digest: Digest
    strength: float | None = Field(default=None, ge=0, le=100, description="γ; None means the artefact's own")
    must_reduce: bool = Field(default=True, description="the job fails where the concept is `not_reduced`")


FallbackMethod = Literal["safree", "negprompt"]
"""Methods that need no training, and may stand in where a concept has no active eraser."""


class FallbackPin(Record):
    """One concept of one request that no trained eraser takes out: the worker makes one of its name, set as is said here."""

    concept: str
    method: FallbackMethod
    settings: dict[str, JsonValue] = Field(description="options of the method: what decides, with the name, what it does")
    strength: float = Field(ge=0, le=1, description="γ; 1 is all that such a method does")
    must_reduce: bool = Field(default=True, description="the job fails where the concept is `not_reduced`")


class CheckPin(Record):
    """One erased concept of one request that must not be seen in the frames, and who looks."""

    concept: str
    detector: str = Field(description="its name, as in `Detectors`")
    max_share: Share = Field(description="of frames; above it the concept counts as seen")


class GenerationTask(Record):
    schema_version: Literal[1] = SCHEMA_VERSION
    id: Identifier
    attempt: int = Field(ge=1)
    model: str
    prompt: str
    negative_prompt: str = ""
    erase: tuple[EraserPin, ...]
    fallbacks: tuple[FallbackPin, ...] = ()
    checks: tuple[CheckPin, ...] = ()
    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    seed: Seed
    frames_per_second: int


PairSource = Literal["offline", "chat"]
"""Who writes pairs that the request does not bring: grammar and templates, or the trainer's chat endpoint."""


class PromptPair(Record):
    positive: str
    negative: str


class MeasuringTask(Record):
    """What a training and an evaluation have in common: a version to measure, and the prompts to measure it with."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Identifier
    attempt: int = Field(ge=1)
    model: str
    concept: str
    version: int = Field(ge=1)
    kind: ConceptKind = Field(default="object", description="what the concept is: it chooses the sentences of made pairs")
    description: str = ""
    synonyms: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    pairs: tuple[PromptPair, ...] | None = None
    pair_source: PairSource = "offline"
    seed: Seed = 0
    active: tuple[EraserPin, ...] = Field(
        default=(),
        max_length=MAX_INTERACTIONS,
        description="erasers of other concepts that were active for the model's text encoder, newest first: the new one is "
        "measured together with each",
    )


class TrainingTask(MeasuringTask):
    method: str
    config: dict[str, JsonValue] = Field(default_factory=dict)


class EvaluationTask(MeasuringTask):
    """Measure a version whose artifact is in the store already."""

    digest: Digest = Field(description="of the artifact")

    @property
    def pin(self) -> EraserPin:
        return EraserPin(concept=self.concept, version=self.version, digest=self.digest)


# --- Records in the artifact store ----------------------------------------------------------------------------------


class Outcome(Record):
    """How strongly a concept was present in the prompt's embeddings, measured behind the whole stack (`erasers.presence`).

    All null where it cannot be measured: for a negative prompt, which changes guidance and not the embeddings, or for a
    concept that cannot be read from them.
    """

    score_before: Measured = Field(
        description="without erasers; 0 is the mean of prompts without the concept, 1 that of prompts with it"
    )
    score_after: Measured = Field(description="the same after all erasers of the request acted")
    absent_below: float | None = Field(description="up to this score the concept counts as absent")
    verdict: Verdict | None = Field(
        description="`not_present`: the prompt did not contain the concept. `removed`: it did, and scores as absent now. "
        "`reduced`: less than half of what was above the reference is left. `not_reduced`: more is left, or an eraser added it"
    )


class EraserUse(Outcome):
    """What one eraser did in one request."""

    concept: str
    version: int
    digest: Digest
    layer: int = Field(description="encoder block, 0-based, at which it acts; the last for what acts behind the encoder")
    strength: float
    tokens_edited: int = Field(ge=0, description="of the prompt; phrases, where it acts on the negative prompt")


class FallbackUse(Outcome):
    """What a method without training did in one request for a concept that had no active eraser."""

    concept: str
    method: FallbackMethod
    settings: dict[str, JsonValue]
    strength: float
    tokens_edited: int = Field(ge=0, description="of the prompt; phrases, where it acts on the negative prompt")


class Check(CheckPin):
    """What a detector saw in the frames of one request. A receipt has none with the verdict `seen`: there is no video then."""

    share: Share = Field(description="of the frames in which the concept is seen")
    verdict: Literal["not_seen", "seen"]


class Receipt(Record):
    """Proof of what was applied; its arrival in the store is what makes a generation succeeded."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Identifier
    attempt: int
    model: str
    encoder_fingerprint: Digest
    erasers: tuple[EraserUse, ...]
    fallbacks: tuple[FallbackUse, ...] = ()
    checks: tuple[Check, ...] = ()
    prompt_sha256: Digest
    negative_prompt_sha256: Digest
    seed: int
    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    frames_per_second: int
    video_sha256: Digest
    video_bytes: int
    stage_seconds: dict[str, float]
    peak_memory_bytes: int
    worker: str
    created_at: str = Field(description="ISO 8601, UTC")


class Interaction(Record):
    """What a new eraser and another one do together, at their own strengths: an item of `evaluation["interactions"]`."""

    eraser: EraserPin = Field(description="the other one, as it was pinned")
    measured: Literal["frames", "embeddings"] | None = Field(
        default=None, description="shares of frames of clips, or of prompts in whose embeddings a probe finds the concept"
    )
    reason: str | None = Field(default=None, description="why it was not measured")
    n: int = Field(default=0, ge=0, description="clips of each concept, or prompts")
    origin_rate: MeasuredShare = Field(default=None, description="the new eraser's concept, without erasers")
    erased_rate: MeasuredShare = Field(default=None, description="the same, with both")
    other_origin_rate: MeasuredShare = Field(default=None, description="the other's concept, without erasers")
    other_erased_rate: MeasuredShare = Field(default=None, description="the same, with both")
    kept_rate: Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_measured)] = Field(
        default=None,
        description="what is neither, with both, relative to origin; in embeddings 1 less their change",
    )
    scene_kept: float | None = Field(
        default=None, ge=0, description="on frames: what else prompts with either concept ask for, with both, relative to origin"
    )

    @property
    def left(self) -> float | None:
        return _relative(self.erased_rate, self.origin_rate)

    @property
    def other_left(self) -> float | None:
        return _relative(self.other_erased_rate, self.other_origin_rate)


def _relative(rate: float | None, origin: float | None) -> float | None:
    """None where there is nothing to compare with."""
    return rate / origin if rate is not None and origin else None


class TrainingResult(Record):
    """What a finished training registers."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Identifier
    attempt: int
    digest: Digest
    concept: str
    version: int
    method: str
    encoder_fingerprint: Digest
    layer: int
    strength: float
    minimum_strength: float | None = Field(description="the smallest that calibration measured to erase the concept")
    seconds: float
    evaluation: dict[str, JsonValue]
    worker: str
    created_at: str


class EvaluationResult(Record):
    """The numbers of one version, as they were measured on this installation's model."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Identifier
    attempt: int
    digest: Digest
    concept: str
    version: int
    seconds: float
    evaluation: dict[str, JsonValue]
    worker: str
    created_at: str


class FailureRecord(Record):
    """Why an attempt ended without a result. `message` is for the client; tracebacks stay in the worker's log."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: Identifier
    attempt: int
    code: FailureCode
    message: str
    retryable: bool
    worker: str
    created_at: str


class Detectors(Record):
    """Which concepts a worker can look for in the frames of its model: what may be verified."""

    schema_version: Literal[1] = SCHEMA_VERSION
    model: str
    detectors: dict[str, str] = Field(description="name of a concept, in lower case → the detector's name")


Words = Annotated[dict[str, tuple[str, ...]], Field(max_length=256)]
"""By name, what prompts may call it."""


class KnownWorld(Record):
    """What a model of a small world can draw."""

    objects: Words
    characters: Words
    styles: Words
    attributes: Words
    backgrounds: Words
    motions: Words


MAX_CARD_WORDS = 4096


class ModelCard(Record):
    """What a worker says of the model it holds; the gateway validates requests against it."""

    schema_version: Literal[1] = SCHEMA_VERSION
    id: str
    family: Literal["wan", "cogvideox"]
    encoder_fingerprint: Digest
    encoder_layers: int
    encoder_d_model: int = Field(description="width of the encoder's hidden states")
    size_multiple: int = Field(description="width and height are multiples of this, in pixels")
    min_size: int
    max_size: int
    frames_multiple: int = Field(description="num_frames = k * frames_multiple + frames_offset")
    frames_offset: int
    max_frames: int
    max_steps: int
    refused_steps: tuple[int, ...] = Field(
        default=(), description="counts up to max_steps with which the scheduler does not end on a clean video"
    )
    max_prompt_tokens: int
    default_width: int
    default_height: int
    default_num_frames: int
    default_num_inference_steps: int
    default_guidance_scale: float
    default_frames_per_second: int
    knows: KnownWorld | None = Field(default=None, description="null: the model is of no small world")
    words: tuple[str, ...] = Field(
        default=(),
        max_length=MAX_CARD_WORDS,
        description="in lower case, every word that the tokenizer of a small world knows; empty where it spells any word",
    )

    def accepts_steps(self, count: int) -> bool:
        return 1 <= count <= self.max_steps and count not in self.refused_steps

    def steps_refusal(self, count: int) -> str:
        """Why `num_inference_steps` must not be `count`, with the nearest counts that are accepted."""
        if not 1 <= count <= self.max_steps:
            return f"num_inference_steps {count}: {self.id} takes 1 to {self.max_steps}"
        accepted = [other for other in range(1, self.max_steps + 1) if self.accepts_steps(other)]
        nearest = [max((n for n in accepted if n < count), default=None), min((n for n in accepted if n > count), default=None)]
        near = " or ".join(str(n) for n in nearest if n is not None)
        return f"num_inference_steps {count}: the scheduler of {self.id} does not end on a clean video with it; take {near}"


# --- Names ----------------------------------------------------------------------------------------------------------


_FOLDERS: dict[JobKind, str] = {"generate": "videos", "train": "trainings", "evaluate": "evaluations"}


def worker_of(kind: JobKind) -> WorkerKind:
    """The kind of worker that runs such jobs."""
    return "generate" if kind == "generate" else "train"


def job_prefix(kind: JobKind, job_id: str) -> str:
    """Folder of all attempts of a job."""
    return f"{_FOLDERS[kind]}/{job_id}"


def attempt_prefix(kind: JobKind, job_id: str, attempt: int) -> str:
    """Folder of one attempt. Attempts never share one, so that a late attempt cannot overwrite."""
    return f"{job_prefix(kind, job_id)}/{attempt}"


def video_key(job_id: str, attempt: int) -> str:
    return f"{attempt_prefix('generate', job_id, attempt)}/video.mp4"


def receipt_key(job_id: str, attempt: int) -> str:
    return f"{attempt_prefix('generate', job_id, attempt)}/receipt.json"


def training_result_key(job_id: str, attempt: int) -> str:
    return f"{attempt_prefix('train', job_id, attempt)}/result.json"


def evaluation_result_key(job_id: str, attempt: int) -> str:
    return f"{attempt_prefix('evaluate', job_id, attempt)}/result.json"


def failure_key(kind: JobKind, job_id: str, attempt: int) -> str:
    return f"{attempt_prefix(kind, job_id, attempt)}/failure.json"


def eraser_prefix(digest: str) -> str:
    """Folder of the files of an eraser's artifact."""
    return f"erasers/{digest}"


def eraser_key(digest: str, file_name: str) -> str:
    return f"{eraser_prefix(digest)}/{file_name}"


def model_key(model_id: str) -> str:
    return f"models/{model_id.replace('/', '--')}.json"


def detectors_key(model_id: str) -> str:
    return f"detectors/{model_id.replace('/', '--')}.json"


def tokenizer_key(encoder_fingerprint: str) -> str:
    """The file of the tokenizer that a text encoder's fingerprint covers, as the package `tokenizers` reads it."""
    return f"tokenizers/{encoder_fingerprint}.json"


def model_id(setting: str) -> str:
    """The name of a model to clients, from the model setting: a directory goes by its own name, all else as it is."""
    if not setting.startswith(("/", ".", "~")):
        return setting
    return re.sub(r"[^A-Za-z0-9_-]+", "-", os.path.basename(os.path.abspath(os.path.expanduser(setting))))


def rq_job_id(job_id: str, attempt: int) -> str:
    """The RQ job of one attempt: unique, so that the same attempt is never enqueued twice."""
    return f"{job_id}-{attempt}"


def attempt_of(rq_job: str) -> tuple[str, int]:
    """Which one that is: the inverse of `rq_job_id`. Raises `ValueError`."""
    job_id, _, attempt = rq_job.rpartition("-")
    return job_id, int(attempt)


def lease_key(job_id: str) -> str:
    """Redis string, JSON `{"attempt", "worker"}`, expiring; its holder is the worker that runs the job now."""
    return f"clearway:lease:{job_id}"


def fence_key(job_id: str) -> str:
    """Redis string, a number: the last attempt that the gateway gave up. No worker begins or goes on with it, or one before."""
    return f"clearway:fence:{job_id}"


def events_key(job_id: str) -> str:
    """Redis stream of `{"event": name, "data": JSON}`; its ids are the SSE event ids."""
    return f"clearway:events:{job_id}"


SETTLED_STREAM = "clearway:settled"
"""Redis stream of `{"kind", "id", "attempt"}`: a hint that the store holds a terminal record. Losing it loses nothing."""


def worker_key(name: str) -> str:
    """Redis string, JSON `{"kind", "model", "state", ...}`, expiring: who is alive."""
    return f"clearway:worker:{name}"
