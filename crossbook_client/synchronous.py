"""The client that waits. See `crossbook_client.asynchronous` for the one that awaits.

Made of `crossbook_client/asynchronous.py` by scripts/make_sync_client.py: change that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import httpx
from websockets.sync.client import connect
from websockets.typing import Subprotocol

from crossbook_client import admin_calls, calls, graphql, stream_transport, transport
from crossbook_client.calls import Call, Command, Price, ReplaceCommand, SubmitCommand
from crossbook_client.errors import CrossbookError
from crossbook_client.models import (
    Account,
    AdminInstrument,
    AuditedChange,
    BatchResult,
    Book,
    BookSnapshot,
    Deltas,
    Instrument,
    Limits,
    MassCancelResult,
    NewKey,
    Order,
    OrderPage,
    OrderResult,
    Trade,
    TradePage,
)
from crossbook_client.retries import Retries

T = TypeVar("T")
SUBSCRIBE_WAIT_S = 15.0


class Crossbook:
    """One exchange over REST. Safe to share between threads; close it, or use it in `with`.

    Every method raises ApiError for a refusal and ConnectionLostError where no answer came, after
    `retries`. Orders are named by `order_id`, or by `client_order_id` and `symbol`. `resent` counts
    the requests that were sent again.

    `remembered` answers (0: none) are kept, to be asked for by their entity tag: what is still so
    is not sent again. `unchanged` counts those. A book's `position` is then that of its first
    answer.
    """

    def __init__(
        self,
        url: str,
        api_key: str | None = None,
        *,
        retries: Retries | None = None,
        timeout_s: float = transport.TIMEOUT_S,
        remembered: int = 0,
    ) -> None:
        self.retries = retries if retries is not None else Retries()
        self.resent = 0
        self._memory = transport.Memory(remembered)
        self.admin = Admin(self)
        self._url, self._api_key = url, api_key
        self._http = httpx.Client(**transport.options(url, api_key, timeout_s))

    def __enter__(self) -> Crossbook:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def unchanged(self) -> int:
        """How many answers were still those that are remembered."""
        return self._memory.hits

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def run(self, call: Call[T]) -> T:
        """Send any request of `crossbook_client.calls`, again where that is safe."""
        attempts = transport.Attempts(call, self.retries)
        while True:
            request = transport.request_of(call, self._memory)
            try:
                try:
                    response = self._http.request(**request)
                except httpx.TransportError as error:
                    raise transport.lost(error) from error
                return transport.result_of(call, response, self._memory)
            except CrossbookError as error:
                time.sleep(attempts.next_pause_s(error))
                self.resent += 1

    def submit(
        self,
        symbol: str,
        side: str,
        quantity: int,
        *,
        price: Price | None = None,
        type: str | None = None,
        time_in_force: str | None = None,
        client_order_id: str | None = None,
    ) -> OrderResult:
        """Submit an order: limit where a price is given, else market.

        Without a client order id one is made, so that sending again is safe.
        """
        command = SubmitCommand(
            symbol,
            side,
            quantity,
            price,
            type or ("market" if price is None else "limit"),
            time_in_force,
            client_order_id or calls.new_client_order_id(),
        )
        return self.run(calls.submit(command))

    def batch(self, commands: Sequence[Command]) -> BatchResult:
        """Up to 1,000 commands, in order; a refused one stops none of the others."""
        return self.run(calls.batch(commands))

    def cancel(
        self,
        order_id: str | None = None,
        *,
        client_order_id: str | None = None,
        symbol: str | None = None,
    ) -> OrderResult:
        """Cancel an order.

        Of one that a cancel has ended already, the answer is the same; of one that is done
        otherwise, ApiError `too_late`.
        """
        return self.run(calls.cancel(order_id, client_order_id, symbol))

    def replace(
        self,
        order_id: str | None = None,
        *,
        client_order_id: str | None = None,
        symbol: str | None = None,
        price: Price | None = None,
        quantity: int | None = None,
        requeue: bool = False,
    ) -> OrderResult:
        """Change price, or total quantity (what was executed included), or both."""
        command = ReplaceCommand(symbol, order_id, client_order_id, price, quantity, requeue)
        return self.run(calls.replace(command))

    def mass_cancel(self, symbol: str | None = None, side: str | None = None) -> MassCancelResult:
        """Cancel all of the account's orders, of one instrument or side or of all."""
        return self.run(calls.mass_cancel(symbol, side))

    def order(
        self,
        order_id: str | None = None,
        *,
        client_order_id: str | None = None,
        symbol: str | None = None,
        min_position: str | None = None,
    ) -> Order:
        """One order as it is now, or at least as new as `min_position`."""
        return self.run(calls.order(order_id, client_order_id, symbol, min_position))

    def orders(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        min_position: str | None = None,
    ) -> OrderPage:
        """A page of the account's orders, newest first."""
        return self.run(calls.orders(symbol, state, limit, cursor, min_position))

    def iter_orders(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        min_position: str | None = None,
        page: int = calls.PAGE_MAX,
    ) -> Iterator[Order]:
        """All of the account's orders, newest first, a page after another as they are asked for."""
        cursor: str | None = None
        while True:
            found = self.run(calls.orders(symbol, state, page, cursor, min_position))
            for order in found.orders:
                yield order
            cursor = found.next_cursor
            if cursor is None:
                return

    def book(
        self, symbol: str, *, depth: int | None = None, min_position: str | None = None
    ) -> Book:
        """Levels of both sides, best first."""
        return self.run(calls.book(symbol, depth, min_position))

    def deltas(
        self,
        symbol: str,
        since: int,
        *,
        limit: int | None = None,
        min_position: str | None = None,
    ) -> Deltas | BookSnapshot:
        """Every change after book sequence `since`, or the whole book where that is too old."""
        return self.run(calls.deltas(symbol, since, limit, min_position))

    def trades(
        self,
        symbol: str,
        *,
        limit: int | None = None,
        before: int | None = None,
        min_position: str | None = None,
    ) -> TradePage:
        """A page of trades, newest first."""
        return self.run(calls.trades(symbol, limit, before, min_position))

    def iter_trades(
        self, symbol: str, *, min_position: str | None = None, page: int = calls.PAGE_MAX
    ) -> Iterator[Trade]:
        """All trades of a symbol, newest first, a page after another as they are asked for."""
        before: int | None = None
        while True:
            found = self.run(calls.trades(symbol, page, before, min_position))
            for trade in found.trades:
                yield trade
            before = found.next_before
            if before is None:
                return

    def instruments(self) -> list[Instrument]:
        """All instruments, in order of listing."""
        found: list[Instrument] = []
        cursor: str | None = None
        while True:
            page = self.run(calls.instruments(cursor))
            found += page.instruments
            cursor = page.next_cursor
            if cursor is None:
                return found

    def instrument(self, symbol: str) -> Instrument:
        """One instrument."""
        return self.run(calls.instrument(symbol))

    @overload
    def graphql(self, query: str, variables: Mapping[str, Any] | None = None) -> dict[str, Any]: ...

    @overload
    def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, type: type[T]
    ) -> T: ...

    def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, type: Any = dict[str, Any]
    ) -> Any:
        """The data that a GraphQL query answers, as `type` (a dataclass, TypedDict or msgspec
        Struct of the fields asked for). Raises GraphQLError."""
        return self.run(graphql.query(query, variables, type))

    def subscribe(
        self,
        subscription: str,
        variables: Mapping[str, Any] | None = None,
        *,
        type: Any = dict[str, Any],
    ) -> Iterator[Any]:
        """The messages of a GraphQL subscription, each as `type`, over a connection of its own,
        until it is closed. Raises GraphQLError, and ConnectionLostError where the connection ends:
        subscribe again with `since`."""
        options = stream_transport.options(self._url, self._api_key, SUBSCRIBE_WAIT_S)
        try:
            with connect(
                graphql.subscription_url(self._url),
                subprotocols=[Subprotocol(graphql.SUBPROTOCOL)],
                **options,
            ) as connection:
                connection.send(graphql.INIT)
                connection.recv(SUBSCRIBE_WAIT_S)  # connection_ack
                connection.send(graphql.subscribe_message(subscription, variables))
                while not (step := graphql.step_of(connection.recv(), type)).ends:
                    if step.says:
                        connection.send(step.says)
                    elif step.has_result:
                        yield step.result
        except stream_transport.LOST as error:
            raise graphql.lost_of(error) from error


