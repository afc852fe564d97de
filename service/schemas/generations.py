"""`POST /generate` and the generation it makes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from service.domain.states import JobStatus
from service.domain.text import ConceptName, Text
from service.domain.webhook_address import WebhookUrl
from service.schemas.base import JobError, Progress, RequestBody, ResponseBody, at_most
from workers.contract import Digest, FallbackMethod, Seed

MAX_PROMPT_CHARACTERS = 2000
MAX_CONCEPTS = 16
MAX_METADATA_PAIRS = 16

OnMissing = Literal["refuse", FallbackMethod]


class EraseItem(RequestBody):
    """One concept to take out. `"nudity"` and `"nudity@3"` are short for `{"concept": "nudity"[, "version": 3]}`."""

    concept: ConceptName = Field(examples=["french horn"])
    version: int | None = Field(
        default=None, ge=1, le=2**31 - 1, description="default: the version that is active when the request arrives"
    )
    strength: Annotated[float, BeforeValidator(lambda value: _strength(value))] | None = Field(
        default=None,
        description="γ; default the eraser's own, and at most twice that unless a policy allows more. 0 erases nothing, and is "
        "taken only with `allow_not_reduced`.",
    )


def _strength(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 100:
        raise PydanticCustomError("invalid_strength", "a strength is a number from 0 to 100")
    return float(value)


def _expand(value: object) -> object:
    """`"name"` or `"name@version"` → the fields of an `EraseItem`."""
    if not isinstance(value, str):
        return value
    name, at, version = value.rpartition("@")
    if not at:
        return {"concept": value}
    if not (version.isascii() and version.isdigit() and len(version) <= 9 and int(version)):
        raise PydanticCustomError("invalid_concept", "after @ stands a version number from 1, as in parachute@2")
    return {"concept": name, "version": int(version)}


def _prompt(value: str) -> str:
    if not value.strip():
        raise PydanticCustomError("empty_prompt", "the prompt is empty: describe the video")
    return value


def _not_too_long(value: object) -> object:
    """Before anything that looks at every character."""
    if isinstance(value, str) and len(value) > MAX_PROMPT_CHARACTERS:
        raise PydanticCustomError(
            "prompt_too_long",
            "{length} characters, but at most {limit} are taken: shorten it",
            {"length": len(value), "limit": MAX_PROMPT_CHARACTERS},
        )
    return value


def _concepts(value: list[EraseItem]) -> list[EraseItem]:
    names = [item.concept for item in value]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise PydanticCustomError("duplicate_concept", "named more than once: {names}", {"names": ", ".join(twice)})
    return value


Erase = Annotated[
    list[Annotated[EraseItem, BeforeValidator(_expand, json_schema_input_type=str | EraseItem)]],
    at_most(MAX_CONCEPTS, "too_many_concepts", "{count} concepts, but at most {limit} are taken"),
    AfterValidator(_concepts),
]


def _metadata(value: dict[str, str]) -> dict[str, str]:
    if any(not 1 <= len(key) <= 64 or len(text) > 512 for key, text in value.items()):
        raise PydanticCustomError("invalid_metadata", "a key has 1 to 64 characters, a value at most 512")
    return value


class PromptRequest(RequestBody):
    """What is asked for, but for the shape of the video, which every dialect says in its own words."""

    prompt: Annotated[Text, BeforeValidator(_not_too_long), AfterValidator(_prompt)]
    erase: Erase | None = Field(
        default=None,
        description='concepts to take out: `"parachute"`, `"parachute@2"` or `{concept, version, strength}`; default what the '
        "policies of the key say, which an empty list leaves out. What they make mandatory acts in any case.",
    )
    on_missing: OnMissing = Field(
        default="refuse",
        description="where no eraser of a concept is active: `refuse`, or the training-free method that stands in, as "
        "`fallbacks` and the receipt then say. A concept with a version never falls back, nor one that a policy names "
        "unless the policy says so too.",
    )
    allow_not_reduced: bool = Field(
        default=False,
        description="make the video also where the receipt says that a concept is `not_reduced`; without it the generation fails "
        "with `concept_not_reduced`. Does not hold for concepts that a policy makes mandatory.",
    )
    verify: bool = Field(
        default=False,
        description="look at the frames with the detectors of all concepts that are erased, as `checks` and the receipt then "
        "say. Where one is still seen the generation fails with `concept_seen`, and there is no video.",
    )
    negative_prompt: Annotated[Text, BeforeValidator(_not_too_long)] = Field(
        default="", description="encoded without erasers; it is no means of erasure. Needs a guidance_scale above 1."
    )
    model: Annotated[Text, StringConstraints(min_length=1, max_length=200)] | None = Field(
        default=None, description="default: the model this installation is configured with; `GET /models` lists them"
    )
    num_inference_steps: int | None = None
    guidance_scale: float | None = Field(default=None, ge=0, le=50)
    seed: Seed | None = Field(default=None, description="0 to 4294967295; default: drawn, and told in the response")
    metadata: Annotated[
        dict[Text, Text],
        at_most(MAX_METADATA_PAIRS, "invalid_metadata", "{count} pairs, but at most {limit} are kept"),
        AfterValidator(_metadata),
    ] = Field(
        default={}, description="up to 16 pairs of strings, kept with the generation and given back"
    )
    webhook_url: WebhookUrl | None = Field(
        default=None, description="told when the generation has ended: `https://…`, up to 2,000 characters"
    )


class GenerateRequest(PromptRequest):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"prompt": "a parachute falling down over snowy mountains", "erase": ["parachute"], "seed": 7},
                {"prompt": "a church and a springer dog", "erase": [{"concept": "church", "strength": 1.5}], "num_frames": 9},
            ]
        }
    )

    width: int | None = Field(default=None, description="pixels; default the model's")
    height: int | None = Field(default=None, description="pixels; default the model's")
    num_frames: int | None = None


class AppliedEraser(ResponseBody):
    """One eraser of a generation, pinned when the request was accepted."""

    concept: str
    version: int
    digest: Digest
    strength: float = Field(description="γ")
    layer: int = Field(description="encoder block, 0-based, at which it acts; the last for what acts behind the encoder")
    must_reduce: bool = Field(description="the generation fails where the concept is `not_reduced`")


class AppliedFallback(ResponseBody):
    """A training-free method that stands in for one concept of a generation, because no eraser of it was active. The worker
    makes it of the concept's name; nobody has measured how well it erases."""

    concept: str
    method: FallbackMethod
    settings: dict[str, Any] = Field(description="options of the method")
    strength: float = Field(description="γ")
    must_reduce: bool = Field(description="the generation fails where the concept is `not_reduced`")


