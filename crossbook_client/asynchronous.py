"""The client that awaits. See `crossbook_client.synchronous` for the one that waits.

`crossbook_client/synchronous.py` is made of this file by scripts/make_sync_client.py.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from typing import Any, TypeVar, overload

import httpx
from websockets.asyncio.client import connect
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


class AsyncCrossbook:
    """One exchange over REST. For one event loop; close it, or use it in `async with`.

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
        self.admin = AsyncAdmin(self)
        self._url, self._api_key = url, api_key
        self._http = httpx.AsyncClient(**transport.options(url, api_key, timeout_s))

    async def __aenter__(self) -> AsyncCrossbook:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def unchanged(self) -> int:
        """How many answers were still those that are remembered."""
        return self._memory.hits

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def run(self, call: Call[T]) -> T:
        """Send any request of `crossbook_client.calls`, again where that is safe."""
        attempts = transport.Attempts(call, self.retries)
        while True:
            request = transport.request_of(call, self._memory)
            try:
                try:
                    response = await self._http.request(**request)
                except httpx.TransportError as error:
                    raise transport.lost(error) from error
                return transport.result_of(call, response, self._memory)
            except CrossbookError as error:
                await asyncio.sleep(attempts.next_pause_s(error))
                self.resent += 1

    async def submit(
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
        return await self.run(calls.submit(command))

    async def batch(self, commands: Sequence[Command]) -> BatchResult:
        """Up to 1,000 commands, in order; a refused one stops none of the others."""
        return await self.run(calls.batch(commands))

    async def cancel(
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
        return await self.run(calls.cancel(order_id, client_order_id, symbol))

    async def replace(
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
        return await self.run(calls.replace(command))

    async def mass_cancel(
        self, symbol: str | None = None, side: str | None = None
    ) -> MassCancelResult:
        """Cancel all of the account's orders, of one instrument or side or of all."""
        return await self.run(calls.mass_cancel(symbol, side))

    async def order(
        self,
        order_id: str | None = None,
        *,
        client_order_id: str | None = None,
        symbol: str | None = None,
        min_position: str | None = None,
    ) -> Order:
        """One order as it is now, or at least as new as `min_position`."""
        return await self.run(calls.order(order_id, client_order_id, symbol, min_position))

    async def orders(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        limit: int | None = None,
        cursor: str | None = None,
        min_position: str | None = None,
    ) -> OrderPage:
        """A page of the account's orders, newest first."""
        return await self.run(calls.orders(symbol, state, limit, cursor, min_position))

    async def iter_orders(
        self,
        *,
        symbol: str | None = None,
        state: str | None = None,
        min_position: str | None = None,
        page: int = calls.PAGE_MAX,
    ) -> AsyncIterator[Order]:
        """All of the account's orders, newest first, a page after another as they are asked for."""
        cursor: str | None = None
        while True:
            found = await self.run(calls.orders(symbol, state, page, cursor, min_position))
            for order in found.orders:
                yield order
            cursor = found.next_cursor
            if cursor is None:
                return

    async def book(
        self, symbol: str, *, depth: int | None = None, min_position: str | None = None
    ) -> Book:
        """Levels of both sides, best first."""
        return await self.run(calls.book(symbol, depth, min_position))

    async def deltas(
        self,
        symbol: str,
        since: int,
        *,
        limit: int | None = None,
        min_position: str | None = None,
    ) -> Deltas | BookSnapshot:
        """Every change after book sequence `since`, or the whole book where that is too old."""
        return await self.run(calls.deltas(symbol, since, limit, min_position))

    async def trades(
        self,
        symbol: str,
        *,
        limit: int | None = None,
        before: int | None = None,
        min_position: str | None = None,
    ) -> TradePage:
        """A page of trades, newest first."""
        return await self.run(calls.trades(symbol, limit, before, min_position))

    async def iter_trades(
        self, symbol: str, *, min_position: str | None = None, page: int = calls.PAGE_MAX
    ) -> AsyncIterator[Trade]:
        """All trades of a symbol, newest first, a page after another as they are asked for."""
        before: int | None = None
        while True:
            found = await self.run(calls.trades(symbol, page, before, min_position))
            for trade in found.trades:
                yield trade
            before = found.next_before
            if before is None:
                return

    async def instruments(self) -> list[Instrument]:
        """All instruments, in order of listing."""
        found: list[Instrument] = []
        cursor: str | None = None
        while True:
            page = await self.run(calls.instruments(cursor))
            found += page.instruments
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def instrument(self, symbol: str) -> Instrument:
        """One instrument."""
        return await self.run(calls.instrument(symbol))

    @overload
    async def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None
    ) -> dict[str, Any]: ...

    @overload
    async def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, type: type[T]
    ) -> T: ...

    async def graphql(
        self, query: str, variables: Mapping[str, Any] | None = None, *, type: Any = dict[str, Any]
    ) -> Any:
        """The data that a GraphQL query answers, as `type` (a dataclass, TypedDict or msgspec
        Struct of the fields asked for). Raises GraphQLError."""
        return await self.run(graphql.query(query, variables, type))

    async def subscribe(
        self,
        subscription: str,
        variables: Mapping[str, Any] | None = None,
        *,
        type: Any = dict[str, Any],
    ) -> AsyncGenerator[Any, None]:
        """The messages of a GraphQL subscription, each as `type`, over a connection of its own,
        until it is closed. Raises GraphQLError, and ConnectionLostError where the connection ends:
        subscribe again with `since`."""
        options = stream_transport.options(self._url, self._api_key, SUBSCRIBE_WAIT_S)
        try:
            async with connect(
                graphql.subscription_url(self._url),
                subprotocols=[Subprotocol(graphql.SUBPROTOCOL)],
                **options,
            ) as connection:
                await connection.send(graphql.INIT)
                async with asyncio.timeout(SUBSCRIBE_WAIT_S):
                    await connection.recv()  # connection_ack
                await connection.send(graphql.subscribe_message(subscription, variables))
                while not (step := graphql.step_of(await connection.recv(), type)).ends:
                    if step.says:
                        await connection.send(step.says)
                    elif step.has_result:
                        yield step.result
        except stream_transport.LOST as error:
            raise graphql.lost_of(error) from error


class AsyncAdmin:
    """The calls that need a key with scope `admin`."""

    def __init__(self, exchange: AsyncCrossbook) -> None:
        self._exchange = exchange

    async def list_instrument(
        self,
        symbol: str,
        tick_size: Price,
        *,
        lot_size: int = 1,
        price_collar: Price | None = None,
        reference_price: Price | None = None,
    ) -> AdminInstrument:
        """List an instrument, open for trading."""
        return await self._exchange.run(
            admin_calls.list_instrument(symbol, tick_size, lot_size, price_collar, reference_price)
        )

    async def set_state(self, symbol: str, state: str) -> AdminInstrument:
        """Set trading to open, halted, cancel_only or closed."""
        return await self._exchange.run(admin_calls.set_state(symbol, state))

    async def set_reference_price(self, symbol: str, price: Price | None) -> AdminInstrument:
        """Set what the collar is measured from; None for nothing."""
        return await self._exchange.run(admin_calls.set_reference_price(symbol, price))

    async def instruments(self) -> list[AdminInstrument]:
        """All instruments, with number and shard."""
        found: list[AdminInstrument] = []
        cursor: str | None = None
        while True:
            page = await self._exchange.run(admin_calls.instruments(cursor))
            found += page.instruments
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def create_account(self, name: str, limits: Limits | None = None) -> Account:
        """Open an account."""
        return await self._exchange.run(admin_calls.create_account(name, limits))

    async def accounts(self) -> list[Account]:
        """All accounts."""
        found: list[Account] = []
        cursor: str | None = None
        while True:
            page = await self._exchange.run(admin_calls.accounts(cursor))
            found += page.accounts
            cursor = page.next_cursor
            if cursor is None:
                return found

    async def iter_audit(self, *, page: int = calls.PAGE_MAX) -> AsyncIterator[AuditedChange]:
        """Who changed what in the directory, newest first, a page after another."""
        cursor: str | None = None
        while True:
            found = await self._exchange.run(admin_calls.audit(page, cursor))
            for change in found.changes:
                yield change
            cursor = found.next_cursor
            if cursor is None:
                return

    async def account(self, account: int) -> Account:
        """One account, with limits and keys."""
        return await self._exchange.run(admin_calls.account(account))

    async def set_limits(self, account: int, limits: Limits) -> Account:
        """Set all three limits."""
        return await self._exchange.run(admin_calls.set_limits(account, limits))

    async def kill(self, account: int) -> Account:
        """Cancel the account's orders and refuse new ones."""
        return await self._exchange.run(admin_calls.set_account_state(account, "killed"))

    async def revive(self, account: int) -> Account:
        """Let a killed account trade again."""
        return await self._exchange.run(admin_calls.set_account_state(account, "active"))

    async def create_key(self, account: int, scopes: Sequence[str]) -> NewKey:
        """Make an API key. Its text is answered this once."""
        return await self._exchange.run(admin_calls.create_key(account, scopes))

    async def revoke_key(self, account: int, key_id: str) -> None:
        """Refuse a key from now on."""
        await self._exchange.run(admin_calls.revoke_key(account, key_id))
