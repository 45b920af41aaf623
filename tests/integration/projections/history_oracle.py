"""The history tables as a slow, plain reading of the events says they should be."""

from __future__ import annotations

import struct
from datetime import date, timedelta
from typing import Any

from domain.batch import EventBatch
from domain.events import (
    InstrumentListed,
    LevelChanged,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderReplaced,
    TradingStateChanged,
)

OPEN, PARTIALLY_FILLED, FILLED, CANCELLED, EXPIRED, REJECTED = range(6)
Row = dict[str, Any]
DAY_NS = 86_400 * 10**9


def day_of(batch: EventBatch) -> date:
    """The UTC day of the batch's trading time."""
    return date(1970, 1, 1) + timedelta(days=batch.header.trading_time_ns // DAY_NS)


class HistoryOracle:
    """Rows by table, made from dataclass events one at a time."""

    def __init__(self) -> None:
        self.orders: dict[int, Row] = {}
        self.executions: list[Row] = []
        self.trades: list[Row] = []
        self.instruments: dict[int, Row] = {}
        self.order_events: list[Row] = []
        self.summaries: dict[tuple[int, date], Row] = {}
        self.levels: dict[tuple[int, int], Row] = {}
        self.days: dict[tuple[int, date], Row] = {}

    @classmethod
    def of(cls, batches: list[EventBatch]) -> HistoryOracle:
        oracle = cls()
        for batch in batches:
            for event in batch.events():
                oracle.take(batch, event)
                oracle.tell(batch, event)
        return oracle

    def take(self, batch: EventBatch, event: object) -> None:
        if isinstance(event, OrderAccepted):
            self.born(batch, event, status=OPEN, reason=0, leaves_quantity=event.quantity)
        elif isinstance(event, OrderRejected) and event.command_type == 1:
            self.born(batch, event, status=REJECTED, reason=event.reason, leaves_quantity=0)
        elif isinstance(event, OrderExecuted):
            self.executed(batch, event)
        elif isinstance(event, OrderCancelled | OrderExpired):
            row = self.touch(batch, event.order_id)
            row["status"] = CANCELLED if isinstance(event, OrderCancelled) else EXPIRED
            row["reason"] = event.reason
            row["leaves_quantity"] = 0
        elif isinstance(event, OrderReplaced):
            row = self.touch(batch, event.order_id)
            assert row["executed_quantity"] == event.executed_quantity
            row["price_ticks"] = event.price_ticks
            row["leaves_quantity"] = event.leaves_quantity
            row["quantity"] = event.executed_quantity + event.leaves_quantity
            row["status"] = PARTIALLY_FILLED if event.executed_quantity else OPEN
        elif isinstance(event, InstrumentListed):
            self.instruments[event.instrument] = {
                "instrument": event.instrument,
                "shard": batch.header.shard,
                "symbol": event.symbol.decode(),
                "tick_size": event.tick_size,
                "lot_size": event.lot_size,
                "price_collar": event.price_collar,
                "state": event.state,
                "listed_position": batch.position,
                "updated_position": batch.position,
            }
        elif isinstance(event, TradingStateChanged):
            row = self.instruments[event.instrument]
            row["state"], row["updated_position"] = event.state, batch.position

    def tell(self, batch: EventBatch, event: object) -> None:
        """What befell each order, each day's figures, and the levels."""
        if isinstance(event, OrderAccepted):
            self.happened(batch, event, "accepted", event.quantity)
        elif isinstance(event, OrderRejected) and event.command_type == 1:
            self.happened(batch, event, "rejected", 0, reason=event.reason)
        elif isinstance(event, OrderRejected) and event.command_type in (2, 3) and event.order_id:
            kind = "cancel_refused" if event.command_type == 2 else "replace_refused"
            self.happened(batch, event, kind, None, reason=event.reason, side=None)
        elif isinstance(event, OrderCancelled | OrderExpired):
            kind = "cancelled" if isinstance(event, OrderCancelled) else "expired"
            self.happened(batch, event, kind, 0, reason=event.reason)
        elif isinstance(event, OrderReplaced):
            total = event.executed_quantity + event.leaves_quantity
            self.happened(batch, event, "replaced", event.leaves_quantity, quantity=total)
        elif isinstance(event, OrderExecuted):
            self.summarise(batch, event)
        elif isinstance(event, LevelChanged):
            key = (event.instrument, batch.position)
            row = self.levels.setdefault(
                key,
                {
                    "instrument": event.instrument,
                    "position": batch.position,
                    "trading_day": day_of(batch),
                    "shard": batch.header.shard,
                    "changes": b"",
                    "occurred_at_ns": batch.header.audit_timestamp_ns,
                    "trading_time_ns": batch.header.trading_time_ns,
                },
            )
            row["last_sequence"] = event.book_sequence
            quantity = event.quantity * 2 + event.side
            row["changes"] += struct.pack(
                "<IIqq", event.price_ticks, event.order_count, quantity, event.book_sequence
            )

    def happened(
        self, batch: EventBatch, event: Any, kind: str, leaves: int | None, **given: Any
    ) -> None:
        row = {
            "order_id": event.order_id,
            "account": event.account,
            "position": batch.position,
            "event": kind,
            "side": event.side,
            "price_ticks": event.price_ticks,
            "leaves_quantity": leaves,
            "reason": 0,
            "match_number": None,
            "occurred_at_ns": batch.header.audit_timestamp_ns,
            "trading_time_ns": batch.header.trading_time_ns,
        }
        row["quantity"] = getattr(event, "quantity", None)
        self.order_events.append(row | given)

    def summarise(self, batch: EventBatch, event: OrderExecuted) -> None:
        key = (event.instrument, day_of(batch))
        row = self.summaries.setdefault(
            key,
            {
                "instrument": event.instrument,
                "trading_day": day_of(batch),
                "shard": batch.header.shard,
                "open_ticks": event.price_ticks,
                "high_ticks": event.price_ticks,
                "low_ticks": event.price_ticks,
                "volume": 0,
                "value": 0,
                "trade_count": 0,
                "first_match_number": event.match_number,
                "first_executed_at_ns": batch.header.audit_timestamp_ns,
            },
        )
        row["last_executed_at_ns"] = batch.header.audit_timestamp_ns
        row["high_ticks"] = max(row["high_ticks"], event.price_ticks)
        row["low_ticks"] = min(row["low_ticks"], event.price_ticks)
        row["close_ticks"] = event.price_ticks
        row["volume"] += event.quantity
        row["value"] += event.quantity * event.price_ticks
        row["trade_count"] += 1
        row["last_match_number"] = event.match_number
        for order_id, account, leaves, side in (
            (event.aggressor_order_id, event.aggressor_account, event.aggressor_leaves, 0),
            (event.resting_order_id, event.resting_account, event.resting_leaves, 1),
        ):
            own = event.aggressor_side if side == 0 else 1 - event.aggressor_side
            self.order_events.append(
                {
                    "order_id": order_id,
                    "account": account,
                    "position": batch.position,
                    "event": "executed",
                    "side": own,
                    "price_ticks": event.price_ticks,
                    "quantity": event.quantity,
                    "leaves_quantity": leaves,
                    "reason": 0,
                    "match_number": event.match_number,
                    "occurred_at_ns": batch.header.audit_timestamp_ns,
                    "trading_time_ns": batch.header.trading_time_ns,
                }
            )

    def touch(self, batch: EventBatch, order_id: int) -> Row:
        row = self.orders[order_id]
        row["updated_trading_time_ns"] = batch.header.trading_time_ns
        row["updated_position"] = batch.position
        row["updated_at_ns"] = batch.header.audit_timestamp_ns
        return row

    def born(self, batch: EventBatch, event: OrderAccepted | OrderRejected, **state: int) -> None:
        client = event.client_order_id
        sound = bool(client) and all(0x21 <= value <= 0x7E for value in client)
        assert event.order_id not in self.orders
        key = (batch.header.shard, day_of(batch))
        self.days.setdefault(
            key,
            {"shard": key[0], "first_position": batch.position, "trading_day": key[1]},
        )
        self.orders[event.order_id] = {
            "order_id": event.order_id,
            "trading_day": day_of(batch),
            "shard": batch.header.shard,
            "account": event.account,
            "instrument": event.instrument,
            "client_order_id": client.decode() if sound else None,
            "side": event.side,
            "order_type": event.order_type,
            "time_in_force": event.time_in_force,
            "price_ticks": event.price_ticks,
            "quantity": event.quantity,
            "executed_quantity": 0,
            "executed_value": 0,
            "accepted_position": batch.position,
            "accepted_at_ns": batch.header.audit_timestamp_ns,
            "trading_time_ns": batch.header.trading_time_ns,
            **state,
        }
        self.touch(batch, event.order_id)

    def executed(self, batch: EventBatch, event: OrderExecuted) -> None:
        match = {
            "match_number": event.match_number,
            "trading_day": day_of(batch),
            "book_sequence": event.book_sequence,
            "shard": batch.header.shard,
            "instrument": event.instrument,
            "price_ticks": event.price_ticks,
            "quantity": event.quantity,
            "position": batch.position,
            "executed_at_ns": batch.header.audit_timestamp_ns,
            "trading_time_ns": batch.header.trading_time_ns,
        }
        self.trades.append({**match, "aggressor_side": event.aggressor_side})
        side = event.aggressor_side
        for order_id, account, leaves, own_side, liquidity in (
            (event.aggressor_order_id, event.aggressor_account, event.aggressor_leaves, side, 1),
            (event.resting_order_id, event.resting_account, event.resting_leaves, 1 - side, 0),
        ):
            row = self.touch(batch, order_id)
            assert row["account"] == account
            row["executed_quantity"] += event.quantity
            row["executed_value"] += event.quantity * event.price_ticks
            row["leaves_quantity"] = leaves
            row["status"] = PARTIALLY_FILLED if leaves else FILLED
            own = {"order_id": order_id, "account": account, "side": own_side}
            own |= {"liquidity": liquidity, "leaves_quantity": leaves}
            self.executions.append({**match, **own})
