"""The longest common subsequence agrees with the textbook's table, by both methods."""

from __future__ import annotations

import random

import pytest

from cli.play_commands import TopOfBook
from cli.play_compare import by_bits, by_pairs, common_subsequence_length, compare


def states(text: str) -> list[TopOfBook]:
    return [(ord(letter), 1, 0, 0) for letter in text]


def table(a: list[TopOfBook], b: list[TopOfBook]) -> int:
    previous = [0] * (len(b) + 1)
    for left in a:
        row = [0]
        for index, right in enumerate(b):
            longer = previous[index] + 1 if left == right else max(row[index], previous[index + 1])
            row.append(longer)
        previous = row
    return previous[-1]


@pytest.mark.parametrize(
    ("a", "b", "length"),
    [("", "", 0), ("abc", "", 0), ("abcbdab", "bdcaba", 4), ("abc", "abc", 3), ("xaby", "ab", 2)],
)
def test_known_lengths(a: str, b: str, length: int) -> None:
    assert common_subsequence_length(states(a), states(b)) == length


def test_both_methods_agree_with_the_table() -> None:
    chance = random.Random(5)
    for _ in range(300):
        letters = "ab" if chance.random() < 0.5 else "abcdefghij"
        a = states("".join(chance.choices(letters, k=chance.randrange(40))))
        b = states("".join(chance.choices(letters, k=chance.randrange(40))))
        expected = table(a, b)
        assert by_bits(a, b) == expected
        assert by_pairs(a, b) == expected
        assert common_subsequence_length(a, b) == expected


def test_a_comparison_without_own_states_is_no_success() -> None:
    assert not compare([], states("abc")).passed
    assert compare(states("abc"), states("xaxbxcx")).passed
    assert not compare(states("abcd"), states("abc")).passed
