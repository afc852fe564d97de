"""What commands print in a terminal of 80 columns, and the commands that error messages name."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from service.cli.generate import _erase as erase_items
from service.cli.generations import _COLUMNS, _row
from service.cli.hints import in_commands
from service.cli.output import print_table

ROOT = Path(__file__).parents[2]
ID = "gen_0123456789abcdef0123456789abcdef"
GENERATION = {
    "id": ID,
    "status": "succeeded",
    "created_at": "2026-11-28T03:00:00.000000Z",
    "erase": [{"concept": "french horn", "version": 12}],
    "fallbacks": [],
    "prompt": "a [red]\tfrench horn on a\nvery long beach, " * 9,
    "error": None,
}


@pytest.mark.parametrize("columns", [80, 100, 200])
@pytest.mark.parametrize("code", [None, "artifact_unavailable"])
def test_a_table_fits_the_terminal_and_keeps_id_and_status(
    columns: int, code: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    generation = GENERATION | ({"status": "failed", "error": {"code": code}} if code else {})
    print_table(_COLUMNS, [_row(generation)])
    header, line = re.sub(r"\x1b\[[0-9;]*m", "", capsys.readouterr().out).splitlines()
    assert header.split()[:2] == ["generation", "status"]
    assert line.split()[:2] == [ID, generation["status"]]
    assert max(len(header), len(line)) <= columns
    assert "[red]" in line or columns < 200


def test_a_pipe_gets_a_line_a_row_and_every_cell_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(_COLUMNS, [_row(GENERATION), _row(GENERATION)])
    first, second = capsys.readouterr().out.splitlines()
    assert first == second
    assert first.split("\t") == [
        ID,
        "succeeded",
        "2026-11-28T03:00:00",
        "french horn@12",
        " ".join(str(GENERATION["prompt"]).split()),
    ]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ('Train it: POST /erasers {"concept": "the cat"}', "Train it: `clearway erasers train 'the cat'`"),
        ("no key 'a': GET /keys lists them", "no key 'a': `clearway keys list` lists them"),
        ("activate it: POST /erasers/golf ball/2/activate", "activate it: `clearway erasers activate 'golf ball@2'`"),
        (
            'to activate it anyway: POST /erasers/cat/2/activate {"override": true, "reason": "…"}',
            "to activate it anyway: `clearway erasers activate cat@2 --override --reason TEXT`",
        ),
        (
            'train it: POST /erasers {"concept": "cat", "kind": "…"}; `kind` is one of object; "on_missing" set to "safree"',
            "train it: `clearway erasers train cat --kind KIND`; --kind is one of object; --on-missing set to \"safree\"",
        ),
        ("first DELETE /gates/golf ball", "first `clearway gates unset 'golf ball'`"),
        ("GET /erasers lists what there is", "`clearway erasers list` lists what there is"),
        ("GET /nothing/of/the/kind", "GET /nothing/of/the/kind"),
    ],
)
def test_messages_name_commands_at_the_terminal(said: str, shown: str) -> None:
    assert in_commands(said) == shown


def test_every_call_that_a_message_names_has_a_command() -> None:
    messages = re.compile(r"""["'][^"'\n]*[:;,] [^"'\n]*?\b((?:GET|POST|PUT|PATCH|DELETE) /[\w{}./]+)""")
    parts = ("erasers", "acceptance", "policies", "routes")
    modules = [path for part in parts for path in (ROOT / "service" / part).glob("*.py")]
    calls = {call for module in modules for call in messages.findall(module.read_text())}
    assert len(calls) >= 5
    filled = {re.sub(r"\{[^}]*version[^}]*\}", "1", call) for call in calls}
    assert [call for call in sorted(filled) if "clearway" not in in_commands(re.sub(r"\{[^}]*\}", "cat", call))] == []


def test_strengths_of_generate() -> None:
    assert erase_items(["cat", "dog@2", "church"], ["cat=1.5", "dog@2=0.5"]) == [
        {"concept": "cat", "strength": 1.5},
        {"concept": "dog", "strength": 0.5, "version": 2},
        "church",
    ]
