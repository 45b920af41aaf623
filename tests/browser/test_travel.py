"""Time travel: the book that is shown is the book that was, whichever way one gets there."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from crossbook_client import Crossbook
from tests.browser.conftest import OpenPage
from tests.browser.exchange import ROOT, Exchange

SYMBOL = "ORCL"
Levels = list[tuple[str, int, int]]


@dataclass(frozen=True)
class Moment:
    """The book as REST told it right after a command."""

    sequence: int
    position: str
    bids: Levels
    asks: Levels


def levels_of(levels: Any) -> Levels:
    return [(f"{level.price:.2f}", level.quantity, level.order_count) for level in levels]


def moment(client: Crossbook, position: str | None) -> Moment:
    book = client.book(SYMBOL, depth=100, min_position=position)
    assert position is not None
    return Moment(book.sequence, position, levels_of(book.bids), levels_of(book.asks))


@dataclass(frozen=True)
class Tape:
    """What the tests' own orders did, and the ids of two of them."""

    moments: list[Moment]
    traded_order: str
    reduced_order: str


@pytest.fixture(scope="module")
def tape(exchange: Exchange) -> Tape:
    """Orders of every kind that changes a book, with the book after each."""
    moments: list[Moment] = []
    with exchange.client("demo") as client, exchange.client("player") as other:

        def then(result: Any) -> Any:
            moments.append(moment(client, result.position))
            return result

        first = then(client.submit(SYMBOL, "buy", 100, price="170.00", time_in_force="gtc"))
        second = then(client.submit(SYMBOL, "buy", 40, price="170.00", time_in_force="gtc"))
        for step in range(8):
            then(client.submit(SYMBOL, "buy", 10 + step, price=f"169.{90 - step}"))
            then(other.submit(SYMBOL, "sell", 20 + step, price=f"170.{10 + step}"))
        then(other.submit(SYMBOL, "sell", 60, price="170.00", time_in_force="ioc"))
        then(client.replace(second.order_id, quantity=25))
        then(other.submit(SYMBOL, "sell", 60, price="169.95"))
        then(client.mass_cancel(SYMBOL, "buy"))
        then(client.submit(SYMBOL, "buy", 5, price="170.20"))
    return Tape(moments, first.order_id, second.order_id)


def shown(page: Page) -> tuple[Levels, Levels]:
    """The book on screen."""
    rows = page.evaluate(
        """() => {
          const rows = document.querySelectorAll('#travel-book .ag-center-cols-container .ag-row');
          const place = (row) => Number(row.getAttribute('row-index'));
          const text = (cell) => cell.innerText.trim().replaceAll(',', '');
          const cells = (row) => [...row.querySelectorAll('.ag-cell')].map(
            (cell) => [cell.getAttribute('col-id'), text(cell)]);
          return [...rows].sort((one, other) => place(one) - place(other))
            .map((row) => Object.fromEntries(cells(row)));
        }"""
    )
    bids = [
        (row["bid"], int(row["bidQuantity"]), int(row["bidCount"])) for row in rows if row["bid"]
    ]
    asks = [
        (row["ask"], int(row["askQuantity"]), int(row["askCount"])) for row in rows if row["ask"]
    ]
    return bids, asks


def opened(open_page: OpenPage, sequence: int, **terms: Any) -> Page:
    page = open_page(f"/ui/travel?symbol={SYMBOL}&sequence={sequence}", **terms)
    at(page, sequence)
    return page


def at(page: Page, sequence: int) -> None:
    expect(page.locator("#travel-page")).to_have_attribute("data-sequence", str(sequence))
    expect(page.locator("#travel-sequence")).to_have_text(f"{sequence:,}")


def holds(page: Page, known: Moment) -> None:
    """The book on screen becomes `known`."""
    at(page, known.sequence)
    page.wait_for_function(
        "(rows) => document.querySelectorAll('#travel-book .ag-center-cols-container .ag-row')"
        ".length === rows",
        arg=max(len(known.bids), len(known.asks)),
    )
    assert shown(page) == (known.bids, known.asks)


