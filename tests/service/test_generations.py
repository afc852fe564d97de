"""A generation from acceptance to its end, with the worker's part played by hand."""

from __future__ import annotations

from fastapi.testclient import TestClient

from tests.service.conftest import wait_until
from tests.service.hand import VIDEO, Hand


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
    hand.hold(task)
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
