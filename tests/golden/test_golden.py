"""Released logs give the same events for ever, and every kind of process gives the same bytes."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
from pathlib import Path

import pytest

from domain import SOURCES, source_hash
from tests.golden.stream import batches, outcome

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RELEASES = sorted(path.stem for path in HERE.glob("*.json"))


def read_log(name: str) -> list[bytes]:
    """The batches of a golden log: each is a u32 length and that many bytes, all compressed."""
    data = lzma.decompress((HERE / f"{name}.log.xz").read_bytes())
    found: list[bytes] = []
    at = 0
    while at < len(data):
        size = int.from_bytes(data[at : at + 4], "little")
        found.append(data[at + 4 : at + 4 + size])
        at += 4 + size
    return found


@pytest.mark.parametrize("name", RELEASES)
def test_a_released_log_gives_the_events_that_it_gave(name: str) -> None:
    expected = json.loads((HERE / f"{name}.json").read_text())
    log = read_log(name)
    assert len(log) == expected["batches"]
    assert outcome(log) == (expected["chain"], expected["state_hash"])


@pytest.mark.parametrize("interpreted", ["0", "1"])
@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_same_bytes_whatever_the_hash_seed_compiled_or_not(
    interpreted: str, hash_seed: str
) -> None:
    env = {**os.environ, "PYTHONHASHSEED": hash_seed, "CROSSBOOK_INTERPRETED": interpreted}
    command = [sys.executable, "-m", "tests.golden.stream", "11", "300"]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert tuple(done.stdout.split()) == outcome(batches(11, 300))


def test_what_is_compiled_is_what_lies_beside_it() -> None:
    """A stale build is never loaded; `make test` builds first, so here there must be none."""
    stamp = ROOT / "domain" / "_compiled.py"
    extensions = list((ROOT / "domain").glob("exchange.*.so"))
    if not extensions:
        pytest.skip("not compiled: install a C compiler and run make compile")
    assert source_hash() in stamp.read_text()
    assert len(SOURCES) == len(set(SOURCES))
