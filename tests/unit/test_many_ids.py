"""Client order ids in numbers that only a busy exchange has: a restored snapshot knows every one of
them, and a day number that comes again knows none of an earlier round.
"""

from __future__ import annotations

from collections.abc import Iterable

from domain import codes
from domain.client_ids import CHUNK_MASK, DAY_BITS
from domain.commands import Command, ListInstrument, SetAccount, SetTradingState, SubmitOrder
from domain.event_records import decode_events
from domain.events import OrderAccepted, OrderRepeated
from domain.exchange import Exchange
from domain.snapshot import restore, snapshot, state_hash
from tests.reference.records import batch_of, record_of

STEP = 2_000
SESSION = b"session-number-1"


def send(exchanges: Iterable[Exchange], commands: list[Command]) -> list[object]:
    """The events of the commands, which are the same bytes from every exchange."""
    images = []
    for exchange in exchanges:
        number = exchange.position + 1
        records = [record_of(each) for each in commands]
        batch = batch_of(records, session=SESSION, batch_number=number)
        images.append(exchange.apply(number, batch))
    assert all(image == images[0] for image in images)
    return list(decode_events(images[0]))


def opened(*instruments: int) -> Exchange:
    """An exchange with one account, in which these instruments trade."""
    exchange = Exchange(0)
    listings: list[Command] = [SetAccount(1)]
    for number in instruments:
        listings += [ListInstrument(number, b"S%d" % number, 1, 1)]
        listings += [SetTradingState(number, codes.OPEN)]
    send([exchange], listings)
    return exchange


def ioc(text: bytes, instrument: int) -> SubmitOrder:
    """An order that is accepted, rests nowhere and leaves its id behind."""
    return SubmitOrder(1, instrument, codes.BUY, codes.LIMIT, codes.IOC, 1, 1, text)


def repeats(events: list[object]) -> list[bool]:
    """Of each order, whether it was answered as a repeat and not accepted."""
    told = [event for event in events if isinstance(event, OrderAccepted | OrderRepeated)]
    return [isinstance(event, OrderRepeated) for event in told]


def test_whole_chunks_of_ids_are_known_after_a_restart() -> None:
    exchange = opened(1, 2, 3)
    count = 2 * (CHUNK_MASK + 1) + 1_000
    orders = [ioc(b"id-%d" % number, 1 + number % 3) for number in range(count)]
    for at in range(0, count, STEP):
        assert not any(repeats(send([exchange], list(orders[at : at + STEP]))))
    send([exchange], [SetTradingState(3, codes.CLOSED), SetTradingState(3, codes.OPEN)])
    again = restore(snapshot(exchange))
    assert state_hash(again) == state_hash(exchange)
    for at in range(0, count, STEP * 7):
        some = orders[at : at + STEP]
        told = repeats(send([exchange, again], list(some)))
        assert told == [order.instrument != 3 for order in some]
    new = [ioc(b"new-%d" % number, 1 + number % 3) for number in range(STEP)]
    assert not any(repeats(send([exchange, again], list(new))))
    assert state_hash(again) == state_hash(exchange)
    assert state_hash(restore(snapshot(again))) == state_hash(exchange)


def test_a_day_number_that_comes_again_knows_no_id_of_its_last_round() -> None:
    exchange = opened(1, 2)
    first = [ioc(b"first-%d" % number, 1 + number % 2) for number in range(1_000)]
    assert not any(repeats(send([exchange], list(first))))
    night: list[Command] = [SetTradingState(1, codes.CLOSED), SetTradingState(1, codes.OPEN)]
    for at in range(0, DAY_BITS, STEP):
        send([exchange], night * min(STEP, DAY_BITS - at))
    send([exchange], [ioc(b"last", 1), *night])
    again = restore(snapshot(exchange))
    assert state_hash(again) == state_hash(exchange)
    told = repeats(send([exchange, again], [*first, ioc(b"last", 1)]))
    assert told == [order.instrument != 1 for order in first] + [False]
    assert state_hash(again) == state_hash(exchange)
