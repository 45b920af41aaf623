"""Gateways on one Kafka log: each gets its own outcomes, lag is bounded, and a broker that dies or
freezes is answered for within a second."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from api.rest.writing import order_id_at
from cli.servers import KafkaServer
from commands.protocols import BehindError, NotWrittenError, OutcomeUnknownError, Receipt
from commands.sequencer import Limits
from domain.outcomes import ACCEPTED, REPEATED
from streams.gateway import GatewayLimits
from streams.kafka.connection import KafkaConnection
from streams.kafka.gateway import KafkaGateway
from tests.integration.gateway_kafka.matching import Matching, patient, submit

SHARDS = 2
OUTCOME_S = 20.0


@asynccontextmanager
async def gateways_of(
    connection: KafkaConnection, redis_url: str, count: int, **limits: float
) -> AsyncIterator[list[KafkaGateway]]:
    opened = [
        await KafkaGateway.open(
            connection,
            SHARDS,
            redis_url=redis_url,
            limits=GatewayLimits(**limits),  # type: ignore[arg-type]
            batching=Limits(),
        )
        for _ in range(count)
    ]
    try:
        yield opened
    finally:
        for gateway in opened:
            await gateway.close()


def patient_gateways(
    connection: KafkaConnection, redis_url: str, count: int, **limits: float
) -> AbstractAsyncContextManager[list[KafkaGateway]]:
    return gateways_of(patient(connection), redis_url, count, write_wait_s=60.0, **limits)


async def order_of(gateway: KafkaGateway, shard: int, record: bytes) -> int:
    """Write one order; its id, which says where it was born."""
    receipt = await gateway.write(shard, [record])
    (outcome,) = await told(gateway, receipt)
    assert outcome.kind == ACCEPTED
    assert outcome.order_id == order_id_at(receipt, 0)
    return outcome.order_id


async def told(gateway: KafkaGateway, receipt: Receipt) -> list:
    found = await gateway.outcomes(receipt, OUTCOME_S)
    assert found is not None
    return found


def test_several_gateways_write_at_once_and_each_gets_its_own_outcomes(
    kafka_connection: KafkaConnection, redis_url: str, matching: Matching
) -> None:
    async def trade() -> None:
        async with patient_gateways(kafka_connection, redis_url, 3) as gateways:
            writes = [
                order_of(gateway, number % SHARDS, submit(1 + number))
                for number in range(200)
                for gateway in gateways
            ]
            ids = await asyncio.gather(*writes)
            assert len(set(ids)) == len(ids) == 600
            for shard in range(SHARDS):
                # One that has not heard of the others' last batch yet has no lag either.
                await until(lambda s=shard: len({g.matched(s) for g in gateways}) == 1)
                assert [g.lag(shard) for g in gateways] == [0, 0, 0]

    asyncio.run(trade())


def test_the_same_client_order_id_through_two_gateways_is_one_order(
    kafka_connection: KafkaConnection, redis_url: str, matching: Matching
) -> None:
    async def trade() -> None:
        async with patient_gateways(kafka_connection, redis_url, 2) as gateways:
            receipts = await asyncio.gather(
                *(g.write(0, [submit(5, "mine")]) for g in gateways for _ in range(20))
            )
            found = [
                (await told(gateways[each // 20], receipt))[0]
                for each, receipt in enumerate(receipts)
            ]
            assert sorted({each.kind for each in found}) == [ACCEPTED, REPEATED]
            assert [each.kind for each in found].count(ACCEPTED) == 1
            assert len({each.order_id for each in found}) == 1

    asyncio.run(trade())


def test_a_gateway_knows_of_the_others_writes_and_refuses_when_the_matcher_lags(
    kafka_connection: KafkaConnection, redis_url: str, matching: Matching
) -> None:
    async def trade() -> None:
        opened = patient_gateways(kafka_connection, redis_url, 2, lag_batches_max=5)
        async with opened as (one, other):
            await order_of(one, 0, submit(1))
            matching.pause()
            for _ in range(6):
                receipt = await one.write(0, [submit(1)])
            with pytest.raises(BehindError):
                await one.write(0, [submit(1)])
            await until(lambda: other.written(0) >= receipt.position)
            assert other.lag(0) == 6
            with pytest.raises(BehindError):
                await other.write(0, [submit(1)])
            matching.go_on()
            await told(one, receipt)
            await order_of(one, 0, submit(2))
            await until(lambda: other.lag(0) == 0)
            await order_of(other, 0, submit(3))

    asyncio.run(trade())


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "frozen"])
def test_a_broker_that_is_gone_is_answered_for_at_once_and_found_again(
    kafka_connection: KafkaConnection,
    kafka_server: KafkaServer,
    redis_url: str,
    matching: Matching,
    how: signal.Signals,
) -> None:
    slowest = 0.0

    async def attempt(gateway: KafkaGateway) -> Receipt | None:
        nonlocal slowest
        began = time.monotonic()
        try:
            return await gateway.write(0, [submit(1)])
        except (NotWrittenError, OutcomeUnknownError, BehindError):
            return None
        finally:
            slowest = max(slowest, time.monotonic() - began)

    async def trade() -> None:
        nonlocal slowest
        async with gateways_of(kafka_connection, redis_url, 1) as (gateway,):
            while await attempt(gateway) is None:
                pass
            slowest = 0.0
            pid = kafka_server.pid
            assert pid is not None
            os.kill(pid, how)
            refused = 0
            beats = asyncio.create_task(heartbeat())
            while refused < 12:
                receipts = await asyncio.gather(*(attempt(gateway) for _ in range(4)))
                refused += receipts.count(None)
            longest_beat = beats.result() if beats.done() else stop_beating(beats)
            if how == signal.SIGSTOP:
                os.kill(pid, signal.SIGCONT)
            else:
                await asyncio.to_thread(kafka_server.start)
            began = time.monotonic()
            while (receipt := await attempt(gateway)) is None:
                assert time.monotonic() - began < 60, "it does not resume"
                await asyncio.sleep(0.05)
            resumed_s = time.monotonic() - began
            (outcome,) = await told(gateway, receipt)
            assert outcome.kind == ACCEPTED
            print(
                f"slowest answer {slowest:.2f} s, resumed after {resumed_s:.2f} s, "
                f"the loop stood still for {longest_beat:.3f} s at most"
            )

    asyncio.run(trade())
    # Not a measurement: ten times what the answer may take would still fail.
    assert slowest < 5.0


_beats: list[float] = []


async def heartbeat() -> float:
    """Notices how long the event loop stands still."""
    _beats.clear()
    last = time.monotonic()
    while True:
        await asyncio.sleep(0.005)
        now = time.monotonic()
        _beats.append(now - last)
        last = now


def stop_beating(beats: asyncio.Task[float]) -> float:
    beats.cancel()
    return max(_beats)


async def until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "not in time"
        await asyncio.sleep(0.02)
