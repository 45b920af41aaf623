"""Golden bytes of every message and packet of the feed: docs/multicast.md, drawn by hand.

Each test runs commands through the engine and reads one line a message: length, type, locate,
tracking number, timestamp, then the fields of its type.
"""

from __future__ import annotations

from domain.codes import (
    BUY,
    CANCEL_ONLY,
    CLOSED,
    DAY,
    FOK,
    GTC,
    HALTED,
    IOC,
    LIMIT,
    MARKET,
    OPEN,
    PRICE_TICKS_MAX,
    SELL,
)
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.exchange import Exchange
from domain.wire import encode_batch, encode_command, seal_events
from projections.itch.encoder import FeedEncoder, session_of

DAY_NS = 86_400 * 10**9
NOON_NS = 20_000 * DAY_NS + DAY_NS // 2 + 0x123  # 0x274A48A78123 ns after midnight
NOON = "274a 48a7 8123"
GATEWAY = bytes(range(16))


class Shop:
    """An engine, and the feed of what it does."""

    def __init__(self, shard: int = 1) -> None:
        self.engine = Exchange(shard)
        self.encoder = FeedEncoder()
        self.chain = bytes(32)

    def packets(self, *commands: Command) -> list[bytes]:
        """The packets of one batch of commands."""
        position = self.engine.position + 1
        records = [encode_command(command) for command in commands]
        image = self.engine.apply(position, encode_batch(GATEWAY, position, 9, records))
        (record,), self.chain = seal_events(image, self.chain, 10**6)
        self.encoder.apply(record)
        packets, self.encoder.packets = self.encoder.packets, []
        return [packet for _, packet in packets]

    def blocks(self, *commands: Command) -> str:
        """The messages of one batch, in hexadecimal."""
        return "".join(packet[20:].hex() for packet in self.packets(*commands))

    def open(self) -> None:
        """Noon, two accounts, and instrument 258 (0x0102), MSFT, in lots of 1."""
        listing = ListInstrument(258, b"MSFT", 1, 1, 0, OPEN)
        self.packets(ClockTick(NOON_NS), SetAccount(1), SetAccount(2), listing)


def drawn(*lines: str) -> str:
    """Hexadecimal without the spaces that people read it by."""
    return "".join("".join(line.split()) for line in lines)


def limit(side: int, price: int, quantity: int, tif: int = GTC, account: int = 1) -> SubmitOrder:
    return SubmitOrder(account, 258, side, LIMIT, tif, price, quantity)


def order(position: int, index: int = 0) -> int:
    """The id that the engine of shard 1 gives."""
    return 1 << 55 | position << 16 | index


def test_the_first_batch_begins_the_session_whatever_it_holds() -> None:
    shop = Shop()
    (packet,) = shop.packets(SetAccount(1))
    assert packet[:10] == session_of(shop.chain)
    assert len(packet[:10]) == 10
    assert packet[10:].hex() == drawn(
        "0000000000000001 0001",  # sequence, count
        "000c 53 0000 0000 0000 0000 0000 4f",  # S: O
    )


def test_a_listing() -> None:
    shop = Shop()
    shop.packets(ClockTick(NOON_NS), SetAccount(1))
    assert shop.blocks(ListInstrument(65_535, b"BRK/A", 1, 100, 0, OPEN)) == drawn(
        f"0027 52 ffff 0000 {NOON}",
        "42524b2f41202020 20 20 00000064 59 43 5a20 50 20 20 20 4e 00000000 4e",
        f"0019 48 ffff 0000 {NOON} 42524b2f41202020 54 20 20202020",
        f"000c 53 0000 0000 {NOON} 51",  # the first that is open: Q
    )
    assert shop.blocks(ListInstrument(7, b"ZVZZT^^^", 1, 1, 0, CLOSED)) == drawn(
        f"0027 52 0007 0000 {NOON}",
        "5a565a5a545e5e5e 20 20 00000001 4e 43 5a20 50 20 20 20 4e 00000000 4e",
        f"0019 48 0007 0000 {NOON} 5a565a5a545e5e5e 48 20 434c5344",
    )


def test_trading_states_and_market_hours() -> None:
    shop = Shop()
    shop.open()
    head = f"0019 48 0102 0000 {NOON} 4d53465420202020"
    assert shop.blocks(SetTradingState(258, HALTED)) == drawn(f"{head} 48 20 48414c54")
    assert shop.blocks(SetTradingState(258, CANCEL_ONLY)) == drawn(f"{head} 50 20 43584c4f")
    assert shop.blocks(SetTradingState(258, CLOSED)) == drawn(
        f"{head} 48 20 434c5344", f"000c 53 0000 0000 {NOON} 4d"
    )
    assert shop.blocks(SetTradingState(258, CLOSED)) == drawn(f"{head} 48 20 434c5344")
    assert shop.blocks(SetTradingState(258, OPEN)) == drawn(
        f"{head} 54 20 20202020", f"000c 53 0000 0000 {NOON} 51"
    )


