"""The engine and the reference book agree on every event of every stream, and so does a restored
engine.

`tests.property.pair` tells what is compared after every batch.
"""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from domain import codes
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from tests.property import pools
from tests.property.pair import SHARD, Pair
from tests.property.pools import CommandSource
from tests.reference.records import batch_of, record_of


def pick(pool: tuple[int, ...], sensible: int) -> st.SearchStrategy[int]:
    """Mostly one of the first `sensible` values of a pool; now and then any."""
    return st.one_of(*[st.sampled_from(pool[:sensible])] * 5, st.sampled_from(pool))


ACCOUNT = pick(pools.ACCOUNTS, 3)
INSTRUMENT = pick(pools.INSTRUMENTS, 2)
CLIENT_ORDER_ID = st.one_of(st.just(b""), st.sampled_from(pools.CLIENT_ORDER_IDS))
PARTIES = st.tuples(ACCOUNT, INSTRUMENT)
PRICE = pick(pools.PRICES, 12)
QUANTITY = pick(pools.QUANTITIES, 9)


class EngineAgrees(RuleBasedStateMachine):
    """Rules put commands into a batch; `send` and its kin close it."""

    @initialize(limit=st.sampled_from((0, 0, 2)))
    def open_shop(self, limit: int) -> None:
        """Three instruments and three accounts."""
        self.pair = Pair()
        self.last_number = dict.fromkeys(pools.SESSIONS, 0)
        self.order_ids: list[int] = []
        self.commands: list[Command] = []
        self.sent: list[Command] = []
        self.pair.send(pools.SESSIONS[0], 1, pools.opening(limit))
        self.last_number[pools.SESSIONS[0]] = 1

    def put(self, command: Command) -> None:
        """Add a command to the batch."""
        if isinstance(command, SubmitOrder):
            position, index = self.pair.position + 1, len(self.commands)
            self.order_ids.append(SHARD << 55 | position << 16 | index)
        self.commands.append(command)

    def aim(self, parties: tuple[int, int], choice: int) -> tuple[int, int, int]:
        """Account, instrument and order id: of a resting order, or as drawn with some order id."""
        live = self.pair.reference.shard.open_orders()
        if live and choice < 40:
            book, order = live[choice % len(live)]
            return order.account, book.instrument, order.order_id
        others = (*self.order_ids[-20:][::-1], *pools.STRANGE_ORDER_IDS)
        return *parties, others[choice % len(others)]

    @rule(
        account=ACCOUNT,
        instrument=INSTRUMENT,
        side=pick(pools.SIDES, 2),
        tif=pick(pools.TIMES_IN_FORCE, 4),
        price=PRICE,
        quantity=QUANTITY,
        text=CLIENT_ORDER_ID,
    )
    def limit_order(
        self,
        account: int,
        instrument: int,
        side: int,
        tif: int,
        price: int,
        quantity: int,
        text: bytes,
    ) -> None:
        """A limit order."""
        self.put(SubmitOrder(account, instrument, side, 0, tif, price, quantity, text))

    @rule(
        parties=st.tuples(ACCOUNT, INSTRUMENT, pick(pools.SIDES, 2)),
        order_type=pick((1, *pools.ORDER_TYPES), 1),
        tif=pick((2, 3, *pools.TIMES_IN_FORCE), 2),
        price=pick((0, *pools.PRICES), 1),
        quantity=QUANTITY,
        text=CLIENT_ORDER_ID,
    )
    def other_order(
        self,
        parties: tuple[int, int, int],
        order_type: int,
        tif: int,
        price: int,
        quantity: int,
        text: bytes,
    ) -> None:
        """A market order, mostly."""
        self.put(SubmitOrder(*parties, order_type, tif, price, quantity, text))

    @precondition(lambda self: self.sent or self.commands)
    @rule(choice=st.integers(0, 40))
    def again(self, choice: int) -> None:
        """Some recent command once more, word for word."""
        recent = (self.sent + self.commands)[-40:]
        self.put(recent[choice % len(recent)])

    @rule(parties=PARTIES, choice=st.integers(0, 60), text=CLIENT_ORDER_ID)
    def cancel(self, parties: tuple[int, int], choice: int, text: bytes) -> None:
        """A cancel by order id."""
        self.put(CancelOrder(*self.aim(parties, choice), text))

    @rule(parties=PARTIES, text=CLIENT_ORDER_ID, total=st.booleans(), quantity=QUANTITY)
    def by_client_order_id(
        self, parties: tuple[int, int], text: bytes, total: bool, quantity: int
    ) -> None:
        """A cancel or replace by client order id."""
        self.put(ReplaceOrder(*parties, 0, 0, quantity, 2 * total, text))
        if not total:
            self.put(CancelOrder(*parties, 0, text))

    @rule(
        parties=PARTIES,
        choice=st.integers(0, 60),
        price=pick((0, *pools.PRICES), 13),
        quantity=pick((0, *pools.QUANTITIES), 10),
        flags=pick(pools.FLAGS, 4),
        text=CLIENT_ORDER_ID,
    )
    def replace(
        self,
        parties: tuple[int, int],
        choice: int,
        price: int,
        quantity: int,
        flags: int,
        text: bytes,
    ) -> None:
        """A replace by order id."""
        self.put(ReplaceOrder(*self.aim(parties, choice), price, quantity, flags, text))

    @rule(
        account=pick((0, *pools.ACCOUNTS), 4),
        instrument=pick((0, *pools.INSTRUMENTS), 3),
        side=pick((0, 1, 2, 3, 255), 3),
    )
    def mass_cancel(self, account: int, instrument: int, side: int) -> None:
        """A mass cancel."""
        self.put(MassCancel(account, instrument, side))

    @rule(instrument=INSTRUMENT, state=pick((0, *pools.STATES), 5))
    def trading_state(self, instrument: int, state: int) -> None:
        """Any trading state."""
        self.put(SetTradingState(instrument, state))

    @rule(account=ACCOUNT, limit=st.sampled_from((0, 1, 3, 2**32 - 1)), killed=st.booleans())
    def account(self, account: int, limit: int, killed: bool) -> None:
        """A limit, or a kill."""
        self.put(SetAccount(account, limit, killed))

    @rule(time_ns=st.sampled_from(pools.TIMES_NS[:6]) | st.integers(1, 3 * pools.DAY_NS))
    def tick(self, time_ns: int) -> None:
        """The clock, forwards or backwards."""
        self.put(ClockTick(time_ns))

    @rule(listing=st.sampled_from(pools.ODD_LISTINGS))
    def listing(self, listing: Command) -> None:
        """A listing, mostly wrong."""
        self.put(listing)

    @rule(session=st.sampled_from(pools.SESSIONS), step=pick((1, 2, 0, -1, -5), 1))
    def send(self, session: bytes, step: int) -> None:
        """Close the batch; a `step` other than 1 makes it a repeat, or leaves a gap."""
        number = self.last_number[session] + step
        self.pair.send(session, number, self.commands)
        if self.pair.reference.status == codes.APPLIED:
            self.last_number[session] = number
        self.sent = (self.sent + self.commands)[-100:]
        self.commands = []

    @rule(at=st.integers(0, 10_000), bit=st.integers(0, 7))
    def send_damaged(self, at: int, bit: int) -> None:
        """Close the batch, with one bit turned."""
        records = [record_of(command) for command in self.commands]
        batch = bytearray(batch_of(records, session=pools.SESSIONS[1], batch_number=10**6))
        batch[at % len(batch)] ^= 1 << bit
        self.pair.send_unsound(bytes(batch))
        self.commands = []

    @rule()
    def restart(self) -> None:
        """Snapshot, and restore."""
        self.pair.restore_twin()


