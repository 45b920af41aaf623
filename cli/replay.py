"""`crossbook replay`: a shard's state at any position or time, from its command log alone.

Guarantees: logs are only read, and no further than where they ended when the replay began; what is
told is a function of the command log up to the position told; `--verify` starts from an empty
engine, always.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Protocol

from cli.replay_export import Export, open_export
from cli.replay_look import Book, UsageError, book_of
from cli.replay_places import (
    CommandReading,
    EventReading,
    LogPlace,
    events_path,
    open_commands,
    open_events,
)
from cli.replay_rows import command_rows, event_rows
from domain.batch import Position
from domain.snapshot import SnapshotError, restore, state_hash
from streams.replay import After, GapError, Progress, Replay, Tally, Until, symbol_of
from streams.replay_logs import CommandRow, LogUnreadableError
from streams.replay_verify import COMMANDS, EVENTS, Difference, Verification


class SnapshotSource(Protocol):
    """Where snapshots are kept."""

    def newest_sound(
        self, shard: int, at_most_position: int | None = None
    ) -> tuple[Position, list[bytes]] | None:
        """The newest undamaged snapshot not past a position."""
        ...


@dataclass(frozen=True)
class ReplayOptions:
    """What was asked for. Without a target the replay goes to the log's end."""

    shard: int = 0
    to_position: int | None = None
    to_time_ns: int | None = None
    verify: bool = False
    book: str | None = None
    depth: int = 10
    export: str | None = None
    form: str = "jsonl"
    output: str = ""
    from_position: int = 1


@dataclass(frozen=True)
class Verified:
    """What `--verify` found. `unmatched` is how many positions at the end have no events yet."""

    first: Difference | None
    differing: int
    compared: int
    mended: list[int]
    unmatched: int
    structure: list[str]


@dataclass
class ReplayResult:
    """Where the replay came to. `agrees_at` is the position at which the event log's running hash
    was compared with the fresh one, None where it was not; `unreadable` says what could not be
    read."""

    shard: int
    position: int
    log_end: int
    events_end: int | None
    trading_time_ns: int
    state_hash: bytes
    chain: bytes
    order_count: int
    instrument_count: int
    tally: Tally
    began_at: int
    elapsed_s: float
    agrees_at: int | None = None
    agrees: bool = True
    verified: Verified | None = None
    book: Book | None = None
    export_rows: int | None = None
    unreadable: str = ""
    notes: list[str] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        """Whether nothing differs."""
        return self.agrees and (self.verified is None or self.verified.first is None)


def replay(
    place: LogPlace,
    options: ReplayOptions,
    *,
    progress: Progress | None = None,
    snapshots: SnapshotSource | None = None,
) -> ReplayResult:
    """Replay as asked. Raises LogUnreadableError, UsageError, ExportError."""
    unreadable = ""
    with open_commands(place, options.shard) as commands:
        try:
            events = open_events(place, options.shard)
            # The event log's end first: commands are ahead of it, whoever writes meanwhile.
            events_end = None if events is None else events.end()
        except LogUnreadableError as error:
            if options.verify:
                raise
            events, events_end, unreadable = None, None, str(error)
        try:
            if options.verify and events is None:
                raise LogUnreadableError(f"there is no {events_path(place, options.shard)}")
            run = _Run(commands, events, events_end, options, progress)
            result = run.go(snapshots)
        finally:
            if events is not None:
                events.close()
    result.unreadable = result.unreadable or unreadable
    return result


