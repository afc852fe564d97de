"""Whose turn it is: shares are even, nobody is passed over for ever, and a higher priority goes first."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from service.domain.turns import Line, Priority, first

START = datetime(2026, 1, 1, tzinfo=UTC)


def line(
    key_id: str,
    *,
    priority: Priority = "normal",
    in_flight: int = 0,
    more: int | None = None,
    served: float | None = None,
    oldest: int = 0,
) -> Line:
    served_at = None if served is None else START + timedelta(seconds=served)
    return Line(key_id, priority, in_flight=in_flight, more=more, served_at=served_at, oldest=f"gen_{oldest:04}")


def turns(*lines: Line, count: int) -> list[str]:
    """The next keys, one second after another, nothing ending meanwhile."""
    waiting = {found.key_id: found for found in lines}
    taken = []
    for second in range(count):
        turn = first(waiting.values())
        assert turn is not None
        waiting[turn.key_id] = turn.served(START + timedelta(days=1, seconds=second))
        taken.append(turn.key_id)
    return taken


def test_nobody_waits() -> None:
    assert first([]) is None


def test_each_rule_decides_where_those_before_it_do_not() -> None:
    greedy = line("greedy", in_flight=9, served=9, oldest=9)
    for better in (
        line("b", priority="high", in_flight=99, served=99, oldest=99),
        line("b", in_flight=8, served=99, oldest=99),
        line("b", in_flight=9, served=8, oldest=99),
        line("b", in_flight=9, served=None, oldest=99),
        line("b", in_flight=9, served=9, oldest=8),
    ):
        assert first([greedy, better]) == first([better, greedy]) == better
    assert first([line("a", priority="low"), greedy]) == greedy


def test_three_keys_and_room_for_two_come_round() -> None:
    """With two in flight, the third would never come if the tie were broken by age: ids of the first are always older."""
    lines = {key: line(key, oldest=age) for age, key in enumerate("abc")}
    running: list[str] = []
    order = []
    for second in range(30):
        if len(running) == 2:
            ended = running.pop(0)
            lines[ended] = replace(lines[ended], in_flight=lines[ended].in_flight - 1)
        turn = first(lines.values())
        assert turn is not None
        lines[turn.key_id] = turn.served(START + timedelta(seconds=second))
        running.append(turn.key_id)
        order.append(turn.key_id)
    assert order == [*"abc"] * 10


@given(st.lists(st.integers(0, 5), min_size=1, max_size=8), st.integers(1, 40))
def test_shares_of_equals_become_even(in_flight: list[int], count: int) -> None:
    """Whoever has least gets next: a key is served only while no other that waits has less."""
    held = {f"k{number}": have for number, have in enumerate(in_flight)}
    for key_id in turns(*(line(key, in_flight=have) for key, have in held.items()), count=count):
        assert held[key_id] == min(held.values())
        held[key_id] += 1


def test_who_has_all_it_may_have_is_passed_over() -> None:
    assert turns(line("a", more=2), line("b", in_flight=9), count=4) == ["a", "a", "b", "b"]
    assert first([line("a", more=0), line("b", more=-1)]) is None


def test_a_higher_priority_takes_everything() -> None:
    taken = turns(line("vip", priority="high"), line("a"), line("b", priority="low"), count=10)
    assert taken == ["vip"] * 10
