"""An order's story: each event with its position, whom it met, why it traded or did not."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.explain import Story, explain_order, named_order
from cli.explain_report import json_of, lines_of
from cli.replay_command import BadOptionError
from domain.codes import BUY, FOK, IOC, SELL
from domain.commands import CancelOrder, Command, ReplaceOrder, SetTradingState
from tests.integration.replay.written import (
    AAPL,
    BATCHES,
    Written,
    copy_of,
    limit,
    market,
    order_id,
    write,
)


def story_of(folder: Path, order: int | str, account: str | None = None) -> Story:
    wanted = named_order(str(order), account, None if account is None else "aapl")
    story = explain_order(folder, wanted, progress=None)
    assert isinstance(story, Story), story
    return story


def told(story: Story) -> list[str]:
    """The lines of the events: position and what happened."""
    lines = lines_of(story)
    rows = lines[lines.index("") + 2 :]
    rows = rows[: rows.index("")]
    return [" ".join([row.split()[0], *row.split()[2:]]) for row in rows]


def why(story: Story) -> list[str]:
    lines = lines_of(story)
    return lines[len(lines) - lines[::-1].index("") :]


def test_a_life_from_arrival_to_cancel(written: Written) -> None:
    story = story_of(written.folder, order_id(2, 0))
    assert lines_of(story)[0] == (
        f"order {order_id(2, 0)}: buy 100 AAPL at 0.9900, limit gtc, client order id bid-1, "
        "account 1"
    )
    assert told(story) == [
        "0-2 accepted",
        f"0-4 bought 30 at 0.9900, arriving order {order_id(4, 0)} of account 2; 70 left (match 1)",
        "0-4 sent once more: answered with this order",
        "0-6 cancel order of account 2 refused: no open order of this account has this id "
        "(unknown_order)",
        "0-6 replaced: 70 at 0.9900 is now 30 at 0.9900; keeps its place",
    ]
    assert (story.state, story.executed_quantity, story.leaves_quantity) == (
        "partially_filled",
        30,
        30,
    )
    assert why(story) == [
        "When it arrived there was no ask to trade with.",
        "1 order came to it later and took 30.",
        "It rests at position 11: nothing is ahead of it, and there is no ask.",
    ]


def test_what_it_met_is_the_book_just_before_its_own_command(tmp_path: Path) -> None:
    """Commands before it in the same batch count, those behind it do not."""
    last = [limit(SELL, 10_300, 9), limit(BUY, 10_400, 20), limit(SELL, 10_000, 1)]
    write(tmp_path, [*BATCHES[:3], list(last)])
    story = story_of(tmp_path, order_id(4, 1))
    assert story.life.arrival is not None
    assert story.life.arrival.best_ask == (10_100, 70, 1)
    assert story.life.arrival.fillable == 79
    assert why(story)[0] == (
        "When it arrived the best ask was 1.0100 (70 in 1 order), with 79 within its limit: it "
        "traded 20 of 20 at once."
    )


@pytest.mark.parametrize(
    ("order", "state", "reason"),
    [
        (limit(BUY, 10_000, 5), "open", "above its limit of 1.0000: no trade."),
        (limit(BUY, 10_000, 5, tif=IOC), "cancelled", "above its limit of 1.0000: no trade."),
        (
            limit(BUY, 10_100, 71, tif=FOK),
            "cancelled",
            "with 70 within its limit: less than 71, so nothing was to trade.",
        ),
        (limit(BUY, 10_100, 80), "partially_filled", "it traded 70 of 80 at once."),
        (
            market(BUY, 100),
            "cancelled",
            "the price collar let it trade to 1.0600, with 70 within its limit: it traded 70 of "
            "100 at once.",
        ),
        (limit(SELL, 10_000, 5), "open", "best bid was 0.9900 (100 in 1 order), below its"),
    ],
)
def test_says_why(tmp_path: Path, order: Command, state: str, reason: str) -> None:
    write(tmp_path, [*BATCHES[:3], [order]])
    story = story_of(tmp_path, order_id(4, 0))
    assert story.state == state
    assert reason in why(story)[0]


def test_a_refused_order_tells_the_reason(written: Written) -> None:
    story = story_of(written.folder, order_id(4, 2))
    assert (story.state, told(story)) == (
        "rejected",
        ["0-4 rejected: the price is no multiple of the tick size (price_not_on_tick)"],
    )


def test_ends_of_lives(written: Written) -> None:
    day = told(story_of(written.folder, order_id(5, 1)))
    assert day[-1] == "0-6 cancelled, 5 open: on request (by_request)"
    expired = told(story_of(written.folder, order_id(9, 0)))
    assert expired[-1] == "0-10 expired, 5 open: the instrument closed (at_close)"
    killed = told(story_of(written.folder, order_id(7, 1)))
    assert killed[-1].startswith("0-11 cancelled, 20 open: by the account's kill switch")


def test_an_order_in_the_queue_tells_what_is_ahead(tmp_path: Path) -> None:
    last = [limit(BUY, 9_900, 7), limit(BUY, 9_850 - 50, 3)]
    write(tmp_path, [*BATCHES[:3], list(last)])
    story = story_of(tmp_path, order_id(4, 1))
    assert why(story)[-1] == (
        "It rests at position 4: 157 in 3 orders are ahead of it, and the best ask is 1.0100 "
        "(70 in 1 order)."
    )


def test_a_replace_that_trades_is_told(tmp_path: Path) -> None:
    write(tmp_path, [*BATCHES[:3], [ReplaceOrder(1, AAPL, order_id(2, 1), 10_200, 60)]])
    story = story_of(tmp_path, order_id(2, 1))
    assert told(story)[1].startswith("0-4 replaced: 50 at 0.9800 is now 60 at 1.0200; goes to")
    assert "After a replace it arrived anew and traded 60 at once." in why(story)


# --- by client order id ---------------------------------------------------------------------------


def test_an_order_is_found_by_its_client_order_id(written: Written) -> None:
    story = story_of(written.folder, "client:bid-1", "1")
    assert story.life.birth.order_id == order_id(2, 0)
    assert lines_of(story)[-1] == (
        f"The same client order id came at 0-4 as well: order {order_id(4, 3)}, answered with "
        f"order {order_id(2, 0)}."
    )


def test_a_command_refused_under_the_client_order_id_belongs_to_the_story(tmp_path: Path) -> None:
    late = [CancelOrder(1, AAPL, 0, b"day"), limit(BUY, 9_000, 1, "day")]
    write(tmp_path, [*BATCHES, list(late), [SetTradingState(AAPL, 3)], [SetTradingState(AAPL, 0)]])
    lines = told(story_of(tmp_path, order_id(5, 1)))
    assert lines[-2].startswith("0-12 cancel order of account 1 refused")
    assert lines[-1].startswith("0-12 submit order of account 1 refused")
    assert "duplicate_client_order_id" in lines[-1]


def test_after_a_close_the_newest_order_of_the_name_is_told(tmp_path: Path) -> None:
    again = [limit(BUY, 9_000, 1, "bid-1")]
    states = [SetTradingState(AAPL, 3), SetTradingState(AAPL, 0)]
    write(tmp_path, [*BATCHES, [states[0]], [states[1]], list(again)])
    story = story_of(tmp_path, "client:bid-1", "1")
    assert story.life.birth.order_id == order_id(14, 0)
    first = story_of(tmp_path, order_id(2, 0))
    assert not any("0-14" in line for line in told(first))


def test_another_account_has_its_own_names(written: Written) -> None:
    wanted = named_order("client:bid-1", "2", "AAPL")
    said = explain_order(written.folder, wanted, progress=None)
    assert said == "no submit of account 2 in AAPL carried the client order id 'bid-1'"


# --- no such order --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order", "said"),
    [
        (order_id(99, 0), "it would be of position 99, the log ends at 11"),
        (order_id(0, 5), "it would be of position 0"),
        (order_id(2, 9), "position 2 has only 3 commands"),
        (order_id(6, 1), "command 1 of position 6 is a CancelOrder"),
        (order_id(4, 3), f"sent order {order_id(2, 0)} once more; explain that one"),
        (order_id(2, 0, shard=7), "shard 7 has no log in"),
    ],
)
def test_says_why_there_is_no_such_order(written: Written, order: int, said: str) -> None:
    found = explain_order(written.folder, named_order(str(order), None, None), progress=None)
    assert isinstance(found, str)
    assert said in found


def test_a_batch_that_was_not_applied_has_no_orders(tmp_path: Path) -> None:
    write(tmp_path, raw=[b"garbage"])
    for position, said in ((12, "undecodable"),):
        found = explain_order(
            tmp_path, named_order(str(order_id(position, 0)), None, None), progress=None
        )
        assert isinstance(found, str) and said in found


@pytest.mark.parametrize(
    ("order", "account", "symbol"),
    [
        ("AAPL", None, None),
        ("0", None, None),
        (str(2**63), None, None),
        ("-5", None, None),
        ("client:", "1", "AAPL"),
        ("client:x", None, "AAPL"),
        ("client:x", "1", None),
        ("5", "1", None),
    ],
)
def test_an_order_that_is_not_named_is_a_usage_error(
    order: str, account: str | None, symbol: str | None
) -> None:
    with pytest.raises(BadOptionError):
        named_order(order, account, symbol)


def test_an_account_name_needs_the_directory(written: Written) -> None:
    with pytest.raises(BadOptionError, match="there is no"):
        explain_order(written.folder, named_order("client:x", "demo", "AAPL"), progress=None)


def test_json_has_the_same_story(written: Written) -> None:
    found = json_of(story_of(written.folder, order_id(2, 0)))
    assert found["order_id"] == str(order_id(2, 0))
    assert (found["state"], found["average_price"]) == ("partially_filled", "0.9900")
    assert [event["event"] for event in found["events"]] == [
        "order_accepted",
        "order_executed",
        "order_repeated",
        "order_rejected",
        "order_replaced",
    ]
    assert found["events"][1]["position"] == 4
    assert found["standing"]["ahead_orders"] == 0
    assert found["arrival"] == {"best_bid": None, "best_ask": None, "fillable_quantity": 0}


def test_names_come_from_the_directory_beside_the_logs(written: Written, tmp_path: Path) -> None:
    from commands.directory.application import Directory, DirectoryApplication, sqlite_environment

    folder = copy_of(written, tmp_path / "copy")
    application = DirectoryApplication(sqlite_environment(folder / "directory.sqlite"))
    directory = Directory(application, 1)
    directory.create_account("ann", by="test")
    directory.close()
    before = sorted(path.name for path in folder.iterdir())
    story = story_of(folder, "client:bid-1", "ann")
    assert "account 1 (ann)" in lines_of(story)[0]
    assert json_of(story)["account_name"] == "ann"
    assert sorted(path.name for path in folder.iterdir()) == before
