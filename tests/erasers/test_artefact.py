"""The file format: what is written is read again, and nothing else is."""

from __future__ import annotations

import hashlib
import json
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import erasers
from erasers import artefact
from erasers.eraser import Eraser
from erasers.errors import ArtefactInvalid, DigestMismatch

Change = Callable[[dict[str, Any]], object]


@pytest.fixture
def saved(eraser: Eraser, tmp_path: Path) -> Path:
    return eraser.save(tmp_path / "eraser")


def rewrite_config(directory: Path, change: Change) -> None:
    path = directory / "config.json"
    config = json.loads(path.read_text())
    change(config)
    path.write_text(json.dumps(config))


def rewrite_tensors(directory: Path, change: Change) -> None:
    path = directory / "eraser.safetensors"
    tensors = safetensors.torch.load(path.read_bytes())
    change(tensors)
    path.write_bytes(safetensors.torch.save(tensors))


def test_the_digest_is_as_specified(saved: Path, eraser: Eraser) -> None:
    parts = [(saved / name).read_bytes() for name in ("config.json", "eraser.safetensors")]
    by_hand = hashlib.sha256(b"".join(struct.pack(">Q", len(part)) + part for part in parts)).hexdigest()
    assert artefact.digest(saved) == by_hand == eraser.digest


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(position=st.floats(0, 1, exclude_max=True), name=st.sampled_from(["config.json", "eraser.safetensors"]))
def test_any_tampered_byte_is_refused(saved: Path, eraser: Eraser, position: float, name: str) -> None:
    path = saved / name
    content = path.read_bytes()
    spot = int(position * len(content))
    try:
        path.write_bytes(content[:spot] + bytes([content[spot] ^ 1]) + content[spot + 1 :])
        with pytest.raises(DigestMismatch, match="fetch the artefact again"):
            erasers.load(saved, expected_digest=eraser.digest)
        with pytest.raises(DigestMismatch):
            artefact.read(saved, eraser.digest)
    finally:
        path.write_bytes(content)
    assert erasers.load(saved, eraser.digest).digest == eraser.digest


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda c: c.update(surprise=1), "unknown keys 'surprise'"),
        (lambda c: c.pop("layer"), "lacks 'layer'"),
        (lambda c: c.update(format_version=3), "'format_version' must be 2"),
        (lambda c: c.update(format_version=1), "depends on the dtype .* train the eraser again"),
        (lambda c: c.update(strength=-1), "'strength' must be a finite number from 0 to 100"),
        (lambda c: c.update(strength=1e30), "'strength' must be a finite number from 0 to 100"),
        (lambda c: c.update(strength=float("nan")), "NaN is not a JSON number"),
        (lambda c: c.update(layer=True), "'layer' must be a block index"),
        (lambda c: c.update(layer=4), "layer 4 of an encoder with 4 layers"),
        (lambda c: c.update(concept=" "), "'concept' must be a name"),
        (lambda c: c.update(synonyms=[1]), "'synonyms' must be a list of 1000 strings at most"),
        (lambda c: c.update(minimum_strength=0), "'minimum_strength' must be a number above 0, or null"),
        (lambda c: c.update(minimum_strength=c["strength"] + 1), "is above the strength"),
        (lambda c: c.update(presence={"bias": 0.0, "absent_below": 1e9}), "'presence.absent_below' must be a finite"),
        (lambda c: c.update(presence={"absent_below": 0.5}), "'presence' lacks 'bias'"),
        (lambda c: c.update(gate={"threshold": 1.0}), "'gate' lacks 'false_positive_rate'"),
        (lambda c: c.update(gate={"threshold": 1.0, "false_positive_rate": 1.5}), "between 0 and 1"),
        (lambda c: c["encoder"].update(fingerprint="abc"), "'encoder.fingerprint' must be 64 hexadecimal digits"),
        (lambda c: c["encoder"].update(extra=1), "unknown keys 'extra'"),
        (lambda c: c["encoder"].update(d_model=2**60), "'encoder.d_model' must be a width, at most"),
        (lambda c: c["encoder"].update(layers=2**60), "'encoder.layers' must be a count, at most"),
        (lambda c: c.update(gate={"threshold": 1e30, "false_positive_rate": 0.1}), "'gate.threshold' must be a finite number"),
        (lambda c: c.update(synonyms=["a"] * 1001), "'synonyms' must be a list of 1000 strings at most"),
        (lambda c: c.update(seed=2**70), "'seed' must be an integer of 64 bits"),
        (lambda c: c.update(method="magic"), "no method 'magic'"),
        (lambda c: c.update(presence={"bias": 0.0, "absent_below": 0.5}), "has tensors W_dec, W_enc, .*, presence, "),
        (lambda c: c.update(parameters={"activation": "gelu"}), "'relu' or 'jumprelu'"),
        (lambda c: c["encoder"].update(d_model=64), "'W_enc' must be \\(d_model, d_sae\\)"),
    ],
)
def test_a_config_that_is_not_one_is_refused(saved: Path, change: Change, message: str) -> None:
    rewrite_config(saved, change)
    for read in (erasers.load, artefact.read):
        with pytest.raises(ArtefactInvalid, match=message):
            read(saved)


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (lambda text: text.replace(b'"seed"', b'"seed": 1, "seed"', 1), "the name 'seed' stands twice"),
        (lambda text: text.decode().encode("utf-16"), "not UTF-8"),
        (lambda text: text.decode().encode("utf-32"), "not UTF-8"),
        (lambda text: text.decode().encode("utf-16-le"), "is not JSON"),
        (lambda text: b"\xef\xbb\xbf" + text, "is not JSON"),
        (lambda text: text.replace(b'"description": ""', b'"description": "' + b"[" * 9 + b'"'), None),
    ],
)
def test_json_that_parsers_read_differently_is_refused(
    saved: Path, rewrite: Callable[[bytes], bytes], message: str | None
) -> None:
    path = saved / "config.json"
    content = path.read_bytes()
    path.write_bytes(rewrite(content))
    assert path.read_bytes() != content
    for read in (erasers.load, artefact.read):
        if message is None:
            read(saved)
        else:
            with pytest.raises(ArtefactInvalid, match=message):
                read(saved)


