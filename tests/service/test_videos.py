"""The OpenAI dialect over plain HTTP: what goes in, what comes out, and that it is the same generation underneath."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from fastapi.testclient import TestClient
from httpx import Response

from service.domain.states import JOB_STATUSES
from service.errors import RequestError
from service.schemas.base import Progress
from service.schemas.generations import GenerateRequest, PromptRequest
from service.schemas.videos import VideoRequest, VideoStatus
from service.store.models import Job
from service.videos import STATUSES, generate_request, video
from tests.service.calls import code, generate, settled, wait_until
from tests.service.hand import CARD, VIDEO, Hand, gateway_of
from workers.contract import ModelCard

WAN = CARD.model_copy(update={"default_frames_per_second": 24, "max_frames": 121})
EIGHTS = CARD.model_copy(update={"frames_multiple": 8, "frames_offset": 0, "max_frames": 48})


def create(client: TestClient, **body: Any) -> Response:
    return client.post("/v1/videos", json={"prompt": "a parachute", **body})


def create_form(client: TestClient, *fields: tuple[str, str], **options: Any) -> Response:
    files = [(name, (None, value)) for name, value in (("prompt", "a parachute"), *fields)]
    return client.post("/v1/videos", files=files, **options)


def test_from_queued_to_completed(client: TestClient, hand: Hand) -> None:
    accepted = create(client, erase=["parachute"], seconds="2", size="32x64", seed=7, metadata={"a": "b"})
    assert accepted.status_code == 200
    body = accepted.json()
    assert 0 <= datetime.now(UTC).timestamp() - body["created_at"] < 60
    assert {name: value for name, value in body.items() if name not in ("id", "created_at", "erase")} == {
        "object": "video", "completed_at": None, "expires_at": None, "model": "toy", "status": "queued", "progress": 0,
        "prompt": "a parachute", "seconds": "2", "size": "32x64", "remixed_from_video_id": None, "error": None,
        "state": "queued", "fallbacks": [], "checks": [], "policies": [], "num_frames": 17, "frames_per_second": 8, "seed": 7,
        "metadata": {"a": "b"}, "webhook": None, "receipt": None, "warnings": [],
    }  # fmt: skip
    assert [(item["concept"], item["version"]) for item in body["erase"]] == [("parachute", 1)]
    path = f"/v1/videos/{body['id']}"
    refused = client.get(f"{path}/content")
    assert (code(refused), refused.headers["x-should-retry"]) == ("not_finished", "false")

    task = hand.take_generation()
    assert (task.num_frames, task.width, task.height, task.erase[0].digest) == (17, 32, 64, body["erase"][0]["digest"])
    hand.say(task, "step", stage="denoise", step=3, total=20)
    running = client.get(path).json()
    assert (running["status"], running["state"], running["progress"]) == ("in_progress", "running", 15)
    assert client.get("/v1/videos").json()["data"][0]["progress"] == 15

    receipt = hand.finish(task)
    wait_until(lambda: settled(client, body["id"]))
    done = client.get(path).json()
    assert (done["status"], done["progress"], done["error"]) == ("completed", 100, None)
    assert done["completed_at"] >= done["created_at"]
    assert done["receipt"] == receipt.model_dump(mode="json")
    content = client.get(f"{path}/content")
    assert (content.content, content.headers["content-type"]) == (VIDEO, "video/mp4")
    assert code(client.get(f"{path}/content?variant=thumbnail")) == "invalid_request"


def test_both_dialects_tell_of_one_generation(client: TestClient) -> None:
    here, there = create(client, erase=["church"]).json(), generate(client, erase=["church"])
    assert client.get(f"/generations/{here['id']}").json()["erase"] == here["erase"] == there["erase"]
    listed = {item["id"] for item in client.get("/v1/videos").json()["data"]}
    assert listed == {item["id"] for item in client.get("/generations").json()["data"]} == {here["id"], there["id"]}
    assert client.post(f"/generations/{here['id']}/cancel").is_success
    body = client.get(f"/v1/videos/{here['id']}").json()
    assert (body["status"], body["state"], body["error"]["code"]) == ("failed", "canceled", "cancelled")
    assert body["completed_at"] is not None


def test_a_failure_is_told_in_the_workers_words(client: TestClient, hand: Hand) -> None:
    made = create(client).json()
    hand.fail("generate", hand.take_generation(), "eraser_corrupt")
    wait_until(lambda: settled(client, made["id"]))
    body = client.get(f"/v1/videos/{made['id']}").json()
    assert (body["status"], body["progress"]) == ("failed", 0)
    assert body["error"] == {"code": "eraser_corrupt", "message": "told by hand"}


def test_a_form_says_the_same_as_json(client: TestClient, hand: Hand) -> None:
    one = create(client, erase=["church", "parachute@1"], seed=7, seconds="1", metadata={"a": "b"})
    form = [("erase[]", "church"), ("erase[]", "parachute@1"), ("seed", "7"), ("seconds", "1"), ("metadata[a]", "b")]
    other = create_form(client, *form)
    assert (one.status_code, other.status_code) == (200, 200), other.text
    assert other.json()["metadata"] == {"a": "b"}
    assert hand.take_generation().model_dump(exclude={"id"}) == hand.take_generation().model_dump(exclude={"id"})


FORMS: list[tuple[str, str | None, list[tuple[str, str]]]] = [
    ("unknown_concept", "erase[1]", [("erase", "church"), ("erase", "tank")]),
    ("unknown_concept", "erase[0]", [("erase[]", "tank")]),
    ("unknown_version", "erase[0]", [("erase", "church@7")]),
    ("invalid_strength", "erase[0].strength", [("erase", '[{"concept": "church", "strength": 101}]')]),
    ("unknown_field", "erase[][concept]", [("erase[][concept]", "church")]),
    ("unknown_field", "erasers", [("erasers", "church")]),
    ("unknown_field", "Erase", [("Erase", "church")]),
    ("unknown_field", "erase[0]", [("erase[0]", "church")]),
    ("unknown_field", "width", [("width", "64")]),
    ("invalid_request", "prompt", [("prompt", "again")]),
    ("invalid_request", "seed", [("seed", "seven")]),
    ("invalid_request", "seed", [("seed", "true")]),
    ("invalid_request", "guidance_scale", [("guidance_scale", "NaN")]),
    ("invalid_text", "negative_prompt", [("negative_prompt", "\x1b[2J")]),
    ("unsupported_input", "input_reference", [("input_reference[image_url]", "https://example.com/a.png")]),
    ("invalid_size", "size", [("size", "64")]),
    ("invalid_size", "size", [("size", "64x65")]),
    ("invalid_seconds", "seconds", [("seconds", "0")]),
    ("invalid_seconds", "seconds", [("seconds", "1.5")]),
    ("invalid_seconds", "seconds", [("seconds", "12")]),
    ("model_not_found", "model", [("model", "sora-2")]),
]


@pytest.mark.parametrize(("expected", "param", "fields"), FORMS)
def test_a_form_that_is_refused(client: TestClient, expected: str, param: str | None, fields: list[tuple[str, str]]) -> None:
    error = create_form(client, *fields).json()["error"]
    assert (error["code"], error["param"]) == (expected, param), error
    assert client.get("/v1/videos").json()["data"] == []


BODIES: list[tuple[str, str | None, Any]] = [
    ("invalid_request", "prompt", {}),
    ("invalid_request", None, []),
    ("empty_prompt", "prompt", {"prompt": " "}),
    ("unknown_field", "n", {"prompt": "a", "n": 1}),
    ("unknown_field", "num_frames", {"prompt": "a", "num_frames": 9}),
    ("invalid_request", "erase", {"prompt": "a", "erase": "church"}),
    ("invalid_request", "seed", {"prompt": "a", "seed": "7"}),
    ("unsupported_input", "input_reference", {"prompt": "a", "input_reference": {"image_url": "https://example.com"}}),
    ("invalid_size", "size", {"prompt": "a", "size": "064x64"}),
    ("invalid_size", "size", {"prompt": "a", "size": [64, 64]}),
    ("invalid_size", "size", {"prompt": "a", "size": "٦٤x٦٤"}),
    ("invalid_seconds", "seconds", {"prompt": "a", "seconds": True}),
    ("invalid_seconds", "seconds", {"prompt": "a", "seconds": 1.0}),
    ("invalid_seconds", "seconds", {"prompt": "a", "seconds": "-1"}),
]


@pytest.mark.parametrize(("expected", "param", "body"), BODIES)
def test_json_that_is_refused(shared: TestClient, expected: str, param: str | None, body: Any) -> None:
    error = shared.post("/v1/videos", json=body).json()["error"]
    assert (error["code"], error["param"]) == (expected, param), error


def test_bodies_that_are_neither(shared: TestClient) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded"):
        refused = shared.post("/v1/videos", content=b"prompt=a", headers={"content-type": content_type})
        assert code(refused) == "unsupported_media_type"
        assert content_type in refused.json()["error"]["message"]
    assert code(shared.post("/v1/videos")) == "unsupported_media_type"
    for broken in (b"{", b"\xff\xfe", b"[" * 100_000):
        refused = shared.post("/v1/videos", content=broken, headers={"content-type": "application/json"})
        assert (refused.status_code, code(refused)) == (400, "invalid_json")


@pytest.mark.parametrize(
    ("expected", "content_type", "prompt"),
    [
        ("invalid_text", "multipart/form-data; boundary=b", "a café".encode("latin-1")),
        ("invalid_text", "multipart/form-data; boundary=b; charset=UTF-8", b"a \xed\xa0\x80 church"),  # half of a surrogate pair
        ("invalid_form", "multipart/form-data; boundary=b; charset=latin-1", "a café".encode("latin-1")),
        ("invalid_form", 'multipart/form-data; charset="utf-16"; boundary=b', b"a church"),
        (None, "multipart/form-data; boundary=b", "a café".encode()),
        (None, 'multipart/form-data; charset="utf-8"; boundary=b', "a café".encode()),
    ],
)
def test_a_form_is_utf8(client: TestClient, expected: str | None, content_type: str, prompt: bytes) -> None:
    for name in (b"prompt", b"metadata[a]"):
        body = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name, prompt)
        if name != b"prompt":
            body += b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\na\r\n'
        answer = client.post("/v1/videos", content=body + b"--b--\r\n", headers={"content-type": content_type})
        if expected is None:
            assert prompt.decode() in (answer.json()["prompt"], answer.json()["metadata"].get("a"))
        else:
            assert code(answer) == expected


def test_a_file_is_refused_whatever_its_size(shared: TestClient) -> None:
    for size, expected in ((10, "unsupported_input"), (2**20, "payload_too_large")):
        refused = shared.post("/v1/videos", data={"prompt": "a"}, files={"input_reference": ("a.png", b"x" * size)})
        assert code(refused) == expected


def test_a_form_that_grows_too_large_on_the_way(shared: TestClient) -> None:
    """Without a declared length, in chunks."""
    head = b'--b\r\nContent-Disposition: form-data; name="prompt"\r\n\r\n'
    content_type = {"content-type": "multipart/form-data; boundary=b"}
    refused = shared.post("/v1/videos", content=iter([head, *[b"x" * 2**17] * 3]), headers=content_type)
    assert code(refused) == "payload_too_large"


def test_nobodys_body_is_read(shared: TestClient) -> None:
    refused = TestClient(shared.app).post("/v1/videos", content=b"{", headers={"content-type": "application/json"})
    assert code(refused) == "unauthorized"


def test_users_see_their_own_and_operators_see_all(client: TestClient, user: TestClient) -> None:
    mine, operators = create(user).json()["id"], create(client).json()["id"]
    assert [item["id"] for item in user.get("/v1/videos").json()["data"]] == [mine]
    assert {item["id"] for item in client.get("/v1/videos").json()["data"]} == {operators, mine}
    path = f"/v1/videos/{operators}"
    for answer in (user.get(path), user.get(f"{path}/content"), user.delete(path)):
        assert code(answer) == "not_found"


@pytest.mark.both_databases
def test_pages_in_both_orders(client: TestClient) -> None:
    made = sorted(create(client).json()["id"] for _ in range(5))
    for order, expected in (("desc", made[::-1]), ("asc", made)):
        seen: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = client.get("/v1/videos", params={"limit": 2, "order": order, **after}).json()
            ids = [item["id"] for item in page["data"]]
            assert (page["object"], page["first_id"], page["last_id"]) == ("list", ids[0], ids[-1])
            seen += ids
            after = {"after": page["last_id"]}
            if not page["has_more"]:
                break
        assert seen == expected
    empty = client.get("/v1/videos", params={"after": made[0]}).json()
    assert empty == {"object": "list", "data": [], "first_id": None, "last_id": None, "has_more": False}
    for wrong in ({"limit": "0"}, {"limit": "101"}, {"order": "up"}, {"after": "1"}):
        assert code(client.get("/v1/videos", params=wrong)) == "invalid_request"


def test_deleting_cancels_first(client: TestClient, hand: Hand) -> None:
    made = create(client).json()["id"]
    assert client.delete(f"/v1/videos/{made}").json() == {"id": made, "object": "video.deleted", "deleted": True}
    assert code(client.get(f"/v1/videos/{made}")) == code(client.delete(f"/v1/videos/{made}")) == "not_found"
    assert hand.take() is None


def test_sent_again_under_a_key(client: TestClient, user: TestClient) -> None:
    """In another form, with another boundary, it is still the same request; in another dialect it is not."""
    headers = {"Idempotency-Key": "k"}
    first = create_form(client, ("erase", "church"), headers=headers)
    again = create_form(client, ("erase[]", "church"), headers=headers)
    json_too = client.post("/v1/videos", json={"prompt": "a parachute", "erase": ["church"]}, headers=headers)
    assert first.request.headers["content-type"] != again.request.headers["content-type"]
    assert first.json() == again.json() == json_too.json()
    assert {first.status_code, again.status_code, json_too.status_code} == {200}
    assert (first.headers.get("idempotent-replayed"), again.headers["idempotent-replayed"]) == (None, "true")
    assert code(create_form(client, headers=headers)) == "idempotency_key_reused"
    native = client.post("/generate", json={"prompt": "a parachute", "erase": ["church"]}, headers=headers)
    assert code(native) == "idempotency_key_reused"
    assert create_form(user, headers=headers).json()["id"] != first.json()["id"]
    gateway_of(client).store.delete("models/toy.json")
    assert create_form(client, ("erase", "church"), headers=headers).json() == first.json()


def test_a_long_line_is_asked_less_often(client: TestClient, hand: Hand) -> None:
    made = [create(client) for _ in range(3)]
    waits = sorted(client.get(f"/v1/videos/{one.json()['id']}").headers["openai-poll-after-ms"] for one in made)
    assert waits == ["1000", "1100", "1200"]
    assert made[0].headers["openai-poll-after-ms"] == "1000"
    running = client.get(f"/v1/videos/{hand.take_generation().id}")
    assert (running.json()["status"], running.headers["openai-poll-after-ms"]) == ("in_progress", "1000")
    waits = sorted(client.get(f"/v1/videos/{one.json()['id']}").headers["openai-poll-after-ms"] for one in made)
    assert waits == ["1000", "1000", "1100"]
    client.post(f"/generations/{made[2].json()['id']}/cancel")
    assert "openai-poll-after-ms" not in client.get(f"/v1/videos/{made[2].json()['id']}").headers


def test_models_with_their_limits(client: TestClient) -> None:
    (model,) = client.get("/v1/models").json()["data"]
    (native,) = client.get("/models").json()["data"]
    assert model == {"object": "model", "created": 0, "owned_by": "clearway", **native}


@pytest.mark.parametrize(
    ("card", "seconds", "frames"),
    [(CARD, 1, 9), (CARD, 4, 33), (WAN, 1, 25), (WAN, 4, 97), (WAN, 5, 121), (EIGHTS, 1, 8), (EIGHTS, 6, 48)],
)
def test_seconds_are_the_fewest_frames_that_last_so_long(card: ModelCard, seconds: int, frames: int) -> None:
    native = generate_request(VideoRequest.model_validate({"prompt": "a", "seconds": str(seconds)}), card)
    assert native.num_frames == frames
    rate = card.default_frames_per_second
    assert frames / rate >= seconds > (frames - card.frames_multiple) / rate
    assert frames // rate == seconds


@pytest.mark.parametrize(("card", "seconds"), [(CARD, "5"), (WAN, "6"), (EIGHTS, "7"), (WAN, "9999")])
def test_more_seconds_than_the_model_makes(card: ModelCard, seconds: str) -> None:
    with pytest.raises(RequestError) as refused:
        generate_request(VideoRequest.model_validate({"prompt": "a", "seconds": seconds}), card)
    assert (refused.value.code, refused.value.param) == ("invalid_seconds", "seconds")
    assert str(card.max_frames) in refused.value.message


def test_every_field_reaches_the_native_request() -> None:
    """What `GenerateRequest` learns besides the video's shape, the dialect has too: nothing is dropped on the way."""
    assert set(GenerateRequest.model_fields) - set(PromptRequest.model_fields) == {"width", "height", "num_frames"}
    said = {
        "prompt": "a", "erase": ["church@1", {"concept": "dog", "strength": 0}], "on_missing": "safree", "negative_prompt": "b",
        "model": "toy", "num_inference_steps": 3, "guidance_scale": 2.0, "seed": 7, "metadata": {"a": "b"},
        "verify": True, "allow_not_reduced": True, "webhook_url": "https://example.com/hooks",
    }  # fmt: skip
    assert set(said) == set(PromptRequest.model_fields)
    assert generate_request(VideoRequest.model_validate(said), CARD) == GenerateRequest.model_validate(said)


def test_every_status_has_a_word() -> None:
    assert set(STATUSES) == set(JOB_STATUSES)
    assert set(STATUSES.values()) == set(get_args(VideoStatus))


def test_percent_never_says_done_before_it_is(client: TestClient) -> None:
    made = create(client).json()["id"]
    with gateway_of(client).database.read() as session:
        job = session.get(Job, made)
    assert job is not None
    job.status = "running"
    for stage, step, total, percent in (
        ("encode", None, None, 0), ("denoise", None, None, 0), ("denoise", 1, 3, 33), ("denoise", 20, 20, 99),
        ("denoise", 1, 0, 0), ("denoise", 30, 20, 99), ("decode", None, None, 99), ("verify", 1, 2, 99),
        (None, None, None, 0),
    ):  # fmt: skip
        assert video(job, Progress(stage=stage, step=step, total=total), {}).progress == percent
    assert video(job, None, {}).progress == 0
