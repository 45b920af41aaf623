"""docs/stream.md names every request, channel, code and message; its example is right."""

from __future__ import annotations

import re
import zlib
from pathlib import Path
from typing import Any, get_args

import msgspec

from api.stream.limits import StreamSettings
from api.stream.protocol import CHANNELS, ClientMessage, ServerNotice
from api.stream.shapes import MARKET_MESSAGES
from crossbook_client.stream_book import LiveBook

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs" / "stream.md").read_text()
RAISED = re.compile(r'StreamError\(\s*"(\w+)"')


def test_every_code_is_documented() -> None:
    folder = ROOT / "api" / "stream"
    codes = {code for file in folder.rglob("*.py") for code in RAISED.findall(file.read_text())}
    assert len(codes) > 12
    assert [code for code in sorted(codes) if f"`{code}`" not in PAGE] == []


def test_every_request_channel_and_notice_is_documented() -> None:
    for request in get_args(ClientMessage):
        assert f'{{"op": "{request.__struct_config__.tag}"' in PAGE
    for notice in get_args(ServerNotice):
        tag = notice.__struct_config__.tag
        assert f"`{tag}`" in PAGE or f'"type": "{tag}"' in PAGE, tag
    for channel in CHANNELS:
        assert f"| `{channel}` |" in PAGE


def test_every_setting_is_documented() -> None:
    for name in ("subscriptions_max", "message_bytes_max", "messages_per_s_max", "connections_max"):
        assert f"CROSSBOOK_STREAM_{name.upper()}" in PAGE and hasattr(StreamSettings(), name)


def examples() -> list[dict[str, Any]]:
    """The messages shown under Channels."""
    block = PAGE.split("## Channels")[1].split("```")[1]
    return [msgspec.json.decode(text) for text in re.split(r"\n(?=\{\"type)", block.strip("\n"))]


def test_the_examples_are_messages() -> None:
    kinds = []
    for example in examples():
        fitting = []
        for kind in MARKET_MESSAGES:
            try:
                msgspec.convert(example, kind)
            except msgspec.ValidationError:
                continue
            fitting.append(kind.__name__)
        assert len(fitting) == 1, example
        kinds += fitting
    assert len(set(kinds)) == 7


def test_the_checksum_is_the_worked_example() -> None:
    text, checksum = "187.2400:60;187.2300:250|187.2600:100", 2306971065
    assert text in PAGE and str(checksum) in PAGE and f"these {len(text)} bytes" in PAGE
    assert zlib.crc32(text.encode()) == checksum
    book = LiveBook("AAPL")
    assert book.checksum == zlib.crc32(b"|") and f"`|`: {book.checksum}" in PAGE
    book.take_snapshot(examples()[0])
    assert book.verified == 512
