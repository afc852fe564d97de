"""The official `openai` client against a live server: what it sends is understood, and what it gets it understands."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import openai
import pytest
import uvicorn
from fastapi.testclient import TestClient
from openai import OpenAI

from tests.service.calls import wait_until
from tests.service.hand import CARD, VIDEO, Hand, gateway_of
from tests.service.test_server import free_port
from workers.contract import GenerationTask, model_key

pytestmark = pytest.mark.filterwarnings("ignore:The Sora API is scheduled:DeprecationWarning")  # theirs, not the dialect

README = (Path(__file__).parents[2] / "service" / "README.md").read_text()


@pytest.fixture
def url(client: TestClient) -> Iterator[str]:
    """The app of `client`, whose lifespan `client` holds, on a port."""
    server = uvicorn.Server(uvicorn.Config(client.app, port=free_port(), lifespan="off", log_level="warning"))
    thread = threading.Thread(target=server.run)
    thread.start()
    wait_until(lambda: server.started)
    yield f"http://127.0.0.1:{server.config.port}"
    server.should_exit = True
    thread.join()


def key_of(client: TestClient) -> str:
    return client.headers["authorization"].removeprefix("Bearer ")


@pytest.fixture
def api(url: str, client: TestClient) -> Iterator[OpenAI]:
    with OpenAI(base_url=f"{url}/v1", api_key=key_of(client), max_retries=1) as opened:
        yield opened


@contextmanager
def at_work(hand: Hand, *, fail: bool = False) -> Iterator[list[GenerationTask]]:
    """A worker that does what comes, for as long as the block lasts."""
    done: list[GenerationTask] = []
    stopping = threading.Event()

    def work() -> None:
        while not stopping.wait(0.02):
            if (payload := hand.take()) is not None:
                done.append(GenerationTask.model_validate(payload))
                if fail:
                    hand.fail("generate", done[-1])
                else:
                    hand.finish(done[-1])

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield done
    finally:
        stopping.set()
        thread.join()


def test_create_poll_and_download(api: OpenAI, hand: Hand) -> None:
    with at_work(hand) as done:
        video = api.videos.create_and_poll(
            prompt="a parachute over a beach", model="toy", seconds="2", size="64x32", extra_body={"erase": ["parachute"]}
        )
    assert (video.status, video.progress, video.error, video.object) == ("completed", 100, None, "video")
    assert (video.model, video.seconds, video.size) == ("toy", "2", "64x32")
    assert video.completed_at is not None
    assert video.completed_at >= video.created_at
    (task,) = done
    assert (task.num_frames, task.width, task.height) == (17, 64, 32)
    assert [pin.concept for pin in task.erase] == ["parachute"]
    assert video.model_extra is not None
    assert [item["concept"] for item in video.model_extra["erase"]] == ["parachute"]
    assert video.model_extra["receipt"]["erasers"][0]["digest"] == task.erase[0].digest
    assert api.videos.download_content(video.id).read() == VIDEO
    assert api.videos.download_content(video.id, variant="video").read() == VIDEO
    with pytest.raises(openai.UnprocessableEntityError):
        api.videos.download_content(video.id, variant="thumbnail")


def test_what_extra_body_carries(api: OpenAI, hand: Hand) -> None:
    """The client sends a form: everything is text, lists and objects in brackets, and what is empty is not sent."""
    strengths = json.dumps([{"concept": "church", "strength": 2.5}, "parachute@1"])
    extra = {
        "erase": strengths, "seed": 7, "guidance_scale": 3.5, "num_inference_steps": 5, "negative_prompt": "blur",
        "metadata": {"order": "17"},
    }  # fmt: skip
    video = api.videos.create(prompt="a church", extra_body=extra)
    assert video.model_extra is not None
    assert video.model_extra["metadata"] == {"order": "17"}
    task = hand.take_generation()
    assert [(pin.concept, pin.version, pin.strength) for pin in task.erase] == [("church", 1, 2.5), ("parachute", 1, 1.5)]
    assert (task.seed, task.guidance_scale, task.num_inference_steps, task.negative_prompt) == (7, 3.5, 5, "blur")
    for nothing in ([], None):
        api.videos.create(prompt="a church", extra_body={"erase": nothing})
        assert hand.take_generation().erase == ()


def test_json_as_older_clients_send_it(api: OpenAI, hand: Hand) -> None:
    body = {"prompt": "a church", "erase": [{"concept": "church", "strength": 2}], "seconds": 1}
    video = api.post("/videos", body=body, cast_to=openai.types.Video)
    assert video.seconds == "1"
    assert hand.take_generation().erase[0].strength == 2


def test_a_failure_and_a_cancel_end_polling(api: OpenAI, client: TestClient, hand: Hand) -> None:
    with at_work(hand, fail=True):
        failed = api.videos.create_and_poll(prompt="a church", poll_interval_ms=50)
    assert (failed.status, failed.error and failed.error.code) == ("failed", "out_of_memory")
    video = api.videos.create(prompt="a church")
    assert client.post(f"/generations/{video.id}/cancel").is_success
    canceled = api.videos.poll(video.id)
    assert (canceled.status, canceled.error and canceled.error.code) == ("failed", "cancelled")
    assert canceled.model_extra is not None
    assert canceled.model_extra["state"] == "canceled"


def test_poll_waits_as_long_as_it_is_told(api: OpenAI, hand: Hand, monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    def finish(seconds: float) -> None:
        waits.append(seconds)
        hand.finish(hand.take_generation())

    monkeypatch.setattr(api.videos, "_sleep", finish)
    assert api.videos.create_and_poll(prompt="a church").status == "completed"
    assert waits == [1.0]


def test_list_pages_by_itself_in_both_orders(api: OpenAI) -> None:
    made = [api.videos.create(prompt="a church").id for _ in range(5)]
    assert [video.id for video in api.videos.list(limit=2)] == made[::-1]
    assert [video.id for video in api.videos.list(limit=2, order="asc")] == made
    assert [video.id for video in api.videos.list(after=made[2], order="asc")] == made[3:]


def test_delete(api: OpenAI, hand: Hand) -> None:
    video = api.videos.create(prompt="a church")
    deleted = api.videos.delete(video.id)
    assert (deleted.id, deleted.deleted, deleted.object) == (video.id, True, "video.deleted")
    with pytest.raises(openai.NotFoundError):
        api.videos.retrieve(video.id)
    assert hand.take() is None


def test_models(api: OpenAI) -> None:
    (model,) = api.models.list()
    assert (model.id, model.object, model.owned_by) == ("toy", "model", "clearway")
    assert model.model_extra is not None
    assert model.model_extra["max_frames"] == 33


def test_one_model(api: OpenAI, client: TestClient) -> None:
    wan = CARD.model_copy(update={"id": "Wan-AI/Wan2.2"})  # the client writes the slash as %2F, others as it is
    gateway_of(client).store.put(model_key(wan.id), wan.model_dump_json().encode())
    for name in ("toy", "Wan-AI/Wan2.2"):
        model = api.models.retrieve(name)
        assert (model.id, model.object, model.owned_by) == (name, "model", "clearway")
        assert model in list(api.models.list())
        assert client.get(f"/v1/models/{name}").json() == model.model_dump(exclude_unset=True)
    for name in ("sora-2", "Wan-AI", "../toy", "a/../../operator.key", "x" * 200):
        with pytest.raises(openai.NotFoundError) as missing:
            api.models.retrieve(name)
        assert (missing.value.code, missing.value.param) == ("model_not_found", "model")
    for name, expected in (("x" * 201, "invalid_request"), ("\0", "invalid_text")):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            api.models.retrieve(name)
        assert refused.value.code == expected


def test_errors_have_their_class_and_their_code(api: OpenAI, url: str, hand: Hand) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as unknown:
        api.videos.create(prompt="a church", extra_body={"erase": ["church", "tank"]})
    assert (unknown.value.code, unknown.value.param, unknown.value.type) == (
        "unknown_concept",
        "erase[1]",
        "invalid_request_error",
    )
    for extra in ({"erasers": ["church"]}, {"erase": [{"concept": "church", "strength": 2}]}, {"eraze": "church"}):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            api.videos.create(prompt="a church", extra_body=extra)
        assert refused.value.code == "unknown_field"
    with pytest.raises(openai.NotFoundError) as model:
        api.videos.create(prompt="a church", model="sora-2")
    assert (model.value.code, model.value.param) == ("model_not_found", "model")
    with pytest.raises(openai.UnprocessableEntityError) as size:
        api.videos.create(prompt="a church", size="720x1280")
    assert (size.value.code, size.value.param) == ("invalid_size", "size")
    with pytest.raises(openai.UnprocessableEntityError) as seconds:
        api.videos.create(prompt="a church", seconds="12")
    assert (seconds.value.code, seconds.value.param) == ("invalid_seconds", "seconds")
    with OpenAI(base_url=f"{url}/v1", api_key="nonsense") as stranger, pytest.raises(openai.AuthenticationError) as nobody:
        stranger.videos.list()
    assert nobody.value.code == "unauthorized"
    assert hand.take() is None


def test_a_reference_is_refused_as_a_file_and_as_an_address(api: OpenAI, tmp_path: Path, hand: Hand) -> None:
    picture = tmp_path / "a.png"
    picture.write_bytes(b"\x89PNG")
    for file in (picture, ("a.png", b"abc", "image/png")):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            api.videos.create(prompt="a church", input_reference=file)
        assert (refused.value.code, refused.value.param) == ("unsupported_input", "input_reference")
    for address in ({"image_url": "https://example.com/a.png"}, {"file_id": "file_1"}):
        with pytest.raises(openai.UnprocessableEntityError) as refused:
            api.videos.create(prompt="a church", extra_body={"input_reference": address})
        assert (refused.value.code, refused.value.param) == ("unsupported_input", "input_reference")
    picture.write_bytes(b"x" * 2**18)
    with pytest.raises(openai.APIStatusError) as large:
        api.videos.create(prompt="a church", input_reference=picture)
    assert large.value.code == "payload_too_large"
    assert hand.take() is None


def test_a_conflict_is_not_sent_again(api: OpenAI, client: TestClient) -> None:
    assert client.post("/erasers/church/1/retire").is_success
    with pytest.raises(openai.ConflictError) as retired:
        api.videos.create(prompt="a church", extra_body={"erase": ["church"]})
    assert retired.value.code == "eraser_not_active"
    assert retired.value.request.headers["x-stainless-retry-count"] == "0"
    video = api.videos.create(prompt="a church")
    with pytest.raises(openai.ConflictError) as unfinished:
        api.videos.download_content(video.id)
    assert unfinished.value.request.headers["x-stainless-retry-count"] == "0"


def test_a_key_makes_creating_again_safe(api: OpenAI) -> None:
    headers = {"Idempotency-Key": "order-17"}
    first, again = (
        api.videos.with_raw_response.create(prompt="a church", extra_headers=headers, extra_body={"erase": ["church"]})
        for _ in range(2)
    )
    assert first.parse().id == again.parse().id
    assert (first.headers.get("idempotent-replayed"), again.headers.get("idempotent-replayed")) == (None, "true")
    with pytest.raises(openai.UnprocessableEntityError) as reused:
        api.videos.create(prompt="another", extra_headers=headers)
    assert reused.value.code == "idempotency_key_reused"
    assert len(list(api.videos.list())) == 1


def test_the_readmes_program(url: str, client: TestClient, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (program,) = re.findall(r"```python\n(from openai .*?)```", README, re.DOTALL)
    program = program.replace("http://localhost:8000", url).replace("ck_…", key_of(client))
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    with at_work(hand) as done:
        exec(program, names)
    assert isinstance(names["client"], OpenAI)
    names["client"].close()
    assert (tmp_path / "mountains.mp4").read_bytes() == VIDEO
    assert [pin.concept for pin in done[0].erase] == ["parachute"]
