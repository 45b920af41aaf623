"""The pure core: types, commands, events, wire, books, matching, snapshots. No clock, randomness, float or I/O.

The modules named in SOURCES are compiled by mypyc where a C compiler is there. `CROSSBOOK_INTERPRETED=1` loads their
.py files all the same; a compiled engine whose sources have changed since is never loaded: it would answer in the
name of code that is no longer there.
"""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

SOURCES = (
    "batch",
    "book",
    "client_ids",
    "codes",
    "commands",
    "event_records",
    "events",
    "exchange",
    "matching",
    "outcomes",
    "snapshot",
    "tables",
    "wire",
)
_FOLDER = Path(__file__).parent


def source_hash() -> str:
    """SHA-256 of the compiled modules' sources, as 64 hex digits."""
    digest = hashlib.sha256()
    for name in SOURCES:
        digest.update(f"{name}\n".encode() + (_FOLDER / f"{name}.py").read_bytes())
    return digest.hexdigest()


def is_compiled() -> bool:
    """Whether the engine in this process runs compiled."""
    import domain.matching

    return not str(domain.matching.__file__).endswith(".py")


class _Interpreted:
    """A finder that gives the .py file of our modules, even where an extension lies beside it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        head, _, module = name.rpartition(".")
        file = _FOLDER / f"{module}.py"
        if head != "domain" or not file.exists():
            return None
        return spec_from_file_location(name, file, loader=SourceFileLoader(name, str(file)))


def _choose() -> None:
    if os.environ.get("CROSSBOOK_INTERPRETED", "") not in ("", "0"):
        sys.meta_path.insert(0, _Interpreted)
        return
    if PathFinder.find_spec("domain.exchange", [str(_FOLDER)]) is None:
        return
    stamp = _FOLDER / "_compiled.py"
    if not stamp.exists() or source_hash() not in stamp.read_text():
        sys.meta_path.insert(0, _Interpreted)


_choose()
