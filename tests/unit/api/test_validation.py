"""What is refused before the log, and how what passes is written: prices above all."""

from __future__ import annotations

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from commands.directory.entries import AccountEntry, InstrumentEntry, Limits
from commands.validation import (
    Cancel,
    Refusal,
    Replace,
    SubmitBody,
    amount_ticks,
    cancel_record,
    check_limits,
    client_order_id_of,
    decode_body,
    instrument_of,
    mass_cancel_record,
    order_id_of,
    price_text,
    price_ticks_of,
    replace_record,
    submit_record,
)
from domain.codes import DAY, FOK, IOC, LIMIT, MARKET, PRICE_TICKS_MAX, SELL
from domain.commands import CancelOrder, MassCancel, ReplaceOrder, SubmitOrder
from domain.wire import decode_command

ACCOUNT = AccountEntry(7, "desk", Limits(), False, ())
APPLE = InstrumentEntry(3, "AAPL", 1, 100, 1, 0, 0, 0)
BERKSHIRE = InstrumentEntry(4, "BRK/A", 0, 1, 1, 0, 0, 0)
SYMBOLS = {"AAPL": APPLE, "BRK/A": BERKSHIRE}
SHARDS = 2
SUBMIT = msgspec.json.Decoder(SubmitBody)


def refusal_for(call: Any, *arguments: Any) -> tuple[int, str]:
    with pytest.raises(Refusal) as caught:
        call(*arguments)
    assert caught.value.detail
    return caught.value.status, caught.value.reason


@pytest.mark.parametrize(
    ("text", "ticks"),
    [
        ("187.2500", 1_872_500),
        ('"187.25"', 1_872_500),
        ("187", 1_870_000),
        ('"0.0001"', 1),
        ("429496.7295", PRICE_TICKS_MAX),
        ('"1.0"', 10_000),
        (r'"\u0031.5"', 15_000),
        ("null", 0),
    ],
)
def test_prices_are_read_as_they_were_sent(text: str, ticks: int) -> None:
    assert price_ticks_of(Raw(text.encode())) == ticks


@pytest.mark.parametrize(
    ("text", "status", "reason"),
    [
        ("1e1000000", 400, "invalid_price"),
        ('"1e1000000"', 400, "invalid_price"),
        ("1E2", 400, "invalid_price"),
        ('"NaN"', 400, "invalid_price"),
        ('"Infinity"', 400, "invalid_price"),
        ('"-Infinity"', 400, "invalid_price"),
        ('""', 400, "invalid_price"),
        ('" 1"', 400, "invalid_price"),
        ('"1 "', 400, "invalid_price"),
        ('"+1"', 400, "invalid_price"),
        ('"1."', 400, "invalid_price"),
        ('".5"', 400, "invalid_price"),
        ('"007"', 400, "invalid_price"),
        ('"1_000"', 400, "invalid_price"),
        ('"1,5"', 400, "invalid_price"),
        ('"٣"', 400, "invalid_price"),
        (r'"1\n"', 400, "invalid_price"),
        ("true", 400, "invalid_price"),
        ("[]", 400, "invalid_price"),
        ("{}", 400, "invalid_price"),
        ("1" * 33, 400, "invalid_price"),
        ("1." + "0" * 40, 400, "invalid_price"),
        ("0.00001", 422, "price_too_fine"),
        ('"1.00000"', 422, "price_too_fine"),
        ("0", 422, "price_out_of_range"),
        ('"0.0000"', 422, "price_out_of_range"),
        ("-1", 422, "price_out_of_range"),
        ('"-187.25"', 422, "price_out_of_range"),
        ("429496.7296", 422, "price_out_of_range"),
        ("1" + "0" * 30, 422, "price_out_of_range"),
    ],
)
def test_what_is_no_price_is_refused(text: str, status: int, reason: str) -> None:
    assert refusal_for(price_ticks_of, Raw(text.encode())) == (status, reason)


def test_a_long_price_is_refused_at_once() -> None:
    text = Raw(b'"' + b"9" * 1_000_000 + b'"')
    began = time.process_time()
    assert refusal_for(price_ticks_of, text) == (400, "invalid_price")
    assert time.process_time() - began < 1  # without the bound, int() alone takes longer


@given(st.integers(min_value=1, max_value=PRICE_TICKS_MAX))
def test_a_price_reads_back_as_it_was_written(ticks: int) -> None:
    assert price_ticks_of(Raw(f'"{price_text(ticks)}"'.encode())) == ticks
    assert price_ticks_of(Raw(price_text(ticks).encode())) == ticks


@given(st.binary(max_size=40))
def test_no_bytes_do_more_than_refuse(text: bytes) -> None:
    try:
        ticks = price_ticks_of(Raw(text))
    except Refusal as refusal:
        assert refusal.status in (400, 422)
    else:
        assert 0 <= ticks <= PRICE_TICKS_MAX


