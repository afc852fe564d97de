"""What gateway, workers and trainer must agree on: where things lie, and how lines of a log look. Torch-free."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Self

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from erasers.regular_file import NotRegularFile, open_regular
from workers.log_lines import LogFormat, LogLevel
from workers.queue_messages import KeyMissing, QueueKeys
from workers.runtime_directory import socket_path
from workers.store.artifacts import S3Access

_SHOWN_CHARACTERS = 80


class SettingsInvalid(Exception):
    """A setting of the environment cannot be used. The message has one line for each, with the variable's name."""


class CommonSettings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="CLEARWAY_", frozen=True, extra="forbid")

    data_dir: Path = Field(default=Path("clearway-data"), description="Everything embedded lives here.")
    redis_url: SecretStr = Field(
        default=SecretStr(""), description="Redis or Valkey; default the embedded one's socket, in a private directory in /tmp."
    )
    queue_key: SecretStr = Field(
        default=SecretStr(""),
        description="Signs what goes through Redis; one secret for gateway and workers. Default: that in <data-dir>/queue.key.",
    )
    queue_key_other: SecretStr = Field(
        default=SecretStr(""), description="A second key that is accepted and never signs, while the key is replaced."
    )
    artifacts_url: str = Field(
        default="", description="Artifact store: a directory or s3://bucket/prefix; default the directory <data-dir>/artifacts."
    )
    s3_endpoint: str = Field(
        default="", description="Of a store at s3://bucket/prefix: a server other than Amazon's, https:// or http://."
    )
    s3_region: str = Field(default="", description="Its region; default what `AWS_REGION` says, or us-east-1.")
    s3_access_key_id: SecretStr = Field(
        default=SecretStr(""), description="A key to it; default the `AWS_…` variables or the machine's role."
    )
    s3_secret_access_key: SecretStr = Field(default=SecretStr(""), description="The secret that goes with the key.")
    log_level: LogLevel = "INFO"
    log_format: LogFormat = Field(default="json", description="Of log lines: json, or text for a terminal.")

    @model_validator(mode="before")
    @classmethod
    def _fill_addresses(cls, values: dict[str, object]) -> dict[str, object]:
        data_dir = Path(str(values.get("data_dir") or "clearway-data")).absolute()
        defaults = {"queue_key": _key_in(queue_key_path(data_dir)), **cls._addresses_in(data_dir)}
        return {**values, "data_dir": data_dir, **{name: values.get(name) or value for name, value in defaults.items()}}

    @classmethod
    def _addresses_in(cls, data_dir: Path) -> dict[str, str]:
        """What addresses are where nothing else is set."""
        return {"redis_url": f"unix://{socket_path(data_dir)}", "artifacts_url": str(data_dir / "artifacts")}

    @model_validator(mode="after")
    def _check_addresses(self) -> Self:
        if not self.redis_url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError("CLEARWAY_REDIS_URL must start with redis://, rediss:// or unix://")
        _ = self.s3_access
        if self.queue_key.get_secret_value():
            self.queue_keys()  # raises where a key is too short
        return self

    @classmethod
    def from_environment(cls, **values: object) -> Self:
        """Settings from `CLEARWAY_…` variables. Raises `SettingsInvalid`."""
        try:
            return cls(**values)  # type: ignore[arg-type]  # checked by pydantic
        except SettingsError as error:  # a variable that should hold JSON does not
            field = re.search(r'"(\w+)"', str(error))
            raise SettingsInvalid(f"CLEARWAY_{field[1].upper()}: must be JSON" if field else str(error)) from error
        except ValidationError as error:
            raise SettingsInvalid("\n".join(map(cls._problem, error.errors()))) from None  # the cause would show secrets

    @classmethod
    def _problem(cls, problem: ErrorDetails) -> str:
        message = problem["msg"].removeprefix("Value error, ")
        if not problem["loc"]:
            return message  # of a check over several settings, which names them itself
        name = str(problem["loc"][0])
        field = cls.model_fields.get(name)
        secret = field is None or "Secret" in str(field.annotation)
        shown = "" if secret else f", got {str(problem['input'])[:_SHOWN_CHARACTERS]!r}"
        return f"CLEARWAY_{name.upper()}: {message}{shown}"

    def queue_keys(self) -> QueueKeys:
        """Raises `SettingsInvalid` where no key is set: without one neither a gateway nor a worker may start."""
        try:
            return QueueKeys(self.queue_key.get_secret_value(), self.queue_key_other.get_secret_value())
        except KeyMissing as missing:
            raise SettingsInvalid(str(missing)) from None

    @property
    def s3_access(self) -> S3Access:
        return S3Access(
            endpoint=self.s3_endpoint,
            region=self.s3_region,
            access_key_id=self.s3_access_key_id.get_secret_value(),
            secret_access_key=self.s3_secret_access_key.get_secret_value(),
        )


def queue_key_path(data_dir: Path) -> Path:
    """Where `clearway up` keeps the key that it generates."""
    return data_dir / "queue.key"


def _key_in(path: Path) -> str:
    try:
        with open_regular(path) as file:
            return file.read().decode("ascii").strip()
    except (FileNotFoundError, NotADirectoryError):
        return ""
    except NotRegularFile as other:
        raise ValueError(str(other)) from other
