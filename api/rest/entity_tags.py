"""Entity tags of reads (RFC 9110): who has an answer already is told so with 304 and no body.

Guarantees: equal tags mean equal content. The tag of a book is weak: it leaves out `position`,
which moves with the whole shard while the book stands still. An answer that only its owner may see
is never kept by a shared cache.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.responses import Response

from api.rest.answers import JSON

DIGEST_BYTES: Final = 12
TAG: Final = re.compile(r'(?:W/)?("[^"]*")')
# To be kept, but never used without asking whether it still is so.
PUBLIC: Final = {"Cache-Control": "no-cache"}
PRIVATE: Final = {
    "Cache-Control": "private, no-cache",
    "Vary": "Authorization, X-API-Key",
}


def tagged_response(request: Request, answer: Any, *, private: bool = False) -> Response:
    """An answer with its strong tag, or 304."""
    body = msgspec.json.encode(answer)
    return _respond(request, body, _tag(body), private=private)


def tagged_book(request: Request, book: Any) -> Response:
    """A book with its weak tag, which is of everything but its `position`, or 304."""
    content = msgspec.json.encode(msgspec.structs.replace(book, position=""))
    return _respond(request, msgspec.json.encode(book), "W/" + _tag(content), private=False)


def _tag(content: bytes) -> str:
    digest = hashlib.blake2b(content, digest_size=DIGEST_BYTES).hexdigest()
    return f'"{digest}"'


def _respond(request: Request, body: bytes, tag: str, *, private: bool) -> Response:
    headers = {"ETag": tag, **(PRIVATE if private else PUBLIC)}
    if is_known(request.headers.get("if-none-match"), tag):
        return Response(status_code=304, headers=headers)
    return Response(body, headers=headers, media_type=JSON)


def is_known(if_none_match: str | None, tag: str) -> bool:
    """Whether a request's `If-None-Match` names the tag (by weak comparison), or anything."""
    if if_none_match is None:
        return False
    if if_none_match.strip() == "*":
        return True
    return tag.removeprefix("W/") in TAG.findall(if_none_match)
