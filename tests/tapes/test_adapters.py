"""The adapters to the public files, on small files made here, report for report."""

from __future__ import annotations

import hashlib
import json
import lzma
import struct
from pathlib import Path

import pytest

from benchmarks import exchange_core, tapes
from benchmarks.adapters import (
    AdapterError,
    flow_of_tape,
    number_of,
    order_id_at,
    read_tape,
)
from domain.commands import CancelOrder, ReplaceOrder, SubmitOrder
from domain.exchange import Exchange
from domain.wire import decode_batch

MAGIC = 0x4D4542575F303031
BUY, SELL = 0, 1
NEW, CANCEL, MODIFY = 0, 1, 2

Message = tuple[int, int, int, int, int, int]


def write_tape(path: Path, messages: list[Message]) -> Path:
    """Messages are (kind, side, ioc, quantity, tape id, price); they are numbered from 0."""
    body = b"".join(
        struct.pack("<BBBBIQQqq", kind, side, ioc, 0, quantity, number, tape_id, price, 0)
        for number, (kind, side, ioc, quantity, tape_id, price) in enumerate(messages)
    )
    data = struct.pack("<QII", MAGIC, 1, len(messages)) + body
    path.write_bytes(lzma.compress(data) if path.suffix == ".xz" else data)
    return path


def reports(path: Path) -> list[str]:
    """All report lines of a tape."""
    tape = read_tape(path)
    flow = flow_of_tape(tape)
    found: list[str] = []
    for number, image in enumerate(flow.run(Exchange(0))):
        found += tapes.reports_of(tape, number * 512, image)
    joined = hashlib.sha256("\n".join(found).encode()).hexdigest()
    assert tapes.hash_of(tape, flow) == joined
    return found


def test_every_kind_of_report(tmp_path: Path) -> None:
    tape = write_tape(
        tmp_path / "kinds.bin",
        [
            (NEW, SELL, 0, 10, 501, 1000),
            (NEW, SELL, 0, 5, 502, 1001),
            (NEW, BUY, 1, 12, 503, 1000),
            (NEW, BUY, 0, 4, 504, 999),
            (MODIFY, BUY, 0, 7, 504, 1001),
            (CANCEL, BUY, 0, 0, 504, 0),
            (CANCEL, BUY, 0, 0, 504, 0),
            (MODIFY, SELL, 0, 1, 999, 1000),
            (CANCEL, SELL, 0, 0, 502, 0),
        ],
    )
    assert reports(tape) == [
        "0,0,1,501,1000,10",
        "0,1,1,502,1001,5",
        "0,2,0,503,1000,12",
        "1,2,1000,10,501,503",
        "2,2,0,503,1000",
        "0,3,0,504,999,4",
        "1,4,1001,5,502,504",
        "3,4,0,504,1001,7",
        "2,5,0,504,1001",
        "4,6,504",
        "5,7,999",
        "4,8,502",
    ]


def test_a_reused_id_is_the_order_that_had_it_last(tmp_path: Path) -> None:
    tape = write_tape(
        tmp_path / "reuse.bin.xz",
        [
            (NEW, SELL, 0, 3, 7, 100),
            (CANCEL, SELL, 0, 0, 7, 0),
            (NEW, BUY, 0, 4, 7, 90),
            (MODIFY, BUY, 0, 5, 7, 91),
            (NEW, SELL, 0, 5, 8, 91),
            (CANCEL, BUY, 0, 0, 7, 0),
        ],
    )
    assert reports(tape) == [
        "0,0,1,7,100,3",
        "2,1,1,7,100",
        "0,2,0,7,90,4",
        "3,3,0,7,91,5",
        "0,4,1,8,91,5",
        "1,4,91,5,7,8",
        "4,5,7",
    ]