def test_every_moment_shows_the_book_that_was(open_page: OpenPage, tape: Tape) -> None:
    page = opened(open_page, tape.moments[0].sequence)
    for known in (*tape.moments, *reversed(tape.moments[::3])):
        page.fill("#travel-goto", str(known.sequence))
        page.press("#travel-goto", "Enter")
        holds(page, known)


def test_steps_and_playing_come_to_the_same_books(open_page: OpenPage, tape: Tape) -> None:
    page = opened(open_page, tape.moments[0].sequence)
    page.click("#travel-page h2 >> nth=0")
    for known in tape.moments[1:5]:
        page.keyboard.press("ArrowRight")
        holds(page, known)
    for known in reversed(tape.moments[1:4]):
        page.keyboard.press("ArrowLeft")
        holds(page, known)
    page.get_by_text("20/s", exact=True).click()
    page.click("#travel-play")
    expect(page.locator("#travel-play")).to_have_text("Play")
    holds(page, tape.moments[-1])


def test_a_replay_of_the_log_agrees(open_page: OpenPage, exchange: Exchange, tape: Tape) -> None:
    known = tape.moments[len(tape.moments) // 2]
    position = known.position.rsplit("-", 1)[1]
    command = [sys.executable, "-m", "cli.main", "replay", "--to-position", position, "--json"]
    told = subprocess.run(
        [*command, "--book", SYMBOL, "--depth", "100"],
        cwd=ROOT,
        env=exchange.environment,
        capture_output=True,
        check=True,
        text=True,
    )
    book = json.loads(told.stdout)["book"]
    assert int(book["sequence"]) == known.sequence
    page = opened(open_page, known.sequence)
    holds(page, known)
    bids, asks = shown(page)
    for side, levels in (("bids", bids), ("asks", asks)):
        replayed = [
            (f"{float(level['price']):.2f}", int(level["quantity"]), int(level["order_count"]))
            for level in book[side]
        ]
        assert levels == replayed


def test_trades_are_marked_and_jumped_to(open_page: OpenPage, tape: Tape) -> None:
    page = opened(open_page, tape.moments[0].sequence)
    page.click("#travel-trade-next")
    expect(page.locator("#travel-last")).to_have_text("60 at 170.00")
    expect(page.locator("#travel-steps .ag-row-selected")).to_contain_text("▼ Sell 60 traded at")
    expect(page.locator("#travel-overview .cb-mark-down").first).to_be_attached()


def test_an_orders_life_is_told_to_its_owner(open_page: OpenPage, tape: Tape) -> None:
    page = opened(open_page, tape.moments[-1].sequence, account="demo")
    page.fill("#travel-order", tape.traded_order)
    page.press("#travel-order", "Enter")
    life = page.locator("#travel-life")
    expect(life).to_contain_text("Buy 100 ORCL at 170.00")
    events = life.locator(".cb-life-event")
    expect(events.nth(0)).to_contain_text("accepted")
    expect(events.nth(1)).to_contain_text("60")
    expect(events.nth(0)).to_contain_text(f"log {tape.moments[0].position}")
    events.nth(0).get_by_role("button").click()
    holds(page, tape.moments[0])


def test_others_see_what_the_book_showed_of_it(open_page: OpenPage, tape: Tape) -> None:
    page = opened(open_page, tape.moments[-1].sequence)
    page.fill("#travel-order", tape.traded_order)
    page.press("#travel-order", "Enter")
    life = page.locator("#travel-life")
    expect(life).to_contain_text("Without a key")
    expect(life.locator(".cb-life-event").first).to_contain_text("buy 100 at 170.00 joins the book")
    expect(life).not_to_contain_text(re.compile("account \\d"))


def test_a_moment_that_is_not_there_is_refused_in_words(open_page: OpenPage, tape: Tape) -> None:
    page = opened(open_page, tape.moments[0].sequence)
    page.fill("#travel-goto", "99999999")
    page.press("#travel-goto", "Enter")
    expect(page.get_by_text("at most")).to_be_visible()
    page.fill("#travel-order", "abc")
    page.press("#travel-order", "Enter")
    expect(page.get_by_text("digits only")).to_be_visible()