class PlannedCheck(ResponseBody):
    """One erased concept that must not be seen in the frames, and who looks."""

    concept: str
    detector: str
    max_share: float = Field(description="of frames; above it the concept counts as seen")


class AppliedPolicy(ResponseBody):
    """One policy that bound a request when it was accepted, as it was then."""

    name: str
    version: int


class RequestWarning(ResponseBody):
    """Something about a request that is accepted, and that its sender may not have meant."""

    code: Literal["unknown_words"]
    message: str
    words: list[str] = Field(description="of the prompt, those that the model's tokenizer does not know")


class Webhook(ResponseBody):
    """What became of telling a client's server that the generation has ended."""

    url: str
    attempts: int = Field(description="those that began")
    delivered_at: datetime | None = Field(description="when it answered with 2xx")
    next_attempt_at: datetime | None = Field(
        description="at the earliest; null before the end, and when it is delivered or given up"
    )
    last_error: str | None = Field(description="of the last attempt")


class GenerationLinks(ResponseBody):
    self: str
    video: str
    events: str
    receipt: str


class Plan(ResponseBody):
    """What a request comes to: every default filled in, every eraser pinned. Nothing ran."""

    model: str
    encoder_fingerprint: Digest
    prompt: str
    negative_prompt: str
    erase: list[AppliedEraser]
    fallbacks: list[AppliedFallback] = Field(default=[], description="in the place of erasers that there are not")
    checks: list[PlannedCheck] = Field(default=[], description="what is looked for in the frames; none without `verify`")
    policies: list[AppliedPolicy] = Field(default=[], description="those that bind the key, by name")
    warnings: list[RequestWarning] = Field(default=[], description="what may not be meant so; nothing is refused for it")
    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    frames_per_second: int


class Generation(ResponseBody):
    id: str
    status: JobStatus
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    attempt: int = Field(description="grows when a worker was lost and another one began anew")
    model: str
    prompt: str
    negative_prompt: str
    erase: list[AppliedEraser]
    fallbacks: list[AppliedFallback] = Field(description="in the place of erasers that there were not when it was accepted")
    checks: list[PlannedCheck] = Field(description="what is looked for in the frames; what was seen is on the receipt")
    policies: list[AppliedPolicy] = Field(description="those that bound the key when it was accepted, by name")
    warnings: list[RequestWarning] = Field(description="what may not be meant so; nothing was refused for it")
    width: int
    height: int
    num_frames: int
    num_inference_steps: int
    guidance_scale: float
    seed: int
    frames_per_second: int
    metadata: dict[str, str]
    webhook: Webhook | None = Field(description="where the request has a `webhook_url`")
    progress: Progress | None = Field(description="while it runs")
    error: JobError | None
    receipt: dict[str, Any] | None = Field(description="what was applied; present when it succeeded")
    links: GenerationLinks
