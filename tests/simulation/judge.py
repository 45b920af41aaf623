"""What must be true of a world at rest, whatever befell it.

Guarantees: everything is compared with one fresh, undisturbed run over the command logs. The first
thing that is wrong raises AssertionError.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from domain.batch import START, EventBatch, Position
from domain.codes import APPLIED, UNDECODABLE, Reason
from domain.events import OrderAccepted, OrderRejected, OrderRepeated
from domain.exchange import Exchange
from domain.outcomes import outcomes_of
from domain.snapshot import restore, state_hash
from domain.wire import (
    COMMAND_HEADER_BYTES,
    EVENT_CHAIN_AT,
    EVENT_HEADER_BYTES,
    chain_of,
    decode_batch,
)
from streams.directory_follower import DIRECTORY_SESSION
from tests.reference.exchange import ReferenceExchange
from tests.simulation.journal import DURABLE, NOT_THERE, Attempt, Request, values_of
from tests.simulation.world import World

REFERENCE_EVERY = 10  # seeds: it is slow
STATUSES = ("applied", "repeat", "undecodable")
BEFORE_USE = (Reason.UNKNOWN_INSTRUMENT, Reason.UNKNOWN_ACCOUNT, Reason.INVALID_CLIENT_ORDER_ID)
NOT_THE_FIRST = (*BEFORE_USE, Reason.DUPLICATE_CLIENT_ORDER_ID, Reason.CLIENT_ORDER_IDS_EXHAUSTED)


@dataclass
class FreshRun:
    """One shard's command log run once, from the start, by nothing but the engine."""

    shard: int
    engine: Exchange
    batches: list[EventBatch] = field(default_factory=list)
    hashes: dict[int, bytes] = field(default_factory=dict)
    applied: dict[int, list[bytes]] = field(default_factory=dict)  # records by position

    @property
    def at(self) -> Position:
        """Where it ends."""
        return self.batches[-1].at if self.batches else START


def judge(world: World) -> None:
    """Judge a world at rest."""
    for shard in range(world.shards):
        fresh = run_afresh(world, shard)
        check_event_log(world, fresh)
        check_sinks(world, fresh)
        check_snapshots(world, fresh)
        check_sessions(world, fresh)
        check_directory(world, fresh)
        if world.seed % REFERENCE_EVERY == 0:
            check_reference(world, fresh)
        requests = [
            request
            for client in world.clients
            for request in client.requests
            if request.shard == shard
        ]
        check_answers(world, fresh, requests)
        check_counts(fresh, requests)
        check_orders(fresh, requests)


def run_afresh(world: World, shard: int) -> FreshRun:
    """The events of a command log, and its records by position."""
    fresh = FreshRun(shard, Exchange(shard))
    chain = START.chain
    wanted = world.snapshots.kept.get(shard, {})
    for position, (_, _, batch) in enumerate(world.commands[shard].rows, start=1):
        image = fresh.engine.apply(position, batch)
        chain = chain_of(chain, image)
        sealed = EventBatch(image[:EVENT_CHAIN_AT] + chain + image[EVENT_HEADER_BYTES:])
        fresh.batches.append(sealed)
        world.scheduler.count(f"batches:{STATUSES[sealed.header.status]}")
        if sealed.header.status == APPLIED:
            fresh.applied[position] = records_of(batch)
        if position in wanted:
            fresh.hashes[position] = state_hash(fresh.engine)
    return fresh


def records_of(batch: bytes) -> list[bytes]:
    """A sound batch's command records."""
    records, at = [], COMMAND_HEADER_BYTES
    while at < len(batch):
        end = at + batch[at + 1] * 8
        records.append(batch[at:end])
        at = end
    return records


def check_event_log(world: World, fresh: FreshRun) -> None:
    """Every position is there once, and byte for byte what a fresh run writes."""
    store = world.events[fresh.shard]
    assert sorted(store.batches) == list(range(1, len(fresh.batches) + 1)), (
        f"shard {fresh.shard}: positions {sorted(store.batches)}, not 1 to {len(fresh.batches)}"
    )
    for batch in fresh.batches:
        parts = list(store.batches[batch.position])
        if len(parts) > 1:
            world.scheduler.count("batches:in-parts")
        written = EventBatch.of_parts(parts).record
        assert written == batch.record, f"shard {fresh.shard}: {batch.position} has other bytes"


def check_sinks(world: World, fresh: FreshRun) -> None:
    """Every sink is at the log's end and is what a fresh projection is; the books are the engine's
    own.
    """
    for store in world.sinks:
        assert store.at(fresh.shard) == fresh.at, f"{store.name} is at {store.at(fresh.shard)}"
        model = store.new()
        for batch in fresh.batches:
            model.apply(batch)
        found = store.rows[fresh.shard][1]
        assert found == model, f"{store.name}, shard {fresh.shard}: not a fresh projection's"
        if store.name == "redis":
            for number, book in found.books.items():
                for side in (0, 1):
                    levels = [(price, *level) for price, level in book.sides[side].items()]
                    own = fresh.engine.levels(number, side)
                    assert sorted(levels) == sorted(own), f"the engine has another book {number}"


def check_snapshots(world: World, fresh: FreshRun) -> None:
    """A snapshot is the engine as it stood at its position."""
    for position, (at, chunks) in world.snapshots.kept.get(fresh.shard, {}).items():
        assert at == fresh.batches[position - 1].at, f"snapshot {position} is of another history"
        engine = restore(chunks)
        assert state_hash(engine) == fresh.hashes[position], f"snapshot {position} is another state"


