"""Books as a slow, plain reading of the level changes says they should be."""

from __future__ import annotations

from domain.batch import EventBatch
from domain.events import InstrumentListed, LevelChanged, OrderExecuted, TradingStateChanged
from projections.read_books import BookSnapshot, Deltas, Level

Levels = dict[int, tuple[int, int]]


class BookOracle:
    """One instrument's book, moved on by whole batches or by deltas."""

    def __init__(self, instrument: int) -> None:
        self.instrument = instrument
        self.sequence = 0
        self.state = 0
        self.sides: tuple[Levels, Levels] = ({}, {})
        self.last_trade: tuple[int, ...] | None = None

    @classmethod
    def of(cls, instrument: int, batches: list[EventBatch]) -> BookOracle:
        book = cls(instrument)
        for batch in batches:
            for event in batch.events():
                if getattr(event, "instrument", None) == instrument:
                    book.take(batch, event)
        return book

    def take(self, batch: EventBatch, event: object) -> None:
        sequence = getattr(event, "book_sequence", None)
        if sequence is not None:
            assert sequence == self.sequence + 1, "sequences have no gap"
            self.sequence = sequence
        if isinstance(event, LevelChanged):
            self.set_level(event.side, event.price_ticks, event.quantity, event.order_count)
        elif isinstance(event, OrderExecuted):
            terms = (event.match_number, event.price_ticks, event.quantity)
            self.last_trade = (*terms, event.aggressor_side, batch.header.audit_timestamp_ns)
        elif isinstance(event, InstrumentListed | TradingStateChanged):
            self.state = event.state

    def set_level(self, side: int, price: int, quantity: int, count: int) -> None:
        if quantity:
            self.sides[side][price] = (quantity, count)
        else:
            assert count == 0
            del self.sides[side][price]

    def take_deltas(self, deltas: Deltas) -> None:
        """Apply deltas as a client does, checking that none is missing."""
        for delta in deltas.entries:
            assert delta.previous_sequence == self.sequence
            for change in delta.levels:
                assert self.sequence < change.sequence <= delta.sequence
                quantity, count = change.quantity, change.order_count
                if quantity == 0:
                    self.sides[change.side].pop(change.price_ticks, None)
                else:
                    self.sides[change.side][change.price_ticks] = (quantity, count)
            for state in delta.states:
                self.state = state.state
            if delta.trades:
                trade = delta.trades[-1]
                terms = (trade.match_number, trade.price_ticks, trade.quantity)
                self.last_trade = (*terms, trade.aggressor_side, trade.executed_at_ns)
            self.sequence = delta.sequence

    def levels(self, side: int) -> list[Level]:
        prices = sorted(self.sides[side], reverse=side == 0)
        return [(price, *self.sides[side][price]) for price in prices]

    @classmethod
    def from_snapshot(cls, snapshot: BookSnapshot) -> BookOracle:
        book = cls(snapshot.instrument)
        book.sequence, book.state = snapshot.sequence, snapshot.state
        for side, levels in enumerate((snapshot.bids, snapshot.asks)):
            book.sides[side].update({price: (quantity, n) for price, quantity, n in levels})
        trade = snapshot.last_trade
        if trade is not None:
            terms = (trade.match_number, trade.price_ticks, trade.quantity)
            book.last_trade = (*terms, trade.aggressor_side, trade.executed_at_ns)
        return book

    def __eq__(self, other: object) -> bool:
        assert isinstance(other, BookOracle)
        return vars(self) == vars(other)
