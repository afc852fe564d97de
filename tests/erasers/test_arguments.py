"""What `attach`, `train` and the others take for an encoder, a tokenizer or a stack, and what they say of anything else."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

import erasers
from erasers.eraser import Eraser
from erasers.errors import EncoderError, EncoderMismatch, HookTargetMissing, StackError
from tests.erasers.tiny import PARACHUTE, Text, make_text

PROMPT = ["a parachute near a frozen lake"]
PAIRS = erasers.pairs.templates(PARACHUTE, 40, 1)
QUICK = {"mode": "project", "gamma_step": 2.0, "gamma": 2.0}


def pipeline(text: Text, **more: Any) -> SimpleNamespace:
    return SimpleNamespace(text_encoder=text.encoder, tokenizer=text.tokenizer, transformer=nn.Linear(1, 1), **more)


def test_a_pipeline_with_one_text_encoder_stands_for_it(umt5: Text, eraser: Eraser) -> None:
    with erasers.attach(umt5.encoder, [eraser]):
        wanted = umt5.encode(PROMPT)
    for pipe in (pipeline(umt5), pipeline(umt5, text_encoder_2=None)):
        with erasers.attach(pipe, [eraser]) as handle:
            assert torch.equal(umt5.encode(PROMPT), wanted)
        handle.require(rows=1)


def test_a_pipelines_tokenizer_is_held_against_the_eraser(umt5: Text, eraser: Eraser) -> None:
    other = make_text("umt5").tokenizer
    other.add_tokens(["parasail"])
    with pytest.raises(EncoderMismatch), erasers.attach(pipeline(umt5._replace(tokenizer=other)), eraser):
        pass


def test_training_takes_a_pipeline_too(umt5: Text) -> None:
    pipe = pipeline(umt5)
    made = erasers.train(pipe, None, PAIRS, method="steering", config=QUICK)
    assert made.digest == erasers.train(*umt5, PAIRS, method="steering", config=QUICK).digest
    assert erasers.from_names(pipe, None, PARACHUTE).digest == erasers.from_names(*umt5, PARACHUTE).digest
    assert erasers.evaluate_embeddings(pipe, None, made, PAIRS) == erasers.evaluate_embeddings(*umt5, made, PAIRS)
    assert erasers.fingerprint(pipe, None) == erasers.fingerprint(*umt5)


def test_one_eraser_is_a_stack(umt5: Text, eraser: Eraser) -> None:
    outputs = []
    for stack, strengths in (([eraser], [1.5]), ((eraser,), (1.5,)), (eraser, 1.5), (eraser, [1.5])):
        with erasers.attach(umt5.encoder, stack, strengths=strengths) as handle:
            outputs.append(umt5.encode(PROMPT))
        assert [use.strength for use in handle.uses] == [1.5]
    assert all(torch.equal(outputs[0], output) for output in outputs)


@pytest.mark.parametrize(
    ("stack", "message"),
    [
        ("parachute", r"not str; erasers.load\(directory\) gives one"),
        ([Path("parachute")], r"not Posix\w*; erasers.load"),
        (None, "an eraser, or a list of erasers, not NoneType"),
        ([None], "not NoneType"),
        ([], "no erasers given"),
    ],
)
def test_what_is_no_eraser_is_refused(umt5: Text, stack: Any, message: str) -> None:
    with pytest.raises(StackError, match=message), erasers.attach(umt5.encoder, stack):
        pass


def test_one_number_is_no_strength_of_two(umt5: Text, eraser: Eraser) -> None:
    refused = pytest.raises(StackError, match="1 strengths for 2 erasers")
    with refused, erasers.attach(umt5.encoder, [eraser, eraser], strengths=1.0):
        pass


def test_what_is_no_text_encoder_is_refused(umt5: Text, eraser: Eraser) -> None:
    both = pipeline(umt5, text_encoder_2=make_text("clip").encoder)
    for given, message in (
        (both, "has 2 text encoders, text_encoder, text_encoder_2; pass the one that the erasers were trained on"),
        (pipeline(umt5._replace(encoder=None)), "got SimpleNamespace, with no text encoder loaded"),
        (umt5.tokenizer, "got PreTrainedTokenizerFast|got TokenizersBackend"),
        ("google/umt5-xxl", "got str, which has none"),
        (None, "got NoneType"),
    ):
        with pytest.raises(EncoderError, match=message), erasers.attach(given, eraser):
            pass
        with pytest.raises(EncoderError, match=message):
            erasers.train(given, umt5.tokenizer, PAIRS)
    known = eraser.config.encoder.fingerprint
    no_blocks = pytest.raises(HookTargetMissing, match="Linear has no blocks")
    with no_blocks, erasers.attach(nn.Linear(2, 2), eraser, fingerprint=known):
        pass


def test_modules_that_run_without_hooks_are_refused_by_name(umt5: Text, eraser: Eraser) -> None:
    known = eraser.config.encoder.fingerprint
    with pytest.warns(DeprecationWarning, match="torch.jit"):
        traced = torch.jit.trace(nn.Linear(2, 2), torch.ones(1, 2))
    exported = torch.export.export(nn.Linear(2, 2), (torch.ones(1, 2),))
    for given, message in (
        (traced, "a scripted module"),
        (exported.module(), "an exported module"),
        (exported, "got ExportedProgram"),
        (nn.DataParallel(umt5.encoder), "DataParallel runs copies of the encoder"),
    ):
        with pytest.raises(EncoderError, match=message), erasers.attach(given, eraser, fingerprint=known):
            pass


@pytest.mark.filterwarnings("ignore")
def test_a_quantised_encoder_is_erased_where_its_fingerprint_is_given(umt5: Text, trained: Any) -> None:
    """Its blocks are what they were, and hooks on them run; its packed weights say nothing of where they came from."""
    quantised = torch.ao.quantization.quantize_dynamic(make_text("umt5").encoder, {nn.Linear}, dtype=torch.qint8)
    text, eraser = Text(quantised, umt5.tokenizer), trained("umt5")
    with pytest.raises(EncoderError, match="give the fingerprint of the encoder"), erasers.attach(quantised, eraser):
        pass
    known = eraser.config.encoder.fingerprint
    before = text.encode(PROMPT)
    with erasers.attach(quantised, eraser, fingerprint=known) as handle:
        assert (text.encode(PROMPT) - before).norm() > 1
    handle.require(rows=1)
    no_projection = pytest.raises(HookTargetMissing, match="have no linear module")
    with no_projection, erasers.attach(quantised, trained("umt5", "hirm"), fingerprint=known):
        pass


def test_a_tokenizer_is_asked_for_where_one_is_needed(umt5: Text, eraser: Eraser) -> None:
    for tokenizer, message in ((None, "a tokenizer is needed"), (PAIRS, "got Pairs"), ("umt5", "got str")):
        for call in (
            lambda tokenizer: erasers.train(umt5.encoder, tokenizer, PAIRS),
            lambda tokenizer: erasers.from_names(umt5.encoder, tokenizer, PARACHUTE),
            lambda tokenizer: erasers.evaluate_embeddings(umt5.encoder, tokenizer, eraser, PAIRS),
            lambda tokenizer: erasers.fingerprint(umt5.encoder, tokenizer),
        ):
            with pytest.raises(EncoderError, match=message):
                call(tokenizer)
    with pytest.raises(EncoderError, match="got Pairs"), erasers.attach(umt5.encoder, eraser, PAIRS):
        pass


def test_pairs_print_in_a_line() -> None:
    pairs = erasers.pairs.templates(PARACHUTE, 300, 1)
    assert len(repr(pairs)) < 220
    assert repr(pairs).startswith("Pairs('parachute', 300 pairs, the first is ")
    assert "\n" not in repr(pairs)


class _Stderr:
    """Standard error that is, or is not, a terminal."""

    encoding = "utf-8"

    def __init__(self, terminal: bool) -> None:
        self._terminal, self.text = terminal, ""

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        self.text += text
        return len(text)

    def flush(self) -> None:
        pass


def test_training_shows_bars_in_a_terminal_and_nowhere_else(umt5: Text, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []

    def tell(stage: str, step: int, total: int, info: dict[str, Any]) -> None:
        said.append(stage)

    for terminal, progress, shown in ((True, None, True), (False, None, False), (True, tell, False)):
        stderr = _Stderr(terminal)
        monkeypatch.setattr("sys.stderr", stderr)
        erasers.train(*umt5, PAIRS, method="steering", config=QUICK, progress=progress)
        monkeypatch.undo()
        for stage in ("encode", "calibrate", "evaluate"):
            assert (stage in stderr.text) == shown, (terminal, progress, stderr.text)
    assert set(said) >= {"encode", "calibrate", "evaluate"}
