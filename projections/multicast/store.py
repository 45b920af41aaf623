"""One shard's packets on disk: a SQLite file with every packet of the feed, and how far in the
event log they reach.

Guarantees: packets and the position after them are one transaction, which begins by comparing the
position: of two writers one wins, and the other's packets are not there. What a power cut takes is
a suffix, the position with it. A file that is damaged is put aside, and the feed made again from
the log: it comes out the same.

    packets      first sequence → packet, as it goes out
    marks        position → next sequence, trading time and running hash after it
    instruments  what the encoder must know to go on: symbol, lot, trading state
    names        the session
"""

from __future__ import annotations

import contextlib
import logging
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from domain.batch import START, ConflictError, EventBatch, Position
from projections.itch.encoder import FeedEncoder
from projections.multicast.packets import count_of, cut

log = logging.getLogger(__name__)

FORMAT: Final = 1  # of messages and tables: another one's file is made anew
LIVE: Final = ""
FRESH: Final = "fresh_"
TABLES: Final = ("packets", "marks", "instruments", "names")
BUSY_S: Final = 10.0
PRUNED_MESSAGES_MAX: Final = 100_000  # at one commit
CREATE: Final = """
    CREATE TABLE IF NOT EXISTS {part}packets (first_sequence INTEGER PRIMARY KEY, packet BLOB);
    CREATE TABLE IF NOT EXISTS {part}marks (
        position INTEGER PRIMARY KEY, next_sequence INTEGER, trading_time_ns INTEGER, chain BLOB);
    CREATE TABLE IF NOT EXISTS {part}instruments (
        number INTEGER PRIMARY KEY, symbol INTEGER, lot_size INTEGER, state INTEGER);
    CREATE TABLE IF NOT EXISTS {part}names (name TEXT PRIMARY KEY, value BLOB);
"""


def path_of(folder: Path, shard: int) -> Path:
    """The file of one shard's feed."""
    return folder / f"shard-{shard}.sqlite"


