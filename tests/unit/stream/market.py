"""A hub beside the engine that makes its batches, and readers that keep what they are told."""

from __future__ import annotations

import itertools
import random
from typing import Any

import msgspec

from api.stream.frames import payload_of
from api.stream.hub import MarketHub, MarketSubscriber
from api.stream.shapes import MARKET_MESSAGES
from commands.directory.entries import InstrumentEntry
from crossbook_client.stream_book import LiveBook
from domain.codes import BUY, DAY, FOK, GTC, IOC, LIMIT, SELL
from domain.commands import CancelOrder, Command, ReplaceOrder, SubmitOrder
from domain.exchange import Exchange
from projections.market_data.replica import ShardReplica
from tests.integration.projections.flow import MID, Flow

Message = dict[str, Any]
INSTRUMENTS = 3
ACCOUNTS = 4


def entry(number: int) -> InstrumentEntry:
    """The directory's entry of one of the flow's instruments."""
    return InstrumentEntry(number, f"SYM{number}", 0, 100, 1, 0, 0, 0)


def decoded(frame: bytes) -> Message:
    """A frame's message, which exactly one of the described ones must be."""
    message: Message = msgspec.json.decode(payload_of(frame))
    fitting = [kind for kind in MARKET_MESSAGES if _is(message, kind)]
    assert len(fitting) == 1, message
    return message


def _is(message: Message, kind: Any) -> bool:
    try:
        msgspec.convert(message, kind)
    except msgspec.ValidationError:
        return False
    return True


class Market:
    """A flow of random commands, applied by the engine and by a hub."""

    def __init__(self, seed: int, **hub: Any) -> None:
        self.flow = Flow(seed=seed, instruments=INSTRUMENTS, accounts=ACCOUNTS)
        self.hub = MarketHub(1, **hub)
        self._chance = random.Random(seed)
        self._submitted = 0
        self.hub.open(ShardReplica(Exchange(0)))
        self._applied = 0
        self.catch_up()

    @property
    def engine(self) -> Exchange:
        """What the hub must agree with."""
        return self.flow.exchange

    def go(self, batches: int, commands: int = 20) -> None:
        """So many batches of random commands close to the touch; now and then a close, a halt, a
        mass cancel or a kill, after which all is open again."""
        for _ in range(batches):
            self.flow.run([self._command() for _ in range(commands)])
            if self._chance.random() < 0.1:
                self.flow.go_wild(1, 10)
                self.flow.open_all()
        self.catch_up()

    def _command(self) -> Command:
        draw = self._chance
        account, instrument = draw.randint(1, ACCOUNTS), draw.choice([1, 1, 2])
        kind = draw.random()
        if kind < 0.6:
            self._submitted += 1
            return SubmitOrder(
                account,
                instrument,
                draw.choice((BUY, SELL)),
                LIMIT,
                draw.choice((DAY, DAY, GTC, GTC, IOC, FOK)),
                MID + 100 * draw.randint(-8, 8),
                draw.randint(1, 20),
                b"m%d" % self._submitted,
            )
        order = b"m%d" % draw.randint(max(1, self._submitted - 60), self._submitted + 1)
        if kind < 0.8:
            return CancelOrder(account, instrument, 0, order)
        price = draw.choice((0, MID + 100 * draw.randint(-8, 8)))
        return ReplaceOrder(
            account, instrument, 0, price, draw.randint(1, 20), draw.randint(0, 3), order
        )

    def catch_up(self) -> None:
        """Give the hub what the engine has done."""
        for batch in self.flow.batches[self._applied :]:
            self.hub.apply(0, batch)
        self._applied = len(self.flow.batches)

    def reader(self, *channels: str, since: int | None = None, number: int = 1) -> MarketSubscriber:
        """One who subscribed to channels of one instrument; `executions` are account 1's."""
        subscriber = self.hub.subscriber()
        for channel in channels:
            account = 1 if channel == "executions" else None
            self.hub.subscribe(subscriber, entry(number), channel, since, account)
        return subscriber


def read(subscriber: MarketSubscriber) -> list[Message]:
    """Everything that is there to be read now."""
    messages: list[Message] = []
    while frames := subscriber.take():
        messages += map(decoded, frames)
    return messages


def chained(messages: list[Message]) -> bool:
    """Whether each message names the one before it, from a snapshot on."""
    return messages[0]["type"] == "snapshot" and all(
        after["type"] == "snapshot" or after["previous_sequence"] == before["sequence"]
        for before, after in itertools.pairwise(messages)
    )


def keep_book(book: LiveBook, messages: list[Message]) -> None:
    """Apply `level2` messages."""
    for message in messages:
        if message["type"] == "snapshot":
            book.take_snapshot(message)
        else:
            book.take_delta(message)


def levels_of(book: LiveBook) -> list[list[tuple[int, int, int]]]:
    """Both sides in price ticks."""
    return [
        [(int(level.price * 10_000), level.quantity, level.order_count) for level in side]
        for side in (book.bids, book.asks)
    ]


class Queues:
    """Every resting order, kept from the `orders` channel."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[str, str, int]] = {}  # in order of arrival at their price

    def take(self, messages: list[Message]) -> None:
        """Apply messages."""
        for message in messages:
            if message["type"] == "snapshot":
                self.orders = {
                    order_id: (side, price, open_)
                    for side, rows in (("buy", message["bids"]), ("sell", message["asks"]))
                    for order_id, price, open_ in rows
                }
                continue
            for change in message["changes"]:
                self._take(change)

    def _take(self, change: Message) -> None:
        order_id, event = change["order_id"], change["event"]
        assert (order_id in self.orders) == (event != "added"), change
        if event == "executed":
            before = self.orders[order_id]
            assert before[2] - change["executed"] == change["quantity"]
            assert before[:2] == (change["side"], change["price"])
        if change["quantity"] == 0:
            del self.orders[order_id]
        else:
            self.orders[order_id] = (change["side"], change["price"], change["quantity"])

    def side(self, name: str) -> list[tuple[int, int, int]]:
        """(order id, price ticks, open quantity) in priority order."""
        sign = -1 if name == "buy" else 1
        rows = [
            (int(order_id), round(float(price) * 10_000), open_)
            for order_id, (side, price, open_) in self.orders.items()
            if side == name
        ]
        return sorted(rows, key=lambda row: sign * row[1])  # stable: time within a price
