"""Whose web pages may open a stream."""

from __future__ import annotations

import pytest

from api.stream.origin import origin_allowed

TABLE = """
origin                      host                     allowed                   may
-                           127.0.0.1:8000           -                         yes
http://127.0.0.1:8000       127.0.0.1:8000           -                         yes
http://127.0.0.1:8001       127.0.0.1:8000           -                         no
http://localhost:8000       127.0.0.1:8000           -                         no
https://x.example           x.example                -                         yes
https://x.example           x.example:443            -                         yes
https://x.example:8443      x.example                -                         no
http://X.Example            x.example                -                         yes
https://evil.example        x.example                -                         no
https://x.example.evil      x.example                -                         no
https://evil@x.example      x.example                -                         no
https://evil.example        x.example                https://desk.example      no
https://desk.example        x.example                https://desk.example      yes
http://desk.example         x.example                https://desk.example      no
https://desk.example:443    x.example                https://desk.example/     yes
https://evil.example        x.example                *                         yes
null                        x.example                -                         no
null                        x.example                *                         yes
file://                     x.example                -                         no
http://[::1]:8000           [::1]:8000               -                         yes
http://[::1                 [::1                     -                         no
http://x.example:99999      x.example:99999          -                         no
https://x.example           -                        -                         no
"""


@pytest.mark.parametrize("line", TABLE.strip().splitlines()[1:])
def test_origin(line: str) -> None:
    origin, host, allowed, may = (None if word == "-" else word for word in line.split())
    assert origin_allowed(origin, host, [allowed] if allowed else []) == (may == "yes")
