"""Whether an SQLite write-ahead file holds committed frames that SQLite does not take.

SQLite reads such a file up to the first frame whose running checksum is wrong, and drops the rest
without a word: after a power cut that is right, in a damaged copy it hides the end of a log. See
https://www.sqlite.org/fileformat2.html#walformat, and for the index
https://www.sqlite.org/walformat.html."""

from __future__ import annotations

import struct
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

HEADER_BYTES: Final = 32
FRAME_HEADER_BYTES: Final = 24
INDEX_HEADER_BYTES: Final = 40
BIG_ENDIAN_SUMS: Final = 0x377F0683
LITTLE_ENDIAN_SUMS: Final = 0x377F0682
SETTLES_S: Final = 0.3
WORD: Final = 0xFFFFFFFF


@dataclass(frozen=True)
class _Seen:
    """How far SQLite reads the file, and whether committed frames follow that it does not read."""

    frames: int
    changed_ns: int
    more: bool


def loses_frames(path: Path) -> bool:
    """Whether the write-ahead file of the database at `path`, which must be open, is damaged before
    its end. A file that is being written is waited for. Raises OSError.
    """
    seen = _look(path)
    while seen is not None and seen.more:
        time.sleep(SETTLES_S)
        again = _look(path)
        if again == seen:
            return True
        seen = again
    return False


def _look(path: Path) -> _Seen | None:
    wal_path = path.with_name(path.name + "-wal")
    try:
        with wal_path.open("rb") as wal:
            head = wal.read(HEADER_BYTES)
            known = path.with_name(path.name + "-shm").open("rb")
            with known:
                index = known.read(INDEX_HEADER_BYTES)
            if len(head) < HEADER_BYTES or len(index) < INDEX_HEADER_BYTES:
                return None
            frames = int.from_bytes(index[16:20], sys.byteorder)
            more = _more_follows(wal, head, index, frames)
            return _Seen(frames, wal_path.stat().st_mtime_ns, more)
    except FileNotFoundError:
        return None


def _more_follows(wal: IO[bytes], head: bytes, index: bytes, frames: int) -> bool:
    """Whether an unsound frame follows, and at or behind it one that was committed.

    Frames that were written but not committed when their writer was killed are sound; those of the
    file's earlier rounds carry another salt."""
    magic, _, page_bytes = struct.unpack(">III", head[:12])
    if magic not in (BIG_ENDIAN_SUMS, LITTLE_ENDIAN_SUMS) or _sum(head[:24], magic) != (
        struct.unpack(">II", head[24:32])
    ):
        return len(wal.read(FRAME_HEADER_BYTES)) == FRAME_HEADER_BYTES
    size = FRAME_HEADER_BYTES + page_bytes
    running = struct.unpack(">II", head[24:32])
    if frames > 0:
        running = struct.unpack("=II", index[24:32])
    wal.seek(HEADER_BYTES + frames * size)
    sound = True
    while len(frame := wal.read(size)) == size:
        ours = frame[8:16] == head[16:24]
        if sound:
            running = _sum(frame[FRAME_HEADER_BYTES:], magic, _sum(frame[:8], magic, running))
            sound = ours and running == struct.unpack(">II", frame[16:24])
        if not sound and ours and frame[4:8] != bytes(4):
            return True
    return False


def _sum(content: bytes, magic: int, before: tuple[int, int] = (0, 0)) -> tuple[int, int]:
    """SQLite's checksum over whole pairs of words, going on from `before`."""
    order = ">" if magic == BIG_ENDIAN_SUMS else "<"
    first, second = before
    words = struct.unpack(f"{order}{len(content) // 4}I", content)
    for place in range(0, len(words), 2):
        first = (first + words[place] + second) & WORD
        second = (second + words[place + 1] + first) & WORD
    return first, second
