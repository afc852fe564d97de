"""`clearway audit verify` against a running gateway: what it prints, and how it exits."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import httpx
import pytest

from service.cli import main
from service.domain.chain import Head
from service.settings import Settings
from tests.service.test_server import gateway_process

Verify = Callable[..., tuple[int, str, str]]


@pytest.fixture
def verify(settings: Settings, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Verify]:
    """The command on a log of 121 entries, which are two pages: exit code, output, errors."""
    with gateway_process(settings) as (url, _):
        key = settings.operator_key_path.read_text().strip()
        with httpx.Client(base_url=url, headers={"authorization": f"Bearer {key}"}) as client:
            for _ in range(120):
                assert client.put("/policies/house", json={}).is_success

        def run(*options: str) -> tuple[int, str, str]:
            monkeypatch.setattr("sys.argv", ["clearway", "audit", "verify", "--url", url, "--key", key, *options])
            with pytest.raises(SystemExit) as ended:
                main()
            told = capsys.readouterr()
            return int(ended.value.code or 0), told.out, told.err

        yield run


def test_the_whole_log_and_then_a_changed_one(verify: Verify, settings: Settings) -> None:
    code, told, errors = verify()
    counted, head = told.splitlines()
    assert (code, counted, errors) == (0, "121 entries, none changed, none missing", "")
    assert Head.parse(head).sequence == 121
    assert verify("--head", head) == (0, told, "")
    code, _, errors = verify("--head", f"120:{head.partition(':')[2]}")
    assert (code, "breaks at entry 120: it is another one" in errors) == (1, True)
    assert verify("--head", "121")[0] == 2
    assert verify("--key", "ck_nobody")[0] == 1

    with closing(sqlite3.connect(settings.data_dir / "clearway.db", isolation_level=None)) as database:
        database.execute("UPDATE audit_entries SET actor = 'nobody' WHERE sequence = 111")
        assert verify() == (
            1,
            "",
            "error: the audit log breaks at entry 111: its content is not what was hashed when it was written\n",
        )
        database.execute("DELETE FROM audit_entries WHERE sequence > 100")
        database.execute("UPDATE audit_head SET sequence = 100, sha256 = (SELECT sha256 FROM audit_entries WHERE sequence = 100)")
    assert verify()[0] == 0
    code, told, errors = verify("--head", head)
    assert (code, told) == (1, "")
    assert (
        errors
        == "error: the audit log breaks at entry 101: the log ends before it, and once had entry 121: its end was cut off\n"
    )