class FeedStore:
    """One shard's file. An object is for one thread at a time; any number of them, in any
    processes, may be open on the same file. `part`: the tables that are served, or fresh ones that
    are being built beside them.

    Raises sqlite3.OperationalError where the disk refuses."""

    def __init__(self, folder: Path, shard: int, *, part: str = LIVE) -> None:
        self.path = path_of(folder, shard)
        self.shard = shard
        self._part = part
        folder.mkdir(parents=True, exist_ok=True)
        try:
            self._connection = self._open()
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._put_aside(error)
            self._connection = self._open()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(
            self.path, timeout=BUSY_S, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")
            connection.execute("PRAGMA wal_autocheckpoint=4000")
            with _transaction(connection):
                found = connection.execute("PRAGMA user_version").fetchone()[0]
                if found not in (0, FORMAT):
                    log.warning("%s is of format %d: the feed is made anew", self.path, found)
                    _drop(connection, LIVE)
                    _drop(connection, FRESH)
                for statement in CREATE.format(part=self._part).split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={FORMAT}")
        except BaseException:
            connection.close()
            raise
        return connection

    def _put_aside(self, error: BaseException) -> None:
        log.error("%s is damaged (%s): put aside, the feed is made anew", self.path, error)
        for end in ("-wal", "-shm"):
            self.path.with_name(self.path.name + end).unlink(missing_ok=True)
        self.path.replace(self.path.with_suffix(".damaged"))

    def recover(self, error: sqlite3.DatabaseError) -> None:
        """Put the file aside, and begin an empty one, after it was found damaged."""
        self._connection.close()
        self._put_aside(error)
        self._connection = self._open()

    # --- what is there ----------------------------------------------------------------------------

    def position(self) -> Position:
        """The last batch whose messages are there."""
        found = self._connection.execute(
            f"SELECT position, chain FROM {self._part}marks ORDER BY position DESC LIMIT 1"
        ).fetchone()
        return Position(found[0], found[1]) if found else START

    def encoder(self) -> tuple[FeedEncoder, Position]:
        """An encoder that goes on after the last batch, and that batch's position; as of one
        moment, whatever others write.
        """
        part = self._part
        with _transaction(self._connection, "BEGIN"):
            last = self._connection.execute(
                "SELECT position, next_sequence, trading_time_ns, chain"
                f" FROM {part}marks ORDER BY position DESC LIMIT 1"
            ).fetchone()
            if last is None:
                return FeedEncoder(), START
            position, next_sequence, trading_time_ns, chain = last
            session = self._connection.execute(
                f"SELECT value FROM {part}names WHERE name = 'session'"
            ).fetchone()[0]
            encoder = FeedEncoder(session, position, next_sequence, trading_time_ns)
            for row in self._connection.execute(f"SELECT * FROM {part}instruments"):
                encoder.add_instrument(*row)
        return encoder, Position(position, chain)

    def first_sequence(self) -> int:
        """The lowest sequence that is kept; 1 where nothing was ever written."""
        found = self._connection.execute(
            f"SELECT min(first_sequence) FROM {self._part}packets"
        ).fetchone()[0]
        return found if found is not None else 1

    def sequence_after(self, position: int) -> int:
        """The number of the message that follows those of a batch."""
        found = self._connection.execute(
            f"SELECT next_sequence FROM {self._part}marks"
            " WHERE position <= ? ORDER BY position DESC LIMIT 1",
            (position,),
        ).fetchone()
        return found[0] if found else 1

    def messages(self, first: int, count_max: int, bytes_max: int) -> tuple[int, bytes]:
        """(count, message blocks) from sequence `first` on: as many as there are and both bounds
        allow; none where `first` is not kept, or not there yet.
        """
        rows = self._connection.execute(
            f"SELECT first_sequence, packet FROM {self._part}packets WHERE first_sequence >="
            f" (SELECT max(first_sequence) FROM {self._part}packets WHERE first_sequence <= ?)"
            " ORDER BY first_sequence",
            (first,),
        )
        blocks: list[bytes] = []
        count = size = 0
        for sequence, packet in rows:
            skip = first + count - sequence
            if not 0 <= skip < count_of(packet):
                break
            taken, cut_off = cut(packet, skip, count_max - count, bytes_max - size)
            blocks.append(cut_off)
            count, size = count + taken, size + len(cut_off)
            if skip + taken < count_of(packet) or count == count_max:
                break
        rows.close()
        return count, b"".join(blocks)

    # --- writing ----------------------------------------------------------------------------------

    def commit(
        self,
        before: Position,
        encoder: FeedEncoder,
        batches: Sequence[EventBatch],
        marks: Sequence[tuple[int, int]],
    ) -> None:
        """Write the encoder's packets and what it now stands at, if the file stands at `before`.
        `marks` are (next sequence, trading time ns) after each of `batches`.

        Raises ConflictError where it does not, and sqlite3.Error; nothing was written then."""
        connection, part = self._connection, self._part
        with _transaction(connection):
            if self.position() != before:
                raise ConflictError(f"shard {self.shard} moved from {before.position} meanwhile")
            connection.executemany(f"INSERT INTO {part}packets VALUES (?, ?)", encoder.packets)
            connection.executemany(
                f"INSERT INTO {part}marks VALUES (?, ?, ?, ?)",
                [
                    (batch.position, next_sequence, trading_time_ns, batch.header.chain)
                    for batch, (next_sequence, trading_time_ns) in zip(batches, marks, strict=True)
                ],
            )
            if encoder.changed:
                connection.executemany(
                    f"INSERT OR REPLACE INTO {part}instruments VALUES (?, ?, ?, ?)",
                    [(number, *encoder.instrument(number)) for number in encoder.changed],
                )
            if before == START:
                connection.execute(
                    f"INSERT INTO {part}names VALUES ('session', ?)", (encoder.session,)
                )

    def prune(self, keep_from: int) -> int:
        """Forget packets whose messages are all before a sequence, some at a time; the lowest
        sequence that is kept.
        """
        connection, part = self._connection, self._part
        first = self.first_sequence()
        bound = min(keep_from, first + PRUNED_MESSAGES_MAX)
        with _transaction(connection):
            found = connection.execute(
                f"SELECT max(first_sequence) FROM {part}packets WHERE first_sequence <= ?", (bound,)
            ).fetchone()[0]
            if found is None or found <= first:
                return first
            connection.execute(f"DELETE FROM {part}packets WHERE first_sequence < ?", (found,))
            connection.execute(
                f"DELETE FROM {part}marks WHERE position < (SELECT position FROM {part}marks"
                " WHERE next_sequence >= ? ORDER BY position LIMIT 1)",
                (found,),
            )
        return int(found)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    # --- building anew ----------------------------------------------------------------------------

    def clear(self) -> None:
        """Begin these tables with nothing."""
        with _transaction(self._connection):
            _drop(self._connection, self._part)
            for statement in CREATE.format(part=self._part).split(";"):
                self._connection.execute(statement)

    def drop(self) -> None:
        """Take fresh tables away that nobody needs any more."""
        assert self._part == FRESH, "what is served stays"
        with _transaction(self._connection):
            _drop(self._connection, FRESH)

    def serve(self, *, even_if_behind: bool = False) -> bool:
        """Have these fresh tables take the place of those that are served; False where they are
        not yet as far.
        """
        assert self._part == FRESH, "only fresh tables take another's place"
        connection = self._connection
        with _transaction(connection):
            served = connection.execute("SELECT max(position) FROM marks").fetchone()[0] or 0
            if not even_if_behind and self.position().position < served:
                return False
            _drop(connection, LIVE)
            for table in TABLES:
                connection.execute(f"ALTER TABLE {FRESH}{table} RENAME TO {table}")
        self._part = LIVE
        return True


def look(path: Path) -> tuple[bytes, int, int]:
    """(session, position, next sequence) of a file, which is not changed; session empty where it
    holds nothing. Raises sqlite3.Error.
    """
    connection = sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
    with contextlib.closing(connection):
        last = connection.execute(
            "SELECT value, position, next_sequence FROM marks, names WHERE name = 'session'"
            " ORDER BY position DESC LIMIT 1"
        ).fetchone()
    return last if last is not None else (b"", 0, 1)


@contextlib.contextmanager
def _transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    connection.execute(begin)
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(sqlite3.Error):  # the error that matters is on its way
            connection.execute("ROLLBACK")
        raise


def _drop(connection: sqlite3.Connection, part: str) -> None:
    for table in TABLES:
        connection.execute(f"DROP TABLE IF EXISTS {part}{table}")
