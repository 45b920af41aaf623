"""A market without an exchange around it: items of the public batch API, straight into the engine.

For recording and for tests. There is one account, and no gateway that would refuse anything.
"""

from __future__ import annotations

from collections import Counter

from cli.play_commands import price_ticks_of
from domain.codes import REPLACE_TOTAL, OrderType, Reason, Side, TimeInForce
from domain.commands import (
    CancelOrder,
    Command,
    ListInstrument,
    ReplaceOrder,
    SetAccount,
    SubmitOrder,
)
from domain.event_records import decode_events
from domain.events import Event
from domain.exchange import Exchange
from domain.outcomes import ACCEPTED, CANCELLED, REPLACED, Outcome, outcomes_of
from domain.wire import encode_batch, encode_command

SESSION = bytes(range(16))
ACCOUNT = 1


class OfflineMarket:
    """One engine with an account and some instruments, numbered in the order given."""

    def __init__(self, ticks: dict[str, int]) -> None:
        self.exchange = Exchange(0)
        self.numbers = {symbol: number for number, symbol in enumerate(ticks, start=1)}
        self.events: list[Event] = []
        self.reasons: Counter[str] = Counter()
        listing: list[Command] = [SetAccount(ACCOUNT)]
        for symbol, number in self.numbers.items():
            listing.append(ListInstrument(number, symbol.encode(), ticks[symbol], 1))
        self.apply(listing)

    def send(self, bodies: list[dict[str, str | int]]) -> list[Outcome]:
        """Apply one batch of API items; the outcome of each."""
        return self.apply([self.command(body) for body in bodies])

    def apply(self, commands: list[Command]) -> list[Outcome]:
        """Apply one batch of commands; the outcome of each."""
        position = self.exchange.position + 1
        records = [encode_command(command) for command in commands]
        record = self.exchange.apply(position, encode_batch(SESSION, position, 0, records))
        self.events = decode_events(record)
        outcomes = outcomes_of(record, 0, len(commands))
        self.reasons.update(Reason(each.reason).name.lower() for each in outcomes if each.reason)
        return outcomes

    def command(self, body: dict[str, str | int]) -> Command:
        """An item of the batch API as the engine's command."""
        instrument = self.numbers[str(body["symbol"])]
        name = str(body["client_order_id"]).encode()
        price = price_ticks_of(str(body["price"])) if "price" in body else 0
        quantity = int(body.get("quantity", 0))
        if body["op"] == "cancel":
            return CancelOrder(ACCOUNT, instrument, 0, name)
        if body["op"] == "replace":
            return ReplaceOrder(ACCOUNT, instrument, 0, price, quantity, REPLACE_TOTAL, name)
        return SubmitOrder(
            ACCOUNT,
            instrument,
            Side[str(body["side"]).upper()],
            OrderType[str(body["type"]).upper()],
            TimeInForce[str(body["time_in_force"]).upper()],
            price,
            quantity,
            name,
        )


def accepted(outcome: Outcome) -> bool:
    """Whether the command did what it asked."""
    return outcome.kind in (ACCEPTED, CANCELLED, REPLACED)
