"""What `deploy/` and docker-compose.yml say is so: Compose itself reads them, and they name commands and settings that exist."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main
from pydantic import SecretStr
from pydantic_settings import BaseSettings

from service.cli import app
from service.settings import Settings
from workers.settings import WorkerSettings

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
EXAMPLE = (ROOT / "deploy/env.example").read_text()
OURS: dict[str, type[BaseSettings]] = {
    "gateway": Settings,
    "worker": WorkerSettings,
    "trainer": WorkerSettings,
    "worker-gpu": WorkerSettings,
    "trainer-gpu": WorkerSettings,
}
PROFILES = {"cpu": {"worker", "trainer"}, "gpu": {"worker-gpu", "trainer-gpu"}}
IN_COMPOSE = {"CLEARWAY_DATA_DIR", "CLEARWAY_DATABASE_URL", "CLEARWAY_REDIS_URL"}
"""What docker-compose.yml decides by itself."""
TORCH = {"worker": {"OMP_NUM_THREADS"}, "trainer": {"OMP_NUM_THREADS"}}
"""What else a worker reads."""


def compose(directory: Path, env: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The real Compose, on a copy of the file with `env` as its .env."""
    shutil.copy(ROOT / "docker-compose.yml", directory)
    (directory / ".env").write_text(env)
    command = [BIN / "docker-compose", "--project-directory", directory, *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={"PATH": "/usr/bin:/bin", "HOME": str(directory)}
    )


def resolved(directory: Path, profile: str, extra: str = "") -> dict[str, Any]:
    env = EXAMPLE.replace("CLEARWAY_DATABASE_PASSWORD=", "CLEARWAY_DATABASE_PASSWORD=secret9")
    env = env.replace("CLEARWAY_QUEUE_KEY=\n", f"CLEARWAY_QUEUE_KEY={'0' * 64}\n")
    env = env.replace("COMPOSE_PROFILES=cpu", f"COMPOSE_PROFILES={profile}")
    done = compose(directory, f"{env}\n{extra}", "config", "--format", "json")
    assert done.returncode == 0, done.stderr
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


@pytest.mark.parametrize("profile", PROFILES)
def test_compose_reads_it_and_a_profile_brings_its_workers(profile: str, tmp_path: Path) -> None:
    services = resolved(tmp_path, profile)
    assert services.keys() == {"queue", "database", "gateway", *PROFILES[profile]}
    for name in PROFILES[profile]:
        assert ("deploy" in services[name]) == (profile == "gpu"), "a GPU is asked for where there is one"
        assert services[name]["build"].get("args", {}).get("TORCH_INDEX", "").endswith("/cpu") == (profile == "cpu")


def test_compose_requires_the_password_and_the_queue_key(tmp_path: Path) -> None:
    done = compose(tmp_path, EXAMPLE, "config")
    assert done.returncode != 0
    assert "see deploy/env.example" in done.stderr
    done = compose(tmp_path, EXAMPLE.replace("PASSWORD=", "PASSWORD=secret9"), "config")
    assert "CLEARWAY_QUEUE_KEY" in done.stderr


@pytest.mark.parametrize("profile", PROFILES)
def test_a_service_runs_a_command_of_ours_with_every_setting_of_its_own_and_no_other(profile: str, tmp_path: Path) -> None:
    services = resolved(tmp_path, profile)
    for name in services.keys() & OURS.keys():
        program, *arguments = services[name]["command"]
        assert program == "clearway"
        commands = typer.main.get_group(app).commands
        commands[arguments[0]].make_context(arguments[0], arguments[1:])  # raises for an option that it does not have
        settings = {f"CLEARWAY_{field.upper()}" for field in OURS[name].model_fields}
        assert services[name]["environment"].keys() == settings | TORCH.get(name.removesuffix("-gpu"), set())
        assert (ROOT / services[name]["build"]["dockerfile"]).exists()


def test_a_setting_in_the_file_reaches_the_parts_that_know_it_and_no_other(tmp_path: Path) -> None:
    ours = "CLEARWAY_KEY_MAX_QUEUED=5\nCLEARWAY_STAGE_TIMEOUT_SECONDS=60\n"
    shared = "CLEARWAY_LOG_LEVEL=DEBUG\nCLEARWAY_LOG_FORMAT=text\n"
    services = resolved(tmp_path, "cpu", ours + shared)
    gateway, worker = services["gateway"]["environment"], services["worker"]["environment"]
    assert gateway["CLEARWAY_KEY_MAX_QUEUED"] == "5"
    assert worker["CLEARWAY_STAGE_TIMEOUT_SECONDS"] == "60"
    assert gateway["CLEARWAY_LOG_LEVEL"] == worker["CLEARWAY_LOG_LEVEL"] == "DEBUG"
    assert gateway["CLEARWAY_LOG_FORMAT"] == worker["CLEARWAY_LOG_FORMAT"] == "text"
    assert gateway["CLEARWAY_GENERATE_WINDOW"] is None, "what nobody set is not passed on, so that its default holds"
    assert "secret9" in gateway["CLEARWAY_DATABASE_URL"]
    assert "secret9" not in json.dumps(services["worker"]), "workers hold no database password"


def test_the_example_has_every_setting_with_the_value_that_it_has_without() -> None:
    found = dict(
        line.removeprefix("# ").split("=", 1) for line in EXAMPLE.splitlines() if line.removeprefix("# ").startswith("CLEARWAY_")
    )
    fields = {
        f"CLEARWAY_{name.upper()}": field for kind in (Settings, WorkerSettings) for name, field in kind.model_fields.items()
    }
    assert found.keys() == fields.keys() - IN_COMPOSE | {"CLEARWAY_DATABASE_PASSWORD"}
    for name, text in found.items():
        if name == "CLEARWAY_DATABASE_PASSWORD":
            continue
        default = fields[name].default
        shown = "" if default is None or isinstance(default, SecretStr) else str(default)
        assert text == (shown.lower() if isinstance(default, bool) else shown), name


@pytest.mark.parametrize("file", ["deploy/Dockerfile.service", "deploy/Dockerfile.worker"])
def test_a_dockerfile_is_sound_and_what_it_copies_exists(file: str) -> None:
    lint = subprocess.run([BIN / "hadolint", "--no-color", ROOT / file], capture_output=True, text=True, check=False)
    assert lint.returncode == 0, lint.stdout
    lines = (ROOT / file).read_text().splitlines()
    copied = [name for line in lines if line.startswith("COPY") for name in line.split()[1:-1]]
    assert {"pyproject.toml", "service", "workers", "erasers"} <= set(copied)
    assert all((ROOT / name).exists() for name in copied)


@pytest.mark.parametrize(("file", "extra"), [("service", "postgres"), ("worker", "worker")])
def test_dependencies_are_installed_before_the_source_is_copied(file: str, extra: str) -> None:
    """A change of the source alone must not install them again. The program that lists them is run."""
    text = (ROOT / f"deploy/Dockerfile.{file}").read_text()
    assert text.index("--requirement requirements.txt") < text.index("COPY service")
    (code,) = re.findall(r'RUN python -c "(.*?)" > requirements.txt', text)
    listed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert listed.splitlines() == [*project["dependencies"], *project["optional-dependencies"][extra]]


def test_the_gateways_image_is_not_built_with_torch_in_it() -> None:
    """The check of the Dockerfile, run where there is a torch."""
    (check,) = [line for line in (ROOT / "deploy/Dockerfile.service").read_text().splitlines() if "find_spec" in line]
    code = check.split('python -c "')[1].removesuffix('"')
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "torch came in" in done.stderr
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, "without site-packages there is none"
