"""One keep-alive HTTP connection, with everything that an answer says."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any, Final

TIMEOUT_S: Final = 15.0
NOT_THERE: Final = (http.client.HTTPException, OSError)


@dataclass
class Reply:
    """An answer of the API."""

    status: int
    content_type: str
    retry_after: str | None
    body: Any

    @property
    def reason(self) -> str:
        """A problem's reason."""
        return str(self.body.get("reason", "")) if isinstance(self.body, dict) else ""


class Connection:
    """One keep-alive connection, opened again after it broke."""

    def __init__(self, port: int, key: str | None) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
        self._headers = {"Content-Type": "application/json"}
        if key is not None:
            self._headers["Authorization"] = f"Bearer {key}"

    def send(self, method: str, path: str, body: object = None) -> Reply:
        """One request. Raises what NOT_THERE names where there is no answer."""
        encoded = None if body is None else json.dumps(body).encode()
        try:
            self._connection.request(method, path, encoded, self._headers)
            answer = self._connection.getresponse()
            read = answer.read()
        except NOT_THERE:
            self._connection.close()
            raise
        content_type = answer.headers.get("Content-Type", "")
        retry_after = answer.headers.get("Retry-After")
        found = json.loads(read) if "json" in content_type else read.decode(errors="replace")
        return Reply(answer.status, content_type, retry_after, found)

    def close(self) -> None:
        """Close it."""
        self._connection.close()
