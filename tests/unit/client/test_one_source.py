"""The waiting client is the awaiting one, word for word."""

from __future__ import annotations

import importlib.util
from pathlib import Path

ROOT = Path(__file__).parents[3]


def test_the_waiting_client_is_made_of_the_awaiting_one() -> None:
    place = ROOT / "scripts" / "make_sync_client.py"
    spec = importlib.util.spec_from_file_location("make_sync_client", place)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    wanted = made.synchronous(made.SOURCE.read_text())
    assert made.TARGET.read_text() == wanted, "run scripts/make_sync_client.py"
    assert "await" not in wanted.split('"""', 2)[2]
