"""Three network namespaces in a row: the exchange's, one in the middle, the listener's.

Unicast is routed through the middle by the kernel. Multicast is carried by
`tests.faults.feed.wire`, a process there, and spoiled on the way to the listener: by `tc netem`
where the kernel has it, else by that process. Guarantees: `close` leaves no namespace, interface or
process behind.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).resolve().parents[3]
CLONE_NEWNET: Final = 0x4000_0000
EXCHANGE: Final = "10.77.1.1"
MIDDLE_EXCHANGE: Final = "10.77.1.2"
MIDDLE_LISTENER: Final = "10.77.2.1"
LISTENER: Final = "10.77.2.2"

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Spoiling:
    """Shares of packets lost, late and sent twice, from 0 to 1."""

    loss: float = 0.0
    reordering: float = 0.0
    duplicates: float = 0.0


CLEAN: Final = Spoiling()
BAD: Final = Spoiling(0.05, 0.05, 0.02)
BURST: Final = Spoiling(0.30, 0.05, 0.02)


def need_network() -> None:
    """Skip, or with CI=true fail, where namespaces cannot be made."""
    lacking = _lacking()
    if lacking is None:
        return
    if os.environ.get("CI") == "true":
        pytest.fail(lacking)
    pytest.skip(lacking)


def _lacking() -> str | None:
    if os.geteuid() != 0:
        return "network namespaces are made by root alone: run the tests as root"
    if shutil.which("ip") is None or shutil.which("tc") is None:
        return "no ip or tc: install iproute2"
    probe = f"xb-probe-{os.getpid()}"
    made = subprocess.run(["ip", "netns", "add", probe], capture_output=True, text=True)
    if made.returncode != 0:
        return f"ip netns add: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "delete", probe], check=True)
    return None


@contextlib.contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Have this thread, and what it starts, in a namespace's network."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(f"/run/netns/{namespace}")
        try:
            yield
        finally:
            _set_namespace(before)
    finally:
        os.close(before)


def _enter(path: str) -> None:
    wanted = os.open(path, os.O_RDONLY)
    try:
        _set_namespace(wanted)
    finally:
        os.close(wanted)


def _set_namespace(handle: int) -> None:
    if _libc.setns(handle, CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"setns: {os.strerror(number)}")


def _run(*words: str, namespace: str | None = None) -> None:
    within = [] if namespace is None else ["ip", "netns", "exec", namespace]
    done = subprocess.run([*within, *words], capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr.strip()}"


class Network:
    """See the module. `lines` are (group, port) of A and B."""

    def __init__(self, lines: Sequence[tuple[str, int]]) -> None:
        number = os.getpid()
        self.exchange = f"xb-exchange-{number}"
        self.middle = f"xb-middle-{number}"
        self.listener = f"xb-listener-{number}"
        self._names = (self.exchange, self.middle, self.listener)
        self._lines = list(lines)
        self._wire: subprocess.Popen[str] | None = None
        self.by_kernel = False

    def open(self, seed: int) -> None:
        """Make the namespaces, connect them, carry multicast."""
        for name in self._names:
            _run("ip", "netns", "add", name)
            _run("ip", "link", "set", "lo", "up", namespace=name)
        ends = (
            (self.exchange, EXCHANGE, MIDDLE_EXCHANGE),
            (self.listener, LISTENER, MIDDLE_LISTENER),
        )
        for number, (name, outer, inner) in enumerate(ends):
            _connect(name, self.middle, number, outer, inner)
        _run("sysctl", "-qw", "net.ipv4.ip_forward=1", namespace=self.middle)
        self.by_kernel = self._prepare_netem()
        self._wire = subprocess.Popen(
            [
                *(
                    "ip",
                    "netns",
                    "exec",
                    self.middle,
                    sys.executable,
                    "-m",
                    "tests.faults.feed.wire",
                ),
                json.dumps({"lines": self._lines, "seed": seed}),
            ],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._wire.stdout is not None and self._wire.stdout.readline() == "ready\n"

    def _prepare_netem(self) -> bool:
        """A class of its own for each line on the way to the listener; whether netem is there."""
        device = "m1"
        _run("tc", "qdisc", "add", "dev", device, "root", "handle", "1:", "htb", "default", "9",
             namespace=self.middle)  # fmt: skip
        for name in ("9", "1", "2"):
            _run("tc", "class", "add", "dev", device, "parent", "1:", "classid", f"1:{name}", "htb",
                 "rate", "10gbit", namespace=self.middle)  # fmt: skip
        for name, (group, _) in zip(("1", "2"), self._lines, strict=True):
            _run("tc", "filter", "add", "dev", device, "parent", "1:", "protocol", "ip", "u32",
                 "match", "ip", "dst", f"{group}/32", "flowid", f"1:{name}",
                 namespace=self.middle)  # fmt: skip
        try:
            for name in ("1", "2"):
                _run("tc", "qdisc", "add", "dev", device, "parent", f"1:{name}", "handle",
                     f"1{name}:", "netem", "loss", "0%", namespace=self.middle)  # fmt: skip
        except AssertionError as error:
            print(f"no netem in this kernel ({error}): the wire's own process spoils the lines")
            return False
        return True

    def spoil(self, *of_lines: Spoiling) -> None:
        """How each line is spoiled from now on."""
        if self.by_kernel:
            for name, each in zip(("1", "2"), of_lines, strict=True):
                _run("tc", "qdisc", "change", "dev", "m1", "parent", f"1:{name}", "handle",
                     f"1{name}:", "netem", *_netem(each), namespace=self.middle)  # fmt: skip
            return
        self._tell([asdict(each) for each in of_lines])

    def counts(self) -> dict[str, int]:
        """What the wire's process did so far: packets received, sent, lost, late, doubled."""
        return dict(self._tell("counts"))

    def _tell(self, what: object) -> list[tuple[str, int]]:
        assert self._wire is not None and self._wire.stdin is not None
        assert self._wire.stdout is not None
        self._wire.stdin.write(json.dumps(what) + "\n")
        self._wire.stdin.flush()
        answer = json.loads(self._wire.stdout.readline())
        assert isinstance(answer, dict)
        return list(answer.items())

    def close(self) -> None:
        """Take everything down."""
        if self._wire is not None:
            self._wire.terminate()
            self._wire.communicate(timeout=10.0)
        for name in self._names:
            subprocess.run(["ip", "netns", "delete", name], capture_output=True)


def _connect(name: str, middle: str, number: int, outer: str, inner: str) -> None:
    """A pair of interfaces, e<number> in `name` and m<number> in the middle, and the way out."""
    end, other = f"e{number}", f"m{number}"
    _run(
        "ip",
        "link",
        "add",
        end,
        "netns",
        name,
        "type",
        "veth",
        "peer",
        "name",
        other,
        "netns",
        middle,
    )
    for namespace, device, address in ((name, end, outer), (middle, other, inner)):
        _run("ip", "address", "add", f"{address}/24", "dev", device, namespace=namespace)
        _run("ip", "link", "set", device, "up", namespace=namespace)
    _run("ip", "route", "add", "default", "via", inner, namespace=name)


def _netem(spoiling: Spoiling) -> list[str]:
    """netem's words. What is not reordered is delayed: that is how it puts packets out of order."""
    words = ["loss", f"{spoiling.loss:.0%}", "duplicate", f"{spoiling.duplicates:.0%}"]
    if spoiling.reordering:
        words += ["delay", "5ms", "reorder", f"{spoiling.reordering:.0%}"]
    return words
