"""A generation from acceptance to its end, with the worker's part played by hand."""

from __future__ import annotations

import time
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient

from tests.service.calls import generate, settled, wait_until
from tests.service.hand import VIDEO, Hand, receipt_of
from workers.contract import GenerationTask, receipt_key


@pytest.mark.both_databases
def test_accepted_run_and_succeeded(client: TestClient, hand: Hand) -> None:
    response = client.post(
        "/generate", json={"prompt": "a parachute", "erase": ["Parachute "], "seed": 7, "metadata": {"a": "b"}}
    )
    assert response.status_code == 202
    accepted = response.json()
    assert response.headers["location"] == accepted["links"]["self"] == f"/generations/{accepted['id']}"
    assert (accepted["status"], accepted["attempt"], accepted["seed"], accepted["metadata"]) == ("queued", 1, 7, {"a": "b"})
    assert (accepted["width"], accepted["num_frames"], accepted["num_inference_steps"]) == (64, 9, 20)
    assert [(item["concept"], item["version"], item["strength"], item["layer"]) for item in accepted["erase"]] == [
        ("parachute", 1, 1.5, 5)
    ]
    assert client.get(accepted["links"]["video"]).json()["error"]["code"] == "not_finished"

    task = hand.take_generation()
    assert (task.id, task.attempt, task.prompt, task.erase[0].digest) == (
        accepted["id"],
        1,
        "a parachute",
        accepted["erase"][0]["digest"],
    )
    hand.say(task, "step", stage="denoise", step=3, total=20)
    running = client.get(accepted["links"]["self"]).json()
    assert running["status"] == "running"
    assert running["started_at"] is not None
    assert running["progress"] == {"stage": "denoise", "step": 3, "total": 20}

    receipt = hand.finish(task)
    done = wait_until(lambda: (body := client.get(accepted["links"]["self"]).json())["status"] == "succeeded" and body)
    assert done["receipt"] == receipt.model_dump(mode="json") == client.get(accepted["links"]["receipt"]).json()
    assert done["error"] is None
    assert done["progress"] is None
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]
    video = client.get(accepted["links"]["video"])
    assert (video.content, video.headers["content-type"]) == (VIDEO, "video/mp4")
    part = client.get(accepted["links"]["video"], headers={"range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, VIDEO[10:20])


def test_a_failure_is_told_in_the_workers_words(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    hand.fail("generate", task, "eraser_corrupt")
    failed = wait_until(lambda: settled(client, accepted["id"]))
    assert failed["status"] == "failed"
    assert failed["error"] == {"code": "eraser_corrupt", "message": "told by hand"}
    assert failed["started_at"] is not None
    for link in ("video", "receipt"):
        assert client.get(failed["links"][link]).json()["error"]["code"] == "not_finished"


@pytest.mark.both_databases
def test_a_retryable_failure_is_tried_again_and_counts_its_attempts(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    for attempt in (1, 2, 3):
        task = GenerationTask.model_validate(wait_until(hand.take))
        assert task.attempt == attempt
        hand.fail("generate", task, "out_of_memory", retryable=True)
    failed = wait_until(lambda: settled(client, accepted["id"]))
    assert (failed["status"], failed["attempt"], failed["error"]["code"]) == ("failed", 3, "out_of_memory")
    assert hand.take() is None


def test_a_record_of_another_job_or_version_fails_the_job(client: TestClient, hand: Hand) -> None:
    first, second = generate(client), generate(client)
    task = hand.take_generation()
    stolen = receipt_of(task, id="gen_of_another").model_dump_json().encode()
    hand.store.put(receipt_key(task.id, 1), stolen)
    hand.store.put(receipt_key(second["id"], 1), b'{"schema_version": 2}')
    for accepted in (first, second):
        client.get(accepted["links"]["self"])  # looks into the store
        failed = wait_until(lambda id_=accepted["id"]: settled(client, id_))
        assert (failed["status"], failed["error"]["code"]) == ("failed", "internal_error")


@pytest.mark.both_databases
def test_a_start_that_was_seen_late_is_corrected_by_the_receipt(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    task = hand.take_generation()
    time.sleep(0.5)  # the encode and denoise stages have run by now
    seen = wait_until(lambda: (now := client.get(accepted["links"]["self"]).json())["status"] == "running" and now)
    receipt = hand.finish(task, stage_seconds={"encode": 0.1, "denoise": 60.0})
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert done["created_at"] == done["started_at"] < seen["started_at"], "never before the request was accepted"

    accepted = generate(client)
    task = hand.take_generation()
    time.sleep(1.0)
    receipt = hand.finish(task, stage_seconds={"encode": 0.25, "denoise": 0.5})
    done = wait_until(lambda: settled(client, accepted["id"]))
    latest = datetime.fromisoformat(receipt.created_at) - timedelta(seconds=0.75)
    assert datetime.fromisoformat(done["created_at"]) <= datetime.fromisoformat(done["started_at"]) <= latest


@pytest.mark.parametrize("created_at", ["2999-01-01T00:00:00+00:00", "2026-01-01T00:00:00", "yesterday"])
def test_a_worker_whose_clock_is_wrong_starts_nothing_in_the_future(client: TestClient, hand: Hand, created_at: str) -> None:
    accepted = generate(client)
    hand.finish(hand.take_generation(), created_at=created_at)
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert done["created_at"] <= done["started_at"] <= done["finished_at"]


def test_an_unseen_start_is_reckoned_from_the_stages(client: TestClient, hand: Hand) -> None:
    accepted = generate(client)
    task = GenerationTask.model_validate(hand.look())  # in line to the end, as if a worker had been very quick
    hand.finish(task, stage_seconds={"denoise": 3600.0})
    done = wait_until(lambda: settled(client, accepted["id"]))
    assert done["started_at"] == done["created_at"]


def test_the_same_prompt_again_draws_another_seed_and_keeps_a_given_one(client: TestClient) -> None:
    assert generate(client)["seed"] != generate(client)["seed"]
    assert generate(client, seed=2**32 - 1)["seed"] == 2**32 - 1
    assert generate(client, negative_prompt="blur", guidance_scale=1.01)["negative_prompt"] == "blur"
    assert generate(client, negative_prompt=" ", guidance_scale=1)["guidance_scale"] == 1


def test_a_dry_run_tells_the_plan_and_leaves_nothing(client: TestClient, hand: Hand) -> None:
    response = client.post("/generate?dry_run=true", json={"prompt": "a church", "erase": ["church@1"], "width": 32})
    assert response.status_code == 200
    plan = response.json()
    assert (plan["width"], plan["height"], plan["erase"][0]["concept"], plan["model"]) == (32, 64, "church", "toy")
    assert client.get("/generations").json()["data"] == []
    assert hand.take() is None
    assert client.post("/generate?dry_run=true", json={"prompt": "a", "erase": ["nothing"]}).status_code == 422


def test_the_stack_is_canonical_and_strengths_are_pinned(client: TestClient, hand: Hand) -> None:
    generate(client, erase=[{"concept": "parachute", "strength": 0.5}, "church"])
    task = hand.take_generation()
    assert [(pin.concept, pin.strength, pin.must_reduce) for pin in task.erase] == [
        ("church", 1.5, True),
        ("parachute", 0.5, True),
    ]


@pytest.mark.both_databases
def test_pages_go_back_in_time_and_miss_nothing(client: TestClient) -> None:
    made = [generate(client)["id"] for _ in range(5)]
    seen, cursor = [], None
    while True:
        page = client.get("/generations", params={"limit": 2, **({"cursor": cursor} if cursor else {})}).json()
        seen += [item["id"] for item in page["data"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert seen == sorted(made, reverse=True)
    assert client.get("/generations?status=running").json()["data"] == []
    assert len(client.get("/generations?status=queued").json()["data"]) == 5


@pytest.mark.both_databases
def test_users_see_their_own_and_operators_see_all(client: TestClient, user: TestClient) -> None:
    mine, operators = generate(user)["id"], generate(client)["id"]
    assert [item["id"] for item in user.get("/generations").json()["data"]] == [mine]
    assert {item["id"] for item in client.get("/generations").json()["data"]} == {mine, operators}
    for call in (
        lambda path: user.get(path),
        lambda path: user.get(f"{path}/video"),
        lambda path: user.get(f"{path}/receipt"),
        lambda path: user.get(f"{path}/events"),
        lambda path: user.post(f"{path}/cancel"),
        lambda path: user.delete(path),
    ):
        assert call(f"/generations/{operators}").json()["error"]["code"] == "not_found"
    assert client.get(f"/generations/{operators}").json()["status"] == "queued"
