"""Stories: one command a row, ending in what came of it, checked on engine and reference together.

    play('''
        a: ann buys 5 at 100     | accepted
           bob sells 3 at 99     | accepted; 3 at 100 with a
        bids                     | 100: a 2
        asks                     | -
    ''')

A row's result lists its events but the level changes; `levels` lists those of the row above it, and
`bids` and `asks` draw the book in priority order. A row without a left side goes on with the result
above it. Every row is a batch of its own and goes through `tests.property.pair`, so that the engine
also agrees with the reference on every field. `docs/matching.md` is what the stories tell.
"""

from __future__ import annotations

from domain.codes import BOTH_SIDES, BUY, SELL, Reason, TradingState
from domain.commands import (
    CancelOrder,
    ClockTick,
    Command,
    ListInstrument,
    MassCancel,
    ReplaceOrder,
    SetAccount,
    SetTradingState,
    SubmitOrder,
)
from domain.events import (
    AccountUpdated,
    ClockTicked,
    Event,
    InstrumentListed,
    LevelChanged,
    MassCancelled,
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderRepeated,
    OrderReplaced,
    TradingStateChanged,
)
from tests.property.pair import SHARD, Pair

SESSION = b"the-story-teller"
ACCOUNTS = {"everyone": 0, "ann": 1, "bob": 2, "cat": 3, "stranger": 9}
INSTRUMENTS = {"AAA": 1, "BBB": 2, "CCC": 3, "ALL": 0, "UNLISTED": 7}
OPENING: list[Command] = [
    ListInstrument(1, b"AAA", 1, 1),
    ListInstrument(2, b"BBB", 5, 10, 10),
    ListInstrument(3, b"CCC", 1, 1),
    SetAccount(1),
    SetAccount(2),
    SetAccount(3),
]
TIMES_IN_FORCE = {"day": 0, "gtc": 1, "ioc": 2, "fok": 3}
STATES = {"open": 0, "halted": 1, "cancel-only": 2, "closed": 3}
SIDES = {"buys": BUY, "sells": SELL}


class Words:
    """The words of a row, taken one by one; `in SYMBOL` and `id=TEXT` may stand anywhere."""

    def __init__(self, text: str) -> None:
        self.words = text.split()
        self.instrument = INSTRUMENTS["AAA"]
        self.client_order_id = b""
        if "in" in self.words:
            at = self.words.index("in")
            self.instrument = INSTRUMENTS[self.words[at + 1]]
            del self.words[at : at + 2]
        for word in [word for word in self.words if word.startswith("id=")]:
            self.client_order_id = word[3:].encode()
            self.words.remove(word)

    def take(self) -> str:
        """The next word."""
        return self.words.pop(0)

    def price(self) -> int:
        """What follows `at`, 0 where it is not there."""
        if "at" not in self.words:
            return 0
        at = self.words.index("at")
        price = int(self.words[at + 1])
        del self.words[at : at + 2]
        return price

    def one_of(self, choices: dict[str, int], default: int) -> int:
        """The first word that is one of the choices, taken."""
        for word in self.words:
            if word in choices:
                self.words.remove(word)
                return choices[word]
        return default


