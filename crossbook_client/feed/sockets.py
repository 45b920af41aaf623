"""Sockets that multicast lines are read from."""

from __future__ import annotations

import contextlib
import ipaddress
import socket
import struct
from typing import Final

from crossbook_client.errors import CrossbookError
from crossbook_client.feed.directory import Line

RECEIVE_BYTES: Final = 16 << 20  # what the kernel may hold while the program is busy
SO_RCVBUFFORCE: Final = 33  # Linux: beyond net.core.rmem_max, where one may
IP_MULTICAST_ALL: Final = 49  # Linux: whether groups that other sockets joined are heard as well


class NoLineError(CrossbookError):
    """A line cannot be listened to: no multicast group, no such interface, port taken."""


def open_line(line: Line, interface: str) -> socket.socket:
    """A non-blocking socket that has joined a line's group on an interface (a name or an address of
    this machine). Raises NoLineError."""
    try:
        if not ipaddress.IPv4Address(line.group).is_multicast:
            raise NoLineError(f"{line.group} is no multicast group (224.0.0.0 to 239.255.255.255)")
    except ValueError as error:
        raise NoLineError(f"{line.group!r} is no IPv4 address") from error
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        _ask_for_room(opened)
        if hasattr(socket, "SO_BINDTODEVICE"):
            opened.setsockopt(socket.IPPROTO_IP, IP_MULTICAST_ALL, 0)
        opened.bind((line.group if hasattr(socket, "SO_BINDTODEVICE") else "", line.port))
        joined = _membership(line.group, interface)
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, joined)
    except OSError as error:
        opened.close()
        where = f"{line.group}:{line.port} on {interface}"
        raise NoLineError(f"line {line.name}, {where}: {error}; see --interface") from error
    return opened


def _ask_for_room(opened: socket.socket) -> None:
    with contextlib.suppress(OSError):  # more than the system allows is no error
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
    with contextlib.suppress(OSError):  # for the superuser of Linux only
        opened.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, RECEIVE_BYTES)


def _membership(group: str, interface: str) -> bytes:
    """What IP_ADD_MEMBERSHIP wants: ip_mreq for an address, ip_mreqn for a name."""
    with contextlib.suppress(OSError):
        return socket.inet_aton(group) + socket.inet_aton(interface)
    index = socket.if_nametoindex(interface)
    return struct.pack("@4s4si", socket.inet_aton(group), b"\0" * 4, index)


def interface_towards(host: str) -> str:
    """This machine's address from which `host` is reached. Raises NoLineError."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((host, 9))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise NoLineError(f"no way to {host}: {error}") from error


def open_requester() -> socket.socket:
    """A non-blocking socket that requests go out from and their answers come in to."""
    opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    opened.setblocking(False)
    _ask_for_room(opened)
    return opened