def header_of(directory: Path) -> tuple[bytes, bytes]:
    """The header of the tensor file, and what follows it."""
    content = (directory / "eraser.safetensors").read_bytes()
    end = 8 + int.from_bytes(content[:8], "little")
    return content[8:end], content[end:]


def write_header(directory: Path, header: bytes, rest: bytes) -> None:
    (directory / "eraser.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + rest)


@pytest.mark.parametrize(
    ("rewrite", "message"),
    [
        (lambda text: text.replace(b'{"', b'{"__metadata__":{"a":1},"', 1), "__metadata__ of .* must be an object of strings"),
        (lambda text: text.replace(b'{"', b'{"__metadata__":[],"', 1), "__metadata__ of .* must be an object of strings"),
        (lambda text: text.replace(b'{"', b'{"__metadata__":{"a":"b"},"', 1), None),
        (lambda text: text.rstrip().replace(b"{", b'{"b_dec":0,', 1), "the name 'b_dec' stands twice"),
        (lambda text: text.decode().encode("utf-16"), "not UTF-8"),
    ],
)
def test_headers_that_parsers_read_differently_are_refused(
    saved: Path, rewrite: Callable[[bytes], bytes], message: str | None
) -> None:
    header, rest = header_of(saved)
    write_header(saved, rewrite(header), rest)
    for read in (erasers.load, artefact.read):
        if message is None:
            read(saved)
        else:
            with pytest.raises(ArtefactInvalid, match=message):
                read(saved)


def test_a_shape_of_many_integers_is_refused_before_it_is_multiplied(saved: Path) -> None:
    shape = [9] * 450_000
    header = json.dumps({"v": {"dtype": "F32", "shape": shape, "data_offsets": [0, 4]}}, separators=(",", ":")).encode()
    assert len(header) < artefact.MAX_HEADER_BYTES
    write_header(saved, header, bytes(4))
    started = time.process_time()
    with pytest.raises(ArtefactInvalid, match="entry of tensor 'v' is invalid") as refused:
        artefact.read(saved)
    assert time.process_time() - started < 1
    assert len(str(refused.value)) < 300


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("m_spec"), "has tensors W_dec, W_enc, b_dec, b_enc, m_spec, not"),
        (lambda t: t.update(more=torch.zeros(1)), "not W_dec, W_enc, b_dec, b_enc, m_spec, more"),
        (lambda t: t.update(b_enc=t["b_enc"][:-1].clone()), "tensor 'b_enc' must be"),
        (lambda t: t.update(W_dec=t["W_dec"].T.contiguous()), "tensor 'W_dec' must be"),
        (lambda t: t["W_dec"].view(-1)[:1].fill_(float("nan")), "'W_dec' holds values that are not finite"),
        (lambda t: t["b_enc"][:1].fill_(float("inf")), "'b_enc' holds values that are not finite"),
        (lambda t: t.update(m_spec=t["m_spec"].to(torch.int64)), "entry of tensor 'm_spec' is invalid"),
        (lambda t: t["W_dec"].view(-1)[:1].fill_(1e30), "'W_dec' holds 1e\\+30"),
        (lambda t: t["W_dec"].mul_(3), "'W_dec' of a clear eraser must have rows of norm 1"),
        (lambda t: t["m_spec"][:1].fill_(-1), "'m_spec' of a clear eraser must lie within \\[0, 1\\]"),
        (lambda t: t["m_spec"][:1].fill_(1.5), "'m_spec' of a clear eraser must lie within \\[0, 1\\]"),
    ],
)
def test_tensors_that_do_not_fit_are_refused(saved: Path, change: Change, message: str) -> None:
    rewrite_tensors(saved, change)
    with pytest.raises(ArtefactInvalid, match=message):
        erasers.load(saved)


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff" * 64, b"\x02\0\0\0\0\0\0\0[]", b"\x02\0\0\0\0\0\0\0{}tail", struct.pack("<Q", 2**62) + b"{}"],
)
def test_a_tensor_file_that_is_none_is_refused_without_torch(saved: Path, content: bytes) -> None:
    (saved / "eraser.safetensors").write_bytes(content)
    with pytest.raises(ArtefactInvalid, match=r"eraser\.safetensors"):
        artefact.read(saved)


