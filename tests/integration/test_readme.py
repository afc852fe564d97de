"""README.md is run: its HTTP call, its commands, and its Python, against an installation with the miniature."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import httpx
import pytest

from tests.integration.running import Up, settled

ROOT = Path(__file__).parents[2]
BLOCKS = re.findall(
    r"<!-- runs in tests/integration/test_readme.py -->\n```(\w+)\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL
)
SHELL = [text for language, text in BLOCKS if language == "sh"]
PYTHON = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, miniature: Up) -> Path:
    """Where the reader sits: beside the `data` directory of a running `clearway up`."""
    desk = tmp_path_factory.mktemp("desk")
    (desk / "data").symlink_to(miniature.data_dir)
    return desk


def test_the_http_call(desk: Path, miniature: Up) -> None:
    """Its curl is read, not started: nothing but Python may be assumed of this machine."""
    (call,) = [text for text in SHELL if "curl" in text]
    key = (desk / "data" / "operator.key").read_text().strip()
    words = shlex.split(call.partition("\n")[2].replace("\\\n", " ").replace("$KEY", key))
    headers = dict(value.split(": ") for flag, value in pairwise(words) if flag == "-H")
    (body,) = [value for flag, value in pairwise(words) if flag == "-d"]
    with miniature.client() as client:
        (path,) = [word.removeprefix("localhost:8000") for word in words if word.startswith("localhost:8000")]
        answer = httpx.post(f"{client.url}{path}", headers=headers, content=body)
        assert answer.status_code == 202, answer.text
        assert answer.json()["links"].keys() >= {"events", "video", "receipt"}
        assert settled(miniature, client, answer.json()["id"])["status"] == "succeeded"


@pytest.mark.parametrize("commands", [text for text in SHELL if "curl" not in text])
def test_commands(desk: Path, commands: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-euc", commands], cwd=desk, env={**os.environ, "PATH": path}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for file in re.findall(r"--out (\S+)", commands):
        assert (desk / file).exists()


@pytest.mark.parametrize("code", PYTHON)
def test_python(code: str) -> None:
    check = "\nassert frames.shape[0] == 9 and handle.uses[0].concept == 'parachute' and handle.uses[0].tokens_edited > 0"
    done = subprocess.run([sys.executable, "-c", code + check], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_something_is_run() -> None:
    assert (len(SHELL), len(PYTHON)) == (3, 1)
