"""The README's program runs, on a pipeline reduced to what it uses."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest
import torch

import erasers
from erasers.methods import METHODS
from erasers.verdict import Verdict
from tests.erasers.tiny import Text

README = Path(erasers.__file__).with_name("README.md").read_text(encoding="utf-8")


def test_the_programs_in_the_readme_run(
    umt5: Text, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    programs = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len(programs) == 2

    def encode_prompt(prompt: str, *, do_classifier_free_guidance: bool) -> torch.Tensor:
        assert not do_classifier_free_guidance
        return umt5.encode([prompt])

    names = {
        "erasers": erasers,
        "pipe": SimpleNamespace(**umt5._asdict(), text_encoder=umt5.encoder, encode_prompt=encode_prompt),
    }
    for program in programs:  # the second goes on where the first ended
        exec(program, names)
    assert capsys.readouterr().out.splitlines()[-1] in get_args(Verdict)
    origin = umt5.encode(["a parachute over the dunes"])
    assert not torch.equal(names["embeddings"], origin)
    assert (tmp_path / "parachute" / "config.json").is_file()


def test_the_program_in_the_librarys_docstring_runs_and_erases_the_prompt_alone(umt5: Text) -> None:
    program = textwrap.dedent("\n".join(line for line in (erasers.__doc__ or "").splitlines() if line.startswith("    ")))

    class Pipeline:
        text_encoder, tokenizer = umt5.encoder, umt5.tokenizer

        def encode_prompt(self, prompt: str, *, do_classifier_free_guidance: bool) -> tuple[torch.Tensor, None]:
            assert not do_classifier_free_guidance
            return umt5.encode([prompt]), None

        def __call__(self, *, prompt_embeds: torch.Tensor, negative_prompt_embeds: torch.Tensor) -> str:
            assert not torch.equal(prompt_embeds, umt5.encode(["a parachute over the dunes"]))
            assert torch.equal(negative_prompt_embeds, umt5.encode(["blurry"]))
            return "a video"

    names = {"erasers": erasers, "pipe": Pipeline(), "pairs": erasers.pairs.templates(erasers.Concept("parachute"), 60, 0)}
    exec(program, names)
    assert names["video"] == "a video"


def test_the_readme_names_every_file_and_method() -> None:
    folder = Path(erasers.__file__).parent
    tree = README.split("## Where things are")[1].split("```")[1]
    words = set(re.findall(r"[a-z_]+", tree))
    modules = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    assert modules <= words
    assert set(METHODS) <= words