def test_amounts_may_be_larger_than_prices() -> None:
    assert amount_ticks(b'"25000000.00"', "order_notional_max") == 250_000_000_000
    assert refusal_for(amount_ticks, b'"x"', "limit") == (400, "invalid_limit")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"[]", "invalid_body"),
        (b"null", "invalid_body"),
        (b'"AAPL"', "invalid_body"),
        (b"", "malformed_json"),
        (b"{", "malformed_json"),
        (b"\xff\xfe", "malformed_json"),
        (b'{"symbol":"\xff","side":"buy","quantity":1}', "malformed_json"),
        (b'{"symbol":"\\ud800","side":"buy","quantity":1}', "malformed_json"),
        (b'{"symbol":"AAPL","side":"buy","quantity":1,"price":NaN}', "malformed_json"),
        (
            b'{"symbol":"AAPL","side":"buy","quantity":1,"price":' + b"[" * 100_000,
            "malformed_json",
        ),
        (b'{"side":"buy","quantity":1}', "missing_field"),
        (b'{"symbol":"AAPL","side":"buy","quantity":1,"tif":"day"}', "unknown_field"),
        (b'{"symbol":7,"side":"buy","quantity":1}', "invalid_symbol"),
        (b'{"symbol":"AAPL","side":"BUY","quantity":1}', "invalid_side"),
        (b'{"symbol":"AAPL","side":"both","quantity":1}', "invalid_side"),
        (b'{"symbol":"AAPL","side":"buy","quantity":1,"type":"stop"}', "invalid_order_type"),
        (
            b'{"symbol":"AAPL","side":"buy","quantity":1,"time_in_force":"gtd"}',
            "invalid_time_in_force",
        ),
        (b'{"symbol":"AAPL","side":"buy","quantity":1.5}', "invalid_quantity"),
        (b'{"symbol":"AAPL","side":"buy","quantity":"1"}', "invalid_quantity"),
        (b'{"symbol":"AAPL","side":"buy","quantity":true}', "invalid_quantity"),
        (b'{"symbol":"AAPL","side":"buy","quantity":1e999}', "invalid_quantity"),
        (b'{"symbol":"AAPL","side":"buy","quantity":' + b"9" * 5_000 + b"}", "invalid_quantity"),
        (
            b'{"symbol":"AAPL","side":"buy","quantity":1,"client_order_id":5}',
            "invalid_client_order_id",
        ),
    ],
)
def test_bodies_that_cannot_be_read(body: bytes, reason: str) -> None:
    assert refusal_for(decode_body, SUBMIT, body) == (400, reason)


def test_a_submit_becomes_its_record() -> None:
    request = SUBMIT.decode(
        b'{"symbol":"AAPL","side":"sell","quantity":100,"price":187.25,'
        b'"time_in_force":"fok","client_order_id":"a!~"}'
    )
    shard, record = submit_record(request, ACCOUNT, SYMBOLS)
    assert shard == 1
    assert decode_command(record, 0) == SubmitOrder(7, 3, SELL, LIMIT, FOK, 1_872_500, 100, b"a!~")


@pytest.mark.parametrize(
    ("order_type", "given_time_in_force", "expected"),
    [("limit", None, DAY), ("market", None, IOC), ("market", "day", DAY), ("limit", "ioc", IOC)],
)
def test_the_default_time_in_force(
    order_type: Any, given_time_in_force: Any, expected: int
) -> None:
    request = SubmitBody("AAPL", "buy", 1, order_type, time_in_force=given_time_in_force)
    command = decode_command(submit_record(request, ACCOUNT, SYMBOLS)[1], 0)
    assert isinstance(command, SubmitOrder)
    assert command.time_in_force == expected
    assert command.order_type == (MARKET if order_type == "market" else LIMIT)


@pytest.mark.parametrize(
    ("quantity", "reason"),
    [(0, "quantity_required"), (-1, "quantity_required"), (10**9 + 1, "quantity_too_large")],
)
def test_quantities_out_of_range(quantity: int, reason: str) -> None:
    request = SubmitBody("AAPL", "buy", quantity)
    assert refusal_for(submit_record, request, ACCOUNT, SYMBOLS) == (422, reason)
    replacement = Replace(order_id="1", quantity=quantity)
    assert refusal_for(replace_record, replacement, ACCOUNT, SYMBOLS, SHARDS) == (422, reason)


@pytest.mark.parametrize(
    "symbol", ["", "NOPE", "aapl", "Aapl", "AAPL ", "A" * 1_000_000, "ÄÖ", "\0"]
)
def test_unknown_symbols(symbol: str) -> None:
    assert refusal_for(instrument_of, symbol, SYMBOLS) == (404, "unknown_instrument")


def test_a_symbol_in_the_wrong_case_gets_a_hint() -> None:
    with pytest.raises(Refusal, match="AAPL"):
        instrument_of("aapl", SYMBOLS)
    with pytest.raises(Refusal) as caught:
        instrument_of("msft", SYMBOLS)
    assert "MSFT" not in caught.value.detail


