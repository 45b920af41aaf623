"""An order's story in words, and as one JSON object."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from api.reasons import reason_code, reason_detail
from cli.explain import Story
from cli.replay_rows import (
    as_json,
    code_name,
    decimal_price,
    event_name,
    json_fields,
    level_json,
    rfc3339,
)
from domain.codes import BUY, FOK, MARKET, PRICE_TICKS_MAX, CommandType, OrderType, TimeInForce
from domain.events import (
    OrderAccepted,
    OrderCancelled,
    OrderExecuted,
    OrderExpired,
    OrderRejected,
    OrderRepeated,
    OrderReplaced,
)
from streams.replay_life import Happening, Level, Named

END_REASONS = {
    "by_request": "on request",
    "by_mass_cancel": "by a mass cancel",
    "by_kill_switch": "by the account's kill switch",
    "ioc_remainder": "what an immediate order cannot trade at once is cancelled",
    "fok_not_fillable": "fill or kill: not all of it could trade",
    "no_liquidity": "nothing more to trade with",
    "replaced_to_nothing": "a replace left nothing open",
    "at_close": "the instrument closed",
}


def lines_of(story: Story) -> list[str]:
    """The story as it is printed."""
    life = story.life
    rows = [
        (f"{life.birth.shard}-{each.position}", rfc3339(each.trading_time_ns), told(story, each))
        for each in life.happenings
    ]
    width = max(len("position"), *(len(place) for place, _, _ in rows))
    lines = [
        f"order {life.birth.order_id}: {_terms(story)}, "
        f"{story.account_text(int(story.order.account))}",
        _outcome(story),
        "",
        f"{'position':<{width}}  {'trading time':<30}  event",
    ]
    lines += [f"{place:<{width}}  {time}  {text}" for place, time, text in rows]
    lines += ["", *why(story)]
    return lines + [_other(each) for each in story.others]


def _terms(story: Story) -> str:
    order = story.order
    symbol = story.life.symbol or f"instrument {order.instrument}"
    kind = code_name(OrderType, order.order_type)
    price = f" at {decimal_price(int(order.price_ticks))}" if order.price_ticks else ""
    named = ""
    if order.client_order_id:
        named = f", client order id {order.client_order_id.decode('ascii', 'backslashreplace')}"
    verb = "buy" if order.side == BUY else "sell"
    tif = code_name(TimeInForce, order.time_in_force)
    return f"{verb} {order.quantity:,} {symbol}{price}, {kind} {tif}{named}"


def _outcome(story: Story) -> str:
    if story.state == "rejected":
        return "rejected"
    text = f"{story.state.replace('_', ' ')}: {story.executed_quantity:,} executed"
    if story.executed_quantity:
        text += f" at {average_price(story)} on average"
    return f"{text}, {story.leaves_quantity:,} open at position {story.life.log_end:,}"


def average_price(story: Story) -> str:
    """Dollars, four decimals."""
    ticks = Decimal(story.executed_value) / story.executed_quantity
    return f"{ticks / 10_000:.4f}"


# --- events ---------------------------------------------------------------------------------------


def told(story: Story, happening: Happening) -> str:
    """One event in words."""
    event = happening.event
    if isinstance(event, OrderAccepted):
        return "accepted"
    if isinstance(event, OrderExecuted):
        return _executed(story, event)
    if isinstance(event, OrderReplaced):
        kept = "keeps its place" if event.kept_priority else "goes to the end of the queue"
        return (
            f"replaced: {event.previous_leaves_quantity:,} at "
            f"{decimal_price(int(event.previous_price_ticks))} is now {event.leaves_quantity:,} at "
            f"{decimal_price(int(event.price_ticks))}; {kept}"
        )
    if isinstance(event, OrderCancelled | OrderExpired):
        verb = "cancelled" if isinstance(event, OrderCancelled) else "expired"
        code = reason_code(int(event.reason))
        return f"{verb}, {event.quantity:,} open: {END_REASONS.get(code, code)} ({code})"
    if isinstance(event, OrderRejected):
        return _rejected(story, event)
    assert isinstance(event, OrderRepeated)
    return "sent once more: answered with this order"


def _executed(story: Story, event: OrderExecuted) -> str:
    ours = event.aggressor_order_id == story.life.birth.order_id
    other = event.resting_order_id if ours else event.aggressor_order_id
    account = event.resting_account if ours else event.aggressor_account
    leaves = event.aggressor_leaves if ours else event.resting_leaves
    buys = (event.aggressor_side == BUY) == ours
    met = "resting order" if ours else "arriving order"
    return (
        f"{'bought' if buys else 'sold'} {event.quantity:,} at "
        f"{decimal_price(int(event.price_ticks))}, {met} {other} of "
        f"{story.account_text(int(account))}; {leaves:,} left (match {event.match_number})"
    )


def _rejected(story: Story, event: OrderRejected) -> str:
    code, detail = reason_code(int(event.reason)), reason_detail(int(event.reason))
    if event.order_id == story.life.birth.order_id and event.command_type == 1:
        return f"rejected: {detail} ({code})"
    kind = code_name(CommandType, event.command_type).replace("_", " ")
    return f"{kind} of {story.account_text(int(event.account))} refused: {detail} ({code})"


def _other(named: Named) -> str:
    birth, event = named.birth, named.event
    if isinstance(event, OrderAccepted):
        came = "accepted"
    elif isinstance(event, OrderRepeated):
        came = f"answered with order {event.order_id}"
    else:
        came = f"rejected, {reason_code(int(event.reason))}"
    return (
        f"The same client order id came at {birth.shard}-{birth.position} as well: order "
        f"{birth.order_id}, {came}."
    )


# --- why ------------------------------------------------------------------------------------------


def why(story: Story) -> list[str]:
    """Why it traded or did not, in sentences."""
    if story.state == "rejected":
        return ["It was refused and never on the book."]
    sentences = _at_arrival(story)
    order_id, birth = story.life.birth.order_id, story.life.birth.position
    later = [
        each.event
        for each in story.life.happenings
        if isinstance(each.event, OrderExecuted) and each.event.resting_order_id == order_id
    ]
    if later:
        total = sum(int(each.quantity) for each in later)
        sentences.append(f"{_count(len(later), 'order')} came to it later and took {total:,}.")
    again = [
        each.event
        for each in story.life.happenings
        if isinstance(each.event, OrderExecuted)
        and each.event.aggressor_order_id == order_id
        and each.position != birth
    ]
    if again:
        total = sum(int(each.quantity) for each in again)
        sentences.append(f"After a replace it arrived anew and traded {total:,} at once.")
    return sentences + _at_end(story)


def _at_arrival(story: Story) -> list[str]:
    arrival, order = story.life.arrival, story.order
    assert arrival is not None, "an accepted order has an instrument and a side"
    buys = order.side == BUY
    best, word = (arrival.best_ask, "ask") if buys else (arrival.best_bid, "bid")
    if best is None:
        return [f"When it arrived there was no {word} to trade with."]
    met = f"When it arrived the best {word} was {_level(best)}"
    if order.order_type == MARKET and arrival.price_collar:
        met += f"; the price collar let it trade to {decimal_price(max(0, arrival.limit_ticks))}"
    outside = best[0] > arrival.limit_ticks if buys else best[0] < arrival.limit_ticks
    if outside:
        beyond = "above" if buys else "below"
        return [f"{met}, {beyond} its limit of {decimal_price(arrival.limit_ticks)}: no trade."]
    traded = _at_once(story)
    offered = f"{arrival.fillable:,} {'within its limit' if _has_limit(story) else 'in all'}"
    if traded == 0 and order.time_in_force == FOK:
        return [f"{met}, with {offered}: less than {order.quantity:,}, so nothing was to trade."]
    return [f"{met}, with {offered}: it traded {traded:,} of {order.quantity:,} at once."]


def _has_limit(story: Story) -> bool:
    arrival = story.life.arrival
    return arrival is not None and 0 < arrival.limit_ticks < PRICE_TICKS_MAX


def _at_once(story: Story) -> int:
    birth = story.life.birth
    return sum(
        int(each.event.quantity)
        for each in story.life.happenings
        if isinstance(each.event, OrderExecuted)
        and each.event.aggressor_order_id == birth.order_id
        and each.event.command_index == birth.command_index
        and each.position == birth.position
    )


def _at_end(story: Story) -> list[str]:
    standing = story.life.standing
    if standing is None:
        return []
    buys = story.order.side == BUY
    best, word = (standing.best_ask, "ask") if buys else (standing.best_bid, "bid")
    ahead = "nothing is ahead of it"
    if standing.ahead_orders:
        orders = _count(standing.ahead_orders, "order")
        ahead = f"{standing.ahead_quantity:,} in {orders} are ahead of it"
    opposite = f"the best {word} is {_level(best)}" if best else f"there is no {word}"
    return [f"It rests at position {story.life.log_end:,}: {ahead}, and {opposite}."]


def _level(level: Level) -> str:
    price, quantity, count = level
    return f"{decimal_price(price)} ({quantity:,} in {_count(count, 'order')})"


def _count(number: int, word: str) -> str:
    return f"{number:,} {word}{'' if number == 1 else 's'}"


# --- JSON -----------------------------------------------------------------------------------------


def json_of(story: Story) -> dict[str, Any]:
    """The story for programs: the submit's terms, what came of it, each event with its place."""
    life, order = story.life, story.order
    birth = life.birth
    head = {
        "order_id": birth.order_id,
        "shard": birth.shard,
        "position": birth.position,
        "command_index": birth.command_index,
        "account_name": story.names.account(int(order.account)) or None,
        "state": story.state,
        "executed_quantity": story.executed_quantity,
        "leaves_quantity": story.leaves_quantity,
        "average_price": average_price(story) if story.executed_quantity else None,
        "log_end": life.log_end,
    }
    told_json = json_fields(order, lambda _: life.symbol) | as_json(head)
    told_json["arrival"] = _arrival_json(story)
    told_json["standing"] = _standing_json(story)
    told_json["events"] = [_event_json(story, each) for each in life.happenings]
    told_json["why"] = why(story)
    told_json["same_client_order_id"] = [
        {"order_id": str(each.birth.order_id), "event": event_name(each.event)}
        for each in story.others
    ]
    return told_json


def _event_json(story: Story, happening: Happening) -> dict[str, Any]:
    row = {
        "position": happening.position,
        "trading_time": happening.trading_time_ns,
        "gateway_time": happening.gateway_time_ns,
        "event": event_name(happening.event),
    }
    fields = json_fields(happening.event, lambda _: story.life.symbol)
    return as_json(row) | fields | {"text": told(story, happening)}


def _arrival_json(story: Story) -> dict[str, Any] | None:
    arrival = story.life.arrival
    if arrival is None:
        return None
    return {
        "best_bid": level_json(arrival.best_bid),
        "best_ask": level_json(arrival.best_ask),
        "fillable_quantity": arrival.fillable,
    }


def _standing_json(story: Story) -> dict[str, Any] | None:
    standing = story.life.standing
    if standing is None:
        return None
    return {
        "ahead_quantity": standing.ahead_quantity,
        "ahead_orders": standing.ahead_orders,
        "best_bid": level_json(standing.best_bid),
        "best_ask": level_json(standing.best_ask),
    }
