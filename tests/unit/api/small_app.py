"""The app over a real directory and a gateway that is told how to fail."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from fastapi import FastAPI

from api.rates.enforce import Rates
from api.rest.app import create_app
from api.services import ApiSettings, Services
from commands.directory.application import Directory, DirectoryApplication, sqlite_environment
from commands.directory.entries import InstrumentTerms
from commands.directory.view import DirectoryView
from commands.protocols import Receipt
from domain.outcomes import Outcome


class ScriptedGateway:
    """Writes to nowhere. `failures` by shard are raised by `write`; `told` is what is matched."""

    def __init__(self) -> None:
        self.failures: dict[int, Exception] = {}
        self.written_records: dict[int, list[bytes]] = {}
        self.told: list[Outcome] | None = None

    async def write(self, shard: int, records: Sequence[bytes]) -> Receipt:
        if shard in self.failures:
            raise self.failures[shard]
        self.written_records.setdefault(shard, []).extend(records)
        return Receipt(shard, 7, 3, len(records))

    async def outcomes(self, receipt: Receipt, wait_s: float) -> list[Outcome] | None:
        return self.told

    def matched(self, shard: int) -> int:
        return 0

    def written(self, shard: int) -> int:
        return 7

    def stalled_s(self, shard: int) -> float:
        return 0.0

    async def chain_at(self, shard: int, position: int) -> bytes | None:
        return None


@dataclass
class SmallApp:
    """The app, its gateway, and a key that may trade."""

    app: FastAPI
    gateway: ScriptedGateway
    key: str


@contextmanager
def small_app(
    folder: Path,
    shards: int = 1,
    *,
    settings: ApiSettings | None = None,
    rates: Rates | None = None,
) -> Iterator[SmallApp]:
    """With account 1 and one instrument a shard: S0, S1, …"""
    environment = sqlite_environment(folder / "directory.sqlite")
    directory = Directory(DirectoryApplication(environment), shards)
    directory.create_account("a", by="t")
    _, key = directory.create_key(1, ["trade"], by="t")
    for shard in range(shards):
        directory.list_instrument(InstrumentTerms(f"S{shard}", 1), by="t")
    view = DirectoryView(directory.application)
    view.refresh()
    gateway = ScriptedGateway()
    nothing = cast(Any, None)
    services = Services(
        gateway=gateway,
        progress=nothing,
        directory=directory,
        directory_view=view,
        directory_writes=nothing,
        books=nothing,
        history=nothing,
        settings=settings or ApiSettings(shards=shards),
        rates=rates or Rates(),
    )
    yield SmallApp(create_app(services), gateway, key.text)
    directory.close()
