"""Clients under faults: threads that submit, cancel and replace, alone and in batches, and that
send again, with the same client order ids, whatever had no answer.

Guarantees: each client has at most one request out, and settles it before the next; orders of all
clients meet in the same books. What a client sends is a function of its seed and of the answers.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from cli.listings import FIRST_LISTINGS, Listing
from cli.run_state import Credential
from tests.faults.connection import NOT_THERE, TIMEOUT_S, Connection, Reply
from tests.faults.journal import Acknowledgement, Journal, SentOrder

SYMBOLS: Final = ("AAPL", "MSFT", "BRK/A", "KO", "F", "GM")
LISTINGS: Final = {each.symbol: each for each in FIRST_LISTINGS if each.symbol in SYMBOLS}
ACCOUNTS: Final = ("player", "demo", "simulator")
TICKS_A_CENT: Final = 100
SPREAD_CENTS: Final = 24
OPEN_MAX: Final = 60
BATCH_MAX: Final = 40
PATIENCE_S: Final = 300.0  # how long a client tries: on a slow machine kills meet starts for long
RETRY_PAUSE_S: Final = 0.05
ABANDONS: Final = 0.2
# What a cancel or replace is told of an order that is done.
GONE: Final = ((404, "unknown_order"), (422, "too_late"))


@dataclass
class Item:
    """One command, as an item of a batch or as a request, and what to do with its answer."""

    operation: str
    fields: dict[str, Any]
    order: SentOrder
    terms: tuple[int, int] | None = None  # of a replace

    def batch_item(self) -> dict[str, Any]:
        """As an item of a batch."""
        return {"op": self.operation, **self.fields}

    def request(self) -> tuple[str, str, dict[str, Any] | None]:
        """As a request of its own: method, path, body."""
        if self.operation == "submit":
            return "POST", "/v1/orders", self.fields
        named = self.fields.get("order_id") or f"client:{self.fields['client_order_id']}"
        path = f"/v1/orders/{named}?symbol={self.order.symbol}"
        if self.operation == "cancel":
            return "DELETE", path, None
        return "PATCH", path, {"price": self.fields["price"], "quantity": self.fields["quantity"]}


class Client(threading.Thread):
    """One client with an account, a connection, a seed and a journal."""

    def __init__(self, name: str, credential: Credential, port: int, seed: int) -> None:
        super().__init__(name=name, daemon=True)
        self.journal = Journal()
        self.refused_in_a_row = 0
        self.acknowledged = 0
        self._account = credential.account
        self._connection = Connection(port, credential.key)
        self._random = random.Random(seed)
        self._open: dict[str, SentOrder] = {}
        self._number = 0
        self._stopping = threading.Event()

    def ask_to_stop(self) -> None:
        """Settle what is out, then end."""
        self._stopping.set()

    def run(self) -> None:
        while not self._stopping.is_set():
            if self._random.random() < 0.4:
                self._settle_batch(self._items(self._random.randrange(2, BATCH_MAX)))
            else:
                self._settle_one(self._items(1)[0])
        self._connection.close()

    # --- what to send -----------------------------------------------------------------------------

    def _items(self, count: int) -> list[Item]:
        """Commands, of which no two change the same order."""
        items: list[Item] = []
        touched: set[str] = set()
        for _ in range(count):
            names = [name for name in self._open if name not in touched]
            chance = self._random.random()
            if not names or (chance < 0.55 and len(self._open) < OPEN_MAX):
                item = self._submit()
            else:
                order = self._open[self._random.choice(names)]
                item = self._cancel(order) if chance < 0.8 else self._replace(order)
            touched.add(item.order.client_order_id)
            items.append(item)
        return items

    def _submit(self) -> Item:
        self._number += 1
        client_order_id = f"{self.name}-{self._number}"
        listing = LISTINGS[self._random.choice(SYMBOLS)]
        buy = self._random.random() < 0.5
        quantity = self._random.randrange(1, 200)
        fields: dict[str, Any] = {
            "symbol": listing.symbol,
            "side": "buy" if buy else "sell",
            "quantity": quantity,
            "client_order_id": client_order_id,
        }
        kind = self._random.random()
        price_ticks = 0
        if kind < 0.05:
            fields |= {"type": "market", "time_in_force": self._random.choice(["ioc", "fok"])}
        else:
            price_ticks = self._price(listing, buy, off_tick=kind > 0.97)
            fields["price"] = price_text(price_ticks)
            fields["time_in_force"] = self._random.choice(["day", "day", "gtc", "gtc", "ioc"])
        terms = {(price_ticks, quantity)}
        order = SentOrder(client_order_id, self._account, listing.symbol, terms)
        self.journal.orders[client_order_id] = order
        return Item("submit", fields, order)

    def _price(self, listing: Listing, buy: bool, *, off_tick: bool = False) -> int:
        """Near the start price; a fifth of them on the other side of it, to trade."""
        away = self._random.randrange(-SPREAD_CENTS // 4, SPREAD_CENTS)
        cents = -away if buy else away
        return listing.start_price_ticks + cents * TICKS_A_CENT + off_tick

    def _reference(self, order: SentOrder) -> dict[str, Any]:
        if order.order_id is not None and self._random.random() < 0.5:
            return {"order_id": str(order.order_id), "symbol": order.symbol}
        return {"client_order_id": order.client_order_id, "symbol": order.symbol}

    def _cancel(self, order: SentOrder) -> Item:
        return Item("cancel", self._reference(order), order)

    def _replace(self, order: SentOrder) -> Item:
        quantity = self._random.randrange(1, 300)
        price_ticks = self._price(LISTINGS[order.symbol], self._random.random() < 0.5)
        fields = self._reference(order)
        fields |= {"price": price_text(price_ticks), "quantity": quantity}
        return Item("replace", fields, order, (price_ticks, quantity))

    # --- sending until it is settled --------------------------------------------------------------

    def _settle_one(self, item: Item) -> None:
        method, path, body = item.request()

        def take(reply: Reply) -> bool:
            if reply.status == 503:
                return self._take_refusal(reply)
            return self._take(item, reply.status, reply.body, reply.body)

        self._settle((method, path, body), [item], take)

    def _settle_batch(self, items: list[Item]) -> None:
        body = {"commands": [item.batch_item() for item in items]}

        def take(reply: Reply) -> bool:
            if reply.status == 503:
                return self._take_refusal(reply)
            if reply.status != 200 or len(reply.body["results"]) != len(items):
                return self._complain("batch", reply.status, reply.body)
            settled = [
                self._take(item, result["status"], result, reply.body)
                for item, result in zip(items, reply.body["results"], strict=True)
            ]
            return all(settled)

        self._settle(("POST", "/v1/orders/batch", body), items, take)

    def _settle(
        self,
        request: tuple[str, str, dict[str, Any] | None],
        items: list[Item],
        take: Callable[[Reply], bool],
    ) -> None:
        """Send until `take` is content with the answer. `unsure`: what was sent before may be in
        the log."""
        deadline = time.monotonic() + PATIENCE_S
        unsure = False
        for item in items:
            if item.terms is not None:
                item.order.terms.add(item.terms)
        while time.monotonic() < deadline:
            try:
                reply = self._connection.send(*request)
            except NOT_THERE as error:
                self.journal.counts["unanswered"] += 1
                # A refused connection was never written to; any other may have been.
                unsure |= not isinstance(error, ConnectionRefusedError)
            else:
                if take(reply):
                    return
                unsure |= reply.status != 503 or reply.reason != "not_written"
            if not unsure and self._may_abandon(items):
                return
            self.journal.counts["sent again"] += 1
            time.sleep(RETRY_PAUSE_S)
        self.journal.unexpected.append(f"{request}: not settled in {PATIENCE_S:.0f} s")

    def _may_abandon(self, items: list[Item]) -> bool:
        """Give up, now and then, what is certainly not written: it must never appear."""
        if self._random.random() > ABANDONS:
            return False
        for item in items:
            if item.operation == "submit":
                item.order.abandoned = True
                self.journal.counts["abandoned"] += 1
        return True

    # --- what an answer says ----------------------------------------------------------------------

    def _take_refusal(self, reply: Reply) -> bool:
        self.refused_in_a_row += 1
        self.journal.counts[f"503 {reply.reason}"] += 1
        if reply.retry_after is None or int(reply.retry_after) < 1:
            self._complain("503 without Retry-After", reply.status, reply.body)
        return False

    def _take(self, item: Item, status: int, result: dict[str, Any], body: Any) -> bool:
        """Write down the answer to one command; False where it must be sent again."""
        if status == 503:
            self.journal.counts["503 in a batch"] += 1
            return False
        self.refused_in_a_row = 0
        self.acknowledged += 1
        if item.operation == "submit":
            return self._take_submit(item.order, status, result, body)
        if status == 202:
            return False
        self.journal.counts[f"{item.operation} {status}"] += 1
        if status == 200:
            self._take_change(item, result)
        elif (status, result.get("reason")) in GONE:
            self._open.pop(item.order.client_order_id, None)
        else:
            self._complain(item.operation, status, result)
        return True

    def _take_change(self, item: Item, result: dict[str, Any]) -> None:
        if result["outcome"] == "cancelled":
            item.order.cancelled = True
            self._open.pop(item.order.client_order_id, None)
        elif item.terms is not None:
            item.order.terms = {item.terms}

    def _take_submit(
        self, order: SentOrder, status: int, result: dict[str, Any], body: Any
    ) -> bool:
        self.journal.counts[f"submit {status} {result.get('outcome', result.get('reason'))}"] += 1
        engine_refused = status == 422 and result.get("refused_by") == "engine"
        if status not in (200, 201, 202) and not engine_refused:
            return self._complain("submit", status, result)
        self.journal.last_position = body["position"]
        order.refused |= engine_refused
        order.acknowledged.append(
            Acknowledgement(
                status,
                None if status == 202 else int(result["order_id"]),
                body["position"],
                int(result.get("executed_quantity") or 0),
            )
        )
        if result.get("leaves_quantity"):
            self._open[order.client_order_id] = order
        return status != 202

    def _complain(self, what: str, status: int, body: object) -> bool:
        self.journal.unexpected.append(f"{what}: {status} {json.dumps(body)[:500]}")
        return True


def price_text(price_ticks: int) -> str:
    """A price as the API takes it."""
    return f"{price_ticks // 10_000}.{price_ticks % 10_000:04d}"


@dataclass
class Load:
    """Several clients at once."""

    clients: list[Client] = field(default_factory=list)

    @staticmethod
    def of(credentials: dict[str, Credential], port: int, seed: int, count: int = 6) -> Load:
        """`count` clients, turn by turn of ACCOUNTS."""
        return Load(
            [
                Client(
                    f"c{seed % 100_000}.{number}",
                    credentials[ACCOUNTS[number % len(ACCOUNTS)]],
                    port,
                    seed * 1_000 + number,
                )
                for number in range(count)
            ]
        )

    def start(self) -> None:
        """Begin."""
        for client in self.clients:
            client.start()

    @property
    def acknowledged(self) -> int:
        """How many commands had an answer so far."""
        return sum(client.acknowledged for client in self.clients)

    def stop(self) -> Journal:
        """Have every client settle what is out; what all of them remember."""
        for client in self.clients:
            client.ask_to_stop()
        deadline = time.monotonic() + PATIENCE_S + TIMEOUT_S
        for client in self.clients:
            client.join(timeout=max(0.0, deadline - time.monotonic()))
            assert not client.is_alive(), f"client {client.name} did not settle its last request"
        return Journal.merged([client.journal for client in self.clients])
