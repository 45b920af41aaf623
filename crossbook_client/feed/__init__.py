"""The exchange's multicast feed: MoldUDP64 packets of Nasdaq TotalView-ITCH 5.0 messages.

    from crossbook_client.feed import FeedListener

    with FeedListener("http://127.0.0.1:8000") as feed:
        for event in feed:
            print(event, feed.books["AAPL"].best_bid)

Loss, reordering and repeats on the wire are seen and made good: by the other line, by re-request,
by HTTP, in the end by a snapshot. docs/listen.md tells what is guaranteed.
"""

from crossbook_client.feed.book import FeedBook, FeedOrder, FeedTrade
from crossbook_client.feed.books import ShardBooks
from crossbook_client.feed.config import ListenOptions
from crossbook_client.feed.directory import Address, FeedShard, Line
from crossbook_client.feed.events import BooksReplaced, FeedEvent, FeedMessage
from crossbook_client.feed.itch import UndecodableError, decode
from crossbook_client.feed.listener import FeedListener
from crossbook_client.feed.listener_async import AsyncFeedListener
from crossbook_client.feed.messages import (
    AddOrder,
    CrossTrade,
    HiddenTrade,
    Message,
    OrderDeleted,
    OrderExecuted,
    OrderExecutedWithPrice,
    OrderReduced,
    OrderReplaced,
    OtherMessage,
    StockDirectory,
    SystemEvent,
    TradingAction,
)
from crossbook_client.feed.recording import UnreadableItchError, read_itch
from crossbook_client.feed.shard import ShardFeed
from crossbook_client.feed.statistics import FeedStatistics
from crossbook_client.feed.terms import Patience

__all__ = [
    "AddOrder",
    "Address",
    "AsyncFeedListener",
    "BooksReplaced",
    "CrossTrade",
    "FeedBook",
    "FeedEvent",
    "FeedListener",
    "FeedMessage",
    "FeedOrder",
    "FeedShard",
    "FeedStatistics",
    "FeedTrade",
    "HiddenTrade",
    "Line",
    "ListenOptions",
    "Message",
    "OrderDeleted",
    "OrderExecuted",
    "OrderExecutedWithPrice",
    "OrderReduced",
    "OrderReplaced",
    "OtherMessage",
    "Patience",
    "ShardBooks",
    "ShardFeed",
    "StockDirectory",
    "SystemEvent",
    "TradingAction",
    "UndecodableError",
    "UnreadableItchError",
    "decode",
    "read_itch",
]
