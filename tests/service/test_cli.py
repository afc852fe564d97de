"""The operators' commands against a running gateway: what they print, and how they exit."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from erasers import artefact
from service.cli import main
from service.client import Client, ContentMismatch
from service.settings import Settings
from service.store import erasers
from service.store.database import Database
from tests.service.calls import wait_until
from tests.service.hand import CARD, FINGERPRINT, PASSING, VIDEO, Hand, insert_eraser
from tests.service.test_import import made, packed
from tests.service.test_server import gateway_process
from workers.contract import video_key
from workers.store.artifacts import ArtifactStore

Clearway = Callable[..., tuple[int, str, str]]


@pytest.fixture
def clearway(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Clearway]:
    """A command as an operator: exit code, output, errors."""
    with gateway_process(settings) as (url, _):
        monkeypatch.setenv("CLEARWAY_URL", url)
        monkeypatch.setenv("CLEARWAY_API_KEY", settings.operator_key_path.read_text().strip())

        def run(*arguments: str) -> tuple[int, str, str]:
            monkeypatch.setattr("sys.argv", ["clearway", *arguments])
            with pytest.raises(SystemExit) as ended:
                main()
            told = capsys.readouterr()
            return int(ended.value.code or 0), told.out, told.err

        yield run


def test_policies_and_what_the_log_says_of_them(clearway: Clearway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert clearway("policies", "list") == (0, "", "")
    rules = tmp_path / "rules.json"
    rules.write_text('{"mandatory": ["church", {"concept": "golf ball", "version": 2}], "limits": {"num_frames": 17}}')
    status, out, _ = clearway("policies", "put", "house", str(rules))
    made = json.loads(out)
    assert (status, made["name"], made["version"], made["rules"]["limits"]["num_frames"]) == (0, "house", 1, 17)
    assert clearway("policies", "list") == (0, "house@1\tchurch, golf ball@2\tall\n", "")

    own = made["created_by"]
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps({"keys": [own]})))
    assert json.loads(clearway("policies", "put", "house", "-")[1])["version"] == 2
    assert clearway("policies", "list")[1] == f"house@2\tnothing\t{own}\n"
    assert json.loads(clearway("policies", "show", "house", "--version", "1")[1]) == {**made, "ended_at": _ended(clearway)}
    shown = json.loads(clearway("policies", "show", "house")[1])
    rules.write_text(json.dumps(shown["rules"]))  # what is shown can be put
    assert json.loads(clearway("policies", "put", "house", str(rules))[1])["rules"] == shown["rules"]

    assert clearway("policies", "delete", "house") == (0, "", "")
    status, out, errors = clearway("policies", "show", "house")
    assert (status, out, errors.startswith("error: ")) == (1, "", True)
    assert "not_found" in errors

    logged = [line.split("\t") for line in clearway("audit", "list", "--subject", "house")[1].splitlines()]
    assert [(number, who, what) for number, _, who, what, *_ in logged] == [
        ("2", own, "policy.put"),
        ("3", own, "policy.put"),
        ("4", own, "policy.put"),
        ("5", own, "policy.deleted"),
    ]
    assert json.loads(logged[-1][-1]) == {"version": 3}
    assert clearway("audit", "list", "--after", "4")[1].split("\t")[0] == "5"
    status, out, errors = clearway("audit", "list", "--limit", "2")
    assert ([line.split("\t")[0] for line in out.splitlines()], errors) == (["1", "2"], "There are more: --after 2\n")
    assert [line.split("\t")[2:4] for line in clearway("audit", "list", "--action", "key.created")[1].splitlines()] == [
        ["service", "key.created"]
    ]
    assert clearway("audit", "list", "--action", "nothing")[0] == 1


def _ended(clearway: Clearway) -> str:
    ended: str = json.loads(clearway("policies", "show", "house", "--version", "1")[1])["ended_at"]
    assert ended
    return ended


def test_gates_of_single_concepts(clearway: Clearway) -> None:
    listed = clearway("gates", "list")[1]
    assert listed.startswith("all others\tmin_origin_rate=0.3, max_erased=0.1, ")
    status, out, _ = clearway("gates", "set", "Nudity", "max_erased=0.02", "min_kept=1")
    made = json.loads(out)
    assert (status, made["concept"], made["own"]["max_erased"], made["own"]["max_drift"]) == (0, "nudity", 0.02, None)
    own = "nudity\tmax_erased=0.02 (deployment 0.1), min_kept=1 (deployment 0.9)\n"
    assert clearway("gates", "list") == (0, own + listed, "")
    assert clearway("gates", "set", "nudity", "max_synonym=0.05")[0] == 0
    assert clearway("gates", "list")[1] == "nudity\tmax_synonym=0.05 (deployment 0.15)\n" + listed
    assert clearway("gates", "unset", "nudity") == (0, "", "")
    assert clearway("gates", "list")[1] == listed
    for arguments, code, why in (
        (("max_erased",), 2, "NAME=NUMBER"),
        (("max_erased=nan",), 2, "NAME=NUMBER"),
        (("max_erased=low",), 2, "NAME=NUMBER"),
        (("max_erasd=0.1",), 1, "unknown_field, max_erasd"),
        (("max_erased=2",), 1, "invalid_request, max_erased"),
    ):
        status, out, errors = clearway("gates", "set", "nudity", *arguments)
        assert (status, out, why in errors) == (code, "", True), errors
    assert clearway("gates", "unset", "nudity")[0] == 1


def test_the_report_has_what_was_measured_together_with_others(clearway: Clearway, settings: Settings) -> None:
    pair = {"eraser": {"concept": "church", "version": 1, "digest": "a" * 64}, "measured": "frames", "n": 2, "origin_rate": 0.5}
    with closing(Database(settings.database_url.get_secret_value())) as database, database.write() as session:
        numbers: dict[str, Any] = {"evaluation": {**PASSING, "interactions": [pair]}, "layer": 1, "strength": 1.0, "config": {}}
        numbers |= {"minimum_strength": None}
        names: dict[str, Any] = {
            "concept": "cat",
            "method": "clear",
            "model": "toy",
            "encoder_fingerprint": FINGERPRINT,
            "digest": "b" * 64,
        }
        erasers.insert_shipped(session, activate=False, **names, **numbers)
    status, out, _ = clearway("erasers", "report", "cat@1")
    (told,) = json.loads(out)["interactions"]
    assert (status, told["concept"], told["active"], told["origin_rate"]) == (0, "church", False, 0.5)


def test_ctrl_c_ends_the_waiting_for_a_training_and_cancel_the_training(
    clearway: Clearway, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Client, concept: str, version: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Client, "follow_training", interrupted)
    status, out, errors = clearway("erasers", "train", "golf ball")
    assert (status, out) == (130, "")
    assert "Warning: no detector for 'golf ball'" in errors
    assert "`clearway erasers evaluate 'golf ball@1'`" in errors
    assert "The training of 'golf ball@1' goes on" in errors
    assert "clearway erasers cancel 'golf ball@1'" in errors
    assert json.loads(clearway("erasers", "show", "golf ball@1")[1])["status"] == "training"
    assert clearway("erasers", "cancel", "golf ball@1")[1].startswith("golf ball@1\tfailed")
    assert json.loads(clearway("erasers", "show", "golf ball@1")[1])["error"]["code"] == "cancelled"


def test_a_key_with_all_that_a_key_can_have(clearway: Clearway) -> None:
    plain = clearway("keys", "create", "plain")[1].strip()
    limits = ("--requests-per-minute", "60", "--max-queued", "5", "--max-running", "2", "--max-trainings", "none")
    status, out, _ = clearway("keys", "create", "web shop", "--operator", "--priority", "high", *limits, "--expires-in", "90d")
    with Client(os.environ["CLEARWAY_URL"], os.environ["CLEARWAY_API_KEY"]) as client:
        made = {key["name"]: key for key in client.api_keys()}
    assert status == 0
    assert out.startswith(f"ck_{made['web shop']['id']}_")
    assert (made["web shop"]["role"], made["web shop"]["priority"]) == ("operator", "high")
    assert made["web shop"]["limits"] == {"requests_per_minute": 60, "max_queued": 5, "max_running": 2, "max_trainings": None}
    ends = datetime.fromisoformat(made["web shop"]["expires_at"]) - datetime.now(UTC)
    assert timedelta(days=89) < ends <= timedelta(days=90)
    assert plain.startswith(f"ck_{made['plain']['id']}_")
    assert (made["plain"]["role"], made["plain"]["priority"], made["plain"]["expires_at"]) == ("user", "normal", None)
    assert clearway("keys", "create", "guest", "--expires-at", "2999-01-31T12:00:00+01:00")[0] == 0

    for arguments, code, why in (
        (("--max-queued", "many"), 2, "no limit"),
        (("--max-queued", "0"), 1, "[invalid_request, limits.max_queued]"),
        (("--priority", "highest"), 1, "[invalid_request, priority]"),
        (("--expires-in", "soon"), 2, "no time from now"),
        (("--expires-in", "1d", "--expires-at", "2999-01-31T12:00:00Z"), 2, "not both"),
        (("--expires-at", "2999-01-31"), 1, "[invalid_request, expires_at]"),
        (("--expires-at", "2020-01-31T12:00:00Z"), 1, "a time to come"),
    ):
        status, out, errors = clearway("keys", "create", "guest", *arguments)
        assert (status, out, why in errors) == (code, "", True), errors
    listed = clearway("keys", "list")[1].splitlines()
    assert len([line for line in listed if "\tguest\t" in line]) == 1
    (shop,) = (line for line in listed if "\tweb shop\t" in line)
    assert "\tpriority=high requests_per_minute=60 max_running=2 max_queued=5 expires=" in shop
    (usual,) = (line for line in listed if "\tplain\t" in line)
    assert "=" not in usual


def test_a_key_is_changed(clearway: Clearway) -> None:
    clearway("keys", "create", "shop", "--max-queued", "5", "--expires-in", "1d")
    (made,) = (key for key in json.loads(clearway("keys", "list", "--json")[1]) if key["name"] == "shop")
    changes = ("--name", "web shop", "--priority", "low", "--max-queued", "none", "--max-running", "2", "--expires-at", "never")
    status, out, _ = clearway("keys", "update", made["id"], *changes)
    changed = json.loads(out)
    assert (status, changed["name"], changed["priority"], changed["expires_at"]) == (0, "web shop", "low", None)
    assert (changed["limits"]["max_queued"], changed["limits"]["max_running"]) == (None, 2)
    assert json.loads(clearway("keys", "update", made["id"], "--name", "x")[1])["priority"] == "low"
    assert "nothing to change" in clearway("keys", "update", made["id"])[2]
    status, _, errors = clearway("keys", "update", "nobody", "--name", "x")
    assert (status, "`clearway keys list` lists them" in errors) == (1, True), errors


def test_what_webhooks_are_signed_with(clearway: Clearway) -> None:
    status, first, _ = clearway("keys", "webhook-secret")
    assert (status, first.startswith("whsec_")) == (0, True)
    assert clearway("keys", "webhook-secret")[1] == first
    rotated = clearway("keys", "webhook-secret", "--rotate")[1]
    assert rotated.startswith("whsec_")
    assert rotated != first
    assert clearway("keys", "webhook-secret")[1] == rotated


def test_what_cannot_be_put_is_refused(clearway: Clearway, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    for text, code, why in (
        ("{", 2, "Invalid value"),
        ('{"mandatry": []}', 1, "unknown_field, mandatry"),
        ("[]", 1, "invalid_request"),
    ):
        rules.write_text(text)
        status, out, errors = clearway("policies", "put", "house", str(rules))
        assert (status, out, why in errors) == (code, "", True), errors
    assert clearway("policies", "put", "house", str(tmp_path / "none.json"))[0] == 2
    rules.write_text("{}")
    assert clearway("policies", "put", "../keys", str(rules))[0] == 1
    assert clearway("policies", "list") == (0, "", "")
    status, _, errors = clearway("erasers", "report", "nothing@1")
    assert (status, "not_found" in errors) == (1, True)
    assert clearway("erasers", "report", "nothing")[0] == 2


@pytest.fixture
def service(clearway: Clearway, settings: Settings, store: ArtifactStore) -> Iterator[Client]:
    """The gateway that `clearway` talks to, with a model and an active eraser of `church`."""
    store.put("models/toy.json", CARD.model_dump_json().encode())
    with closing(Database(settings.database_url.get_secret_value())) as database:
        insert_eraser(database, "church")
    with Client(os.environ["CLEARWAY_URL"], os.environ["CLEARWAY_API_KEY"]) as client:
        yield client


def test_what_a_version_was_used_by(clearway: Clearway, service: Client) -> None:
    assert clearway("erasers", "used-by", "church@1") == (0, "", "")
    older, newer = (service.generate({"prompt": "a", "erase": ["church"]})["id"] for _ in range(2))
    service.cancel(older)
    listed = [line.split()[:2] for line in clearway("erasers", "used-by", "church@1")[1].splitlines()]
    assert listed == [[newer, "queued"], [older, "canceled"]]
    assert clearway("erasers", "used-by", "church@1", "--status", "canceled")[1].split()[0] == older
    assert "2 generations have it pinned: clearway erasers used-by 'church@1'" in clearway("erasers", "retire", "church@1")[1]
    assert "not_found" in clearway("erasers", "used-by", "church@2")[2]


def test_the_life_of_generations(
    clearway: Clearway, service: Client, hand: Hand, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    assert clearway("generations", "list")[0] == 0
    prompt = {"prompt": "a [red]  church", "erase": ["church"]}
    done, left, gone = (service.generate(prompt)["id"] for _ in range(3))
    assert "not_finished" in clearway("generations", "download", done, "-o", str(tmp_path / "none.mp4"))[2]
    hand.finish(hand.take_generation())
    wait_until(lambda: service.generation(done)["status"] == "succeeded")

    def listed(*arguments: str) -> list[tuple[str, str]]:
        status, out, _ = clearway("generations", "list", *arguments)
        assert status == 0
        return [(line.split("\t")[0], line.split("\t")[1]) for line in out.splitlines()]

    assert listed() == [(gone, "queued"), (left, "queued"), (done, "succeeded")]
    assert "\tchurch@1\ta [red] church\n" in clearway("generations", "list")[1]
    assert [one["id"] for one in json.loads(clearway("generations", "list", "--json")[1])] == [gone, left, done]
    assert listed("--status", "succeeded") == [(done, "succeeded")]
    assert listed("--after", left) == [(done, "succeeded")]
    assert listed("--limit", "1") == [(gone, "queued")]
    more = clearway("generations", "list", "--limit", "1", "--status", "queued")[2].splitlines()[-1]
    assert more.endswith(f"clearway generations list --status queued --limit 1 --after {gone}")
    assert listed(*more.split("list ")[1].split()) == [(left, "queued")]

    assert json.loads(clearway("generations", "show", done)[1])["receipt"]["erasers"][0]["concept"] == "church"
    assert "canceled" in clearway("generations", "cancel", left)[1]
    assert "invalid_state" in clearway("generations", "cancel", done)[2]
    assert clearway("generations", "delete", gone) == (0, "", "")
    assert listed() == [(left, "canceled"), (done, "succeeded")]
    for command in ("show", "cancel", "delete"):
        for unknown in (gone, "../models", "?"):
            status, out, errors = clearway("generations", command, unknown)
            assert (status, out, "not_found" in errors) == (1, "", True), errors
    for arguments, why in (
        (("--status", "done"), "status"),
        (("--limit", "0"), "limit"),
        (("--after", "first"), "cursor"),
    ):
        assert f"[invalid_request, {why}]" in clearway("generations", "list", *arguments)[2]


def test_a_video_is_saved_if_it_is_the_one_of_the_receipt(
    clearway: Clearway, service: Client, hand: Hand, store: ArtifactStore, tmp_path: Path
) -> None:
    made = service.generate({"prompt": "a"})["id"]
    sha256 = hashlib.sha256(VIDEO).hexdigest()
    hand.finish(hand.take_generation(), video_sha256=sha256, video_bytes=len(VIDEO))
    wait_until(lambda: service.generation(made)["status"] == "succeeded")
    out = tmp_path / "clip.mp4"
    told = f"{out}: {len(VIDEO)} bytes, sha256 {sha256}\n"
    assert clearway("generations", "download", made, "-o", str(out)) == (0, told, "")
    assert out.read_bytes() == VIDEO
    with pytest.raises(ContentMismatch, match="was not written"):  # somebody on the way changed it
        service.save_video(made, out, sha256="0" * 64)
    store.put(video_key(made, 1), VIDEO[::-1])
    status, told, errors = clearway("generations", "download", made, "-o", str(out))
    assert (status, told, "[artifact_tampered" in errors) == (1, "", True), errors
    assert out.read_bytes() == VIDEO
    assert not list(tmp_path.glob("*.partial"))
    assert clearway("generations", "download", made, "-o", str(tmp_path / "no" / "where.mp4"))[0] == 2
    assert clearway("generations", "download", made)[0] == 2


def test_models(clearway: Clearway, service: Client, hand: Hand) -> None:
    hand.be_seen()
    status, out, _ = clearway("models", "list")
    assert (status, out.split("\t")[:3]) == (0, ["toy", "yes", "yes"]), out
    assert json.loads(clearway("models", "list", "--json")[1]) == service.models()
    shown = json.loads(clearway("models", "show", "toy")[1])
    assert shown == service.model("toy")
    assert service.models()[0].items() <= shown.items()
    status, _, errors = clearway("models", "show", "toyy")
    assert (status, "there is: 'toy'" in errors) == (1, True), errors


def test_there_and_back(clearway: Clearway, service: Client) -> None:
    assert "no_previous_version" in clearway("erasers", "rollback", "church")[2]
    assert clearway("erasers", "retire", "church@1")[0] == 0
    assert clearway("erasers", "rollback", "church", "--model", "toy")[0] == 0
    assert service.version("church", 1)["status"] == "active"
    assert clearway("erasers", "retire", "church@1")[0] == 0
    status, out, _ = clearway("erasers", "rollback", "church@1")
    assert (status, "active" in out) == (0, True)
    assert "invalid_state" in clearway("erasers", "rollback", "church@1")[2]


def test_out_of_one_registry_and_into_another(clearway: Clearway, service: Client, tmp_path: Path) -> None:
    directory = made(tmp_path / "cat")
    assert clearway("erasers", "import", str(directory))[0] == 0
    version = service.version("cat", 1)
    assert (version["status"], version["digest"]) == ("candidate", artefact.digest(directory))
    out = tmp_path / "out.tar"
    assert clearway("erasers", "export", "cat@1", "--out", str(out)) == (0, f"{version['digest']}  {out}\n", "")
    assert out.read_bytes() == packed(directory)
    assert clearway("erasers", "import", str(out), "--digest", version["digest"])[0] == 0
    assert [known["version"] for known in service.eraser("cat")["versions"]] == [1]

    for digest, why in (("e" * 64, "digest_mismatch"), ("e", "invalid_request")):
        assert why in clearway("erasers", "import", str(out), "--digest", digest)[2]
    out.write_bytes(b"no archive")
    assert "invalid_archive" in clearway("erasers", "import", str(out))[2]
    assert "artifact_unavailable" in clearway("erasers", "export", "church@1", "--out", str(out))[2]
    assert (out.read_bytes(), sorted(path.name for path in tmp_path.glob("out*"))) == (b"no archive", ["out.tar"])
    for arguments in (("import", str(tmp_path / "none")), ("import", str(tmp_path)), ("export", "cat@1", "--out", "no/where")):
        assert clearway("erasers", *arguments)[0] == 2


def test_second_names(clearway: Clearway, service: Client) -> None:
    assert clearway("erasers", "alias", "list") == (0, "", "")
    assert clearway("erasers", "alias", "put", "The Chapel", "church") == (0, "the chapel\tchurch\n", "")
    assert clearway("erasers", "alias", "list")[1] == "the chapel\tchurch\n"
    assert service.generate({"prompt": "a", "erase": ["the chapel"]})["erase"][0]["concept"] == "church"
    assert "alias_conflict" in clearway("erasers", "alias", "put", "shrine", "the chapel")[2]
    assert clearway("erasers", "alias", "delete", "the chapel") == (0, "", "")
    assert "not_found" in clearway("erasers", "alias", "delete", "the chapel")[2]


def test_rules_may_begin_with_a_byte_order_mark(clearway: Clearway, tmp_path: Path) -> None:
    rules = tmp_path / "rules.json"
    rules.write_text("\ufeff{}", encoding="utf-8")
    assert json.loads(clearway("policies", "put", "house", str(rules))[1])["version"] == 1
    rules.write_text("\ufeff\ufeff{}", encoding="utf-8")
    assert clearway("policies", "put", "house", str(rules))[0] == 2
