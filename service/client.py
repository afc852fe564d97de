"""A synchronous client of the HTTP API, which the command line uses.

One method per call of the API, plain JSON objects as answers. An answer that is an error becomes `ApiError` with the code
of the error body; a service that does not answer becomes `ServiceUnreachable`. Progress comes as server-sent events; a
stream that breaks is taken up again where it ended, so that `follow` yields until the job or version is finished.
Proxy settings of the environment (`HTTPS_PROXY`, `NO_PROXY`) apply to services on other machines only.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

import httpx
import httpx_sse

from workers.addresses import is_loopback

JsonObject = dict[str, Any]

_UNFINISHED = frozenset({"queued", "running", "training"})
_LOST = (httpx.TransportError, httpx_sse.SSEError)
_RECONNECT_SECONDS = 1.0
_PATIENCE_SECONDS = 60.0


class ClientError(Exception):
    """Base of what a call raises."""


class ServiceUnreachable(ClientError):
    def __init__(self, url: str, cause: Exception) -> None:
        super().__init__(f"no answer from {url} ({cause}). Is it running? `clearway up --data-dir DIR --port N` starts one.")


class ProxyUnusable(ClientError):
    """The environment names a proxy that cannot be used."""

    def __init__(self, url: str, cause: Exception) -> None:
        super().__init__(f"no way to {url}: the proxy settings of the environment are not usable ({cause})")


class ApiError(ClientError):
    """The service answered with an error. `code` is one of its closed set."""

    def __init__(self, status: int, code: str, message: str, param: str | None) -> None:
        super().__init__(f"{message} [{code}{f', {param}' if param else ''}]")
        self.status = status
        self.code = code
        self.param = param


class ContentMismatch(ClientError):
    """What was received is not what was told of."""

    def __init__(self, path: Path, *, expected: str, found: str) -> None:
        super().__init__(f"{path} was not written: its bytes have the sha256 {found}, not {expected}; try again")


class JobFailed(ClientError):
    """A generation or a training ended without a result."""

    def __init__(self, name: str, status: str, error: Mapping[str, Any] | None) -> None:
        why = f": {error['message']} [{error['code']}]" if error else ""
        super().__init__(f"{name} {status}{why}")
        self.code = error["code"] if error else status


@dataclass(frozen=True)
class Event:
    """One server-sent event."""

    name: str
    data: JsonObject
    id: str = ""


class Client:
    """`key` may be empty for calls that need none. Raises `ProxyUnusable`."""

    def __init__(self, url: str, key: str, *, timeout_seconds: float = 30.0) -> None:
        self.url = url.rstrip("/")
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        if is_loopback(self.url):
            transport = httpx.HTTPTransport(retries=2)  # of connecting only: nothing is sent twice
            self._http = httpx.Client(
                base_url=self.url, headers=headers, timeout=timeout_seconds, transport=transport, trust_env=False
            )
            return
        try:
            self._http = httpx.Client(base_url=self.url, headers=headers, timeout=timeout_seconds)
        except (httpx.InvalidURL, ValueError, ImportError) as unusable:  # ImportError: a SOCKS proxy needs another package
            raise ProxyUnusable(self.url, unusable) from unusable

    def __enter__(self) -> Client:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._http.close()

    # generations

    def generate(self, request: Mapping[str, Any]) -> JsonObject:
        return self._json("POST", "/generate", json=dict(request))

    def generation(self, generation_id: str) -> JsonObject:
        return self._json("GET", _generation_path(generation_id))

    def generations(self, *, status: str | None = None, limit: int = 20, after: str | None = None) -> JsonObject:
        """A page: the newest, or those that came before `after`; and where the next one begins."""
        named = {"status": status, "limit": str(limit), "cursor": after}
        return self._json("GET", "/generations", query={name: value for name, value in named.items() if value is not None})

    def receipt(self, generation_id: str) -> JsonObject:
        return self._json("GET", f"{_generation_path(generation_id)}/receipt")

    def video(self, generation_id: str) -> bytes:
        return self._call("GET", f"{_generation_path(generation_id)}/video").content

    def save_video(self, generation_id: str, path: Path, *, sha256: str) -> int:
        """Saves it, whole or not at all. Returns its length. Raises `ContentMismatch` where it is another one."""
        return self._save(f"{_generation_path(generation_id)}/video", path, sha256=sha256)

    def cancel(self, generation_id: str) -> JsonObject:
        return self._json("POST", f"{_generation_path(generation_id)}/cancel")

    def delete_generation(self, generation_id: str) -> None:
        self._call("DELETE", _generation_path(generation_id))

    def follow_generation(self, generation_id: str) -> Iterator[Event]:
        yield from self._follow(_generation_path(generation_id))

    # erasers

    def train(self, request: Mapping[str, Any]) -> JsonObject:
        return self._json("POST", "/erasers", json=dict(request))

    def erasers(self) -> Iterator[JsonObject]:
        """Every concept with its versions, page by page."""
        yield from self._pages("/erasers")

    def eraser(self, concept: str) -> JsonObject:
        return self._json("GET", _eraser_path(concept))

    def version(self, concept: str, version: int) -> JsonObject:
        return self._json("GET", _eraser_path(concept, version))

    def report(self, concept: str, version: int) -> JsonObject:
        return self._json("GET", f"{_eraser_path(concept, version)}/report")

    def evaluate(self, concept: str, version: int, request: Mapping[str, Any] | None = None) -> JsonObject:
        return self._json("POST", f"{_eraser_path(concept, version)}/evaluate", json=dict(request) if request else None)

    def activate(self, concept: str, version: int, *, override_reason: str | None = None) -> JsonObject:
        """With an `override_reason` also a version that does not pass the gate."""
        body = None if override_reason is None else {"override": True, "reason": override_reason}
        return self._json("POST", f"{_eraser_path(concept, version)}/activate", json=body)

    def cancel_eraser_job(self, concept: str, version: int) -> JsonObject:
        """Cancels the training or the evaluation of a version."""
        return self._json("POST", f"{_eraser_path(concept, version)}/cancel")

    def delete_version(self, concept: str, version: int) -> None:
        self._call("DELETE", _eraser_path(concept, version))

    def retire(self, concept: str, version: int) -> JsonObject:
        return self._json("POST", f"{_eraser_path(concept, version)}/retire")

    def artifact(self, concept: str, version: int, path: Path) -> int:
        """Saves the archive of a version, whole or not at all. Returns its length."""
        return self._save(f"{_eraser_path(concept, version)}/artifact", path)

    def import_eraser(self, archive: Iterable[bytes], *, digest: str | None = None) -> JsonObject:
        query = {"digest": digest} if digest else {}
        answer: JsonObject = self._call("POST", "/erasers/import", content=archive, query=query).json()
        return answer

    def aliases(self) -> Iterator[JsonObject]:
        """Every alias, by name."""
        yield from self._pages("/aliases")

    def put_alias(self, alias: str, concept: str) -> JsonObject:
        return self._json("PUT", _alias_path(alias), json={"concept": concept})

    def delete_alias(self, alias: str) -> None:
        self._call("DELETE", _alias_path(alias))

    def roll_back(self, concept: str, version: int | None = None, *, model: str | None = None) -> JsonObject:
        named = {"version": version, "model": model}
        body = {name: value for name, value in named.items() if value is not None}
        return self._json("POST", f"{_eraser_path(concept)}/rollback", json=body)

    def used_by(self, concept: str, version: int, *, status: str | None = None) -> Iterator[JsonObject]:
        """The generations that have a version pinned, newest first."""
        yield from self._pages(f"{_eraser_path(concept, version)}/generations", {"status": status} if status else {})

    def follow_training(self, concept: str, version: int) -> Iterator[Event]:
        yield from self._follow(_eraser_path(concept, version))

    # operators

    def ready(self) -> JsonObject:
        return self._json("GET", "/health/ready")

    def models(self) -> list[JsonObject]:
        return list(self._json("GET", "/models")["data"])

    def model(self, model_id: str) -> JsonObject:
        return self._json("GET", f"/models/{quote(model_id)}")

    def api_keys(self) -> list[JsonObject]:
        return list(self._json("GET", "/keys")["data"])

    def create_key(self, request: Mapping[str, Any]) -> JsonObject:
        return self._json("POST", "/keys", json=dict(request))

    def update_key(self, key_id: str, change: Mapping[str, Any]) -> JsonObject:
        return self._json("PATCH", f"/keys/{key_id}", json=dict(change))

    def rotate_key(self, key_id: str, *, grace_seconds: int) -> JsonObject:
        return self._json("POST", f"/keys/{key_id}/rotate", json={"grace_seconds": grace_seconds})

    def webhook_secret(self, *, rotate: bool = False) -> str:
        """What webhooks of this client's key are signed with, or from now on."""
        method, path = ("POST", "/webhook-secret/rotate") if rotate else ("GET", "/webhook-secret")
        return str(self._json(method, path)["secret"])

    def delete_key(self, key_id: str) -> None:
        self._call("DELETE", f"/keys/{key_id}")

    def policies(self) -> list[JsonObject]:
        return list(self._json("GET", "/policies")["data"])

    def policy(self, name: str, version: int | None = None) -> JsonObject:
        return self._json("GET", _policy_path(name), query=None if version is None else {"version": str(version)})

    def put_policy(self, name: str, rules: Any) -> JsonObject:
        return self._json("PUT", _policy_path(name), json=rules)

    def delete_policy(self, name: str) -> None:
        self._call("DELETE", _policy_path(name))

    def gates(self) -> JsonObject:
        """The deployment's thresholds, and those of concepts that have their own."""
        return self._json("GET", "/gates")

    def put_gate(self, concept: str, thresholds: Any) -> JsonObject:
        return self._json("PUT", _gate_path(concept), json=thresholds)

    def delete_gate(self, concept: str) -> None:
        self._call("DELETE", _gate_path(concept))

    def audit_pages(self, *, after: int = 0, filters: Mapping[str, str] | None = None) -> Iterator[JsonObject]:
        """The audit log, oldest first. `filters`: `action`, `subject`."""
        while True:
            page = self._json("GET", "/audit", query={**(filters or {}), "after": str(after)})
            yield page
            if page["next_after"] is None:
                return
            after = page["next_after"]

    # how

    def _follow(self, path: str) -> Iterator[Event]:
        """Events until the resource is finished, over as many connections as that takes."""
        last_id = ""
        silent_since: float | None = None
        while True:
            try:
                for event in self._events(f"{path}/events", last_id):
                    last_id = event.id or last_id
                    yield event
                if not _unfinished(self._json("GET", path)):
                    return
                silent_since = None
            except (*_LOST, ServiceUnreachable) as lost:  # a restart of the gateway, or a proxy that cuts streams
                silent_since = silent_since or time.monotonic()
                if time.monotonic() - silent_since > _PATIENCE_SECONDS:
                    raise ServiceUnreachable(self.url, lost) from lost
            time.sleep(_RECONNECT_SECONDS)

    def _events(self, path: str, last_id: str) -> Iterator[Event]:
        headers = {"Last-Event-ID": last_id} if last_id else {}
        with httpx_sse.connect_sse(self._http, "GET", path, headers=headers) as source:
            if source.response.is_error:
                source.response.read()
                raise _api_error(source.response)
            yield from read_events(source)

    def _pages(self, path: str, filters: Mapping[str, str] | None = None) -> Iterator[JsonObject]:
        """Every item of a list."""
        query = dict(filters or {})
        while True:
            page = self._json("GET", path, query=query)
            yield from page["data"]
            if page["next_cursor"] is None:
                return
            query["cursor"] = page["next_cursor"]

    def _save(self, url_path: str, path: Path, *, sha256: str | None = None) -> int:
        partial = path.with_name(f"{path.name}.partial")
        digest = hashlib.sha256()
        try:
            with self._http.stream("GET", url_path) as response:
                if response.is_error:
                    response.read()
                    raise _api_error(response)
                with partial.open("wb") as file:
                    for chunk in response.iter_bytes():
                        file.write(chunk)
                        digest.update(chunk)
            if sha256 is not None and digest.hexdigest() != sha256:
                raise ContentMismatch(path, expected=sha256, found=digest.hexdigest())
            partial.replace(path)
        except httpx.TransportError as unreachable:
            raise ServiceUnreachable(self.url, unreachable) from unreachable
        finally:
            partial.unlink(missing_ok=True)
        return path.stat().st_size

    def _json(self, method: str, path: str, *, json: Any = None, query: Mapping[str, str] | None = None) -> JsonObject:
        answer: JsonObject = self._call(method, path, json=json, query=query).json()
        return answer

    def _call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        content: Iterable[bytes] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        try:
            response = self._http.request(method, path, json=json, content=content, params=query)
        except httpx.TransportError as unreachable:
            raise ServiceUnreachable(self.url, unreachable) from unreachable
        if response.is_error:
            raise _api_error(response)
        return response


