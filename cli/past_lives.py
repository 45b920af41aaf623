"""Orders' lives and engine states, read from logs and snapshots by the past process.

Guarantees: a life is what `crossbook explain` tells, by the same code; it begins with the newest
engine snapshot before the order's birth, where there is a sound one of this log's history, and that
changes how long it takes and nothing else. What was told at length is kept for a moment, for those
who ask again.
"""

from __future__ import annotations

import logging
import time
from collections import OrderedDict
from dataclasses import replace
from typing import Any, Final

from api.lives import ArrivalTold, EventTold, LifeTold, StandingTold, StateTold
from api.reasons import reason_code
from cli.explain import Story, Wanted, explain_order
from cli.explain_report import told, why
from cli.replay_places import LogPlace, open_events, place_of
from cli.replay_rows import event_name
from cli.settings import Settings
from domain.events import OrderAccepted, OrderCancelled, OrderExecuted, OrderExpired
from domain.snapshot import SnapshotError, restore, state_hash
from projections.snapshots import SnapshotStore
from streams.replay import Replay
from streams.replay_life import Birth, Happening

KEPT_MAX: Final = 64
KEPT_S: Final = 1.0
KEPT_TIMES: Final = 5  # as long as it took to tell

log = logging.getLogger("crossbook.past")


class LifeTeller:
    """Tells orders' lives. For one thread."""

    def __init__(self, settings: Settings, store: SnapshotStore) -> None:
        self._place: LogPlace = place_of(settings, None)
        self._store = store
        self._kept: OrderedDict[int, tuple[float, Story | None]] = OrderedDict()

    def told(self, order_id: int, viewer: int | None) -> LifeTold | None:
        """A life; None where there is no such order. Raises LogUnreadableError."""
        kept = self._kept.get(order_id)
        if kept is None or time.monotonic() > kept[0]:
            kept = self._tell(order_id)
        story = kept[1]
        return None if story is None else _life(replace(story, viewer=viewer))

    def _tell(self, order_id: int) -> tuple[float, Story | None]:
        began = time.monotonic()
        found = explain_order(self._place, Wanted(order_id), progress=None, begin=self._begin)
        if isinstance(found, str):
            log.info("%s", found)
        now = time.monotonic()
        until = now + max(KEPT_S, KEPT_TIMES * (now - began))
        kept = self._kept[order_id] = (until, None if isinstance(found, str) else found)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return kept

    def _begin(self, birth: Birth) -> Replay:
        """The newest state before the order's birth."""
        found = self._store.newest_sound(birth.shard, birth.position - 1)
        if found is None:
            return Replay(birth.shard)
        at, chunks = found
        events = open_events(self._place, birth.shard)
        if events is None:
            return Replay(birth.shard)
        with events:
            if events.chain_at(at.position) != at.chain:
                return Replay(birth.shard)
        try:
            return Replay(birth.shard, restore(chunks), at.chain)
        except SnapshotError as error:
            log.warning("shard %d, snapshot of %d: %s", birth.shard, at.position, error)
            return Replay(birth.shard)


class SnapshotHashes:
    """The hash of each shard's newest engine snapshot. For one thread."""

    def __init__(self, store: SnapshotStore) -> None:
        self._store = store
        self._known: dict[int, StateTold] = {}

    def newest(self, shard: int) -> StateTold | None:
        """Restored once, and known from then on; None where there is none."""
        listed = self._store.listed(shard)
        known = self._known.get(shard)
        if known is not None and listed and listed[0][0] == known.position:
            return known
        found = self._store.newest_sound(shard)
        if found is None:
            return None
        at, chunks = found
        try:
            exchange = restore(chunks)
        except SnapshotError as error:
            log.warning("shard %d, snapshot of %d: %s", shard, at.position, error)
            return None
        saved_at = dict(listed).get(at.position, 0)
        told_now = StateTold(at.position, state_hash(exchange).hex(), saved_at, time.time_ns())
        self._known[shard] = told_now
        return told_now


def _life(story: Story) -> LifeTold:
    life, order = story.life, story.order
    executed = story.executed_quantity
    arrival, standing = life.arrival, life.standing
    return LifeTold(
        order_id=life.birth.order_id,
        account=int(order.account),
        client_order_id=order.client_order_id.decode("ascii", "backslashreplace"),
        symbol=life.symbol,
        side=int(order.side),
        order_type=int(order.order_type),
        time_in_force=int(order.time_in_force),
        price_ticks=int(order.price_ticks),
        quantity=int(order.quantity),
        state=story.state,
        executed_quantity=executed,
        leaves_quantity=story.leaves_quantity,
        average_ticks=(2 * story.executed_value + executed) // (2 * executed) if executed else None,
        shard=life.birth.shard,
        position=life.birth.position,
        command_index=life.birth.command_index,
        log_end=life.log_end,
        events=[_event(story, each) for each in life.happenings],
        arrival=None
        if arrival is None
        else ArrivalTold(arrival.best_bid, arrival.best_ask, arrival.fillable),
        standing=None
        if standing is None
        else StandingTold(
            standing.ahead_quantity, standing.ahead_orders, standing.best_bid, standing.best_ask
        ),
        why=why(story),
    )


def _event(story: Story, happening: Happening) -> EventTold:
    event = happening.event
    leaves = _number(event, "leaves_quantity")
    if isinstance(event, OrderAccepted):
        leaves = int(event.quantity)
    elif isinstance(event, OrderCancelled | OrderExpired):
        leaves = 0
    other: int | None = None
    if isinstance(event, OrderExecuted):
        arrived = event.aggressor_order_id == story.life.birth.order_id
        leaves = int(event.aggressor_leaves if arrived else event.resting_leaves)
        other = int(event.resting_order_id if arrived else event.aggressor_order_id)
    reason = _number(event, "reason")
    return EventTold(
        kind=event_name(event),
        text=told(story, happening),
        position=happening.position,
        trading_time_ns=happening.trading_time_ns,
        gateway_time_ns=happening.gateway_time_ns,
        sequence=_number(event, "book_sequence"),
        price_ticks=_number(event, "price_ticks") or None,
        quantity=_number(event, "quantity"),
        leaves_quantity=leaves,
        match_number=_number(event, "match_number"),
        other_order_id=other,
        reason=reason_code(reason) if reason else None,
    )


def _number(event: Any, name: str) -> int | None:
    value = getattr(event, name, None)
    return None if value is None else int(value)