class _Run:
    """One replay."""

    def __init__(
        self,
        commands: CommandReading,
        events: EventReading | None,
        events_end: int | None,
        options: ReplayOptions,
        progress: Progress | None,
    ) -> None:
        self.commands = commands
        self.events = events
        self.events_end = events_end
        self.options = options
        self.progress = progress
        self.end = commands.end()
        self.replay = Replay(options.shard)
        self.symbols: dict[int, str] = {}
        self.notes: list[str] = []
        self.unreadable = ""
        wanted = options.to_position
        if wanted is not None and wanted > self.end:
            raise UsageError(f"position {wanted:,} is past the log's end, {self.end:,}")
        self.until = Until(self.end if wanted is None else wanted, options.to_time_ns)

    def go(self, snapshots: SnapshotSource | None) -> ReplayResult:
        if snapshots is not None:
            self._start_from(snapshots)
        began_at = self.replay.position
        export = self._open_export()
        began = time.perf_counter()
        try:
            taps: list[After] = [] if export is None else [self._tap(export)]
            verified = agrees_at = None
            agrees = True
            if self.options.verify:
                verified = self._verify(taps)
            else:
                agrees_at, agrees = self._rebuild(taps)
            if export is not None:
                export.finish()
        except BaseException:
            if export is not None:
                export.abandon()
            raise
        elapsed_s = time.perf_counter() - began
        exchange = self.replay.exchange
        return ReplayResult(
            shard=self.options.shard,
            position=self.replay.position,
            log_end=self.end,
            events_end=self.events_end,
            trading_time_ns=exchange.trading_time_ns,
            state_hash=state_hash(exchange),
            chain=self.replay.chain,
            order_count=exchange.order_count,
            instrument_count=len(exchange.instruments()),
            tally=self.replay.tally,
            began_at=began_at,
            elapsed_s=elapsed_s,
            agrees_at=agrees_at,
            agrees=agrees,
            verified=verified,
            book=None if self.options.book is None else self._book(self.options.book),
            export_rows=None if export is None else export.rows,
            unreadable=self.unreadable,
            notes=self.notes,
        )

    # --- ways to run ------------------------------------------------------------------------------

    def _rebuild(self, taps: list[After]) -> tuple[int | None, bool]:
        """Run to the target; the running hash is compared where the event log has it."""
        run, at, agrees = self.replay, None, True
        until = self.until
        if self.events is not None and self.events_end is not None:
            first = Until(min(until.position, self.events_end), until.time_ns)
            run.run(self.commands, first, after=taps, progress=self.progress)
            if run.position <= self.events_end:
                at = run.position
                agrees = self.events.chain_at(at) == run.chain
        run.run(self.commands, until, after=taps, progress=self.progress)
        if self.commands.loses_its_end():
            self.notes.append(
                f"{self.commands.path.name}-wal is damaged: what it holds past position "
                f"{self.end:,} is lost"
            )
        return at, agrees

    def _verify(self, taps: list[After]) -> Verified:
        assert self.events is not None and self.events_end is not None
        end, events_end = self.end, self.events_end
        check = Verification(self.events, min(self.until.position, events_end))
        try:
            self.replay.run(
                self.commands,
                self.until,
                before=check.before,
                after=[check.after, *taps],
                progress=self.progress,
            )
        except GapError as error:
            check.tell_gap(error.position)
        except LogUnreadableError as error:
            said = f"{error}; up to position {self.replay.position:,} both logs were read"
            if check.first is None:
                raise LogUnreadableError(f"{said} and equal") from error
            self.unreadable = said
        reached = self.replay.position
        check.finish(reached)
        self._verify_ends(check, reached)
        structure = [
            f"{log.path.name}: {said}"
            for log in (self.commands, self.events)
            for said in log.complaints()
        ]
        if structure and check.first is None:
            self.unreadable = f"SQLite finds {structure[0]}"
        unmatched = max(0, min(end, self.until.position) - events_end) if check.equal else 0
        return Verified(
            check.first, check.differing, check.compared, check.mended, unmatched, structure
        )

    def _verify_ends(self, check: Verification, reached: int) -> None:
        assert self.events is not None and self.events_end is not None
        end, events_end = self.end, self.events_end
        for name, log, at in ((COMMANDS, self.commands, end), (EVENTS, self.events, events_end)):
            if at <= reached and log.loses_its_end():
                check.tell_lost(name, at)
        if reached == end and events_end > end:
            check.tell_extra(end, events_end)
        if self.options.to_position is not None and reached > events_end:
            check.tell_ended(events_end, reached)
        count, position = self.events.strangers()
        if count:
            check.tell_strangers(count, position)

    def _start_from(self, snapshots: SnapshotSource) -> None:
        """Begin at the newest snapshot that is of this log and not past the target."""
        at_most = self.until.position
        while at_most > 0:
            found = snapshots.newest_sound(self.options.shard, at_most)
            if found is None:
                break
            at, chunks = found
            at_most = at.position - 1
            logged = None if self.events is None else self.events.chain_at(at.position)
            if logged is not None and logged != at.chain:
                self.notes.append(f"the snapshot of position {at.position:,} is of another log")
                continue
            try:
                exchange = restore(chunks)
            except SnapshotError as error:
                self.notes.append(f"the snapshot of position {at.position:,}: {error}")
                continue
            time_ns = self.until.time_ns
            if (exchange.shard, exchange.position) == (self.options.shard, at.position) and (
                time_ns is None or exchange.trading_time_ns <= time_ns
            ):
                self.replay = Replay(self.options.shard, exchange, at.chain)
                return
        self.notes.append("no snapshot serves: replayed from the start")

    # --- what is looked at ------------------------------------------------------------------------

    def _open_export(self) -> Export | None:
        options = self.options
        if options.export is None:
            return None
        return open_export(options.export, options.form, options.output)

    def _tap(self, export: Export) -> After:
        options, form = self.options, export.form

        def tap(row: CommandRow, image: bytes, _chain: bytes) -> None:
            if row.position < options.from_position:
                return
            if options.export == COMMANDS:
                rows = command_rows(
                    row.position, options.shard, row.batch, image, form, self._symbol
                )
            else:
                rows = event_rows(row.position, image, form, self._symbol)
            export.write(rows)

        return tap

    def _symbol(self, instrument: int) -> str:
        known = self.symbols.get(instrument)
        if known is None:
            known = symbol_of(self.replay.exchange, instrument)
            if known:
                self.symbols[instrument] = known
        return known

    def _book(self, symbol: str) -> Book:
        return book_of(self.replay.exchange, symbol, self.options.depth)
