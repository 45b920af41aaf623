"""ITCH files in the form that Nasdaq's own have: each message after its length in 2 bytes.

A recording is what was applied, in order. Where a snapshot took the place of messages, it has the
snapshot's instead, after a deletion of each order that was there: the file's books are the
listener's all the same.
"""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path
from struct import pack
from typing import IO, Final, cast

from crossbook_client.errors import CrossbookError
from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.itch import UndecodableError, decode
from crossbook_client.feed.messages import Message
from crossbook_client.feed.terms import Snapshot

READ_BYTES: Final = 1 << 20


class UnreadableItchError(CrossbookError):
    """A file that is not what `read_itch` reads, and where."""


class Recording:
    """Writes what is applied: one file a shard, and another one for each later session.

    The first is `path` itself where there is one shard, else `NAME-shard1.itch`; a later session's
    has the session in its name.
    """

    def __init__(self, path: Path, shard_count: int) -> None:
        self._path = path
        self._shard_count = shard_count
        self._files: dict[int, IO[bytes]] = {}
        self.paths: list[Path] = []
        if shard_count == 1:
            self._open(0, path)

    def messages(self, shard: int, sequence: int, messages: list[Message], body: bytes) -> None:
        """Write messages as they came."""
        self._file(shard).write(body)

    def snapshot(self, shard: int, snapshot: Snapshot, before: ShardBooks) -> None:
        """Write what turns the books before into the snapshot's."""
        file = self._file(shard)
        for reference, order in before.orders.items():
            file.write(deletion(order.book.locate, before.time_ns, reference))
        file.write(snapshot.body)

    def session_changed(self, shard: int, session: bytes) -> None:
        """Begin another file."""
        self._file(shard).close()
        name = session.decode("ascii").strip()
        words = "".join(letter if letter.isalnum() else "_" for letter in name)
        self._open(self._key(shard), self._named(shard, f"-{words}"))

    def flush(self) -> None:
        """Have everything in the files."""
        for file in self._files.values():
            file.flush()

    def close(self) -> None:
        """Close the files."""
        for file in self._files.values():
            file.close()

    def _key(self, shard: int) -> int:
        return 0 if self._shard_count == 1 else shard

    def _file(self, shard: int) -> IO[bytes]:
        found = self._files.get(self._key(shard))
        return found or self._open(self._key(shard), self._named(shard, ""))

    def _named(self, shard: int, more: str) -> Path:
        which = "" if self._shard_count == 1 else f"-shard{shard}"
        return self._path.with_name(f"{self._path.stem}{which}{more}{self._path.suffix}")

    def _open(self, key: int, path: Path) -> IO[bytes]:
        opened = self._files[key] = path.open("wb")
        self.paths.append(path)
        return opened


def deletion(locate: int, time_ns: int, order_reference: int) -> bytes:
    """A 'D' message after its length."""
    head = pack(">HcHH", 19, b"D", locate, 0)
    return head + time_ns.to_bytes(6, "big") + order_reference.to_bytes(8, "big")


def read_itch(path: Path) -> Iterator[Message]:
    """The messages of a file, `.gz` or plain. Raises UnreadableItchError."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            yield from _read(cast("IO[bytes]", opened), path)
    except (OSError, EOFError) as error:
        raise UnreadableItchError(f"{path}: {error}") from error


def _read(file: IO[bytes], path: Path) -> Iterator[Message]:
    held, passed = b"", 0
    while True:
        at = 0
        while len(held) - at >= 2:
            length = held[at] << 8 | held[at + 1]
            if len(held) - at - 2 < length:
                break
            try:
                yield decode(held, at + 2, length)
            except UndecodableError as error:
                raise UnreadableItchError(f"{path}, byte {passed + at}: {error}") from error
            at += 2 + length
        more = file.read(READ_BYTES)
        held, passed = held[at:], passed + at
        if not more:
            break
        held += more
    if held:
        raise UnreadableItchError(f"{path} ends in the middle of a message, at byte {passed}")
