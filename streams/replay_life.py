"""One order's life, found by replaying its shard's command log: its events, what it met when it
arrived, and where it stands at the log's end.

Guarantees: the command log alone is read; the book at arrival is the engine's own, just before the
order's command, other commands of its batch included.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from domain.codes import (
    APPLIED,
    BUY,
    CLOSED,
    MARKET,
    POSITION_MAX,
    PRICE_TICKS_MAX,
    SELL,
)
from domain.commands import Command, SubmitOrder
from domain.event_records import decode_events
from domain.events import (
    Event,
    LevelChanged,
    OrderAccepted,
    OrderExecuted,
    OrderRejected,
    OrderRepeated,
)
from domain.exchange import Exchange
from domain.rows import COLLAR, INSTRUMENT_ROW
from domain.snapshot import restore, snapshot
from domain.wire import (
    COMMAND_HEADER_BYTES,
    WireError,
    decode_batch,
    encode_batch,
    pack_client_order_id,
)
from streams.replay import Commands, Progress, Replay, Until, symbol_of
from streams.replay_logs import CommandRow

Level = tuple[int, int, int]  # price ticks, quantity, order count
SHARD_AT: Final = 55
POSITION_AT: Final = 16


@dataclass(frozen=True)
class Birth:
    """Where an order id says that its order was born."""

    shard: int
    position: int
    command_index: int

    @staticmethod
    def of(order_id: int) -> Birth:
        """Take an order id apart."""
        position = (order_id >> POSITION_AT) & POSITION_MAX
        return Birth(order_id >> SHARD_AT, position, order_id & 0xFFFF)

    @property
    def order_id(self) -> int:
        """Put together again."""
        return self.shard << SHARD_AT | self.position << POSITION_AT | self.command_index


@dataclass(frozen=True)
class Happening:
    """One event of the life. Times are ns since 1970."""

    position: int
    trading_time_ns: int
    gateway_time_ns: int
    event: Event


@dataclass(frozen=True)
class Arrival:
    """The book that the order met. `limit_ticks` is the worst price at which it might trade, 0
    where nothing bounds a sale; `fillable` is what the other side offered within it.
    """

    best_bid: Level | None
    best_ask: Level | None
    limit_ticks: int
    fillable: int
    price_collar: int


@dataclass(frozen=True)
class Standing:
    """Where an open order stands in its book. `ahead_…` is at its price and better."""

    ahead_quantity: int
    ahead_orders: int
    best_bid: Level | None
    best_ask: Level | None


@dataclass
class Life:
    """Everything told of one order. `command` is None where the batch holds none of this index;
    `status` is that of its batch."""

    birth: Birth
    log_end: int
    command: Command | None = None
    command_count: int = 0
    status: int = APPLIED
    symbol: str = ""
    arrival: Arrival | None = None
    standing: Standing | None = None
    happenings: list[Happening] = field(default_factory=list)


def life_of(
    commands: Commands,
    birth: Birth,
    log_end: int,
    progress: Progress | None = None,
    begin: Replay | None = None,
) -> Life:
    """Replay the shard to `log_end` and keep what concerns one order, whose birth must not lie past
    it. `begin` is a replay that stands before the birth; without it, the log's start. Raises
    LogUnreadableError.
    """
    assert 0 < birth.position <= log_end
    watch = _Watch(birth, log_end)
    run = Replay(birth.shard) if begin is None else begin
    assert run.position < birth.position
    hooks = [watch.after]
    run.run(commands, Until(log_end), before=watch.before, after=hooks, progress=progress)
    watch.finish(run.exchange)
    return watch.life


class _Watch:
    """Hooks of `Replay.run` that look for one order."""

    def __init__(self, birth: Birth, log_end: int) -> None:
        self.life = Life(birth, log_end)
        self._order_id = birth.order_id
        self._needle = birth.order_id.to_bytes(8, "little")
        self._client_needle = b""
        self._exchange: Exchange | None = None

    def before(self, exchange: Exchange, row: CommandRow) -> bytes:
        """Look at the book just before the order comes."""
        self._exchange = exchange
        life = self.life
        if row.position != life.birth.position:
            return row.batch
        try:
            _, commands = decode_batch(row.batch)
        except WireError:
            return row.batch
        life.command_count = len(commands)
        index = life.birth.command_index
        if index < len(commands):
            life.command = commands[index]
            if isinstance(life.command, SubmitOrder):
                met = exchange if index == 0 else _after_some(exchange, row, index)
                life.symbol = symbol_of(met, life.command.instrument)
                life.arrival = _arrival(met, life.command)
                self._client_needle = pack_client_order_id(life.command.client_order_id)
        return row.batch

    def after(self, row: CommandRow, image: bytes, _chain: bytes) -> None:
        """Keep the batch's events that are of this order."""
        life = self.life
        if row.position < life.birth.position:
            return
        born_here = row.position == life.birth.position
        if born_here:
            life.status = image[20]
        by_client = self._client_needle and self._client_needle in image
        if not (born_here or by_client or self._needle in image):
            return
        trading, gateway = (
            int.from_bytes(image[at : at + 8], "little", signed=True) for at in (56, 48)
        )
        for event in decode_events(image):
            if self._concerns(event, born_here):
                life.happenings.append(Happening(row.position, trading, gateway, event))
        self._forget_client_id()

    def finish(self, exchange: Exchange) -> None:
        """Where the order stands at the end."""
        command = self.life.command
        if not isinstance(command, SubmitOrder) or not self.life.happenings:
            return
        side, instrument = int(command.side), int(command.instrument)
        if side not in (BUY, SELL):
            return
        ahead_quantity = 0
        for ahead_orders, order in enumerate(exchange.orders(instrument, side)):
            order_id, _, _, leaves = order
            if order_id == self._order_id:
                bid, ask = _best(exchange, instrument, BUY), _best(exchange, instrument, SELL)
                self.life.standing = Standing(ahead_quantity, ahead_orders, bid, ask)
                return
            ahead_quantity += leaves

    def _concerns(self, event: Event, born_here: bool) -> bool:
        if isinstance(event, LevelChanged):
            return False
        if isinstance(event, OrderExecuted):
            return self._order_id in (event.aggressor_order_id, event.resting_order_id)
        if getattr(event, "order_id", None) == self._order_id:
            return True
        if isinstance(event, OrderRepeated):
            return born_here and event.command_index == self.life.birth.command_index
        return isinstance(event, OrderRejected) and self._names_it(event)

    def _names_it(self, event: OrderRejected) -> bool:
        """Whether a refused command named this order by its client order id."""
        command = self.life.command
        return (
            isinstance(command, SubmitOrder)
            and command.client_order_id != b""
            and bool(self._client_needle)
            and event.client_order_id == command.client_order_id
            and (event.account, event.instrument) == (command.account, command.instrument)
        )

    def _forget_client_id(self) -> None:
        """From the close on, the client order id is free for another order."""
        command, symbol = self.life.command, self.life.symbol
        if not self._client_needle or not symbol or not isinstance(command, SubmitOrder):
            return
        assert self._exchange is not None
        if self._exchange.trading_state(command.instrument) == CLOSED:
            self._client_needle = b""