def test_an_order_rests() -> None:
    shop = Shop()
    shop.open()
    bid, ask = limit(BUY, 0x0A0B0C0D, 10**9), limit(SELL, PRICE_TICKS_MAX, 1, DAY)
    assert shop.blocks(bid, ask) == drawn(
        f"0024 41 0102 0000 {NOON}",
        "0080000000020000 42 3b9aca00 4d53465420202020 0a0b0c0d",
        f"0024 41 0102 0000 {NOON}",
        "0080000000020001 53 00000001 4d53465420202020 ffffffff",
    )


def test_an_execution_and_what_is_left_of_the_aggressor() -> None:
    shop = Shop()
    shop.open()
    shop.packets(limit(SELL, 100, 30), limit(SELL, 101, 30))
    assert shop.blocks(limit(BUY, 101, 70, account=2)) == drawn(
        f"001f 45 0102 0000 {NOON} 0080000000020000 0000001e 0000000000000001",
        f"001f 45 0102 0000 {NOON} 0080000000020001 0000001e 0000000000000002",
        f"0024 41 0102 0000 {NOON}",
        "0080000000030000 42 0000000a 4d53465420202020 00000065",
    )


def test_what_never_rests_is_not_told() -> None:
    shop = Shop()
    shop.open()
    shop.packets(limit(SELL, 100, 30))
    silent = (
        limit(BUY, 99, 5, IOC),
        limit(BUY, 100, 31, FOK),
        SubmitOrder(1, 258, SELL, MARKET, IOC, 0, 5),
        limit(BUY, 0, 5),
        CancelOrder(2, 258, order(2)),
    )
    assert shop.packets(*silent) == []
    assert shop.blocks(limit(BUY, 100, 50, IOC)) == drawn(
        f"001f 45 0102 0000 {NOON} 0080000000020000 0000001e 0000000000000001"
    )


def test_cancel_reduce_and_requeue() -> None:
    shop = Shop()
    shop.open()
    shop.packets(limit(BUY, 100, 50), limit(BUY, 100, 20), limit(SELL, 110, 5))
    first, second = order(2), order(2, 1)
    assert shop.blocks(ReplaceOrder(1, 258, first, 0, 30)) == drawn(
        f"0017 58 0102 0000 {NOON} 0080000000020000 00000014"
    )
    assert shop.blocks(ReplaceOrder(1, 258, first, 0, 30)) == ""
    assert shop.blocks(ReplaceOrder(1, 258, first, 110, 40)) == drawn(
        f"0013 44 0102 0000 {NOON} 0080000000020000",
        f"001f 45 0102 0000 {NOON} 0080000000020002 00000005 0000000000000001",
        f"0024 41 0102 0000 {NOON}",
        "0080000000020000 42 00000023 4d53465420202020 0000006e",
    )
    assert shop.blocks(CancelOrder(1, 258, second)) == drawn(
        f"0013 44 0102 0000 {NOON} 0080000000020001"
    )


def test_a_close_deletes_day_orders() -> None:
    shop = Shop()
    shop.open()
    shop.packets(limit(BUY, 100, 50, DAY), limit(BUY, 100, 20, GTC))
    assert shop.blocks(SetTradingState(258, CLOSED)) == drawn(
        f"0019 48 0102 0000 {NOON} 4d53465420202020 48 20 434c5344",
        f"000c 53 0000 0000 {NOON} 4d",
        f"0013 44 0102 0000 {NOON} 0080000000020000",
    )


def test_midnight_begins_the_timestamps_again() -> None:
    shop = Shop()
    shop.open()
    assert shop.blocks(ClockTick(NOON_NS + 1)) == ""
    assert shop.blocks(ClockTick(20_001 * DAY_NS + 1)) == drawn(
        "000c 53 0000 0000 0000 0000 0001 4f"
    )


def test_a_batch_larger_than_a_packet_is_cut_between_messages() -> None:
    shop = Shop()
    shop.open()
    packets = shop.packets(*(limit(BUY, 100, 1) for _ in range(80)))
    assert [len(packet) for packet in packets] == [20 + 36 * 38, 20 + 36 * 38, 20 + 8 * 38]
    heads = [(int.from_bytes(p[10:18], "big"), int.from_bytes(p[18:20], "big")) for p in packets]
    assert heads == [(6, 36), (42, 36), (78, 8)]
    assert {packet[:10] for packet in packets} == {shop.encoder.session}
