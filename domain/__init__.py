"""The pure core: types, commands, events, wire, books, matching, snapshots. No clock, randomness,
float or I/O.

The modules named in SOURCES (and the row encoders outside domain/) are compiled by mypyc where a
C compiler is there. `CROSSBOOK_INTERPRETED=1` loads their .py files all the same; a compiled engine
whose sources have changed since is never loaded: it would answer in the name of code that is no
longer there."""

from __future__ import annotations

import hashlib
import os
import sys
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path

SOURCES = (
    "domain.ahead",
    "domain.batch",
    "domain.book",
    "domain.changes",
    "domain.client_ids",
    "domain.codes",
    "domain.commands",
    "domain.event_records",
    "domain.events",
    "domain.exchange",
    "domain.hints",
    "domain.matching",
    "domain.outcomes",
    "domain.rows",
    "domain.snapshot",
    "domain.tables",
    "domain.wire",
    "projections.itch.encoder",
    "projections.itch.messages",
    "projections.itch.snapshot",
    "projections.market_data.replica",
    "projections.postgres.copy_rows",
    "projections.postgres.fold",
    "projections.postgres.fold_market",
    "projections.redis.fold",
)
_ROOT = Path(__file__).parent.parent


def source_path(module: str) -> Path:
    """The .py file of one of SOURCES."""
    return _ROOT / (module.replace(".", "/") + ".py")


def source_hash() -> str:
    """SHA-256 of the compiled modules' sources, as 64 hex digits."""
    digest = hashlib.sha256()
    for module in SOURCES:
        digest.update(f"{module}\n".encode() + source_path(module).read_bytes())
    return digest.hexdigest()


def is_compiled() -> bool:
    """Whether the engine in this process runs compiled."""
    import domain.matching

    return not str(domain.matching.__file__).endswith(".py")


class _Interpreted:
    """A finder that gives the .py file of our modules, even where an extension lies beside it."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if name not in SOURCES:
            return None
        file = str(source_path(name))
        return spec_from_file_location(name, file, loader=SourceFileLoader(name, file))


def _choose() -> None:
    if os.environ.get("CROSSBOOK_INTERPRETED", "") not in ("", "0"):
        sys.meta_path.insert(0, _Interpreted)
        return
    stamp = _ROOT / "domain" / "_compiled.py"
    if not stamp.exists() or source_hash() not in stamp.read_text():
        sys.meta_path.insert(0, _Interpreted)


_choose()