def _after_some(exchange: Exchange, row: CommandRow, count: int) -> Exchange:
    """A copy of the engine that has applied the first `count` commands of the next batch."""
    header, _ = decode_batch(row.batch)
    records: list[bytes] = []
    at = COMMAND_HEADER_BYTES
    while len(records) < count:
        end = at + row.batch[at + 1] * 8
        records.append(row.batch[at:end])
        at = end
    copy = restore(snapshot(exchange))
    number, timestamp = header.batch_number, header.audit_timestamp_ns
    copy.apply(row.position, encode_batch(header.session, number, timestamp, records))
    return copy


def _arrival(exchange: Exchange, order: SubmitOrder) -> Arrival | None:
    """What a submit meets; None where its instrument or side is none."""
    instrument, side = int(order.instrument), int(order.side)
    if not symbol_of(exchange, instrument) or side not in (BUY, SELL):
        return None
    bid, ask = _best(exchange, instrument, BUY), _best(exchange, instrument, SELL)
    limit, collar = int(order.price_ticks), 0
    if order.order_type == MARKET:
        collar = int(exchange.books.instruments[instrument * INSTRUMENT_ROW + COLLAR])
        best = ask if side == BUY else bid
        limit = PRICE_TICKS_MAX if side == BUY else 0
        if collar and best is not None:
            limit = best[0] + collar if side == BUY else best[0] - collar
    offered = exchange.levels(instrument, 1 - side)
    fillable = sum(
        quantity
        for price, quantity, _ in offered
        if (price <= limit if side == BUY else price >= limit)
    )
    return Arrival(bid, ask, limit, fillable, collar)


def _best(exchange: Exchange, instrument: int, side: int) -> Level | None:
    levels = exchange.levels(instrument, side)
    return levels[0] if levels else None


# --- by client order id ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Named:
    """A submit that carried a client order id, and what came of it."""

    birth: Birth
    event: OrderAccepted | OrderRejected | OrderRepeated


def submits_named(
    commands: Commands,
    log_end: int,
    *,
    account: int,
    symbol: str,
    client_order_id: bytes,
    progress: Progress | None = None,
) -> list[Named]:
    """All submits of an account in an instrument that carried this client order id, in order.
    Raises LogUnreadableError.
    """
    needle = pack_client_order_id(client_order_id)
    run = Replay(commands.shard)
    found: list[Named] = []

    def after(row: CommandRow, image: bytes, _chain: bytes) -> None:
        if needle not in row.batch or image[20] != APPLIED:
            return
        _, sent = decode_batch(row.batch)
        wanted = {
            index
            for index, each in enumerate(sent)
            if isinstance(each, SubmitOrder)
            and (each.account, each.client_order_id) == (account, client_order_id)
            and symbol_of(run.exchange, each.instrument) == symbol
        }
        for event in decode_events(image) if wanted else ():
            if event.command_index in wanted and isinstance(
                event, OrderAccepted | OrderRejected | OrderRepeated
            ):
                found.append(Named(Birth(commands.shard, row.position, event.command_index), event))

    run.run(commands, Until(log_end), after=[after], progress=progress)
    return found
