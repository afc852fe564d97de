"""Videos on their way out, of both stores: what receipts describe, whole or in part, and never anything else."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from pydantic import SecretStr

from service.http.verified import Tampered, VerifiedVideos
from service.settings import Settings
from tests.service.calls import code, generate, settled, wait_until
from tests.service.hand import VIDEO, Hand, digest_of, receipt_of
from tests.service.test_metrics import series
from workers.contract import GenerationTask, video_key
from workers.store.artifacts import ArtifactMissing, DirectoryStore, Stamp

SIZE = len(VIDEO)
CHANGED = bytes(reversed(VIDEO))
WITHHELD = "clearway_videos_withheld_total{}"


@pytest.fixture(params=["directory", "s3"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    if request.param == "directory":
        return settings
    access = request.getfixturevalue("s3_server").access
    changes = {
        "artifacts_url": f"s3://{request.getfixturevalue('bucket')}/here",
        "s3_endpoint": access.endpoint,
        "s3_access_key_id": SecretStr(access.access_key_id),
        "s3_secret_access_key": SecretStr(access.secret_access_key),
    }
    return settings.model_copy(update=changes)


@pytest.fixture
def task(client: TestClient, hand: Hand) -> GenerationTask:
    """Of a generation that succeeded."""
    accepted = generate(client, erase=["church"])
    task = hand.take_generation()
    hand.finish(task)
    wait_until(lambda: settled(client, accepted["id"]))
    return task


@pytest.fixture
def url(task: GenerationTask) -> str:
    return f"/generations/{task.id}/video"


def test_the_whole_video(client: TestClient, task: GenerationTask, url: str) -> None:
    for path in (url, f"/v1/videos/{task.id}/content"):
        response = client.get(path)
        assert (response.status_code, response.content) == (200, VIDEO)
        assert {name: response.headers[name] for name in ("content-type", "content-length", "accept-ranges", "etag")} == {
            "content-type": "video/mp4",
            "content-length": str(SIZE),
            "accept-ranges": "bytes",
            "etag": f'"{receipt_of(task).video_sha256}"',
        }


def test_everything_but_the_bytes(client: TestClient, task: GenerationTask, url: str) -> None:
    for path in (url, f"/v1/videos/{task.id}/content"):
        got = client.get(path)
        response = client.head(path, headers={"range": "bytes=1-2"})
        assert (response.status_code, response.content) == (200, b"")
        assert {**response.headers, "x-request-id": ""} == {**got.headers, "x-request-id": ""}
    assert client.head("/generations/gen_none/video").status_code == 404


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-99", 0, 100),
        ("bytes=100-", 100, SIZE),
        ("bytes=-100", SIZE - 100, SIZE),
        ("Bytes= 5-6 ", 5, 7),
        (f"bytes={SIZE - 1}-{SIZE + 50}", SIZE - 1, SIZE),
        (f"bytes=-{SIZE + 50}", 0, SIZE),
        (f"bytes=0-{'9' * 18}", 0, SIZE),
    ],
)
def test_a_part(client: TestClient, url: str, asked: str, start: int, stop: int) -> None:
    response = client.get(url, headers={"range": asked})
    assert (response.status_code, response.content) == (206, VIDEO[start:stop])
    assert response.headers["content-range"] == f"bytes {start}-{stop - 1}/{SIZE}"
    assert response.headers["content-length"] == str(stop - start)
    assert "etag" in response.headers


@pytest.mark.parametrize("asked", [f"bytes={SIZE}-", f"bytes={SIZE + 1}-{SIZE + 2}", "bytes=-0"])
def test_a_part_behind_the_end(client: TestClient, url: str, asked: str) -> None:
    response = client.get(url, headers={"range": asked})
    assert code(response) == "range_not_satisfiable"
    assert (response.status_code, response.headers["content-range"]) == (416, f"bytes */{SIZE}")


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "frames=0-1", "bytes=6-5", "bytes=-", "bytes", "0-1", "bytes=a-b", "bytes=٣-٤", ""]
)
def test_what_is_no_single_range_gets_the_whole(client: TestClient, url: str, asked: str) -> None:
    response = client.get(url, headers={"range": asked.encode()})  # type: ignore[dict-item]
    assert (response.status_code, response.content) == (200, VIDEO)


def test_conditions(client: TestClient, task: GenerationTask, url: str) -> None:
    etag = client.get(url).headers["etag"]
    for tags in (etag, f"W/{etag}", f'"other", {etag}', "*"):
        response = client.get(url, headers={"if-none-match": tags, "range": "bytes=0-1"})
        assert (response.status_code, response.content, response.headers["etag"]) == (304, b"", etag)
    for tags in ('"other"', etag.strip('"'), f'"other", W/"{"0" * 64}"'):
        assert client.get(url, headers={"if-none-match": tags}).status_code == 200
    for fits, status in ((etag, 206), (f"W/{etag}", 200), ('"other"', 200), ("Wed, 21 Oct 2037 07:28:00 GMT", 200)):
        assert client.get(url, headers={"range": "bytes=0-1", "if-range": fits}).status_code == status


@pytest.mark.parametrize("headers", [{}, {"range": "bytes=0-1"}])
@pytest.mark.parametrize("video", [CHANGED, VIDEO[:-1], VIDEO + b"\0", b""])
def test_a_video_that_was_changed_never_leaves(
    client: TestClient, hand: Hand, task: GenerationTask, url: str, video: bytes, headers: dict[str, str], caplog: Any
) -> None:
    hand.store.put(video_key(task.id, task.attempt), video)
    before = series(client)[WITHHELD]
    for path in (url, f"/v1/videos/{task.id}/content"):
        response = client.get(path, headers=headers)
        assert code(response) == "artifact_tampered"
        assert "etag" not in response.headers
    assert series(client)[WITHHELD] == before + 2
    assert any("video withheld" in record.message and record.job == task.id for record in caplog.records)
    hand.store.put(video_key(task.id, task.attempt), VIDEO)
    assert client.get(url).content == VIDEO


def test_what_was_verified_before_it_was_changed_never_leaves_either(
    client: TestClient, hand: Hand, task: GenerationTask, url: str
) -> None:
    assert client.get(url).content == VIDEO
    hand.store.put(video_key(task.id, task.attempt), CHANGED)
    assert code(client.get(url, headers={"range": "bytes=0-1"})) == "artifact_tampered"


def test_a_file_that_was_written_into_and_whose_times_were_put_back(
    client: TestClient, hand: Hand, task: GenerationTask, url: str
) -> None:
    if not isinstance(hand.store, DirectoryStore):
        pytest.skip("of files")
    assert client.get(url).content == VIDEO
    path: Path = hand.store.root / video_key(task.id, task.attempt)
    times = path.stat()
    with path.open("r+b") as file:
        file.write(b"\xff")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert code(client.get(url)) == "artifact_tampered"


def test_a_video_and_its_receipt_changed_in_the_store_convince_nobody(
    client: TestClient, hand: Hand, task: GenerationTask, url: str
) -> None:
    hand.finish(task, video_sha256=digest_of("another"), video_bytes=7)
    hand.store.put(video_key(task.id, task.attempt), b"another")
    assert code(client.get(url)) == "artifact_tampered"


def spied(monkeypatch: pytest.MonkeyPatch, hand: Hand, before: Callable[[int], None] = lambda number: None) -> list[int]:
    """How many bytes each read of the gateway asked for; `before` is called with its number."""
    asked: list[int] = []
    read = type(hand.store).read

    def spy(self: Any, key: str, stamp: Stamp, start: int, stop: int) -> bytes:
        before(len(asked))
        data: bytes = read(self, key, stamp, start, stop)
        asked.append(len(data))
        return data

    monkeypatch.setattr(type(hand.store), "read", spy)
    return asked


def test_it_is_read_for_its_digest_once_and_in_pieces(
    client: TestClient, hand: Hand, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = spied(monkeypatch, hand)
    monkeypatch.setattr("workers.store.artifacts.PIECE_BYTES", 1000)
    assert client.get(url).content == VIDEO
    whole = [1000] * (SIZE // 1000) + [SIZE % 1000]
    assert asked == whole * 2
    for _ in range(5):
        client.get(url, headers={"range": "bytes=10-19"})
    assert asked == whole * 2 + [10] * 5
    client.get(url, headers={"if-none-match": "*"})
    assert len(asked) == len(whole * 2) + 5


def test_what_changes_while_it_is_sent_ends_the_connection(
    client: TestClient, hand: Hand, task: GenerationTask, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert client.get(url).content == VIDEO

    def change(number: int) -> None:
        if number == 1:
            hand.store.put(video_key(task.id, task.attempt), CHANGED)

    asked = spied(monkeypatch, hand, change)
    monkeypatch.setattr("workers.store.artifacts.PIECE_BYTES", 1000)
    before = series(client)[WITHHELD]
    with pytest.raises(RuntimeError, match="response already started"):
        client.get(url)
    assert asked == [1000]
    assert series(client)[WITHHELD] == before + 1


def test_a_video_that_is_gone(client: TestClient, hand: Hand, task: GenerationTask, url: str) -> None:
    assert client.get(url).is_success
    hand.store.delete(f"videos/{task.id}")
    assert code(client.get(url)) == "artifact_unavailable"


def test_a_deleted_generation_leaves_nothing_in_the_store(client: TestClient, hand: Hand, task: GenerationTask, url: str) -> None:
    assert client.delete(f"/generations/{task.id}").status_code == 204
    wait_until(lambda: not hand.store.list(f"videos/{task.id}"))
    assert code(client.get(url)) == "not_found"


def test_only_so_many_are_remembered(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    verified = VerifiedVideos(store, most=2)
    for name in "abc":
        store.put(name, name.encode())
        verified.stamp(name, sha256=digest_of(name), size=1)
    assert len(verified._known) == 2
    with pytest.raises(Tampered):
        verified.stamp("a", sha256=digest_of("b"), size=1)
    with pytest.raises(ArtifactMissing):
        verified.stamp("d", sha256=digest_of("d"), size=1)
