"""Erasers from one installation to another, over HTTP: what was made is what arrives, and all else is refused."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from erasers import artefact
from service.erasers.archive import pack
from service.errors import ErrorCode
from service.settings import Settings
from tests.service.calls import code, generate, wait_until
from tests.service.conftest import Valkey, serving, settings_in, sqlite_in
from tests.service.hand import CARD, FINGERPRINT, PASSING, Hand, add_eraser, gateway_of
from tests.service.test_audit import entries
from tests.service.test_errors import check
from tests.service.test_seed import ship

BOMB = "[" * 500 + "]" * 500


def made(directory: Path, concept: str = "cat", **changes: Any) -> Path:
    """An artefact as `erasers` writes it."""
    ship(directory, concept)
    config = replace(artefact.read(directory), **{"evaluation": PASSING, **changes})
    (directory / "config.json").write_bytes(config.to_bytes())
    return directory


def packed(directory: Path) -> bytes:
    return b"".join(pack(directory, artefact.digest(directory)))


def send(client: TestClient, archive: bytes, **query: str) -> dict[str, Any]:
    response = client.post("/erasers/import", content=archive, params=query)
    assert response.status_code in (200, 201), response.text
    body: dict[str, Any] = response.json()
    assert response.headers["location"] == body["links"]["self"]
    return body


def measured_here(client: TestClient, hand: Hand, version: dict[str, Any], evaluation: dict[str, Any] | None = None) -> None:
    """The evaluation that the import started ends with these numbers."""
    hand.finish_evaluation(hand.take_evaluation(), evaluation)
    wait_until(lambda: client.get(version["links"]["self"]).json()["evaluation"] is not None)


@pytest.fixture
def elsewhere(tmp_path: Path, valkey: Valkey, migrated: Path) -> Iterator[TestClient]:
    """Another installation, with the same model."""
    directory = tmp_path / "elsewhere"
    directory.mkdir()
    with serving(settings_in(directory, f"{valkey.url}?db=2", sqlite_in(directory, migrated))) as opened:
        yield opened


@pytest.mark.both_databases
def test_from_one_installation_to_another(client: TestClient, elsewhere: TestClient, hand: Hand, tmp_path: Path) -> None:
    there = send(elsewhere, packed(made(tmp_path / "cat", "Cat")))
    exported = elsewhere.get(there["links"]["artifact"])
    assert exported.headers["content-type"] == "application/x-tar"
    assert int(exported.headers["content-length"]) == len(exported.content)
    assert exported.headers["etag"] == f'"{there["digest"]}"'

    add_eraser(client, "cat")  # versions are each installation's own
    here = send(client, exported.content, digest=there["digest"])
    assert (here["concept"], here["version"], here["status"]) == ("cat", 2, "candidate")
    own = ("version", "created_at", "links", "evaluation_job")
    assert {**here, **{name: there[name] for name in own}} == there
    assert (here["evaluation"], here["claimed_evaluation"]) == (None, PASSING)
    assert client.get(here["links"]["artifact"]).content == exported.content
    (entry,) = entries(client, action="eraser.imported")
    assert (entry["subject"], entry["details"]["digest"], entry["details"]["model"]) == ("cat@2", here["digest"], "toy")
    assert entry["actor"] is not None

    measured_here(client, hand, here)
    assert client.post("/erasers/cat/2/activate").json()["status"] == "active"
    assert generate(client, erase=["cat"])["erase"][0]["digest"] == here["digest"]


@pytest.mark.both_databases
def test_the_same_again_is_the_version_that_it_is(client: TestClient, hand: Hand, tmp_path: Path) -> None:
    archive = packed(made(tmp_path / "cat"))
    first = client.post("/erasers/import", content=archive)
    measured_here(client, hand, first.json())
    assert client.post("/erasers/cat/1/activate").is_success
    again = client.post("/erasers/import", content=archive)
    assert (first.status_code, again.status_code) == (201, 200)
    assert (again.json()["version"], again.json()["status"]) == (1, "active")
    assert len(entries(client, action="eraser.imported")) == 1
    other = send(client, packed(made(tmp_path / "other", strength=3.0)))
    assert (other["version"], other["status"], other["strength"]) == (2, "candidate", 3.0)


@pytest.mark.both_databases
def test_what_an_imported_artifact_claims_does_not_pass_the_gate(client: TestClient, hand: Hand, tmp_path: Path) -> None:
    imported = send(client, packed(made(tmp_path / "cat")))
    report = client.get(imported["links"]["report"]).json()
    assert (report["evaluation"], report["claimed_evaluation"]) == (None, PASSING)
    assert report["gate"]["passed"] is False
    assert "not evaluated yet" in report["gate"]["reasons"][0]
    for body in (None, {"override": True, "reason": "a test"}):  # nothing of it was looked at yet
        assert code(client.post("/erasers/cat/1/activate", json=body)) == "not_evaluated"
    measured_here(client, hand, imported, {**PASSING, "erased_rate": 0.9})
    assert code(client.post("/erasers/cat/1/activate")) == "gate_not_passed"
    assert client.post("/erasers/cat/1/activate", json={"override": True, "reason": "a test"}).is_success


def test_an_evaluation_is_told_nothing_that_the_sender_says(client: TestClient, hand: Hand, tmp_path: Path) -> None:
    said = {"synonyms": ("balloon",), "keep": ("zebra",), "description": "harmless", "seed": 9}
    send(client, packed(made(tmp_path / "cat", **said)))
    task = hand.take_evaluation()
    assert (task.concept, task.digest) == ("cat", artefact.digest(tmp_path / "cat"))
    assert (task.synonyms, task.keep, task.description, task.seed, task.pairs) == ((), (), "", 0, None)
    assert [pin.concept for pin in task.active] == ["parachute", "church"]


def test_an_import_whose_artifact_is_no_eraser_fails(client: TestClient, hand: Hand, tmp_path: Path) -> None:
    imported = send(client, packed(made(tmp_path / "cat")))
    hand.fail("evaluate", hand.take_evaluation(), "eraser_corrupt")
    failed = wait_until(lambda: (now := client.get(imported["links"]["self"]).json())["status"] == "failed" and now)
    assert failed["evaluation_job"]["error"]["code"] == "eraser_corrupt"
    assert code(client.post("/erasers/cat/1/activate", json={"override": True, "reason": "a test"})) == "invalid_state"


def test_strength_0_is_no_eraser(client: TestClient, tmp_path: Path) -> None:
    check(client.post("/erasers/import", content=packed(made(tmp_path / "cat", strength=0.0))), "invalid_eraser")


def test_a_shipped_one_is_known_by_its_digest(client: TestClient, tmp_path: Path) -> None:
    gateway = gateway_of(client)
    from service.erasers.seed import take_in

    directory = made(tmp_path / "cat")
    with gateway.database.exclusive() as session:
        take_in(session, gateway.store, directory, model="toy")
    assert send(client, packed(directory))["status"] == "active"


def test_importing_again_mends_what_the_store_lost(client: TestClient, tmp_path: Path) -> None:
    archive = packed(made(tmp_path / "cat"))
    version = send(client, archive)
    key = f"erasers/{version['digest']}/eraser.safetensors"
    gateway_of(client).store.put(key, b"damaged")
    check(client.get(version["links"]["artifact"]), "artifact_unavailable")
    gateway_of(client).store.delete(key)
    check(client.get(version["links"]["artifact"]), "artifact_unavailable")
    send(client, archive)
    assert client.get(version["links"]["artifact"]).content == archive


def test_what_has_no_artefact_is_not_exported(client: TestClient) -> None:
    client.post("/erasers", json={"concept": "cat"})
    check(client.get("/erasers/cat/1/artifact"), "not_finished")
    check(client.get("/erasers/church/1/artifact"), "artifact_unavailable")  # of the tests' registry alone
    check(client.get("/erasers/church/9/artifact"), "not_found")


def raw(edit: Callable[[str], str]) -> Callable[[Path], None]:
    """Change the text of `config.json`."""

    def change(directory: Path) -> None:
        path = directory / "config.json"
        path.write_text(edit(path.read_text()))

    return change


def field(**fields: Any) -> Callable[[Path], None]:
    return raw(lambda text: json.dumps({**json.loads(text), **fields}))


def encoder(**fields: Any) -> Callable[[Path], None]:
    return raw(lambda text: json.dumps({**json.loads(text), "encoder": {**json.loads(text)["encoder"], **fields}}))


def measured(number: str) -> Callable[[Path], None]:
    return raw(lambda text: text.replace('"origin_rate": 0.95', f'"origin_rate": {number}'))


def tensors(content: bytes) -> Callable[[Path], None]:
    return lambda directory: (directory / "eraser.safetensors").write_bytes(content) and None


def endless_tensor() -> bytes:
    """Consistent with itself, and so long that Python does not print its size."""
    bytes_ = 10**4300 - 4
    header = json.dumps({"v": {"dtype": "F32", "shape": [bytes_ // 4], "data_offsets": [0, bytes_]}}).encode()
    return len(header).to_bytes(8, "little") + header


FOREIGN: dict[str, tuple[ErrorCode, Callable[[Path], None], str]] = {
    "another encoder": ("eraser_wrong_encoder", encoder(fingerprint="e" * 64), "eeeeeeeeeeee"),
    "an encoder that is not what it says": ("invalid_eraser", encoder(layers=9), "9 layers"),
    "a layer that it does not have": ("invalid_eraser", field(layer=8), "layer 8"),
    "a format of the future": ("invalid_eraser", field(format_version=99), "format_version"),
    "a key of the future": ("invalid_eraser", field(license="none"), "'license'"),
    "a method of the future": ("invalid_eraser", field(method="magic"), "'magic'"),
    "a strength that no float holds": ("invalid_eraser", field(strength=10**400), "a finite number"),
    "too strong": ("invalid_eraser", field(strength=101), "101"),
    "a width of another encoder": (
        "invalid_eraser",
        raw(lambda text: text.replace('"d_model": 192', '"d_model": 384')),
        "'direction'",
    ),
    "tensors of another method": ("invalid_eraser", field(method="hirm", parameters={}), "has tensors"),
    "a threshold that is never reached": (
        "invalid_eraser",
        field(gate={"threshold": 1e30, "false_positive_rate": 0.1}),
        "gate.threshold",
    ),
    "one name twice": ("invalid_eraser", raw(lambda text: text.replace('"seed"', '"seed": 1, "seed"')), "stands twice"),
    "no name": ("invalid_concept", field(concept="../church"), "../church"),
    "a name that hides something": ("invalid_text", field(concept="cat\u202e"), "U+202E"),
    "a report that hides something": ("invalid_text", field(evaluation={"a": [{"\u0000": 1}]}), "U+0000"),
    "half a character": ("invalid_text", field(recipe={"a": "\ud800"}), "U+D800"),
    "no number": ("invalid_eraser", measured("NaN"), "NaN"),
    "an infinite number": ("invalid_eraser", measured("1e999"), "not finite"),
    "an endless number": ("invalid_eraser", measured("9" * 400), "too large"),
    "a deep report": ("invalid_eraser", measured(BOMB), "nested deeper"),
    "a report without end": ("invalid_eraser", measured("[" * 100_000), "not JSON"),
    "no JSON": ("invalid_eraser", raw(lambda text: text[:-3]), "not JSON"),
    "a pickle for tensors": ("invalid_eraser", tensors(b"\x80\x04}\x94." + bytes(99)), "not a safetensors file"),
    "tensors beyond counting": ("invalid_eraser", tensors(endless_tensor()), "the entry of tensor 'v' is invalid"),
    "tensors longer than their file": ("invalid_eraser", tensors(b"\x02" + bytes(7) + b"{}" + b"more"), "where its header says"),
}


@pytest.mark.parametrize("which", FOREIGN)
def test_foreign_artefacts_with_a_right_digest(shared: TestClient, tmp_path: Path, which: str) -> None:
    expected, change, why = FOREIGN[which]
    change(made(tmp_path / "cat"))
    error = check(shared.post("/erasers/import", content=packed(tmp_path / "cat")), expected)
    assert why in error["message"]
    assert len(error["message"]) < 1000
    assert str(tmp_path) not in error["message"]
    assert code(shared.get("/erasers/cat")) == "not_found"
    assert not gateway_of(shared).store.exists(f"erasers/{artefact.digest(tmp_path / 'cat')}/config.json")


def test_tampered_archives(shared: TestClient, tmp_path: Path) -> None:
    archive = packed(made(tmp_path / "cat"))
    for place in (archive.index(b'"strength": 2.0') + 12, archive.rindex(b"\x80\x3f")):  # in the config, in the tensors
        tampered = bytearray(archive)
        tampered[place] ^= 1
        check(shared.post("/erasers/import", content=bytes(tampered)), "digest_mismatch")
    renamed = archive.replace(b"cat", b"dog")
    check(shared.post("/erasers/import", content=renamed), "digest_mismatch")
    other = made(tmp_path / "other", strength=3.0)  # a good archive, of something else
    response = shared.post("/erasers/import", content=packed(other), params={"digest": artefact.digest(tmp_path / "cat")})
    check(response, "digest_mismatch", "digest")
    check(shared.post("/erasers/import", content=archive[:-2000]), "invalid_archive")
    check(shared.post("/erasers/import", content=archive, params={"digest": "d"}), "invalid_request", "digest")
    assert code(shared.get("/erasers/cat")) == "not_found"


def test_an_archive_that_is_too_large(settings: Settings, tmp_path: Path) -> None:
    archive = packed(made(tmp_path / "cat"))
    with serving(settings.model_copy(update={"max_import_bytes": len(archive)})) as client:
        check(client.post("/erasers/import", content=archive + b"\0"), "payload_too_large")
        check(client.post("/erasers/import", content=iter([archive, b"\0"])), "payload_too_large")
        assert send(client, archive)["version"] == 1


def test_the_model_is_one_that_has_the_encoder(client: TestClient, tmp_path: Path) -> None:
    store = gateway_of(client).store
    for name, fingerprint in (("a", FINGERPRINT), ("b", "e" * 64)):
        card = CARD.model_copy(update={"id": name, "encoder_fingerprint": fingerprint})
        store.put(f"models/{name}.json", card.model_dump_json().encode())
    assert send(client, packed(made(tmp_path / "cat")))["model"] == "toy"  # the default one, before `a`
    directory = made(tmp_path / "dog", "dog")
    encoder(fingerprint="e" * 64)(directory)
    assert send(client, packed(directory))["model"] == "b"


def test_only_operators_export_and_import(shared: TestClient, shared_user: TestClient) -> None:
    check(shared_user.get("/erasers/church/1/artifact"), "forbidden")
    check(shared_user.post("/erasers/import", content=b"no archive"), "forbidden")
    check(TestClient(shared.app).post("/erasers/import", content=b"no archive"), "unauthorized")
