"""The Crossbook exchange's client: order entry, books, trades and administration over REST.

    from crossbook_client import Crossbook

    with Crossbook("http://127.0.0.1:8000", api_key="cbk_...") as exchange:
        order = exchange.submit("AAPL", "buy", 100, price="187.25")
        print(order.state, exchange.book("AAPL", min_position=order.position).bids[:1])

`AsyncCrossbook` is the same with `await`; `MarketStream` and `AsyncMarketStream` give market data
as it happens. Results are frozen structs; every refusal and failure is
an `ApiError` with the reason code. Requests that are safe to send again are sent again.
"""

from crossbook_client.asynchronous import AsyncCrossbook
from crossbook_client.calls import CancelCommand, Command, ReplaceCommand, SubmitCommand
from crossbook_client.errors import ApiError, ConnectionLostError, CrossbookError
from crossbook_client.graphql import GraphQLError
from crossbook_client.models import (
    Account,
    AccountKey,
    AdminInstrument,
    AuditedChange,
    BatchResult,
    Book,
    BookSnapshot,
    Delta,
    Deltas,
    Instrument,
    Level,
    Limits,
    MassCancelResult,
    NewKey,
    Order,
    OrderPage,
    OrderResult,
    Trade,
    TradePage,
)
from crossbook_client.retries import Retries
from crossbook_client.stream import MarketStream
from crossbook_client.stream_async import AsyncMarketStream
from crossbook_client.stream_book import LiveBook
from crossbook_client.stream_state import StreamMessage, StreamRefusedError
from crossbook_client.synchronous import Crossbook

__all__ = [
    "Account",
    "AccountKey",
    "AdminInstrument",
    "ApiError",
    "AuditedChange",
    "AsyncCrossbook",
    "AsyncMarketStream",
    "BatchResult",
    "Book",
    "BookSnapshot",
    "CancelCommand",
    "Command",
    "ConnectionLostError",
    "Crossbook",
    "CrossbookError",
    "Delta",
    "Deltas",
    "GraphQLError",
    "Instrument",
    "Level",
    "Limits",
    "LiveBook",
    "MarketStream",
    "MassCancelResult",
    "NewKey",
    "Order",
    "OrderPage",
    "OrderResult",
    "ReplaceCommand",
    "Retries",
    "StreamMessage",
    "StreamRefusedError",
    "SubmitCommand",
    "Trade",
    "TradePage",
]
