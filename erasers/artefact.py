"""The artefact: a directory with `eraser.safetensors` and `config.json`. Standard library only.

What a gateway needs to accept an eraser without torch: its digest, its config checked key by key, and the header of its
tensors checked against the file's size, the method's layout and the encoder's width. The values are checked where they are
loaded (`erasers.load`, `erasers.value_checks`) and before first use (`erasers.edit_checks`).
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import struct
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from erasers import strict_json
from erasers.errors import ArtefactInvalid, DigestMismatch
from erasers.layouts import MAX_MAGNITUDE, check_shapes
from erasers.regular_file import NotRegularFile, open_regular
from erasers.shown import short, short_list

FORMAT_VERSION = 2
"""1 bound an eraser to the dtype that its encoder was loaded in."""
CONFIG_FILE, TENSORS_FILE = "config.json", "eraser.safetensors"
MAX_CONFIG_BYTES = 4 * 2**20
MAX_HEADER_BYTES = 2**20
MAX_STRENGTH = 100.0
MAX_LAYERS, MAX_D_MODEL = 4096, 2**16
MAX_NAMES = 1000
"""Synonyms, and neighbours to keep."""
_MAX_TENSORS, _MAX_DIMENSIONS, _MAX_SIZE = 64, 8, 2**40
_BYTES_PER_ELEMENT = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
_HEX64 = re.compile(r"[0-9a-f]{64}")
_CHUNK_BYTES = 2**20

Json = dict[str, Any]


@dataclass(frozen=True)
class EncoderIdentity:
    """The text encoder that an eraser belongs to. `fingerprint` covers architecture, weights and tokenizer, not the dtype."""

    fingerprint: str
    weights_sha256: str
    class_name: str
    layers: int
    d_model: int


@dataclass(frozen=True)
class Gate:
    """Act on a prompt only where its concept score reaches `threshold`, which `false_positive_rate` of the negatives do."""

    threshold: float
    false_positive_rate: float


@dataclass(frozen=True)
class Presence:
    """Reads how strongly the concept is present in a prompt's embeddings, as the encoder returns them (`erasers.presence`).

    The score of a token e is w·e + bias, with w the tensor `presence`; the score of a prompt is the largest of its tokens.
    0 is the mean of prompts without the concept, 1 that of prompts with it.
    """

    bias: float
    absent_below: float
    """A prompt that scores at most this does not contain the concept."""


@dataclass(frozen=True)
class ArtefactConfig:
    """`config.json`, key by key. The reports (mask … evaluation) are JSON of the method's own; the rest is checked."""

    format_version: int
    method: str
    concept: str
    synonyms: tuple[str, ...]
    keep: tuple[str, ...]
    description: str
    encoder: EncoderIdentity
    layer: int
    """0-based encoder block at which it acts; the last for what acts behind the encoder, or not in it."""
    strength: float
    """γ"""
    minimum_strength: float | None
    """The smallest γ that calibration measured to erase the concept, at most `strength`; None where it measured none."""
    presence: Presence | None
    """None where the eraser does not change the embeddings, or where the concept cannot be read from them."""
    gate: Gate | None
    parameters: Json
    """What the method needs beside its tensors to serve (an activation's name, say)."""
    recipe: Json
    """The method's config that this was trained with."""
    data: Json
    """Digest and counts of the pairs and keep prompts."""
    seed: int
    mask: Json = field(default_factory=dict)
    search: Json = field(default_factory=dict)
    calibration: Json = field(default_factory=dict)
    compact: Json = field(default_factory=dict)
    evaluation: Json = field(default_factory=dict)

    def to_bytes(self) -> bytes:
        """Canonical JSON: the same config is always the same bytes."""
        return (json.dumps(asdict(self), indent=1, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n").encode()

    @classmethod
    def from_bytes(cls, content: bytes) -> ArtefactConfig:
        if len(content) > MAX_CONFIG_BYTES:
            raise ArtefactInvalid(f"{CONFIG_FILE} has {len(content)} bytes; at most {MAX_CONFIG_BYTES} are read")
        try:
            raw = strict_json.loads(content)
        except ValueError as error:
            raise ArtefactInvalid(f"{CONFIG_FILE} is not JSON: {error}") from error
        _check_keys(raw, cls, CONFIG_FILE)
        if raw["format_version"] == 1:
            raise ArtefactInvalid(
                f"{CONFIG_FILE}: 'format_version' is 1, whose fingerprint depends on the dtype that the encoder was loaded in; "
                f"this version reads {FORMAT_VERSION}: train the eraser again"
            )
        for key, (kind, condition, must) in _FIELDS.items():
            if not _is(raw[key], kind) or not condition(raw[key]):
                raise ArtefactInvalid(f"{CONFIG_FILE}: {key!r} must be {must}, got {short(raw[key])}")
        encoder = _record(raw["encoder"], EncoderIdentity, "encoder")
        gate = None if raw["gate"] is None else _record(raw["gate"], Gate, "gate")
        presence = None if raw["presence"] is None else _record(raw["presence"], Presence, "presence")
        minimum = None if raw["minimum_strength"] is None else float(raw["minimum_strength"])
        if raw["layer"] >= encoder.layers:
            raise ArtefactInvalid(f"{CONFIG_FILE}: layer {raw['layer']} of an encoder with {encoder.layers} layers")
        if minimum is not None and minimum > raw["strength"]:
            raise ArtefactInvalid(f"{CONFIG_FILE}: minimum_strength {minimum:g} is above the strength, {raw['strength']:g}")
        names = {"synonyms": tuple(raw["synonyms"]), "keep": tuple(raw["keep"])}
        records = {"encoder": encoder, "gate": gate, "presence": presence}
        return cls(**(raw | names | records | {"strength": float(raw["strength"]), "minimum_strength": minimum}))


class TensorHeader(NamedTuple):
    dtype: str
    shape: tuple[int, ...]


def digest(directory: str | Path) -> str:
    """sha256 over `config.json`, then `eraser.safetensors`, each prefixed by its length as 8 big-endian bytes."""
    total = hashlib.sha256()
    for name in (CONFIG_FILE, TENSORS_FILE):
        with _opened(Path(directory) / name) as file:
            total.update(struct.pack(">Q", _size(file)))
            while chunk := file.read(_CHUNK_BYTES):
                total.update(chunk)
    return total.hexdigest()


def digest_of(config: bytes, tensors: bytes) -> str:
    """The digest of an artefact that is still in memory."""
    return hashlib.sha256(b"".join(struct.pack(">Q", len(part)) + part for part in (config, tensors))).hexdigest()


def check_digest(directory: str | Path, expected: str) -> None:
    if (found := digest(directory)) != expected:
        raise DigestMismatch(f"{directory} has digest {found}, not {expected}; fetch the artefact again")


def read(directory: str | Path, expected_digest: str | None = None) -> ArtefactConfig:
    """The checked config of an artefact whose tensor file is whole. The digest is compared before anything is parsed."""
    if expected_digest is not None:
        check_digest(directory, expected_digest)
    config = ArtefactConfig.from_bytes(read_bytes(directory, CONFIG_FILE))
    shapes = {name: header.shape for name, header in tensor_headers(directory).items()}
    check_config_shapes(config, shapes)
    return config


def check_config_shapes(config: ArtefactConfig, shapes: Mapping[str, tuple[int, ...]]) -> None:
    """`erasers.layouts.check_shapes` for what the config says."""
    has_presence = config.presence is not None
    check_shapes(config.method, config.parameters, d_model=config.encoder.d_model, presence=has_presence, shapes=shapes)


def read_bytes(directory: str | Path, name: str) -> bytes:
    with _opened(Path(directory) / name) as file:
        return file.read()


def tensor_headers(directory: str | Path) -> dict[str, TensorHeader]:
    """`parse_headers` of an artefact's tensor file, without reading its tensors."""
    with _opened(Path(directory) / TENSORS_FILE) as file:
        return parse_headers(file.read(8 + MAX_HEADER_BYTES), _size(file))


def parse_headers(start: bytes, size: int) -> dict[str, TensorHeader]:
    """Names, dtypes and shapes, checked: floating point, no gap, no overlap, and exactly as long as the file.

    `start` holds the whole header at least; `size` is the file's, in bytes.
    """
    length = int.from_bytes(start[:8], "little")
    if size < 8 or length > min(MAX_HEADER_BYTES, size - 8):
        raise ArtefactInvalid(f"{TENSORS_FILE} is not a safetensors file: its header would have {length} bytes")
    try:
        raw = strict_json.loads(start[8 : 8 + length])
    except ValueError as error:
        raise ArtefactInvalid(f"the header of {TENSORS_FILE} is not JSON: {error}") from error
    if not isinstance(raw, dict):
        raise ArtefactInvalid(f"the header of {TENSORS_FILE} must be an object, got {short(raw)}")
    metadata = raw.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ArtefactInvalid(f"__metadata__ of {TENSORS_FILE} must be an object of strings, got {short(metadata)}")
    if len(raw) > _MAX_TENSORS:
        raise ArtefactInvalid(f"{TENSORS_FILE} has {len(raw)} tensors; no eraser has more than {_MAX_TENSORS}")
    headers, spans = {}, []
    for name, entry in raw.items():
        headers[name], span = _header(name, entry)
        spans.append(span)
    end = 0
    for start_byte, stop_byte in sorted(spans):
        if start_byte != end:
            raise ArtefactInvalid(f"{TENSORS_FILE}: tensors overlap or leave a gap at byte {end}")
        end = stop_byte
    if 8 + length + end != size:
        raise ArtefactInvalid(f"{TENSORS_FILE} has {size} bytes where its header says {8 + length + end}")
    return headers


def _header(name: str, entry: Any) -> tuple[TensorHeader, tuple[int, int]]:
    match entry:
        case {"dtype": str(dtype), "shape": [*shape], "data_offsets": [int(start), int(stop)]} if (
            len(entry) == 3
            and dtype in _BYTES_PER_ELEMENT
            and len(shape) <= _MAX_DIMENSIONS
            and all(_is(size, int) and 0 <= size <= _MAX_SIZE for size in shape)
        ):
            if 0 <= start <= stop < 2**63 and stop - start == math.prod(shape) * _BYTES_PER_ELEMENT[dtype]:
                return TensorHeader(dtype, tuple(shape)), (start, stop)
    raise ArtefactInvalid(f"{TENSORS_FILE}: the entry of tensor {short(name)} is invalid: {short(entry)}")


def _opened(path: Path) -> BinaryIO:
    """Links are followed: caches of downloads are made of them."""
    try:
        return open_regular(path)
    except NotRegularFile as other:
        raise ArtefactInvalid(str(other)) from other
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise ArtefactInvalid(
            f"{path} does not exist; an artefact is a directory with {CONFIG_FILE} and {TENSORS_FILE}"
        ) from None


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size


def _record(raw: Any, kind: type[Any], where: str) -> Any:
    _check_keys(raw, kind, f"{CONFIG_FILE}: {where!r}")
    for key, (wanted, condition, must) in _RECORD_FIELDS[kind].items():
        if not _is(raw[key], wanted) or not condition(raw[key]):
            raise ArtefactInvalid(f"{CONFIG_FILE}: '{where}.{key}' must be {must}, got {short(raw[key])}")
    return kind(**raw)


def _check_keys(raw: Any, kind: type[Any], where: str) -> None:
    if not isinstance(raw, dict):
        raise ArtefactInvalid(f"{where} must be an object, got {short(raw)}")
    wanted = {entry.name for entry in fields(kind)}
    if unknown := sorted(set(raw) - wanted):
        raise ArtefactInvalid(f"{where} has unknown keys {short_list(map(repr, unknown))}; written by a newer version?")
    if missing := sorted(wanted - set(raw)):
        raise ArtefactInvalid(f"{where} lacks {short_list(map(repr, missing))}")


def _is(value: Any, kind: type[Any] | tuple[type[Any], ...]) -> bool:
    return isinstance(value, kind) and not (isinstance(value, bool) and kind is not bool)


def _finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer that no float holds
        return False


def _is_hex64(value: str) -> bool:
    return _HEX64.fullmatch(value) is not None


def _strings(value: list[Any]) -> bool:
    return len(value) <= MAX_NAMES and all(isinstance(item, str) for item in value)


def _within(least: float, most: float) -> Callable[[Any], bool]:
    return lambda value: _finite(value) and least <= value <= most


def _always(value: Any) -> bool:
    return True


_NUMBER = (int, float)
_OBJECT = (dict, _always, "an object")
_NAMES = (list, _strings, f"a list of {MAX_NAMES} strings at most")
_FIELDS: dict[str, tuple[Any, Any, str]] = {
    "format_version": (int, lambda v: v == FORMAT_VERSION, f"{FORMAT_VERSION} (the only format this version reads)"),
    "method": (str, lambda v: re.fullmatch(r"[a-z][a-z0-9_]*", v) is not None, "the name of a method"),
    "concept": (str, lambda v: bool(v.strip()), "a name"),
    "synonyms": _NAMES,
    "keep": _NAMES,
    "description": (str, _always, "a string"),
    "encoder": _OBJECT,
    "layer": (int, lambda v: v >= 0, "a block index, 0 or more"),
    "strength": (_NUMBER, _within(0, MAX_STRENGTH), f"a finite number from 0 to {MAX_STRENGTH:g}"),
    "minimum_strength": (
        (*_NUMBER, type(None)),
        lambda v: v is None or (_within(0, MAX_STRENGTH)(v) and v > 0),
        "a number above 0, or null",
    ),
    "presence": ((dict, type(None)), _always, "an object or null"),
    "gate": ((dict, type(None)), _always, "an object or null"),
    "parameters": _OBJECT,
    "recipe": _OBJECT,
    "data": _OBJECT,
    "seed": (int, _within(-(2**63), 2**63 - 1), "an integer of 64 bits"),
    "mask": _OBJECT,
    "search": _OBJECT,
    "calibration": _OBJECT,
    "compact": _OBJECT,
    "evaluation": _OBJECT,
}
_RECORD_FIELDS: dict[type[Any], dict[str, tuple[Any, Any, str]]] = {
    EncoderIdentity: {
        "fingerprint": (str, _is_hex64, "64 hexadecimal digits"),
        "weights_sha256": (str, _is_hex64, "64 hexadecimal digits"),
        "class_name": (str, _always, "a string"),
        "layers": (int, _within(1, MAX_LAYERS), f"a count, at most {MAX_LAYERS}"),
        "d_model": (int, _within(1, MAX_D_MODEL), f"a width, at most {MAX_D_MODEL}"),
    },
    Presence: {
        "bias": (_NUMBER, _within(-MAX_MAGNITUDE, MAX_MAGNITUDE), f"a finite number, at most {MAX_MAGNITUDE:g}"),
        "absent_below": (_NUMBER, lambda v: _within(-MAX_MAGNITUDE, 1)(v) and v < 1, "a finite number below 1"),
    },
    Gate: {
        "threshold": (_NUMBER, _within(-MAX_MAGNITUDE, MAX_MAGNITUDE), f"a finite number, at most {MAX_MAGNITUDE:g}"),
        "false_positive_rate": (_NUMBER, lambda v: 0 < v < 1, "between 0 and 1"),
    },
}
