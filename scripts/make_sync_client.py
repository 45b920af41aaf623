"""Write crossbook_client/synchronous.py out of asynchronous.py: one source, two clients.

    .venv/bin/python scripts/make_sync_client.py

Word for word, but for what awaits; a test fails where the two have come apart.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "crossbook_client"
SOURCE, TARGET = PACKAGE / "asynchronous.py", PACKAGE / "synchronous.py"
SENTENCES = (
    (
        '"""The client that awaits. See `crossbook_client.synchronous` for the one that waits.',
        '"""The client that waits. See `crossbook_client.asynchronous` for the one that awaits.',
    ),
    (
        "`crossbook_client/synchronous.py` is made of this file by scripts/make_sync_client.py.",
        "Made of `crossbook_client/asynchronous.py` by scripts/make_sync_client.py: change that.",
    ),
    (
        "For one event loop; close it, or use it in `async with`.",
        "Safe to share between threads; close it, or use it in `with`.",
    ),
    (
        """async with asyncio.timeout(SUBSCRIBE_WAIT_S):
                    await connection.recv()  # connection_ack
""",
        """connection.recv(SUBSCRIBE_WAIT_S)  # connection_ack
""",
    ),
)
WORDS = (
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\b", "time.sleep"),
    (r"\basync (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncGenerator\[Any, None\]", "Iterator[Any]"),
    (r"\bAsyncGenerator, ", ""),
    (r"\bwebsockets\.asyncio\b", "websockets.sync"),
    (r"\bAsync(Crossbook|Admin)\b", r"\1"),
    (r"\bhttpx\.AsyncClient\b", "httpx.Client"),
    (r"\baclose\b", "close"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
)


def synchronous(source: str) -> str:
    """The waiting client's text, formatted. Raises ValueError where a sentence is not found."""
    for awaiting, waiting in SENTENCES:
        if awaiting not in source:
            raise ValueError(f"not in {SOURCE.name}: {awaiting}")
        source = source.replace(awaiting, waiting)
    for awaiting, waiting in WORDS:
        source = re.sub(awaiting, waiting, source)
    ruff = [str(Path(sys.executable).parent / "ruff")]
    for words in (["check", "--select", "I", "--fix", "-q"], ["format", "-q"]):
        ran = subprocess.run(
            [*ruff, *words, "--stdin-filename", str(TARGET), "-"],
            input=source,
            capture_output=True,
            text=True,
            check=True,
        )
        source = ran.stdout
    return source


if __name__ == "__main__":
    TARGET.write_text(synchronous(SOURCE.read_text()))