def check_sessions(world: World, fresh: FreshRun) -> None:
    """Each session's numbers go up, and no (session, number) is applied twice."""
    last: dict[bytes, int] = defaultdict(int)
    for batch in fresh.batches:
        header = batch.header
        if header.status == APPLIED:
            assert header.batch_number > last[header.session], f"{batch.position}: applied again"
            last[header.session] = header.batch_number


def check_directory(world: World, fresh: FreshRun) -> None:
    """All that the directory said is applied once, in its order."""
    found = [
        record
        for position, records in fresh.applied.items()
        if fresh.batches[position - 1].header.session == DIRECTORY_SESSION
        for record in records
    ]
    said = world.directory.asks_for(fresh.shard)
    assert found == said, f"shard {fresh.shard}: not what the directory says"


def check_reference(world: World, fresh: FreshRun) -> None:
    """The second reading of docs/matching.md gives the same events."""
    reference = ReferenceExchange(fresh.shard)
    for batch, (_, _, written) in zip(fresh.batches, world.commands[fresh.shard].rows, strict=True):
        header, commands = (None, [])
        if batch.header.status != UNDECODABLE:
            header, commands = decode_batch(written)
        events = reference.apply(batch.position, header, commands)
        assert reference.status == batch.header.status, f"{batch.position}: another status"
        assert events == batch.events(), f"{batch.position}: the reference has other events"


# --- what clients were told -----------------------------------------------------------------------


def check_answers(world: World, fresh: FreshRun, requests: list[Request]) -> None:
    """What a gateway said is durable is in the log, where it said, and came to what it said."""
    places: Counter[tuple[int, int]] = Counter()
    for request in requests:
        for attempt in request.attempts:
            if attempt.claim in DURABLE:
                check_durable(world, fresh, attempt)
                assert attempt.receipt is not None
                if attempt.receipt.first_index:
                    world.scheduler.count("batches:shared")
                places[attempt.receipt.position, attempt.receipt.first_index] += 1
    twice = [place for place, count in places.items() if count > 1]
    assert not twice, f"shard {fresh.shard}: two answers have one place: {twice}"


def check_durable(world: World, fresh: FreshRun, attempt: Attempt) -> None:
    """One answer of 201, 200 or 202."""
    receipt, request = attempt.receipt, attempt.request
    assert receipt is not None and receipt.shard == fresh.shard
    assert receipt.position <= len(fresh.batches), f"lost: {attempt}"
    assert receipt.position in fresh.applied, f"acknowledged, and not applied: {attempt}"
    end = receipt.first_index + receipt.count
    found = fresh.applied[receipt.position][receipt.first_index : end]
    assert found == request.records, f"something else is there: {attempt}"
    if attempt.claim == "done":
        batch = fresh.batches[receipt.position - 1]
        outcomes = outcomes_of(batch.record, receipt.first_index, receipt.count)
        came_to = [values_of(outcome) for outcome in outcomes]
        assert attempt.outcomes == came_to, f"another outcome than answered: {attempt}"


def check_counts(fresh: FreshRun, requests: list[Request]) -> None:
    """Each attempt is applied once if it was acknowledged, never if it was refused, and at most
    once if nobody knows; nothing is there that nobody sent.
    """
    found = Counter(record for records in fresh.applied.values() for record in records)
    for request in requests:
        claims = Counter(attempt.claim for attempt in request.attempts)
        least = sum(claims[claim] for claim in DURABLE)
        most = len(request.attempts) - sum(claims[claim] for claim in NOT_THERE)
        count = found[request.records[0]]
        what = f"{request.attempts[0]} ({dict(claims)})" if request.attempts else "never sent"
        assert count >= least, f"{least} acknowledged, {count} applied: {what}"
        assert count <= most, f"at most {most} may be there, {count} applied: {what}"


def check_orders(fresh: FreshRun, requests: list[Request]) -> None:
    """Each client order id gave one order, and everyone was told of that one."""
    born: dict[bytes, list[int]] = defaultdict(list)
    repeated: dict[bytes, set[int]] = defaultdict(set)
    for batch in fresh.batches:
        names = names_of(fresh, batch.position)
        for event in batch.events():
            if isinstance(event, OrderAccepted) and event.client_order_id:
                born[event.client_order_id].append(event.order_id)
            elif isinstance(event, OrderRejected) and event.command_type == 1:
                if event.client_order_id and event.reason not in NOT_THE_FIRST:
                    born[event.client_order_id].append(event.order_id)
            elif isinstance(event, OrderRepeated):
                repeated[names[event.command_index]].add(event.order_id)
    for name, order_ids in born.items():
        assert len(order_ids) == 1, f"{name} gave the orders {order_ids}"
        assert repeated[name] <= set(order_ids), f"{name}: a repeat names {repeated[name]}"
    for request in requests:
        acknowledged = [each for each in request.attempts if each.claim in DURABLE]
        for place, name in request.names.items():
            assert not acknowledged or len(born[name]) == 1, f"{name} was acknowledged, and is lost"
            told = {each.outcomes[place][2] for each in acknowledged if each.outcomes}
            assert told <= set(born[name]), f"{name}: {told} were told, {born[name]} was born"


def names_of(fresh: FreshRun, position: int) -> list[bytes]:
    """The client order ids of a position's commands."""
    if position not in fresh.applied:
        return []
    return [decode_name(record) for record in fresh.applied[position]]


def decode_name(record: bytes) -> bytes:
    """The client order id in a command record, which ends it, padded."""
    length = record[2]
    padded = (length + 7) // 8 * 8
    return record[len(record) - padded :][:length]
