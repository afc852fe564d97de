"""Erasers that come with a model: taken in once, active where nothing was, never over an operator's choice."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from erasers import artefact
from erasers.artefact import ArtefactConfig, EncoderIdentity
from erasers.errors import ArtefactError
from service.erasers import artefacts
from service.erasers.seed import shipped_erasers, take_in, take_in_all
from tests.service.calls import generate
from tests.service.hand import FINGERPRINT, Hand, add_eraser, gateway_of


def ship(directory: Path, concept: str, *, strength: float = 2.0) -> Path:
    """An artifact as `erasers` writes it: a direction of an encoder of width 192."""
    directory.mkdir(parents=True)
    config = ArtefactConfig(
        format_version=artefact.FORMAT_VERSION, method="steering", concept=concept, synonyms=(), keep=(), description="",
        layer=4, strength=strength,
        encoder=EncoderIdentity(FINGERPRINT, weights_sha256="a" * 64, class_name="UMT5EncoderModel", layers=8, d_model=192),
        minimum_strength=min(strength, 1.5), presence=None, gate=None, parameters={"mode": "project"},
        recipe={"steps": 5}, data={}, seed=0, evaluation={"origin_rate": 0.9},
    )  # fmt: skip
    vector = {"dtype": "F32", "shape": [192]}
    header = json.dumps(
        {"direction": {**vector, "data_offsets": [0, 768]}, "mean_negative": {**vector, "data_offsets": [768, 1536]}}
    ).encode()
    (directory / "config.json").write_bytes(config.to_bytes())
    (directory / "eraser.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<384f", *[1.0] * 384))
    return directory


def test_taken_in_once_and_active(client: TestClient, hand: Hand, tmp_path: Path) -> None:
    ship(tmp_path / "shipped" / "french_horn", "French Horn")
    ship(tmp_path / "shipped" / "tench", "tench")
    gateway = gateway_of(client)
    first, again = (take_in_all(gateway.database, gateway.store, tmp_path / "shipped", model="toy") for _ in range(2))
    assert [row.id for row in first] == [row.id for row in again]
    version = client.get("/erasers/french horn/1").json()
    assert (version["status"], version["layer"], version["strength"]) == ("active", 4, 2.0)
    assert (version["evaluation"], version["config"]) == ({"origin_rate": 0.9}, {"steps": 5})
    assert version["digest"] == artefact.digest(tmp_path / "shipped" / "french_horn")
    with artefacts.fetched(hand.store, version["digest"]) as kept:
        assert artefact.digest(kept) == version["digest"]
    assert generate(client, erase=["french horn"])["erase"][0]["digest"] == version["digest"]


def test_a_newer_release_does_not_overrule_the_operator(client: TestClient, tmp_path: Path) -> None:
    """`church` has a version already, whatever its state."""
    gateway = gateway_of(client)
    assert client.post("/erasers/church/1/retire").is_success
    with gateway.database.write() as session:
        row = take_in(session, gateway.store, ship(tmp_path / "church", "church"), model="toy")
    assert (row.version, row.status) == (2, "candidate")


def test_another_encoder_is_another_matter(client: TestClient, tmp_path: Path) -> None:
    gateway = gateway_of(client)
    add_eraser(client, "tench", fingerprint="e" * 64)
    with gateway.database.write() as session:
        row = take_in(session, gateway.store, ship(tmp_path / "tench", "tench"), model="toy")
    assert (row.version, row.status) == (2, "active")


@pytest.mark.parametrize("damage", ["eraser.safetensors", "config.json"])
def test_a_damaged_one_is_left_out_and_the_others_come(client: TestClient, tmp_path: Path, damage: str) -> None:
    shipped = tmp_path / "shipped"
    broken, _ = ship(shipped / "a", "cat"), ship(shipped / "b", "tench")
    (broken / damage).write_bytes((broken / damage).read_bytes()[:-1] if damage != "config.json" else b"{}")
    gateway = gateway_of(client)
    with pytest.raises(ArtefactError), gateway.database.write() as session:
        take_in(session, gateway.store, broken, model="toy")
    assert [row.concept for row in take_in_all(gateway.database, gateway.store, shipped, model="toy")] == ["tench"]
    assert client.get("/erasers/cat").status_code == 404


def test_only_the_miniature_ships_erasers() -> None:
    assert shipped_erasers("Wan-AI/Wan2.2-TI2V-5B-Diffusers") is None
    assert shipped_erasers("../workers") is None