def test_a_modify_to_the_same_terms_loses_its_place(tmp_path: Path) -> None:
    tape = write_tape(
        tmp_path / "place.bin",
        [
            (NEW, BUY, 0, 3, 1, 100),
            (NEW, BUY, 0, 3, 2, 100),
            (MODIFY, BUY, 0, 3, 1, 100),
            (NEW, SELL, 1, 3, 3, 100),
        ],
    )
    assert reports(tape)[-1] == "1,3,100,3,2,3"


def test_prices_that_are_not_above_0_are_shifted_and_told_as_they_were(tmp_path: Path) -> None:
    tape = write_tape(
        tmp_path / "shift.bin",
        [
            (NEW, BUY, 0, 3, 1, -20),
            (NEW, SELL, 0, 3, 2, 0),
            (NEW, SELL, 1, 1, 3, -20),
        ],
    )
    assert reports(tape) == ["0,0,0,1,-20,3", "0,1,1,2,0,3", "0,2,1,3,-20,1", "1,2,-20,1,1,3"]


def test_a_tape_longer_than_a_batch_keeps_its_ids(tmp_path: Path) -> None:
    messages = [(NEW, BUY, 0, 1, 10_000 + number, 100 + number % 3) for number in range(1300)]
    messages += [(CANCEL, BUY, 0, 0, 10_000 + number, 0) for number in range(1300)]
    found = reports(write_tape(tmp_path / "long.bin", messages))
    assert len(found) == 2600
    assert found[2599] == f"2,2599,0,{10_000 + 1299},100"


def test_commands_are_those_of_the_wire_schema(tmp_path: Path) -> None:
    tape = read_tape(
        write_tape(
            tmp_path / "wire.bin",
            [
                (NEW, SELL, 1, 10, 501, 1000),
                (MODIFY, BUY, 0, 7, 501, 1001),
                (CANCEL, BUY, 0, 0, 77, 0),
            ],
        )
    )
    header, commands = decode_batch(flow_of_tape(tape).batches[0])
    assert header.batch_number == 2
    assert commands == [
        SubmitOrder(1, 1, SELL, 0, 2, 50_000, 10, b"tape-00000000000"),
        ReplaceOrder(1, 1, order_id_at(0), 50_050, 7, 1),
        CancelOrder(1, 1, 1),
    ]


@pytest.mark.parametrize("number", [0, 1, 511, 512, 2_000_000])
def test_an_order_id_names_its_message(number: int) -> None:
    assert number_of(order_id_at(number)) == number


