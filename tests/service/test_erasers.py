"""The registry: from a training to the active version, and away again."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient

from erasers.methods import DEFAULT
from erasers.methods import METHODS as TRAINABLE
from service.schemas.erasers import METHODS, TrainRequest
from tests.service.calls import code, generate, train, wait_until
from tests.service.hand import FINGERPRINT, PASSING, Hand, add_eraser, gateway_of
from workers.contract import Detectors, TrainingResult, detectors_key


def trained(client: TestClient, hand: Hand, concept: str, evaluation: dict[str, object] | None = None) -> TrainingResult:
    accepted = train(client, concept)
    result = hand.finish_training(hand.take_training(), evaluation)
    wait_until(lambda: client.get(accepted["links"]["self"]).json()["status"] == "candidate")
    return result


@pytest.mark.both_databases
def test_what_is_asked_for_reaches_the_trainer(client: TestClient, hand: Hand) -> None:
    accepted = train(
        client,
        "Golf  Ball",
        description="a small white ball",
        synonyms=["golfball"],
        keep=["balloon"],
        pairs=[{"positive": f"a golf ball on {place}", "negative": place} for place in ("grass", "sand", "snow")],
        config={"layer": 3},
        seed=11,
    )
    assert (accepted["concept"], accepted["version"], accepted["status"]) == ("golf ball", 1, "training")
    assert accepted["encoder_fingerprint"] == FINGERPRINT
    assert accepted["links"]["self"] == "/erasers/golf%20ball/1"
    task = hand.take_training()
    assert (task.concept, task.version, task.attempt, task.method, task.model) == ("golf ball", 1, 1, "steering", "toy")
    assert (task.synonyms, task.keep, task.config, task.seed) == (("golfball",), ("balloon",), {"layer": 3}, 11)
    assert task.pairs is not None
    assert task.pairs[0].negative == "grass"
    hand.say(task, "step", stage="search", step=2, total=8)
    running = client.get(accepted["links"]["self"]).json()
    assert running["progress"] == {"stage": "search", "step": 2, "total": 8}


def test_a_training_without_a_detector_says_what_the_gate_will_miss(client: TestClient) -> None:
    detectors = Detectors(model="toy", detectors={"dog": "nudenet"})
    gateway_of(client).store.put(detectors_key("toy"), detectors.model_dump_json().encode())
    (warning,) = train(client, "cat")["warnings"]
    assert warning["code"] == "no_detector"
    for told in ("CLEARWAY_DETECTORS", "CLEARWAY_DETECTOR_PROMPTS", "POST /erasers/cat/1/evaluate"):
        assert told in warning["message"]
    assert train(client, "dog")["warnings"] == []
    assert "warnings" not in client.get("/erasers/cat/1").json()


@pytest.mark.both_databases
def test_from_training_to_active_to_retired(client: TestClient, hand: Hand) -> None:
    result = trained(client, hand, "cat")
    candidate = client.get("/erasers/cat/1").json()
    assert (candidate["digest"], candidate["layer"], candidate["strength"]) == (result.digest, 3, 2.0)
    assert candidate["evaluation"] == PASSING
    assert candidate["activated_at"] is None
    active = client.post("/erasers/cat/1/activate").json()
    assert active["status"] == "active"
    assert active["activated_at"] is not None
    assert generate(client, erase=["cat"])["erase"][0] == {
        "concept": "cat", "version": 1, "digest": result.digest, "strength": 2.0, "layer": 3, "must_reduce": True
    }  # fmt: skip
    retired = client.post("/erasers/cat/1/retire").json()
    assert retired["status"] == "retired"
    for move in ("activate", "retire"):
        assert code(client.post(f"/erasers/cat/1/{move}")) == "invalid_state"


@pytest.mark.both_databases
def test_activating_retires_the_one_before_and_keeps_accepted_pins(client: TestClient, hand: Hand) -> None:
    before = generate(client, erase=["church"])
    trained(client, hand, "church")
    assert client.get("/erasers/church/1").json()["status"] == "active"
    assert client.post("/erasers/church/2/activate").is_success
    assert [version["status"] for version in client.get("/erasers/church").json()["versions"]] == ["active", "retired"]
    assert generate(client, erase=["church"])["erase"][0]["version"] == 2
    assert client.get(before["links"]["self"]).json()["erase"] == before["erase"]
    assert hand.take_generation().erase[0].version == 1


@pytest.mark.both_databases
def test_versions_of_other_encoders_stay_active(client: TestClient) -> None:
    add_eraser(client, "church", fingerprint="e" * 64)
    add_eraser(client, "church", active=False)
    assert client.post("/erasers/church/3/activate").is_success
    statuses = {version["version"]: version["status"] for version in client.get("/erasers/church").json()["versions"]}
    assert statuses == {1: "retired", 2: "active", 3: "active"}


def test_the_gate_holds_unless_overridden(client: TestClient, hand: Hand) -> None:
    trained(client, hand, "cat", {"origin_rate": 0.9, "erased_rate": 0.5, "kept_rate": float("nan")})
    report = client.get("/erasers/cat/1/report").json()
    assert report["gate"]["passed"] is False
    assert len(report["gate"]["reasons"]) == 4
    assert report["gate"]["thresholds"]["max_erased"] == 0.1
    assert report["evaluation"]["kept_rate"] is None
    refused = client.post("/erasers/cat/1/activate", json={"override": False})
    assert code(refused) == "gate_not_passed"
    assert all(reason in refused.json()["error"]["message"] for reason in report["gate"]["reasons"])
    assert client.post("/erasers/cat/1/activate", json={"override": True, "reason": "a test"}).json()["status"] == "active"


def test_a_phrase_of_white_space_is_none(client: TestClient) -> None:
    assert code(client.post("/erasers", json={"concept": "cat", "synonyms": ["kitten", " "]})) == "invalid_request"


def test_an_override_needs_a_reason_which_is_kept(client: TestClient, hand: Hand) -> None:
    trained(client, hand, "cat", {**PASSING, "erased_rate": 0.5})
    for body in (
        {"override": True},
        {"override": True, "reason": ""},
        {"override": True, "reason": " \n "},
        {"override": True, "reason": "x" * 501},
        {"reason": "no override"},
    ):
        assert code(client.post("/erasers/cat/1/activate", json=body)) == "invalid_request", body
    assert client.get("/erasers/cat/1").json()["override_reason"] is None
    active = client.post("/erasers/cat/1/activate", json={"override": True, "reason": " for a pilot\n"}).json()
    assert (active["status"], active["override_reason"]) == ("active", "for a pilot")
    (entry,) = client.get("/audit", params={"subject": "cat@1", "action": "eraser.activated"}).json()["data"]
    assert (entry["details"]["override"], entry["details"]["reason"]) == (True, "for a pilot")
    trained(client, hand, "cat")
    assert client.post("/erasers/cat/2/activate").json()["override_reason"] is None


def test_a_training_cannot_be_activated_or_retired(client: TestClient) -> None:
    train(client, "cat")
    for move in ("activate", "retire"):
        assert code(client.post(f"/erasers/cat/1/{move}")) == "invalid_state"


def test_a_failed_training_is_a_failed_version_and_the_next_one_another(client: TestClient, hand: Hand) -> None:
    accepted = train(client, "cat")
    hand.fail("train", hand.take_training(), "invalid_pairs")
    failed = wait_until(lambda: (now := client.get(accepted["links"]["self"]).json())["status"] == "failed" and now)
    assert failed["error"] == {"code": "invalid_pairs", "message": "told by hand"}
    assert train(client, "cat")["version"] == 2


def test_who_writes_the_pairs_is_told_to_the_trainer(client: TestClient, hand: Hand) -> None:
    train(client, "cat")
    train(client, "dog", pair_source="chat")
    assert [hand.take_training().pair_source for _ in range(2)] == ["offline", "chat"]


def test_a_lost_trainer_costs_an_attempt_and_three_cost_the_training(client: TestClient, hand: Hand) -> None:
    accepted = train(client, "cat")
    for _ in range(3):
        wait_until(lambda: hand.take("train", hold=False))
    failed = wait_until(lambda: (now := client.get(accepted["links"]["self"]).json())["status"] == "failed" and now)
    assert failed["error"]["code"] == "worker_lost"


def test_a_result_without_its_artefact_does_not_count(client: TestClient, hand: Hand) -> None:
    accepted = train(client, "cat")
    task = hand.take_training()
    hand.store.delete("erasers")
    original = hand.store.put
    hand.store.put = lambda key, data: None if key.startswith("erasers/") else original(key, data)  # type: ignore[method-assign]
    hand.finish_training(task)
    failed = wait_until(lambda: (now := client.get(accepted["links"]["self"]).json())["status"] == "failed" and now)
    assert "no artefact" in failed["error"]["message"]


@pytest.mark.both_databases
def test_the_list_pages_by_concept(client: TestClient) -> None:
    add_eraser(client, "cat")
    add_eraser(client, "church", active=False)
    page = client.get("/erasers", params={"limit": 2}).json()
    assert [(item["concept"], len(item["versions"])) for item in page["data"]] == [("cat", 1), ("church", 2)]
    rest = client.get("/erasers", params={"limit": 2, "cursor": page["next_cursor"]}).json()
    assert ([item["concept"] for item in rest["data"]], rest["next_cursor"]) == (["parachute"], None)
    assert client.get("/erasers/Church").json() == page["data"][1]


def test_models_with_their_limits(client: TestClient, hand: Hand) -> None:
    (model,) = client.get("/models").json()["data"]
    assert (model["id"], model["default"], model["ready"], model["size_multiple"]) == ("toy", True, False, 16)
    hand.be_seen(state="loading")
    assert client.get("/models").json()["data"][0]["ready"] is False
    hand.be_seen()
    assert client.get("/models").json()["data"][0]["ready"] is True
    assert client.get("/health/ready").json() == {
        "status": "ready",
        "checks": {"database": "ok", "redis": "ok", "artifacts": "ok", "worker": "ok"},
        "error": None,
    }
    hand.be_seen(kind="train")
    assert client.get("/health/ready").status_code == 503
    assert TestClient(client.app).get("/health/live").json() == {"status": "ok"}


def test_the_methods_offered_are_those_that_the_library_has() -> None:
    assert set(METHODS) == set(TRAINABLE)
    assert TrainRequest(concept="cat").method == DEFAULT, "nobody who asks for nothing gets another method by HTTP"


def test_what_the_trainer_would_refuse_is_refused_in_its_words(client: TestClient) -> None:
    near = client.post("/erasers", json={"concept": "cat", "config": {"layr": 3}}).json()["error"]
    assert near["message"] == "config of steering: there is no option 'layr'; did you mean 'layer'?"
    deep = client.post("/erasers", json={"concept": "cat", "config": {"layer": 8}}).json()["error"]
    assert deep["message"] == "config of steering: layer must be below 8, the number of the encoder's blocks, got 8"
    method = client.post("/erasers", json={"concept": "cat", "method": "claer"}).json()["error"]
    assert "did you mean 'clear'?" in method["message"]
    pairs = [{"positive": "a cat in snow", "negative": "snow"}, {"positive": "a dog", "negative": "two kitties"}]
    lines = client.post("/erasers", json={"concept": "cat", "synonyms": ["kitty"], "pairs": pairs}).json()["error"]
    assert lines["code"] == "invalid_pairs"
    assert "line 2: the positive prompt does not name the concept: 'a dog'" in lines["message"]
    assert "line 2: the negative prompt names 'kitty': 'two kitties'" in lines["message"]
    assert "line 1" not in lines["message"]
    assert code(client.get("/erasers/cat")) == "not_found", "nothing was accepted"


@pytest.mark.parametrize(
    ("method", "config"), [("steering", {"layer": 7}), ("clear", {"iterations": 2500, "expansion": 32}), ("safree", {"alpha": 0})]
)
def test_configs_within_the_bounds_are_accepted(client: TestClient, method: str, config: dict[str, object]) -> None:
    assert train(client, "cat", method=method, config=config)["config"] == config


def test_the_time_of_a_training_is_estimated_from_those_like_it(client: TestClient, hand: Hand) -> None:
    def estimate(concept: str, **fields: object) -> float | None:
        seconds = train(client, concept, **fields)["estimated_seconds"]
        return None if seconds is None else float(seconds)

    assert estimate("cat") is None, "nothing is known yet"
    first = hand.finish_training(hand.take_training())
    wait_until(lambda: client.get("/erasers/cat/1").json()["status"] == "candidate")
    assert estimate("dog") == first.seconds
    assert estimate("owl", method="clear") is None
    assert estimate("fox", config={"layer": 3}) is None
    assert "estimated_seconds" not in client.get("/erasers/dog/1").json()
