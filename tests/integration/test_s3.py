"""A whole installation whose artifact store is a bucket: a video is made, sent in parts, and deleted; nothing lies elsewhere."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import httpx

from service.embedded.data_dir import DataDir
from tests.integration.running import Up, eventually, settled
from tests.s3_server import S3Server
from workers.store.artifacts import open_store

SMALL = {"prompt": "a lantern by the river", "width": 32, "height": 32, "num_frames": 5, "num_inference_steps": 3, "seed": 1}


def address_of(up: Up, generation: dict[str, Any]) -> str:
    return f"{DataDir(up.data_dir).url()}/generations/{generation['id']}"


def test_generate_video_delete(tiny_model: str, s3_server: S3Server, bucket: str, tmp_path: Path) -> None:
    address, access = f"s3://{bucket}/clearway", s3_server.access
    store = open_store(address, access)
    up = Up(
        tmp_path / "data",
        model=tiny_model,
        CLEARWAY_ARTIFACTS_URL=address,
        CLEARWAY_S3_ENDPOINT=access.endpoint,
        CLEARWAY_S3_ACCESS_KEY_ID=access.access_key_id,
        CLEARWAY_S3_SECRET_ACCESS_KEY=access.secret_access_key,
    )
    try:
        up.wait_until_ready()
        with up.client() as client:
            generation = settled(up, client, client.generate(SMALL)["id"])
            assert generation["status"] == "succeeded", generation["error"]
            video, receipt = client.video(generation["id"]), client.receipt(generation["id"])
            assert hashlib.sha256(video).hexdigest() == receipt["video_sha256"]
            headers = {"authorization": f"Bearer {(up.data_dir / 'operator.key').read_text().strip()}", "range": "bytes=4-7"}
            part = httpx.get(f"{address_of(up, generation)}/video", headers=headers)
            assert (part.status_code, part.content) == (206, b"ftyp")
            folder = f"videos/{generation['id']}"
            assert [key.rpartition("/")[2] for key in store.list(folder)] == ["receipt.json", "video.mp4"]
            assert httpx.delete(address_of(up, generation), headers=headers).status_code == 204
            eventually(lambda: not store.list(folder), 20, up.log)
        assert not (up.data_dir / "artifacts").exists()
        assert access.secret_access_key not in up.log()
        assert up.stop() == 0
    finally:
        up.end()


def test_a_bucket_that_is_not_there_ends_it_with_a_line_that_says_so(
    tiny_model: str, s3_server: S3Server, tmp_path: Path
) -> None:
    access = s3_server.access
    up = Up(
        tmp_path / "data",
        model=tiny_model,
        CLEARWAY_ARTIFACTS_URL="s3://test-no-such-bucket",
        CLEARWAY_S3_ENDPOINT=access.endpoint,
        CLEARWAY_S3_ACCESS_KEY_ID=access.access_key_id,
        CLEARWAY_S3_SECRET_ACCESS_KEY=access.secret_access_key,
    )
    try:
        assert up.process.wait(timeout=180) != 0
        assert "s3://test-no-such-bucket refuses (NoSuchBucket): make the bucket" in up.log()
    finally:
        up.end()