def test_a_truncated_or_overlapping_tensor_file_is_refused(saved: Path) -> None:
    path = saved / "eraser.safetensors"
    content = path.read_bytes()
    path.write_bytes(content[:-4])
    with pytest.raises(ArtefactInvalid, match="where its header says"):
        artefact.tensor_headers(saved)
    header = {name: {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} for name in "ab"}
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))
    with pytest.raises(ArtefactInvalid, match="overlap or leave a gap"):
        artefact.tensor_headers(saved)


def test_headers_say_what_the_tensors_are(saved: Path, eraser: Eraser) -> None:
    headers = artefact.tensor_headers(saved)
    assert {name: header.shape for name, header in headers.items()} == {
        name: tuple(tensor.shape) for name, tensor in eraser.tensors.items()
    }


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ArtefactInvalid, match=r"config\.json does not exist"):
        erasers.load(tmp_path)


def test_a_config_with_a_gate_survives(eraser: Eraser) -> None:
    config = replace(eraser.config, gate=artefact.Gate(1.5, 0.01))
    assert artefact.ArtefactConfig.from_bytes(config.to_bytes()) == config


def test_the_gateways_half_imports_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None; sys.modules['safetensors'] = None; sys.modules['transformers'] = None\n"
        "import erasers, erasers.artefact, erasers.pairs, erasers.concepts, erasers.options\n"
        "print(erasers.Concept('cat').name, len(erasers.pairs.templates(erasers.Concept('cat'), 5, 0)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "cat 5\n"


def test_every_public_name_can_be_imported() -> None:
    assert all(getattr(erasers, name) is not None for name in erasers.__all__)
    assert set(dir(erasers)) == set(erasers.__all__)
    with pytest.raises(AttributeError, match="no attribute 'trian'"):
        erasers.trian  # noqa: B018