@pytest.mark.parametrize(
    ("messages", "complaint"),
    [
        ([(NEW, BUY, 0, 0, 1, 100)], "quantity 0"),
        ([(NEW, BUY, 0, 10**9 + 1, 1, 100)], "quantity"),
        ([(3, BUY, 0, 1, 1, 100)], "message type 3"),
        ([(NEW, 2, 0, 1, 1, 100)], "side 2"),
        ([(NEW, BUY, 0, 1, 1, 100), (NEW, BUY, 0, 1, 2, 2**32 // 50 + 1)], "too far"),
    ],
)
def test_what_cannot_be_told_to_the_exchange_is_refused(
    tmp_path: Path, messages: list[Message], complaint: str
) -> None:
    path = write_tape(tmp_path / "bad.bin", messages)
    with pytest.raises(AdapterError, match=complaint):
        read_tape(path)


def test_a_file_that_is_no_tape_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = write_tape(tmp_path / "whole.bin", [(NEW, BUY, 0, 1, 1, 100)]).read_bytes()
    for damaged in (b"", whole[:-1], b"\x00" + whole[1:], whole[:8] + b"\x02" + whole[9:]):
        path = tmp_path / "damaged.bin"
        path.write_bytes(damaged)
        with pytest.raises(AdapterError):
            read_tape(path)
        assert tapes.main([str(path)]) == 1
    assert capsys.readouterr().out == ""


def test_tapes_prints_a_line_of_json_a_tape(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_tape(tmp_path / "one.bin", [(NEW, BUY, 0, 1, 1, 100)])
    assert tapes.main([str(path), str(path), "--runs", "2"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 2
    assert list(lines[0]) == ["tape", "messages", "rate_median", "rate_best", "sha256"]
    assert (lines[0]["tape"], lines[0]["messages"]) == ("one", 1)
    assert lines[0]["sha256"] == hashlib.sha256(b"0,0,0,1,100,1").hexdigest()


CORE = """command,order_id,action,type,price,size,uid,result,events
PLACE_ORDER,1,BID,GTC,100,5,900,SUCCESS,
PLACE_ORDER,2,ASK,IOC,99,2,901,SUCCESS,TRADE:1:100:2;
REDUCE_ORDER,1,BID,null,0,1,900,SUCCESS,REDUCE:0:100:1;
MOVE_ORDER,1,BID,null,101,0,900,SUCCESS,
PLACE_ORDER,3,BID,GTC,101,7,902,SUCCESS,
MOVE_ORDER,3,BID,null,101,0,902,SUCCESS,
PLACE_ORDER,4,ASK,FOK_BUDGET,1,3,903,SUCCESS,TRADE:1:101:2;TRADE:3:101:1;
PLACE_ORDER,5,ASK,IOC,101,9,903,SUCCESS,REJECT:0:101:3;TRADE:3:101:6;
REDUCE_ORDER,1,BID,null,0,1,900,MATCHING_UNKNOWN_ORDER_ID,
PLACE_ORDER,6,ASK,GTC,105,4,901,SUCCESS,
CANCEL_ORDER,6,ASK,null,0,0,900,MATCHING_UNKNOWN_ORDER_ID,
REDUCE_ORDER,6,ASK,null,0,4,901,SUCCESS,REDUCE:0:105:4;
PLACE_ORDER,7,ASK,GTC,106,8,901,SUCCESS,
"""


def run_core(folder: Path, text: str, levels: str) -> int:
    (folder / "core.csv").write_text(text)
    (folder / "core.l2.csv").write_text(levels)
    arguments = [str(folder / "core.csv"), "--l2", str(folder / "core.l2.csv"), "--runs", "1"]
    return exchange_core.main(arguments)


def test_exchange_core_rows_agree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_core(tmp_path, CORE, "ask,106,8,1\n") == 0
    answer = json.loads(capsys.readouterr().out)
    assert list(answer) == ["commands", "mismatches", "l2_equal", "rate_median"]
    assert (answer["commands"], answer["mismatches"], answer["l2_equal"]) == (13, 0, True)


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("TRADE:1:100:3", "TRADE:1:100:2"),
        ("TRADE:2:100:2", "TRADE:1:100:2"),
        ("TRADE:3:101:1;TRADE:1:101:2", "TRADE:1:101:2;TRADE:3:101:1"),
        ("REDUCE:0:100:2", "REDUCE:0:100:1"),
        ("REJECT:0:101:4", "REJECT:0:101:3"),
        ("106,8,901,MATCHING_UNSUPPORTED_COMMAND", "106,8,901,SUCCESS"),
        ("1,900,SUCCESS,\nPLACE_ORDER,6", "1,900,MATCHING_UNKNOWN_ORDER_ID,\nPLACE_ORDER,6"),
    ],
)
def test_exchange_core_rows_that_differ_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], wrong: str, right: str
) -> None:
    assert CORE.count(right) == 1
    assert run_core(tmp_path, CORE.replace(right, wrong), "ask,106,8,1\n") == 1
    assert json.loads(capsys.readouterr().out)["mismatches"] == 1


@pytest.mark.parametrize("levels", ["", "ask,106,8,2\n", "ask,106,8,1\nbid,1,1,1\n"])
def test_exchange_core_final_books_that_differ_are_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], levels: str
) -> None:
    assert run_core(tmp_path, CORE, levels) == 1
    answer = json.loads(capsys.readouterr().out)
    assert (answer["mismatches"], answer["l2_equal"]) == (0, False)
