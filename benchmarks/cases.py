"""What the benchmarks of scale share: each case in a process of its own, and how memory is told.

Guarantees: a case begins in a fresh process, so that none inherits another's heap; what it prints
is one JSON line each. Memory is told twice: as resident bytes of the process, and as the bytes of
the engine's own vectors, whatever they are called.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from domain import is_compiled

ROOT: Final = Path(__file__).resolve().parents[1]
CELL_BYTES: Final = {"i16": 2, "i32": 4, "i64": 8}
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")

Case = Callable[[int], Mapping[str, Any]]


def resident_bytes() -> int:
    """Bytes of memory that this process holds now, once its garbage is collected."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_BYTES


def vector_bytes(value: Any) -> int:
    """Bytes of every vector that an engine's object owns, and those that it owns, used cells only.

    It walks by attribute, so that it holds however the engine names its pools.
    """
    kind = type(value)
    if kind.__name__.startswith("vec["):
        return len(value) * CELL_BYTES[kind.__name__[4:-1]]
    if not kind.__module__.startswith("domain."):
        return 0
    names = getattr(kind, "__mypyc_attrs__", None) or vars(value)
    found = (getattr(value, name, None) for name in names if name != "__dict__")
    return sum(vector_bytes(each) for each in found)


def run_cases(name: str, about: str, cases: Mapping[str, tuple[Case, int]]) -> int:
    """The command line of a benchmark: all cases, or those named; `--scale` makes them smaller.

    Each case gets the size that stands beside it, times `--scale`.
    """
    parser = argparse.ArgumentParser(prog=f"benchmarks.{name}", description=about)
    parser.add_argument("cases", nargs="*", choices=[*cases, []], help="default: all of them")
    parser.add_argument("--scale", type=float, default=1.0, help="part of the full size (1)")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chosen = options.cases or list(cases)
    if not options.here:
        return _spawn(name, chosen, options.scale)
    for each in chosen:
        case, size = cases[each]
        gc.collect()
        gc.freeze()
        figures = case(max(1, int(size * options.scale)))
        print(json.dumps({"case": each, **figures}), flush=True)
    return 0


def _spawn(name: str, chosen: list[str], scale: float) -> int:
    if not is_compiled():
        print("the engine is interpreted: these figures are not its best", file=sys.stderr)
    for case in chosen:
        began = time.monotonic()
        command = [
            sys.executable,
            "-m",
            f"benchmarks.{name}",
            case,
            "--here",
            "--scale",
            str(scale),
        ]
        code = subprocess.run(command, cwd=ROOT).returncode
        if code != 0:
            return code
        print(f"{case}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return 0
