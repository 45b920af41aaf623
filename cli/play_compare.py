"""How much of one sequence of book states is found, in order, in another.

The longest common subsequence is exact, by whichever of two methods suits. Hunt and Szymanski, "A
fast algorithm for computing longest common subsequences" (1977), costs as much as there are equal
pairs. Where few states recur often, the bit-parallel recurrence of Hyyrö, "Bit-parallel LCS-length
computation revisited" (2004), on Python's own big integers is quicker.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from cli.play_commands import TopOfBook

REQUIRED_SHARE = (
    0.975  # of the exchange's own states; a plain price-time engine gives 0.981 on the AAPL hour
)
PAIRS_MAX = 20_000_000  # equal pairs up to which Hunt-Szymanski is the quicker: about 10 s


def common_subsequence_length(a: Sequence[TopOfBook], b: Sequence[TopOfBook]) -> int:
    """Length of the longest common subsequence.

    Equal ends are cut off first, so equal sequences cost nothing.
    """
    head = 0
    shorter = min(len(a), len(b))
    while head < shorter and a[head] == b[head]:
        head += 1
    tail = 0
    while tail < shorter - head and a[-1 - tail] == b[-1 - tail]:
        tail += 1
    a, b = a[head : len(a) - tail], b[head : len(b) - tail]
    counts = Counter(a)
    pairs = sum(counts[state] for state in b)
    return head + tail + (by_pairs(a, b) if pairs <= PAIRS_MAX else by_bits(a, b))


def by_pairs(a: Sequence[TopOfBook], b: Sequence[TopOfBook]) -> int:
    """Hunt-Szymanski:

    `tails[k]` is the least place in `a` where a common subsequence of length k + 1 ends.
    """
    places: dict[TopOfBook, list[int]] = {}
    for index in range(len(a) - 1, -1, -1):
        places.setdefault(a[index], []).append(index)
    tails: list[int] = []
    for state in b:
        for index in places.get(
            state, ()
        ):  # descending, so that one of b's states extends only once
            k = bisect_left(tails, index)
            if k == len(tails):
                tails.append(index)
            else:
                tails[k] = index
    return len(tails)


def by_bits(a: Sequence[TopOfBook], b: Sequence[TopOfBook]) -> int:
    """Hyyrö: a zero bit i of `row` says that the length grows at `a[i]`."""
    places: dict[TopOfBook, int] = {}
    for index, state in enumerate(a):
        places[state] = places.get(state, 0) | 1 << index
    every = (1 << len(a)) - 1
    row = every
    for state in b:
        mask = places.get(state)
        if mask is not None:
            matched = row & mask
            row = ((row + matched) | (row - matched)) & every
    return len(a) - row.bit_count()


@dataclass(frozen=True)
class Comparison:
    """The exchange's distinct top-of-book states against the reference's."""

    own_count: int
    reference_count: int
    common_count: int

    @property
    def share(self) -> float:
        """Part of the exchange's own states that follow the reference's in order;

        0 where it had none.
        """
        return self.common_count / self.own_count if self.own_count else 0.0

    @property
    def passed(self) -> bool:
        """Whether the exchange followed the file closely enough."""
        return self.share >= REQUIRED_SHARE


def compare(own: Sequence[TopOfBook], reference: Sequence[TopOfBook]) -> Comparison:
    """Compare two sequences of distinct states."""
    return Comparison(len(own), len(reference), common_subsequence_length(own, reference))