class Story:
    """An exchange with three accounts and three instruments, told row by row."""

    def __init__(self) -> None:
        self.pair = Pair()
        self.labels: dict[str, int] = {}
        self.events: list[Event] = []
        self.send(OPENING)

    def send(self, commands: list[Command]) -> list[Event]:
        """One batch; its events, on which engine and reference agree."""
        self.pair.send(SESSION, self.pair.position + 1, commands)
        self.events = self.pair.reference.shard.events
        return self.events

    def tell(self, row: str) -> str:
        """A row's left side done; its right side as it should be written."""
        words = row.split()
        if words in (["bids"], ["asks"]):
            return self.draw(BUY if words == ["bids"] else SELL, "AAA")
        if len(words) == 3 and words[1] == "of":
            return self.draw(BUY if words[0] == "bids" else SELL, words[2])
        if words == ["levels"]:
            levels = [e for e in self.events if isinstance(e, LevelChanged)]
            return "; ".join(self.level_words(level) for level in levels) or "-"
        if words[0].endswith(":"):
            self.labels[words[0][:-1]] = SHARD << 55 | (self.pair.position + 1) << 16
            words = words[1:]
        self.send([self.command_of(Words(" ".join(words)))])
        told = [self.event_words(e) for e in self.events if not isinstance(e, LevelChanged)]
        return "; ".join(told) or "-"

    def command_of(self, words: Words) -> Command:
        """The command that a row asks for."""
        who = words.take()
        if who == "market":
            return SetTradingState(words.instrument, STATES[words.words[-1]])
        if who == "clock":
            return ClockTick(int(words.words[-1]))
        account = ACCOUNTS[who]
        verb = words.take()
        if verb in SIDES:
            price = words.price()
            tif = words.one_of(TIMES_IN_FORCE, 0 if price else 2)
            market = 0 if price else 1
            quantity = int(words.take())
            text = words.client_order_id
            instrument, side = words.instrument, SIDES[verb]
            return SubmitOrder(account, instrument, side, market, tif, price, quantity, text)
        if verb in ("cancels", "replaces"):
            return self.change_of(words, verb, account)
        if verb == "mass-cancels":
            return MassCancel(account, words.instrument, words.one_of(SIDES, BOTH_SIDES))
        if verb == "is":
            killed = words.words == ["killed"]
            return SetAccount(
                account, int(words.words[-1]) if "limited" in words.words else 0, killed
            )
        raise ValueError(f"verb {verb}")

    def change_of(self, words: Words, verb: str, account: int) -> Command:
        """A cancel or a replace, of an order by its label or by client order id."""
        text = words.client_order_id
        order_id = 0 if text else self.labels[words.take()]
        if verb == "cancels":
            return CancelOrder(account, words.instrument, order_id, text)
        price = words.price()
        flags = words.one_of({"requeue": 1}, 0) | words.one_of({"total": 2}, 0)
        quantity = int(words.take()) if words.words else 0
        return ReplaceOrder(account, words.instrument, order_id, price, quantity, flags, text)

    def label(self, order_id: int) -> str:
        """The name that the story gave an order."""
        return next((name for name, known in self.labels.items() if known == order_id), "it")

    def level_words(self, level: LevelChanged) -> str:
        """A level change in words."""
        side = "bid" if level.side == BUY else "ask"
        where = "" if level.instrument == 1 else f"#{level.instrument} "
        return f"{where}{side} {level.price_ticks}: {level.quantity} in {level.order_count}"

    def event_words(self, event: Event) -> str:
        """An event in words."""
        match event:
            case OrderAccepted():
                return "accepted"
            case OrderRejected():
                return f"refused {Reason(event.reason).name.lower()}"
            case OrderRepeated():
                return f"repeats {self.label(event.order_id)}"
            case OrderExecuted():
                who = self.label(event.resting_order_id)
                return f"{event.quantity} at {event.price_ticks} with {who}"
            case OrderCancelled():
                reason = Reason(event.reason).name.lower()
                return f"{self.label(event.order_id)} cancelled {event.quantity} {reason}"
            case OrderExpired():
                reason = Reason(event.reason).name.lower()
                return f"{self.label(event.order_id)} expired {event.quantity} {reason}"
            case OrderReplaced():
                place = " in place" if event.kept_priority else ""
                return f"replaced {event.leaves_quantity} at {event.price_ticks}{place}"
            case MassCancelled():
                return f"{event.cancelled_count} cancelled"
            case TradingStateChanged():
                names = [TradingState(s).name.lower() for s in (event.previous_state, event.state)]
                return " to ".join(names)
            case AccountUpdated() | ClockTicked() | InstrumentListed():
                return "done"
            case _:
                raise ValueError(f"no words for {event}")

    def draw(self, side: int, symbol: str) -> str:
        """One side of a book, best level first, oldest order first."""
        instrument = INSTRUMENTS[symbol]
        levels: dict[int, list[str]] = {}
        for order_id, _, price, leaves in self.pair.engine.orders(instrument, side):
            levels.setdefault(price, []).append(f"{self.label(order_id)} {leaves}")
        drawn = [f"{price}: {', '.join(orders)}" for price, orders in levels.items()]
        return " / ".join(drawn) or "-"


def play(table: str) -> Story:
    """Do every row of a table, and compare every result."""
    story = Story()
    written: list[tuple[str, str]] = []
    for line in table.strip().splitlines():
        row, result = (" ".join(part.split()) for part in line.split("|"))
        if row:
            written.append((row, result))
        else:
            row, so_far = written.pop()
            written.append((row, f"{so_far} {result}"))
    told = [(row, story.tell(row)) for row, _ in written]
    assert told == written
    return story
