"""Settings: from the environment, validated, frozen, without secrets in what is printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from service.settings import Settings
from workers.runtime_directory import socket_path


@pytest.fixture(autouse=True)
def clean(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"CLEARWAY_{name.upper()}", raising=False)


def test_addresses_default_into_the_data_directory(tmp_path: Path) -> None:
    settings = Settings(data_dir=tmp_path)
    assert settings.database_url.get_secret_value() == f"sqlite:///{tmp_path}/clearway.db"
    assert settings.redis_url.get_secret_value() == f"unix://{socket_path(tmp_path)}"
    assert settings.artifacts_url == f"{tmp_path}/artifacts"
    assert settings.operator_key_path == tmp_path / "operator.key"


def test_a_relative_data_directory_becomes_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLEARWAY_DATA_DIR", "here")
    assert Settings().data_dir == tmp_path / "here"
    assert str(tmp_path / "here") in Settings().database_url.get_secret_value()


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CLEARWAY_REDIS_URL", "rediss://:word@host/1")
    monkeypatch.setenv("CLEARWAY_GATE_MAX_ERASED", "0.05")
    settings = Settings()
    assert settings.redis_url.get_secret_value() == "rediss://:word@host/1"
    assert settings.gate_max_erased == 0.05
    assert "word" not in repr(settings)
    assert "word" not in settings.model_dump_json()


@pytest.mark.parametrize(
    "wrong",
    [
        {"redis_url": SecretStr("http://host")},
        {"database_url": SecretStr("nonsense")},
        {"s3_endpoint": "seaweed:8333"},
        {"s3_secret_access_key": SecretStr("nonsense")},
        {"gate_max_erased": 2.0},
        {"sweep_interval_seconds": 0},
        {"log_level": "LOUD"},
        {"model": ""},
        {"unknown": 1},
    ],
)
def test_what_cannot_be_is_refused_at_the_start(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError) as refused:
        Settings(**wrong)  # type: ignore[arg-type]
    assert "nonsense" not in str(refused.value)


def test_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().model = "other"  # type: ignore[misc]
