"""The `gql` client of PyPI against a served exchange, over HTTP and over the WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

from tests.integration.stream.serving import Served

WAIT_S = 60.0


def headers_of(served: Served, key: str | None) -> dict[str, str]:
    """What a request of this account sends."""
    return {} if key is None else {"Authorization": f"Bearer {served.exchange.keys[key]}"}


async def ask(served: Served, text: str, *, key: str | None = None, **variables: Any) -> Any:
    """The data of a query. Raises TransportQueryError."""
    transport = HTTPXAsyncTransport(
        url=served.url + "/graphql", headers=headers_of(served, key), timeout=WAIT_S
    )
    async with Client(transport=transport, execute_timeout=WAIT_S) as session:
        document = gql(text)
        document.variable_values = variables
        return await session.execute(document)


async def code_of(served: Served, text: str, *, key: str | None = None, **variables: Any) -> str:
    """The code of the first error that a query comes to."""
    try:
        found = await ask(served, text, key=key, **variables)
    except TransportQueryError as error:
        assert error.errors
        return str(error.errors[0]["extensions"]["code"])
    raise AssertionError(f"no error, but {found}")


async def messages(
    served: Served,
    text: str,
    *,
    key: str | None = None,
    init: dict[str, Any] | None = None,
    **variables: Any,
) -> AsyncIterator[Any]:
    """What a subscription sends."""
    transport = WebsocketsTransport(
        url=served.url.replace("http", "ws") + "/graphql",
        headers=headers_of(served, key),
        init_payload=init or {},
    )
    document = gql(text)
    document.variable_values = variables
    async with (
        Client(transport=transport) as session,
        aclosing(session.subscribe(document)) as source,
    ):
        while True:
            async with asyncio.timeout(WAIT_S):
                yield await anext(source)
