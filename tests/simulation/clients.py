"""Clients: they send orders, and send again what they have no answer to, with the same client order
ids; some orders without a client order id are sent once.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from domain.commands import CancelOrder, MassCancel, ReplaceOrder, SubmitOrder
from domain.wire import encode_command
from tests.simulation.directory import TICK
from tests.simulation.journal import Attempt, Request
from tests.simulation.scheduler import Process

if TYPE_CHECKING:
    from tests.simulation.world import World

ANSWER_WAIT_S = 1.0
ATTEMPTS_MAX = 500
PLAIN_QUANTITY = 10_000  # and above: no two plain orders are alike


class Outside(Process):
    """All that is not the exchange: clients, the network, the supervisor."""

    mortal = False


class Client:
    """One account's client; several of its lanes run at once."""

    def __init__(self, world: World, number: int) -> None:
        self.world = world
        self.random = world.scheduler.random
        self.account = number
        self.requests: list[Request] = []
        self._named: list[tuple[int, int, bytes]] = []  # shard, instrument, client order id
        self._ids: list[tuple[int, int]] = []  # shard, order id
        self._serial = 0

    async def trade(self, requests: int) -> None:
        """Send so many requests, one after the other."""
        for _ in range(requests):
            await asyncio.sleep(self.random.random() * 0.1)
            request = self._request()
            self.requests.append(request)
            await self._until_answered(request)

    async def _until_answered(self, request: Request) -> None:
        for _ in range(ATTEMPTS_MAX):
            claim, outcomes = await self._call(request)
            for place, kind, order_id, *_ in outcomes:
                if kind == 0 and place - outcomes[0][0] in request.names:
                    self._ids.append((request.shard, order_id))
            if claim == "done" or not request.repeatable:
                return
            if claim == "pending" and self.random.random() < 0.5:
                return
            await asyncio.sleep(self.random.random() * 0.2)
        raise AssertionError(f"{ATTEMPTS_MAX} attempts had no answer: {request}")

    async def _call(self, request: Request) -> tuple[str | None, list[tuple[int, ...]]]:
        """One request over the network; None where no answer came in time."""
        world = self.world
        answer: asyncio.Future[Attempt] = world.outside.create_future()
        chances = world.weather.chances
        copies = 2 if request.repeatable and world.weather.happens(chances.message_doubled) else 1
        for copy in range(copies):
            wait_s = self.random.choice((0.0, 0.02, 2.0))
            attempt = Attempt(request, wait_s, reads=self.random.random() < 0.2)
            delay_s = world.weather.latency_s(0.003) + (self.random.random() * 3 if copy else 0)
            if not world.weather.happens(chances.message_lost):
                world.outside.after(delay_s, self._arrive, attempt, answer)
        try:
            async with asyncio.timeout(ANSWER_WAIT_S):
                attempt = await answer
        except TimeoutError:
            return None, []
        return attempt.claim, attempt.outcomes

    def _arrive(self, attempt: Attempt, answer: asyncio.Future[Attempt]) -> None:
        """The request is at a gateway, if there is one."""
        api = self.world.any_api()
        if api is None:
            return
        attempt.request.attempts.append(attempt)
        api.start(api.serve(attempt, lambda: self._reply(attempt, answer)))

    def _reply(self, attempt: Attempt, answer: asyncio.Future[Attempt]) -> None:
        world = self.world
        if not world.weather.happens(world.weather.chances.message_lost):
            delay_s = world.weather.latency_s(0.003)
            world.outside.after(delay_s, self._receive, attempt, answer)

    def _receive(self, attempt: Attempt, answer: asyncio.Future[Attempt]) -> None:
        if not answer.done():
            answer.set_result(attempt)

    # --- what is asked ----------------------------------------------------------------------------

    def _request(self) -> Request:
        random = self.random
        shard = random.randrange(self.world.shards)
        self._serial += 1
        own_ids = [order_id for each, order_id in self._ids if each == shard]
        kind = random.random()
        if kind < 0.2:
            return Request(shard, [self._plain(shard)], {}, repeatable=False)
        if kind < 0.35 and own_ids:
            return Request(shard, [self._change(random.choice(own_ids))], {}, repeatable=True)
        records: list[bytes] = []
        names: dict[int, bytes] = {}
        for place in range(random.choice((1, 1, 1, 2, 3, 12))):
            if place == 0 or random.random() < 0.5:
                names[place] = f"{self.account}-{self._serial}-{place}".encode()
                records.append(self._submit(shard, names[place]))
            else:
                records.append(self._other(shard))
        return Request(shard, records, names, repeatable=True)

    def _price(self) -> int:
        return TICK * (100 + self.random.randint(-4, 4))

    def _plain(self, shard: int) -> bytes:
        """An order on the instrument that closes now and then, which forgets client order ids."""
        instrument = self.world.directory.instruments[shard][-1]
        side, tif = self.random.randrange(2), self.random.choice((0, 1, 1, 2))
        quantity = PLAIN_QUANTITY * self.account + self._serial
        order = SubmitOrder(self.account, instrument, side, 0, tif, self._price(), quantity)
        return encode_command(order)

    def _submit(self, shard: int, name: bytes) -> bytes:
        random = self.random
        instrument = random.choice(self.world.directory.instruments[shard][:-1])
        self._named.append((shard, instrument, name))
        tif, quantity = random.choice((0, 1, 1, 1, 2, 3)), random.randint(1, 50)
        price = self._price() + (1 if random.random() < 0.05 else 0)
        side = random.randrange(2)
        order = SubmitOrder(self.account, instrument, side, 0, tif, price, quantity, name)
        return encode_command(order)

    def _change(self, order_id: int) -> bytes:
        """A cancel or replace by order id, whose client order id nobody looks at."""
        tag = f"{self.account}-{self._serial}-x".encode()
        if self.random.random() < 0.5:
            return encode_command(CancelOrder(self.account, 1, order_id, tag))
        quantity = self.random.randint(1, 60)
        return encode_command(ReplaceOrder(self.account, 1, order_id, 0, quantity, 0, tag))

    def _other(self, shard: int) -> bytes:
        random = self.random
        own = [each for each in self._named if each[0] == shard]
        if random.random() < 0.1 or not own:
            instrument = random.choice((0, *self.world.directory.instruments[shard]))
            return encode_command(MassCancel(self.account, instrument, 2))
        _, instrument, name = random.choice(own)
        if random.random() < 0.5:
            return encode_command(CancelOrder(self.account, instrument, 0, name))
        price, quantity = random.choice((0, self._price())), random.randint(1, 60)
        return encode_command(
            ReplaceOrder(self.account, instrument, 0, price, quantity, random.randrange(4), name)
        )
