"""What README.md names is there: files, folders, make targets, commands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer.main

from service.cli import app

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_every_folder_and_file_of_the_tree_is_there() -> None:
    (tree,) = re.findall(r"## Where is what\n```\n(.*?)```", README, re.DOTALL)
    parent = ROOT
    named = 0
    for line in tree.splitlines():
        words = re.split(r"\s{2,}", line.strip())[0].split()
        if not line.startswith(" "):
            parent = ROOT / words[0]
        for word in words:
            named += 1
            assert (ROOT / word).exists() or (parent / word).exists(), word
    assert named > 15


def test_every_link_and_picture_leads_somewhere() -> None:
    targets = re.findall(r"\]\(([^)#]+)\)", README)
    assert targets
    assert [target for target in targets if "://" not in target and not (ROOT / target).exists()] == []


def test_every_make_target_is_there() -> None:
    defined = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|    )make ([a-z]+)\b", README))
    assert {"demo", "test", "check", "install", "lock"} <= named
    assert named <= defined


@pytest.mark.parametrize("command", sorted(set(re.findall(r"\bclearway ([a-z]+)\b", README))))
def test_every_command_is_there(command: str) -> None:
    assert command in typer.main.get_group(app).commands
