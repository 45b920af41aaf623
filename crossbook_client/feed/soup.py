"""Takes a snapshot in GLIMPSE's manner over SoupBinTCP 3.00: log in, read ITCH messages, end at
'G'.

Guarantees: what comes back is whole and sound, or it is a SnapshotError; nothing is waited for
longer than `silence_s`. Sources: Nasdaq SoupBinTCP 3.00 sections 2 and 3, Nasdaq GLIMPSE 5.0.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from struct import pack
from typing import Final

from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.itch import UndecodableError, decode
from crossbook_client.feed.mold import SEQUENCE_MAX, check_session
from crossbook_client.feed.terms import Snapshot

READ_BYTES: Final = 1 << 16
SILENCE_S: Final = 5.0  # a server sends a heartbeat each second
SEQUENCED: Final = ord("S")
REJECTED: Final = {b"A": "not authorised", b"S": "no such session"}


class SnapshotError(Exception):
    """No snapshot: refused, cut off, or unsound."""


def login(session: bytes | None, username: str = "", password: str = "") -> bytes:
    """A login request for a session, or the only one that there is, from its first message."""
    if len(username) > 6 or len(password) > 10:
        raise ValueError("a user name has at most 6 characters, a password 10")
    wanted = (session or b"").decode("ascii").strip()
    fields = username.ljust(6) + password.ljust(10) + wanted.rjust(10) + "1".rjust(20)
    return pack(">H", 1 + len(fields)) + b"L" + fields.encode("ascii")


def take_snapshot(
    address: tuple[str, int],
    session: bytes | None = None,
    *,
    username: str = "",
    password: str = "",
    keep_body: bool = False,
    silence_s: float = SILENCE_S,
) -> Snapshot:
    """The books that the service at this address sends. Blocks. Raises SnapshotError.

    `session` None: the only one that the service has. `keep_body` keeps the messages' bytes as
    well, for a recording.
    """
    try:
        with closing(socket.create_connection(address, timeout=silence_s)) as connection:
            connection.sendall(login(session, username, password))
            return _read(_packets(connection), keep_body)
    except OSError as error:
        raise SnapshotError(str(error) or type(error).__name__) from error


def _packets(connection: socket.socket) -> Iterator[tuple[int, bytes]]:
    """(type, payload) of each packet until the connection ends. Heartbeats and debug texts are
    passed over."""
    held = b""
    while True:
        at = 0
        while len(held) - at >= 3:
            length = held[at] << 8 | held[at + 1]
            if not length:
                raise SnapshotError("a packet of no bytes")
            if len(held) - at - 2 < length:
                break
            kind = held[at + 2]
            if kind not in b"H+":
                yield kind, held[at + 3 : at + 2 + length]
            at += 2 + length
        more = connection.recv(READ_BYTES)
        if not more:
            return
        held = held[at:] + more


def _read(packets: Iterator[tuple[int, bytes]], keep_body: bool) -> Snapshot:
    session = _accepted(packets)
    books = ShardBooks()
    body: list[bytes] = []
    try:
        for kind, payload in packets:
            if kind != SEQUENCED:
                break
            if payload[:1] == b"G":
                return Snapshot(session, _number(payload[1:]), books, b"".join(body))
            misfits = books.apply((decode(payload),))
            if misfits:
                raise SnapshotError(misfits[0])
            if keep_body:
                body += (pack(">H", len(payload)), payload)
    except UndecodableError as error:
        raise SnapshotError(str(error)) from error
    raise SnapshotError("it ended before it was whole")


def _accepted(packets: Iterator[tuple[int, bytes]]) -> bytes:
    """The session that the login was accepted for."""
    kind, payload = next(packets, (0, b""))
    if kind == ord("J"):
        raise SnapshotError(f"login rejected: {REJECTED.get(payload, repr(payload))}")
    if kind != ord("A") or len(payload) != 30:
        raise SnapshotError("no answer to the login")
    session = payload[:10].strip().ljust(10)
    try:
        check_session(session)
    except UndecodableError as error:
        raise SnapshotError(str(error)) from error
    return session


def _number(text: bytes) -> int:
    digits = text.strip()
    if len(text) != 20 or not digits.isdigit() or not 0 < int(digits) <= SEQUENCE_MAX:
        raise SnapshotError(f"no sequence: {text!r}")
    return int(digits)
