"""API keys: `cbk_<key id>_<secret>`, made at random, shown once, kept as the SHA-256 of the secret.

A secret has 192 random bits, so that a plain hash is as good as a slow one: there is nothing to
guess. Hashes are compared in constant time, and an unknown key id costs the same comparison as a
known one.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from typing import Final

PREFIX: Final = "cbk"
KEY_ID_BYTES: Final = 6
SECRET_BYTES: Final = 24
KEY_LENGTH: Final = len(PREFIX) + 2 + 2 * (KEY_ID_BYTES + SECRET_BYTES)
SCOPES: Final = ("read", "trade", "admin")


@dataclass(frozen=True)
class NewKey:
    """A key as its owner sees it, once. `repr` shows no secret, so that none lands in a log."""

    key_id: str
    secret: str

    @property
    def text(self) -> str:
        """What the owner sends in each request."""
        return f"{PREFIX}_{self.key_id}_{self.secret}"

    def __repr__(self) -> str:
        return f"NewKey({self.key_id})"


def new_key() -> NewKey:
    """Make a key from the system's random source."""
    return NewKey(secrets.token_hex(KEY_ID_BYTES), secrets.token_hex(SECRET_BYTES))


def hash_of(secret: str) -> str:
    """SHA-256 of a secret, in hexadecimal."""
    return hashlib.sha256(secret.encode()).hexdigest()


def split_key(text: str) -> tuple[str, str] | None:
    """Take a key apart into key id and secret; None where the text has not the form of a key."""
    if len(text) != KEY_LENGTH or not text.isascii():
        return None
    prefix, _, rest = text.partition("_")
    key_id, _, secret = rest.partition("_")
    if prefix != PREFIX or len(key_id) != 2 * KEY_ID_BYTES:
        return None
    return key_id, secret


def matches(secret: str, sha256: str) -> bool:
    """Compare a secret with a stored hash in constant time."""
    return hmac.compare_digest(hash_of(secret), sha256)
