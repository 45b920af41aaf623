"""What an API process and its past process say to each other: frames of msgpack on pipes, each with
its length before it."""

from __future__ import annotations

from typing import Final, TypeAlias

import msgspec
from msgspec import Struct

from projections.market_data.past import Moment

FRAME_BYTES_MAX: Final = 64 * 1024 * 1024
LENGTH_BYTES: Final = 4


class BookAsked(Struct, tag=True, frozen=True):
    """A book as it stood; answered with a PastBook."""

    shard: int
    instrument: int
    moment: Moment
    depth: int
    queued: int


class StepsAsked(Struct, tag=True, frozen=True):
    """What happened to a book; answered with a StepsTold."""

    shard: int
    instrument: int
    after: int
    until: int | None
    first: int


class LifeAsked(Struct, tag=True, frozen=True):
    """An order's life; answered with a LifeTold, or null. `viewer` is the only account that its
    texts may name; null: all."""

    order_id: int
    viewer: int | None


class StateAsked(Struct, tag=True, frozen=True):
    """The newest engine snapshot's hash; answered with a StateTold, or null."""

    shard: int


Asked: TypeAlias = BookAsked | StepsAsked | LifeAsked | StateAsked


class Question(Struct, array_like=True, frozen=True):
    """A question and its number, which comes back with the answer."""

    number: int
    asked: Asked


class Answer(Struct, array_like=True, frozen=True):
    """An answer; with a `code`, why there is none."""

    number: int
    code: str
    detail: str
    body: msgspec.Raw


def frame(message: Struct) -> bytes:
    """A message with its length."""
    encoded = msgspec.msgpack.encode(message)
    return len(encoded).to_bytes(LENGTH_BYTES, "little") + encoded
