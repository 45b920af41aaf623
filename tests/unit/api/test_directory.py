"""The directory's promises: numbers, uniqueness, keys, and one history for writers, views and
followers."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import OperationalError

from commands.directory.application import (
    Directory,
    DirectoryApplication,
    sqlite_environment,
)
from commands.directory.entries import InstrumentTerms, Limits
from commands.directory.keys import KEY_LENGTH, new_key, split_key
from commands.directory.terms import (
    AccountExistsError,
    InstrumentExistsError,
    InvalidTermsError,
    UnknownAccountError,
    UnknownInstrumentError,
    UnknownKeyError,
)
from commands.directory.view import DirectoryView
from domain.codes import HALTED

APPLE = InstrumentTerms(symbol="AAPL", tick_size=100, lot_size=1, price_collar=50_000)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    return tmp_path / "directory.sqlite"


def open_directory(store: Path, shards: int = 1) -> Directory:
    return Directory(DirectoryApplication(sqlite_environment(store)), shards)


@pytest.fixture
def directory(store: Path) -> Iterator[Directory]:
    opened = open_directory(store)
    yield opened
    opened.close()


@pytest.fixture
def view(directory: Directory) -> DirectoryView:
    return DirectoryView(directory.application)


def test_accounts_and_instruments_are_numbered_from_one(directory: Directory) -> None:
    numbers = [directory.create_account(name, by="t").entry.number for name in ("a", "b", "c")]
    first = directory.list_instrument(APPLE, by="t").entry
    second = directory.list_instrument(InstrumentTerms("BRK/A", 1), by="t").entry

    assert numbers == [1, 2, 3]
    assert (first.number, second.number) == (1, 2)


def test_a_symbol_is_listed_once(directory: Directory) -> None:
    directory.list_instrument(APPLE, by="t")
    with pytest.raises(InstrumentExistsError):
        directory.list_instrument(APPLE, by="t")
    assert directory.list_instrument(InstrumentTerms("MSFT", 1), by="t").entry.number == 2


def test_an_account_name_is_taken_once(directory: Directory) -> None:
    first = directory.create_account("desk", by="t").entry
    with pytest.raises(AccountExistsError):
        directory.create_account("desk", by="t")
    assert directory.account_named("desk") == first
    assert directory.account_named("other") is None


def test_a_new_shard_takes_the_new_listings(store: Path) -> None:
    one = open_directory(store, shards=1)
    for symbol in ("A", "B", "C"):
        one.list_instrument(InstrumentTerms(symbol, 1), by="t")
    one.close()
    two = open_directory(store, shards=2)
    shards = [
        two.list_instrument(InstrumentTerms(s, 1), by="t").entry.shard
        for s in ("D", "E", "F", "G", "H")
    ]
    two.close()
    assert shards == [1, 1, 1, 0, 1]


def test_processes_that_create_at_once_take_different_numbers(store: Path) -> None:
    directories = [open_directory(store) for _ in range(4)]
    numbers: list[int] = []

    def create(which: int) -> None:
        for index in range(5):
            change = directories[which].create_account(f"{which}-{index}", by="t")
            numbers.append(change.entry.number)

    threads = [threading.Thread(target=create, args=(which,)) for which in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for directory in directories:
        directory.close()
    assert sorted(numbers) == list(range(1, 21))


@pytest.mark.parametrize(
    "symbol",
    ["", "aapl", "TOOLONG89", "A B", "A?", "/A", "A/", "A.", "Ä", "A\n", "..", ".A", "A%2é"],
)
def test_symbols_that_cannot_be_listed(directory: Directory, symbol: str) -> None:
    with pytest.raises(InvalidTermsError):
        directory.list_instrument(InstrumentTerms(symbol, 1), by="t")


@pytest.mark.parametrize("symbol", ["A", "BRK/A", "BRK.B", "^GSPC", "1COV", "AAPL-WS", "X+"])
def test_symbols_that_can(directory: Directory, symbol: str) -> None:
    assert directory.list_instrument(InstrumentTerms(symbol, 1), by="t").entry.symbol == symbol


@pytest.mark.parametrize(
    "terms",
    [
        InstrumentTerms("A", tick_size=0),
        InstrumentTerms("A", tick_size=2**32),
        InstrumentTerms("A", 1, lot_size=0),
        InstrumentTerms("A", 1, lot_size=10**9 + 1),
        InstrumentTerms("A", 1, price_collar=-1),
        InstrumentTerms("A", 1, reference_price=2**32),
        InstrumentTerms("A", 1, state=4),
    ],
)
def test_terms_out_of_range_are_refused(directory: Directory, terms: InstrumentTerms) -> None:
    with pytest.raises(InvalidTermsError):
        directory.list_instrument(terms, by="t")
    assert directory.application.recorder.max_notification_id() is None


@pytest.mark.parametrize(
    "limits", [Limits(-1), Limits(10**9 + 1), Limits(0, -1), Limits(0, 0, 2**32)]
)
def test_limits_out_of_range_are_refused(directory: Directory, limits: Limits) -> None:
    with pytest.raises(InvalidTermsError):
        directory.create_account("a", limits, by="t")


def test_what_is_unknown_is_said_to_be(directory: Directory) -> None:
    directory.create_account("a", by="t")
    with pytest.raises(UnknownAccountError):
        directory.set_killed(2, True, by="t")
    with pytest.raises(UnknownInstrumentError):
        directory.set_trading_state("AAPL", HALTED, by="t")
    with pytest.raises(UnknownKeyError):
        directory.revoke_key(1, "0" * 12, by="t")
    with pytest.raises(InvalidTermsError):
        directory.create_key(1, ["root"], by="t")


def test_a_key_is_shown_once_and_stored_as_a_hash(directory: Directory) -> None:
    directory.create_account("a", by="t")
    _, key = directory.create_key(1, ["trade", "read"], by="t")

    assert len(key.text) == KEY_LENGTH
    assert key.secret not in repr(key)
    for notification in directory.application.recorder.select_notifications(1, 100):
        assert key.secret.encode() not in notification.state


def test_the_view_knows_a_key_and_forgets_a_revoked_one(
    directory: Directory, view: DirectoryView
) -> None:
    directory.create_account("a", by="t")
    _, key = directory.create_key(1, ["read"], by="t")
    view.refresh()
    found = view.authenticate(key.text)
    assert found is not None
    assert (found.account, found.scopes) == (1, {"read"})

    directory.revoke_key(1, key.key_id, by="t")
    view.refresh()
    assert view.authenticate(key.text) is None


def test_no_other_text_is_a_key(directory: Directory, view: DirectoryView) -> None:
    directory.create_account("a", by="t")
    _, key = directory.create_key(1, ["read"], by="t")
    view.refresh()
    other = new_key()
    wrong_secret = f"cbk_{key.key_id}_{other.secret}"
    for text in (other.text, wrong_secret, "", "cbk__", key.text + "x", key.text[:-1], "é" * 65):
        assert view.authenticate(text) is None
    assert split_key(key.text) == (key.key_id, key.secret)


def test_a_view_in_another_process_follows(store: Path, directory: Directory) -> None:
    elsewhere = DirectoryApplication(sqlite_environment(store))
    view = DirectoryView(elsewhere)
    assert view.stale
    assert view.refresh() == 0
    assert not view.stale

    directory.list_instrument(APPLE, by="t")
    directory.create_account("a", Limits(order_quantity_max=5), by="t")
    directory.set_trading_state("AAPL", HALTED, by="t")
    directory.set_reference_price("AAPL", 1_875_000, by="t")
    change = directory.set_killed(1, True, by="t")

    assert view.refresh() == change.notification_id
    apple = view.instrument("AAPL")
    assert apple is not None and apple is view.instrument_numbered(1)
    assert (apple.state, apple.reference_price) == (HALTED, 1_875_000)
    account = view.account(1)
    assert account is not None and account.killed and account.limits.order_quantity_max == 5
    assert view.instruments() == [apple]
    assert view.accounts() == [account]
    elsewhere.close()


def test_what_a_change_answers_is_what_a_view_then_says(
    directory: Directory, view: DirectoryView
) -> None:
    listed = directory.list_instrument(APPLE, by="t")
    opened = directory.create_account("a", Limits(1, 2, 3), by="t")
    limited = directory.set_limits(1, order_notional_max=5, open_orders_max=0, by="t")

    assert view.refresh() == limited.notification_id
    assert view.instrument("AAPL") == listed.entry
    assert opened.entry.limits == Limits(1, 2, 3)
    assert view.account(1) == limited.entry
    assert limited.entry.limits == Limits(1, 5, 0)


def test_stored_events_keep_their_names_and_plain_values(directory: Directory) -> None:
    """Golden names: a stored event must be readable for ever, whatever becomes of the classes."""
    directory.list_instrument(APPLE, by="who")
    directory.create_account("a", by="who")
    directory.set_limits(1, by="who")
    directory.set_killed(1, False, by="who")
    _, key = directory.create_key(1, ["read"], by="who")
    directory.revoke_key(1, key.key_id, by="who")
    directory.set_trading_state("AAPL", HALTED, by="who")
    directory.set_reference_price("AAPL", 1, by="who")
    stored = directory.application.recorder.select_notifications(1, 100)

    assert [notification.topic for notification in stored] == [
        "crossbook.register.created",
        "crossbook.register.number-taken",
        "crossbook.instrument.listed",
        "crossbook.register.created",
        "crossbook.register.number-taken",
        "crossbook.account-name.created",
        "crossbook.account.created",
        "crossbook.account.limits-set",
        "crossbook.account.kill-switch-set",
        "crossbook.account.key-created",
        "crossbook.account.key-revoked",
        "crossbook.instrument.trading-state-set",
        "crossbook.instrument.reference-price-set",
    ]
    listed = json.loads(stored[2].state)
    del listed["timestamp"]
    assert listed == {
        "originator_topic": "crossbook.instrument",
        "symbol": "AAPL",
        "number": 1,
        "shard": 0,
        "tick_size": 100,
        "lot_size": 1,
        "price_collar": 50_000,
        "reference_price": 0,
        "state": 0,
        "by": "who",
    }


@pytest.mark.anyio
async def test_a_running_view_forgets_a_key_that_was_revoked_elsewhere(
    store: Path, directory: Directory
) -> None:
    directory.create_account("a", by="t")
    _, key = directory.create_key(1, ["read"], by="t")
    elsewhere = DirectoryApplication(sqlite_environment(store))
    view = DirectoryView(elsewhere)
    running = asyncio.create_task(view.run(poll_s=0.01))
    try:
        async with asyncio.timeout(10):
            while view.authenticate(key.text) is None:  # noqa: ASYNC110 - no event to wait for
                await asyncio.sleep(0.005)
            directory.revoke_key(1, key.key_id, by="t")
            while view.authenticate(key.text) is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.005)
    finally:
        running.cancel()
    assert not view.stale


@pytest.mark.anyio
async def test_a_view_that_cannot_read_says_that_it_is_stale(
    view: DirectoryView, monkeypatch: pytest.MonkeyPatch
) -> None:
    view.refresh()
    read = asyncio.Event()
    loop = asyncio.get_running_loop()

    def fail(*_: object, **__: object) -> None:
        loop.call_soon_threadsafe(read.set)
        raise OperationalError("the disk is gone")

    monkeypatch.setattr(view._application.recorder, "select_notifications", fail)
    monkeypatch.setattr("commands.directory.view.AGE_MAX_S", 0.0)
    running = asyncio.create_task(view.run(poll_s=0.01))
    async with asyncio.timeout(10):
        await read.wait()
    assert view.stale and not running.done()
    running.cancel()
