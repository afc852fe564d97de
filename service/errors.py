"""What the gateway answers when it does not do what was asked.

    ServiceError
    ├── RequestError       the caller can mend the request
    │   └── RangeError     it asks for bytes behind the end
    ├── CallerError        the caller is unknown, or may not do this
    ├── MissingError       there is no such thing
    ├── StateError         not in this state; later, or never
    ├── LimitError         the key has as much as it may; later
    └── UnavailableError   a part of the service is missing now; try again

Every error has a code of the closed set `CODES`, which also gives the HTTP status; the class says how the program
reacts, the code what the client reads. `service.http.handlers` turns errors into responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

ErrorCode = Literal[
    "unauthorized",
    "key_expired",
    "forbidden",
    "not_found",
    "method_not_allowed",
    "payload_too_large",
    "request_timeout",
    "too_many_streams",
    "overloaded",
    "repeated_header",
    "range_not_satisfiable",
    "unsupported_media_type",
    "invalid_json",
    "invalid_form",
    "invalid_request",
    "unknown_field",
    "invalid_idempotency_key",
    "idempotency_key_reused",
    "invalid_text",
    "empty_prompt",
    "prompt_too_long",
    "invalid_concept",
    "too_many_concepts",
    "duplicate_concept",
    "unknown_concept",
    "unknown_version",
    "invalid_strength",
    "eraser_not_active",
    "eraser_wrong_encoder",
    "not_verifiable",
    "unsupported_input",
    "invalid_size",
    "invalid_seconds",
    "invalid_frames",
    "invalid_steps",
    "invalid_guidance",
    "invalid_metadata",
    "invalid_webhook_url",
    "invalid_pairs",
    "unknown_method",
    "invalid_config",
    "invalid_archive",
    "digest_mismatch",
    "invalid_eraser",
    "model_not_found",
    "model_not_ready",
    "not_finished",
    "invalid_state",
    "not_evaluated",
    "gate_not_passed",
    "no_previous_version",
    "alias_conflict",
    "policy_unsatisfied",
    "policy_forbids",
    "policy_needs_eraser",
    "rate_limited",
    "too_many_queued",
    "queue_full",
    "database_unavailable",
    "artifact_unavailable",
    "artifact_tampered",
    "not_ready",
    "internal_error",
]


@dataclass(frozen=True)
class Meaning:
    status: int
    text: str


CODES: Mapping[ErrorCode, Meaning] = {
    "unauthorized": Meaning(401, "No valid API key came with the request."),
    "key_expired": Meaning(401, "The API key has expired, or its secret was replaced by a rotation."),
    "forbidden": Meaning(403, "The key is valid, but this call needs the role `operator`."),
    "not_found": Meaning(404, "No such route, generation, eraser, version, alias, policy or key, or it belongs to another key."),
    "method_not_allowed": Meaning(405, "The route exists, but not with this method."),
    "payload_too_large": Meaning(413, "The body is larger than the route takes."),
    "request_timeout": Meaning(408, "The body came too slowly."),
    "too_many_streams": Meaning(429, "The key, the job or this gateway has as many event streams open as are allowed."),
    "overloaded": Meaning(503, "The gateway has no file descriptors left; try again."),
    "repeated_header": Meaning(400, "A header that has one value came more than once."),
    "range_not_satisfiable": Meaning(416, "The `Range` begins behind the end of the video."),
    "unsupported_media_type": Meaning(415, "The `Content-Type` is missing, or is one that the call does not read."),
    "invalid_json": Meaning(400, "The body is not JSON."),
    "invalid_form": Meaning(400, "The body is not the form that its `Content-Type` says."),
    "invalid_request": Meaning(422, "A field is missing, or has the wrong type or range."),
    "unknown_field": Meaning(422, "The body or the query has a field that the call does not know. Nothing is ignored silently."),
    "invalid_idempotency_key": Meaning(422, "`Idempotency-Key` is 1 to 255 visible ASCII characters."),
    "idempotency_key_reused": Meaning(422, "The `Idempotency-Key` was used for another request."),
    "invalid_text": Meaning(422, "Text with control characters or broken Unicode."),
    "empty_prompt": Meaning(422, "The prompt has no visible character."),
    "prompt_too_long": Meaning(422, "The prompt is longer than 2,000 characters, or has more tokens than the model takes."),
    "invalid_concept": Meaning(422, "Not a usable concept name, or not the form `name`, `name@version`."),
    "too_many_concepts": Meaning(422, "More than 16 concepts in `erase`."),
    "duplicate_concept": Meaning(422, "The same concept twice in `erase`, after normalising names."),
    "unknown_concept": Meaning(422, "No eraser was ever trained for this concept."),
    "unknown_version": Meaning(422, "The concept has erasers, but not this version."),
    "invalid_strength": Meaning(
        422, "A strength that erases nothing, or too little for a policy, or that is more than a request may ask for."
    ),
    "eraser_not_active": Meaning(409, "The eraser exists, but is not active."),
    "eraser_wrong_encoder": Meaning(409, "The eraser was made for another text encoder than the model's."),
    "not_verifiable": Meaning(422, "No detector of the model can look for a concept that is erased, so `verify` cannot hold."),
    "unsupported_input": Meaning(422, "A file or a reference to one; videos are made from text alone."),
    "invalid_size": Meaning(422, "Width or height that the model cannot make."),
    "invalid_seconds": Meaning(422, "A duration that is not whole seconds, or longer than the model makes."),
    "invalid_frames": Meaning(422, "A number of frames that the model cannot make."),
    "invalid_steps": Meaning(422, "Fewer than one denoising step, more than the model allows, or one of its `refused_steps`."),
    "invalid_guidance": Meaning(422, "A guidance scale at which the negative prompt or one of the erasers does nothing."),
    "invalid_metadata": Meaning(422, "`metadata` is at most 16 pairs of short strings."),
    "invalid_webhook_url": Meaning(422, "Not a URL that a webhook may go to: https, public, without a name and a password."),
    "invalid_pairs": Meaning(422, "Training pairs that cannot be used."),
    "unknown_method": Meaning(422, "No erasure method of this name."),
    "invalid_config": Meaning(422, "An option that the erasure method does not have, or of the wrong type or range."),
    "invalid_archive": Meaning(422, "Not a plain tar of exactly the two files of an eraser."),
    "digest_mismatch": Meaning(422, "The files of an archive do not have the digest that it says, or that was asked for."),
    "invalid_eraser": Meaning(422, "The files of an archive have their digest, but are no eraser that can be served here."),
    "model_not_found": Meaning(404, "No model of this name is served here."),
    "model_not_ready": Meaning(503, "The model is configured, but no worker has loaded it yet."),
    "not_finished": Meaning(409, "The result does not exist yet, or never will because the job did not succeed."),
    "invalid_state": Meaning(409, "Not possible in the present state."),
    "not_evaluated": Meaning(409, "The version has not been measured on this installation yet; no override activates it."),
    "gate_not_passed": Meaning(409, "The evaluation does not reach the thresholds for activation."),
    "no_previous_version": Meaning(409, "No other version of the eraser was ever active for this text encoder."),
    "alias_conflict": Meaning(409, "A name would be a concept and an alias, or an alias of an alias."),
    "policy_unsatisfied": Meaning(
        409, "An eraser or a check that a policy demands is not to be had; nothing is generated without it."
    ),
    "policy_forbids": Meaning(403, "A policy does not allow the model, or so many pixels, frames or steps."),
    "policy_needs_eraser": Meaning(409, "A policy in force needs this version of the eraser: change the policy first."),
    "rate_limited": Meaning(429, "The key made as many requests as it may make in a minute."),
    "too_many_queued": Meaning(429, "The key has as many jobs queued as it may have."),
    "queue_full": Meaning(503, "As many jobs are queued, of all keys, as the service takes; nothing was accepted."),
    "database_unavailable": Meaning(503, "The database does not answer; nothing was accepted."),
    "artifact_unavailable": Meaning(503, "The artifact store does not answer, or lost what it had."),
    "artifact_tampered": Meaning(500, "The video in the store is not the one that its receipt describes. It is never sent."),
    "not_ready": Meaning(503, "A part that generations need is missing; `checks` says which."),
    "internal_error": Meaning(500, "A defect of the service; its log has the trace under the request id."),
}

ErrorType = Literal[
    "invalid_request_error",
    "authentication_error",
    "permission_error",
    "not_found_error",
    "conflict_error",
    "rate_limit_error",
    "server_error",
]

_TYPES: Mapping[int, ErrorType] = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


def error_type(code: ErrorCode) -> ErrorType:
    status = CODES[code].status
    return _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")


class ServiceError(Exception):
    """`message` says what, the value, and the cure; `param` names the field at fault, in dots and brackets."""

    def __init__(self, code: ErrorCode, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.code: ErrorCode = code
        self.message = message
        self.param = param

    @property
    def status(self) -> int:
        return CODES[self.code].status

    @property
    def headers(self) -> dict[str, str]:
        return {}


class RequestError(ServiceError): ...


class RangeError(RequestError):
    def __init__(self, code: ErrorCode, message: str, *, size: int) -> None:
        super().__init__(code, message)
        self.size = size

    @property
    def headers(self) -> dict[str, str]:
        return {"content-range": f"bytes */{self.size}", "accept-ranges": "bytes"}


class CallerError(ServiceError):
    @property
    def headers(self) -> dict[str, str]:
        return {"www-authenticate": "Bearer"} if self.status == 401 else {}


class MissingError(ServiceError): ...


class StateError(ServiceError):
    def __init__(
        self, code: ErrorCode, message: str, *, param: str | None = None, retry_after_seconds: int | None = None
    ) -> None:
        super().__init__(code, message, param=param)
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> dict[str, str]:
        """The official OpenAI clients send a request again after any 409, unless they are told that it is no use."""
        if self.retry_after_seconds is None:
            return {"x-should-retry": "false"}
        return {"x-should-retry": "true", "retry-after": str(self.retry_after_seconds)}


class _Later(ServiceError):
    def __init__(self, code: ErrorCode, message: str, *, param: str | None = None, retry_after_seconds: int = 5) -> None:
        super().__init__(code, message, param=param)
        self.retry_after_seconds = retry_after_seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"retry-after": str(self.retry_after_seconds)}


class LimitError(_Later): ...


class UnavailableError(_Later): ...
