"""Supervision of real processes: restarts, the end of patience, clean stops, and no orphans."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from service.embedded.child import ChildSpec
from service.embedded.errors import ChildKeepsDying
from service.embedded.supervisor import MAX_FAILURES, Supervisor


def spec(tmp_path: Path, code: str, *, name: str = "child", stop_seconds: float = 5) -> ChildSpec:
    return ChildSpec(
        name=name,
        command=[sys.executable, "-c", textwrap.dedent(code)],
        log=tmp_path / f"{name}.log",
        stop_seconds=stop_seconds,
        environment=os.environ,
    )


def eventually(holds: Callable[[], bool], seconds: float = 10) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def contains(log: Path, words: str) -> bool:
    return words in log.read_text()


def poll_for_ever(supervisor: Supervisor) -> None:
    while True:
        supervisor.poll()
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


SLEEP = "import time; print('up', flush=True); time.sleep(60)"


def test_what_ends_is_started_again(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        first = supervisor.start(spec(tmp_path, SLEEP)).pid
        assert eventually(lambda: "up" in (tmp_path / "child.log").read_text())
        os.kill(first, signal.SIGKILL)

        def started_twice() -> bool:
            supervisor.poll()
            return (tmp_path / "child.log").read_text().count("up") == 2

        assert eventually(started_twice)
    assert not alive(first)


def test_patience_ends_and_the_log_tells_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.embedded.supervisor.FIRST_PAUSE_SECONDS", 0.01)
    with Supervisor() as supervisor:
        supervisor.start(spec(tmp_path, "import sys; sys.exit('no model at /nowhere')"))
        with pytest.raises(ChildKeepsDying, match="no model at /nowhere") as given_up:
            poll_for_ever(supervisor)
    assert f"{MAX_FAILURES} times" in str(given_up.value)


def test_a_child_that_says_that_it_is_hopeless_is_not_started_again(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        supervisor.start(replace(spec(tmp_path, "print('up'); exit(3)"), hopeless=frozenset({3})))
        with pytest.raises(ChildKeepsDying, match="child ended by itself"):
            poll_for_ever(supervisor)
    assert (tmp_path / "child.log").read_text() == "up\n"


def test_the_logs_of_a_child_that_writes_without_end_are_bounded(tmp_path: Path) -> None:
    code = "import itertools, os\nfor number in itertools.count(): os.write(1, b'%d %s\\n' % (number, b'x' * 90))"
    max_log_bytes = 200_000
    written = 0
    with Supervisor() as supervisor:
        supervisor.start(replace(spec(tmp_path, code), max_log_bytes=max_log_bytes))
        deadline = time.monotonic() + 60
        while written < 40 * max_log_bytes and time.monotonic() < deadline:
            supervisor.poll()
            old = [tmp_path / f"child.log.{number}" for number in (1, 2, 3)]
            assert all(path.stat().st_size <= max_log_bytes for path in old if path.exists())
            if lines := (tmp_path / "child.log").read_text().splitlines()[-2:]:
                written = 93 * int(lines[0].split()[0])
            time.sleep(0.001)
    assert written >= 40 * max_log_bytes, "the child wrote much more than is kept"
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["child.log", "child.log.1", "child.log.2", "child.log.3"]
    lines = [line for path in (*reversed(old), tmp_path / "child.log") for line in path.read_text().splitlines()[:-1]]
    numbers = [int(line.split()[0]) for line in lines]
    assert numbers == sorted(set(numbers)), "whole lines, in order"


def test_a_log_that_cannot_be_rotated_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "child.log.1").mkdir()
    with Supervisor() as supervisor:
        supervisor.start(replace(spec(tmp_path, "print('x' * 1000, flush=True); import time; time.sleep(60)"), max_log_bytes=100))
        assert eventually(lambda: (tmp_path / "child.log").stat().st_size > 100)
        supervisor.poll()
        assert (tmp_path / "child.log").stat().st_size == 0


def test_the_last_lines_are_shown_although_the_log_was_just_rotated(tmp_path: Path) -> None:
    with Supervisor() as supervisor:
        code = "print('filler\\n' * 100, 'why it ends', flush=True); import time; time.sleep(0.5); exit(3)"
        supervisor.start(replace(spec(tmp_path, code), max_log_bytes=300, hopeless=frozenset({3})))
        with pytest.raises(ChildKeepsDying, match="why it ends"):
            poll_for_ever(supervisor)
    assert (tmp_path / "child.log").read_text() == ""


def test_what_a_child_creates_is_private_and_so_is_its_log(tmp_path: Path) -> None:
    (tmp_path / "child.log").touch(mode=0o644)
    code = f"open({str(tmp_path / 'made')!r}, 'w'); print('up', flush=True)"
    with Supervisor() as supervisor:
        supervisor.start(spec(tmp_path, code))
        assert eventually(lambda: contains(tmp_path / "child.log", "up"))
    assert {stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("made", "child.log")} == {0o600}


def test_children_are_asked_to_stop_last_started_first(tmp_path: Path) -> None:
    ends = tmp_path / "ends"
    code = """
        import signal, sys
        def end(*_):
            open({ends!r}, "a").write({name!r} + " ")
            sys.exit()
        signal.signal(signal.SIGTERM, end)
        print("up", flush=True)
        signal.pause()
    """
    with Supervisor() as supervisor:
        for name in ("first", "second", "third"):
            supervisor.start(spec(tmp_path, code.format(ends=str(ends), name=name), name=name))
            log = tmp_path / f"{name}.log"
            assert eventually(partial(contains, log, "up"))
    assert ends.read_text().split() == ["third", "second", "first"]


def test_a_deaf_child_is_killed_with_what_it_started(tmp_path: Path) -> None:
    code = """
        import signal, subprocess, sys, time
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        print(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]).pid, flush=True)
        time.sleep(60)
    """
    with Supervisor() as supervisor:
        child = supervisor.start(spec(tmp_path, code, stop_seconds=0.5))
        assert eventually(lambda: (tmp_path / "child.log").read_text().endswith("\n"))
        grandchild = int((tmp_path / "child.log").read_text())
        assert alive(grandchild)
    assert not alive(child.pid)
    assert eventually(lambda: not alive(grandchild))


def test_a_second_request_to_stop_does_not_wait(tmp_path: Path) -> None:
    code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"
    with Supervisor(hurry=lambda: True) as supervisor:
        supervisor.start(spec(tmp_path, code, stop_seconds=60))
        assert eventually(lambda: "up" in (tmp_path / "child.log").read_text())
        started = time.monotonic()
    assert time.monotonic() - started < 5


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's death")
def test_children_do_not_outlive_a_killed_supervisor(tmp_path: Path) -> None:
    code = f"""
        import os, time
        from pathlib import Path
        from service.embedded.child import Child, ChildSpec
        import sys
        child = Child(ChildSpec(name="child", command=[sys.executable, "-c", "import time; time.sleep(60)"],
                                log=Path({str(tmp_path / "inner.log")!r}), stop_seconds=1, environment=os.environ))
        print(child.pid, flush=True)
        time.sleep(60)
    """
    with subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True) as supervisor:
        assert supervisor.stdout is not None
        child = int(supervisor.stdout.readline())
        assert alive(child)
        supervisor.kill()
    assert eventually(lambda: not alive(child))
