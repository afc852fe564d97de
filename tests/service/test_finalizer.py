"""The finalizer: a receipt counts only for exactly the accepted request, and clients that poll cost few reads of the store."""

from __future__ import annotations

from typing import Any, cast

from fastapi.testclient import TestClient

from service.lifecycle.settle import POLL_SECONDS, Settler
from service.store import jobs
from tests.service.calls import generate, settled, wait_until
from tests.service.hand import Hand, gateway_of, receipt_of
from workers.store.artifacts import ArtifactStore


class CountingStore:
    """Passes calls on, and notes their names."""

    def __init__(self, store: ArtifactStore) -> None:
        self.calls: list[str] = []
        self._store = store

    def __getattr__(self, name: str) -> Any:
        self.calls.append(name)
        return getattr(self._store, name)


def test_a_receipt_of_another_request_withholds_the_video(client: TestClient, hand: Hand) -> None:
    """One generation for each field that was accepted; the unchanged receipt between them succeeds."""

    def end(**changes: Any) -> dict[str, Any]:
        accepted = generate(client, erase=["parachute", "church"], negative_prompt="blurry", num_inference_steps=8)
        task = hand.take_generation()
        first, second = receipt_of(task).erasers
        named = {
            "left out": (first,), "reordered": (second, first), "twice": (first, first),
            "weaker": (first.model_copy(update={"strength": 0.5}), second),
            "elsewhere": (first, second.model_copy(update={"layer": 6})),
            "older": (first, second.model_copy(update={"version": 9})),
        }  # fmt: skip
        hand.finish(task, **{name: named.get(value, value) if name == "erasers" else value for name, value in changes.items()})
        return dict(wait_until(lambda: settled(client, accepted["id"])))

    assert end()["status"] == "succeeded"
    changes: list[dict[str, Any]] = [
        *({"erasers": how} for how in ("left out", "reordered", "twice", "weaker", "elsewhere", "older")),
        *({"prompt_sha256": "0" * 64}, {"negative_prompt_sha256": "0" * 64}, {"encoder_fingerprint": "0" * 64}),
        *({"model": "other"}, {"seed": 1}, {"width": 32}, {"height": 32}, {"num_frames": 5}, {"num_inference_steps": 1}),
        *({"guidance_scale": 1.0}, {"frames_per_second": 9}, {"video_bytes": 1}),
    ]
    for change in changes:
        failed = end(**change)
        assert (failed["status"], failed["error"]["code"]) == ("failed", "receipt_mismatch"), change
        assert f"({next(iter(change))})" in failed["error"]["message"]
        assert client.get(failed["links"]["video"]).status_code == 409
    assert end()["status"] == "succeeded"


def test_a_score_that_is_not_a_number_is_null_on_a_receipt_that_counts(client: TestClient, hand: Hand) -> None:
    accepted = generate(client, erase=["parachute"])
    task = hand.take_generation()
    hand.finish(task, erasers=tuple(use.model_copy(update={"score_after": float("nan")}) for use in receipt_of(task).erasers))
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert done["status"] == "succeeded", done["error"]
    (use,) = client.get(done["links"]["receipt"]).json()["erasers"]
    assert (use["score_before"], use["score_after"]) == (0.9, None)


def test_polling_a_running_generation_reads_the_store_once_a_second(client: TestClient, hand: Hand) -> None:
    gateway, clock, store = gateway_of(client), [0.0], CountingStore(hand.store)
    settler = Settler(gateway.database, cast(ArtifactStore, store), gateway.window, gateway.metrics, clock=lambda: clock[0])
    accepted = generate(client)
    task = hand.take_generation()
    with gateway.database.read() as session:
        job = jobs.get(session, accepted["id"])
    assert job is not None
    for _ in range(5):
        assert not settler.settle(job, polled=True)
    assert store.calls == ["list"]
    clock[0] += POLL_SECONDS
    assert not settler.settle(job, polled=True)
    assert not settler.settle(job)  # a hint or the reconciler always looks
    assert store.calls == ["list"] * 3
    hand.finish(task, hint=False)
    clock[0] += POLL_SECONDS
    assert settler.settle(job, polled=True)