TestEngineAgrees = EngineAgrees.TestCase
TestEngineAgrees.settings = settings(
    max_examples=150,
    stateful_step_count=80,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.parametrize("seed", range(4))
def test_long_streams_agree(seed: int) -> None:
    pair = Pair()
    source = CommandSource(seed)
    pair.send(pools.SESSIONS[0], 1, pools.opening())
    numbers = dict.fromkeys(pools.SESSIONS, 0) | {pools.SESSIONS[0]: 1}
    chance = random.Random(seed)
    while pair.position < 500:
        position = pair.position + 1
        size = chance.choice((0, 1, 5, 40))
        open_orders = pair.reference.shard.open_orders()
        source.live = [
            (order.order_id, order.account, book.instrument) for book, order in open_orders
        ]
        commands = [source.command(position, SHARD, index) for index in range(size)]
        session = chance.choice(pools.SESSIONS)
        number = numbers[session] + chance.choice((1, 1, 1, 1, 1, 1, 3, 0, -1))
        pair.send(session, number, commands)
        if pair.reference.status == codes.APPLIED:
            numbers[session] = number
        elif (
            pair.reference.status == codes.REPEAT
            and session not in pair.reference.shard.sessions.heard
        ):
            numbers[session] = 0
        if chance.randrange(20) == 0:
            pair.restore_twin()
    assert pair.ledger.match_number > 400


def test_deep_books_of_scattered_prices_agree() -> None:
    """Thousands of orders over the whole price range: tables grow, shrink and are walked far."""
    chance = random.Random(7)
    pair = Pair()
    pair.send(pools.SESSIONS[0], 1, pools.opening())
    middle = 2**31

    def order(side: int, tif: int, reach: int) -> SubmitOrder:
        away = int(chance.choice((40, 5_000, 2**31 - 10)) * chance.random())
        price = middle + (away if side == codes.SELL else -away) * (1 - 2 * reach)
        text = b"%d" % chance.randrange(10**6)
        account, instrument = chance.choice((1, 2)), chance.choice((1, 20))
        return SubmitOrder(account, instrument, side, 0, tif, price, chance.randint(1, 99), text)

    for _ in range(20):
        orders: list[Command] = [order(chance.randrange(2), 1, 0) for _ in range(100)]
        pair.send(pools.SESSIONS[0], pair.position + 1, orders)
    pair.restore_twin()
    for _ in range(20):
        commands: list[Command] = []
        for book, resting in chance.sample(pair.reference.shard.open_orders(), 60):
            named = (resting.account, book.instrument, resting.order_id)
            requeued = ReplaceOrder(*named, 0, resting.leaves, codes.REPLACE_REQUEUE)
            commands.append(chance.choice((CancelOrder(*named), CancelOrder(*named), requeued)))
        commands += [order(chance.randrange(2), 2, 1) for _ in range(10)]
        pair.send(pools.SESSIONS[0], pair.position + 1, commands)
    assert pair.ledger.match_number > 300
    pair.send(pools.SESSIONS[0], pair.position + 1, [MassCancel(0, 0, codes.BOTH_SIDES)])
    assert pair.reference.shard.open_orders() == []


@pytest.mark.parametrize("seed", range(2))
def test_levels_that_come_and_go_agree(seed: int) -> None:
    """A walking market of short-lived orders: levels empty and fill again, thousands of times."""
    chance = random.Random(seed)
    pair = Pair()
    pair.send(pools.SESSIONS[0], 1, pools.opening())
    middle = 50_000
    for _ in range(120):
        middle += chance.randrange(-200, 201)
        live = [(o.account, b.instrument, o.order_id) for b, o in pair.reference.shard.resting()]
        named = chance.sample(live, max(0, min(45, len(live) - 150)))
        commands: list[Command] = [CancelOrder(*order) for order in named]
        for account, instrument, order_id in chance.sample(live, min(5, len(live))):
            price = middle + chance.randrange(-400, 400)
            commands.append(ReplaceOrder(account, instrument, order_id, price))
        for _ in range(50):
            side, tif = chance.randrange(2), chance.choice((0, 1, 1, 2))
            away = chance.choice((2, 30, 600))
            price = middle + chance.randrange(-away // 4, away) * (1 if side else -1)
            instrument, quantity = chance.choice((1, 1, 20)), chance.randint(1, 40)
            commands.append(SubmitOrder(1, instrument, side, 0, tif, price, quantity))
        chance.shuffle(commands)
        pair.send(pools.SESSIONS[0], pair.position + 1, commands)
        if chance.randrange(15) == 0:
            pair.restore_twin()
    assert pair.ledger.match_number > 1000