class Admin:
    """The calls that need a key with scope `admin`."""

    def __init__(self, exchange: Crossbook) -> None:
        self._exchange = exchange

    def list_instrument(
        self,
        symbol: str,
        tick_size: Price,
        *,
        lot_size: int = 1,
        price_collar: Price | None = None,
        reference_price: Price | None = None,
    ) -> AdminInstrument:
        """List an instrument, open for trading."""
        return self._exchange.run(
            admin_calls.list_instrument(symbol, tick_size, lot_size, price_collar, reference_price)
        )

    def set_state(self, symbol: str, state: str) -> AdminInstrument:
        """Set trading to open, halted, cancel_only or closed."""
        return self._exchange.run(admin_calls.set_state(symbol, state))

    def set_reference_price(self, symbol: str, price: Price | None) -> AdminInstrument:
        """Set what the collar is measured from; None for nothing."""
        return self._exchange.run(admin_calls.set_reference_price(symbol, price))

    def instruments(self) -> list[AdminInstrument]:
        """All instruments, with number and shard."""
        found: list[AdminInstrument] = []
        cursor: str | None = None
        while True:
            page = self._exchange.run(admin_calls.instruments(cursor))
            found += page.instruments
            cursor = page.next_cursor
            if cursor is None:
                return found

    def create_account(self, name: str, limits: Limits | None = None) -> Account:
        """Open an account."""
        return self._exchange.run(admin_calls.create_account(name, limits))

    def accounts(self) -> list[Account]:
        """All accounts."""
        found: list[Account] = []
        cursor: str | None = None
        while True:
            page = self._exchange.run(admin_calls.accounts(cursor))
            found += page.accounts
            cursor = page.next_cursor
            if cursor is None:
                return found

    def iter_audit(self, *, page: int = calls.PAGE_MAX) -> Iterator[AuditedChange]:
        """Who changed what in the directory, newest first, a page after another."""
        cursor: str | None = None
        while True:
            found = self._exchange.run(admin_calls.audit(page, cursor))
            for change in found.changes:
                yield change
            cursor = found.next_cursor
            if cursor is None:
                return

    def account(self, account: int) -> Account:
        """One account, with limits and keys."""
        return self._exchange.run(admin_calls.account(account))

    def set_limits(self, account: int, limits: Limits) -> Account:
        """Set all three limits."""
        return self._exchange.run(admin_calls.set_limits(account, limits))

    def kill(self, account: int) -> Account:
        """Cancel the account's orders and refuse new ones."""
        return self._exchange.run(admin_calls.set_account_state(account, "killed"))

    def revive(self, account: int) -> Account:
        """Let a killed account trade again."""
        return self._exchange.run(admin_calls.set_account_state(account, "active"))

    def create_key(self, account: int, scopes: Sequence[str]) -> NewKey:
        """Make an API key. Its text is answered this once."""
        return self._exchange.run(admin_calls.create_key(account, scopes))

    def revoke_key(self, account: int, key_id: str) -> None:
        """Refuse a key from now on."""
        self._exchange.run(admin_calls.revoke_key(account, key_id))