@pytest.mark.parametrize("text", ["", "a" * 37, "a b", "a\t", "é", "a\x7f", "a\n"])
def test_client_order_ids_out_of_range(text: str) -> None:
    assert refusal_for(client_order_id_of, text) == (400, "invalid_client_order_id")


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("0", 400),
        ("-1", 400),
        ("1.0", 400),
        ("x", 400),
        ("٣", 400),
        ("1" * 30, 400),
        (str(2**63), 404),
    ],
)
def test_order_ids_out_of_range(text: str, status: int) -> None:
    assert refusal_for(order_id_of, text)[0] == status


def test_a_cancel_finds_its_shard() -> None:
    order_id = 1 << 55 | 5 << 16
    shard, record = cancel_record(Cancel(order_id=str(order_id)), ACCOUNT, SYMBOLS, SHARDS)
    assert (shard, decode_command(record, 0)) == (1, CancelOrder(7, 0, order_id))
    request = Cancel(client_order_id="a", symbol="BRK/A")
    shard, record = cancel_record(request, ACCOUNT, SYMBOLS, SHARDS)
    assert (shard, decode_command(record, 0)) == (0, CancelOrder(7, 4, 0, b"a"))


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (Cancel(), (400, "invalid_order_reference")),
        (Cancel(order_id="1", client_order_id="a"), (400, "invalid_order_reference")),
        (Cancel(client_order_id="a"), (422, "symbol_required")),
        (Cancel(order_id=str(2 << 55 | 1)), (404, "unknown_order")),
        (Cancel(order_id="1", symbol="NOPE"), (404, "unknown_instrument")),
    ],
)
def test_cancels_that_name_no_order(request_: Cancel, refusal: tuple[int, str]) -> None:
    assert refusal_for(cancel_record, request_, ACCOUNT, SYMBOLS, SHARDS) == refusal


def test_a_replace_becomes_its_record() -> None:
    request = Replace(
        client_order_id="a", symbol="AAPL", price=Raw(b'"2"'), quantity=5, requeue=True
    )
    shard, record = replace_record(request, ACCOUNT, SYMBOLS, SHARDS)
    assert shard == 1
    assert decode_command(record, 0) == ReplaceOrder(7, 3, 0, 20_000, 5, 3, b"a")
    request = Replace(order_id="65536", quantity=5)
    assert decode_command(replace_record(request, ACCOUNT, SYMBOLS, SHARDS)[1], 0) == ReplaceOrder(
        7, 0, 65_536, 0, 5, 2
    )


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        (Replace(order_id="1"), (422, "nothing_to_replace")),
        (Replace(order_id="1", price=Raw(b"1")), (422, "symbol_required")),
        (Replace(order_id="1", symbol="AAPL", price=Raw(b"-1")), (422, "price_out_of_range")),
    ],
)
def test_replaces_that_are_refused(request_: Replace, refusal: tuple[int, str]) -> None:
    assert refusal_for(replace_record, request_, ACCOUNT, SYMBOLS, SHARDS) == refusal


def test_a_mass_cancel_becomes_its_record() -> None:
    assert decode_command(mass_cancel_record(ACCOUNT, None, "both"), 0) == MassCancel(7, 0, 2)
    assert decode_command(mass_cancel_record(ACCOUNT, APPLE, "sell"), 0) == MassCancel(7, 3, 1)


LIMITED = AccountEntry(7, "desk", Limits(100, 1_000_000, 0), False, ())
COLLARED = InstrumentEntry(3, "AAPL", 0, 1, 1, 5_000, 100_000, 0)
PLAIN = InstrumentEntry(3, "AAPL", 0, 1, 1, 5_000, 0, 0)


@pytest.mark.parametrize(
    ("account", "instrument", "price_ticks", "quantity", "reason"),
    [
        (LIMITED, PLAIN, 1, 100, None),
        (LIMITED, PLAIN, 1, 101, "order_quantity_limit"),
        (LIMITED, PLAIN, 10_000, 100, None),
        (LIMITED, PLAIN, 10_001, 100, "order_notional_limit"),
        (LIMITED, PLAIN, 0, 100, None),  # a market order, and nothing to value it by
        (LIMITED, COLLARED, 0, 10, None),
        (LIMITED, COLLARED, 0, 11, "order_notional_limit"),
        (ACCOUNT, COLLARED, 105_000, 1, None),
        (ACCOUNT, COLLARED, 95_000, 1, None),
        (ACCOUNT, COLLARED, 105_001, 1, "price_collar"),
        (ACCOUNT, COLLARED, 94_999, 1, "price_collar"),
        (ACCOUNT, PLAIN, 1, 1, None),  # no reference price: no collar before the log
        (LIMITED, None, 0, 100, None),
    ],
)
def test_limits(
    account: AccountEntry,
    instrument: InstrumentEntry | None,
    price_ticks: int,
    quantity: int,
    reason: str | None,
) -> None:
    if reason is None:
        check_limits(account, instrument, price_ticks, quantity)
    else:
        refused = refusal_for(check_limits, account, instrument, price_ticks, quantity)
        assert refused == (422, reason)