def read_events(source: httpx_sse.EventSource) -> Iterator[Event]:
    """The events of a stream that carry data; comments and a last event that was cut off are skipped."""
    for event in source.iter_sse():
        if event.data:
            yield Event(event.event, json.loads(event.data), event.id)


def _unfinished(resource: Mapping[str, Any]) -> bool:
    """A job, or a version of an eraser: those are evaluated beside their state."""
    evaluation = resource.get("evaluation_job") or {}
    return resource["status"] in _UNFINISHED or evaluation.get("status") in _UNFINISHED


def _generation_path(generation_id: str) -> str:
    return f"/generations/{quote(generation_id, safe='')}"


def _eraser_path(concept: str, version: int | None = None) -> str:
    return f"/erasers/{quote(concept, safe='')}" + ("" if version is None else f"/{version}")


def _alias_path(alias: str) -> str:
    return f"/aliases/{quote(alias, safe='')}"


def _policy_path(name: str) -> str:
    return f"/policies/{quote(name, safe='')}"


def _gate_path(concept: str) -> str:
    return f"/gates/{quote(concept, safe='')}"


def _api_error(response: httpx.Response) -> ApiError:
    try:
        error = response.json()["error"]
        return ApiError(response.status_code, error["code"], error["message"], error.get("param"))
    except (ValueError, KeyError, TypeError):  # a proxy in between, say
        return ApiError(response.status_code, "unexpected_answer", f"HTTP {response.status_code}: {response.text[:200]}", None)
