"""What `crossbook doctor` and `crossbook reset` have to do with the multicast feed: whether it can
be sent here, how far its files are, and the end of its sessions.

Guarantees: looking changes nothing. An end of session is sent for a shard's feed alone that was
published from here."""

from __future__ import annotations

import sqlite3
import time
from typing import Final

from cli.feed import line_plan_of
from cli.settings import Settings
from projections.multicast.lines import LinePlan, open_socket
from projections.multicast.packets import END_OF_SESSION, header
from projections.multicast.store import look, path_of

ENDS: Final = 3
BETWEEN_ENDS_S: Final = 0.05


def cannot_send(plan: LinePlan) -> str:
    """Why packets cannot be sent on a line from here; empty where they can."""
    for line in plan.lines:
        try:
            open_socket(plan, line.address(0)).close()
        except OSError as error:
            return f"line {line.name} to {line.group} by {plan.interface}: {error}"
    return ""


def file_states(settings: Settings) -> list[str]:
    """How far each shard's file is, of those that are there. Raises sqlite3.Error."""
    told = []
    for shard in range(settings.shards):
        path = path_of(settings.feeds, shard)
        if path.exists():
            _, position, next_sequence = look(path)
            told.append(f"shard {shard}: {next_sequence - 1:,} messages to {position:,}")
    return told


def end_sessions(settings: Settings) -> None:
    """Tell listeners that the sessions of this folder are over, a few times. What cannot be sent is
    not: nobody listens then.
    """
    plan = line_plan_of(settings)
    packets = []
    for shard in range(settings.shards):
        try:
            session, _, next_sequence = look(path_of(settings.feeds, shard))
        except sqlite3.Error:
            continue  # none, or a damaged one, which is about to be deleted
        if session:
            end = header(session, next_sequence, END_OF_SESSION)
            packets += [(line.address(shard), end) for line in plan.lines]
    for _ in range(ENDS if packets else 0):
        for address, packet in packets:
            _send(plan, address, packet)
        time.sleep(BETWEEN_ENDS_S)


def _send(plan: LinePlan, address: tuple[str, int], packet: bytes) -> None:
    try:
        with open_socket(plan, address) as line:
            line.send(packet)
    except OSError:
        return  # no such interface: nobody can have listened on it
