"""The public files' own results, through the product's engine: nobody here wrote the answers.

The files are not part of the repository: they are looked for in `CROSSBOOK_DATA`, else in
../shared/data beside the repository, and a test without its file skips.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from benchmarks import exchange_core, tapes
from benchmarks.adapters import flow_of_tape, read_tape
from domain import is_compiled

BESIDE = Path(__file__).resolve().parents[2].parent / "shared" / "data"
DATA = Path(os.environ.get("CROSSBOOK_DATA") or BESIDE)
PUBLISHED = {
    "normal_seed23": "e9b2e3926854410b01a035aeb25dd05f1e597c233be8263de9eb49b6713d367e",
    "static_seed23": "9803843ee404fc29c9a0aa5614f8f0d5a58b5c44fcac9ef89067886fcaaa30d1",
}


def file_of(name: str) -> Path:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{name} is not there: set CROSSBOOK_DATA to the folder of public files")
    return path


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_public_tape_gives_its_published_hash(name: str) -> None:
    path = file_of(f"flash/{name}.bin.xz")
    if not is_compiled():
        pytest.skip("two million messages take minutes in the interpreted engine")
    tape = read_tape(path)
    assert tapes.hash_of(tape, flow_of_tape(tape)) == PUBLISHED[name]


def test_exchange_core_answers_every_command_alike(capsys: pytest.CaptureFixture[str]) -> None:
    commands = file_of("exchange-core/seed42.csv.xz")
    book = file_of("exchange-core/seed42.l2.csv")
    code = exchange_core.main([str(commands), "--l2", str(book), "--runs", "1"])
    answer = json.loads(capsys.readouterr().out)
    assert (answer["commands"], answer["mismatches"], answer["l2_equal"]) == (101_000, 0, True)
    assert code == 0
