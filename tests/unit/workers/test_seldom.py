"""Log lines of one kind, told now and then."""

from __future__ import annotations

import logging

from streams.workers.seldom import EVERY_S, KINDS_MAX, Seldom


def line(text: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("some", logging.ERROR, "", 0, text, values, None)


def test_one_line_of_each_kind_within_a_while() -> None:
    now = 0.0
    seldom = Seldom(lambda: now)
    assert seldom.filter(line("no %s", 1))
    assert seldom.filter(line("other"))
    now = EVERY_S - 0.1
    assert not seldom.filter(line("no %s", 2))
    now = EVERY_S
    assert seldom.filter(line("no %s", 3))


def test_the_kinds_remembered_are_bounded() -> None:
    seldom = Seldom(lambda: 0.0)
    for number in range(3 * KINDS_MAX):
        assert seldom.filter(line(f"kind {number}"))
        assert len(seldom._told_at) <= KINDS_MAX
