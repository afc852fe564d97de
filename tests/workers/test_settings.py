"""Settings: addresses follow the data directory, nonsense is refused, secrets stay secret."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.runtime_directory import socket_path
from workers.settings import WorkerSettings


def test_addresses_follow_the_data_directory(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CLEARWAY_DATA_DIR", str(tmp_path))
    settings = WorkerSettings()
    assert settings.redis_url.get_secret_value() == f"unix://{socket_path(tmp_path)}"
    assert settings.artifacts_url == f"{tmp_path}/artifacts"
    monkeypatch.setenv("CLEARWAY_ARTIFACTS_URL", "/srv/artifacts")
    assert WorkerSettings().artifacts_url == "/srv/artifacts"


@pytest.mark.parametrize(
    "nonsense",
    [
        {"redis_url": "http://localhost"},
        {"device": "gpu"},
        {"dtype": "int8"},
        {"lease_seconds": 3, "heartbeat_seconds": 2},
        {"lease_seconds": 1},
        {"stage_timeout_seconds": 0},
        {"stage_timeout_seconds": 60, "store_patience_seconds": 60},
        {"evaluation_clips": -1},
        {"s3_endpoint": "seaweed:8333"},
        {"s3_access_key_id": "who"},
        {"s3_secret_access_key": "what"},
        {"modell": "miniature"},
    ],
)
def test_nonsense_is_refused(nonsense: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        WorkerSettings.model_validate(nonsense)


def test_passwords_are_masked() -> None:
    settings = WorkerSettings(redis_url="redis://:hunter2@localhost/0")  # type: ignore[arg-type]
    bucket = WorkerSettings(s3_access_key_id="a", s3_secret_access_key="hunter2")  # type: ignore[arg-type]
    assert bucket.s3_access.secret_access_key == "hunter2"
    assert "hunter2" not in f"{bucket!r} {bucket.model_dump_json()} {bucket.s3_access!r}"
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in settings.model_dump_json()
