"""The words of every pool's rows: an order and a level are each one 64-byte row of a `vec[i64]`,
one cache line; a link is a row number's first word, `row × ROW`. docs/engine.md draws the layout.
"""

from __future__ import annotations

from typing import Final

NIL: Final = -1
ROW: Final = 8  # words in a row of every pool but the instruments'
INSTRUMENT_ROW: Final = 16
PAGE_BITS: Final = 3
PAGE_PRICES: Final = 8
PRICE_MASK: Final = 7  # of a price's step: its place in its page

# An order's row
ORDER_ID: Final = 0
PRICE_ACCOUNT: Final = 1  # price ticks | account << 32
LEAVES: Final = 2
EXECUTED: Final = 3
NEXT: Final = 4  # the next younger order of its level; of a free row, the next free one
PREVIOUS: Final = 5
ACCOUNT_LINKS: Final = 6  # the account's next order + 1 | previous + 1 << 32
LEVEL: Final = 7  # level row | time in force << 32

# A level's row
KEY: Final = 0  # price ticks | (instrument × 2 + side) << 32; 0 in a free row
TOTAL: Final = 1
COUNT: Final = 2
HEAD: Final = 3
TAIL: Final = 4
TOUCHED: Final = 5  # by the command at work: 0, or the next that it touched + 1, or -1
LINKS: Final = 6  # next better level + 1 | next worse + 1 << 32; of a free row, the next free one
PAGE: Final = 7  # page row | the price's place in it << 32

# A page's row: PAGE_PRICES prices of one side, side by side
PAGE_KEY: Final = 0  # step ÷ PAGE_PRICES | (instrument × 2 + side) << 32; 0 in a free row
PRICES: Final = 1  # a bit for each price at which an order rests
LEVEL_ROWS: Final = 2  # of each price, level row + 1 or 0, two to a word; of a free row, the next
WAITING: Final = 6  # on the list of empty pages: 0, or the next one + 1, or -1
INDEXED: Final = 7  # 1 where the index has it

# An instrument's row
LISTED: Final = 0
TICK: Final = 1
LOT: Final = 2
COLLAR: Final = 3
STATE: Final = 4
BEST_BID: Final = 5  # level row, or NIL; the best ask is the next word
SEQUENCE: Final = 7
SYMBOL: Final = 8
TRADING_DAY: Final = 9  # goes up at each close
CLIENT_IDS: Final = 10  # client order ids used on this trading day
CLIENT_IDS_SUM: Final = 11  # of all of them, for the state hash

# An account's row
KNOWN: Final = 0  # 1 known, 2 known and killed
OPEN_ORDERS_MAX: Final = 1
OPEN_ORDERS: Final = 2
FIRST_ORDER: Final = 3
LAST_ORDER: Final = 4
