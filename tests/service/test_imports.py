"""The gateway starts where no torch is, and importing it does nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import sys

class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"torch", "transformers", "diffusers", "safetensors", "numpy", "av"}:
            raise ImportError(f"{name} is blocked")

sys.meta_path.insert(0, Blocked())
import os
import threading
before = set(os.listdir("."))
import service.app, service.settings
app = service.app.create_app(service.settings.Settings(model="toy"))
assert set(os.listdir(".")) == before, "importing wrote something"
assert threading.active_count() == 1, "importing started a thread"
from fastapi.testclient import TestClient
with TestClient(app) as client:
    print(client.get("/health/live").json()["status"])
"""


def test_the_gateway_runs_without_torch(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=tmp_path,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "", "CLEARWAY_QUEUE_KEY": "k" * 64},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.strip() == "ok"
