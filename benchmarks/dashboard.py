"""What a dashboard costs the browser and the exchange.

    python -m benchmarks.dashboard [--seconds 20] [--rate 3000] [--dashboards 20]

Three figures, a JSON line each, on an exchange of its own:

- `page`: the share of time that the browser's main thread works while a page gets ten and more
  updates a second, for the Trade and the Market page: its CPU time, and the wall time of its tasks
  (CDP's TaskDuration), in which a busy machine keeps it waiting;
- `screen`: from when an order is sent until the page has painted what came of it, HTTP and
  matching included; and `match_to_screen`: from the time in the exchange's trades (when the
  command came into the log, so matching is in it) until the page has painted them (docs/ui.md);
- `exchange`: the matcher's p99 apply time at `--rate` orders/s without and with `--dashboards`
  open, in turns. A dashboard here is its stream connection with the subscriptions of the Trade or
  (each second one) the Market page, read as fast as it comes: twenty browsers on the machine that
  is measured would measure themselves.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from websockets.asyncio.client import connect

from tests.browser.exchange import Exchange

SYMBOL = "AAPL"
SIZE = {"width": 1440, "height": 900}
SETTLE_S = 5.0
PAINTED_S = 30.0
TRADE_CHANNELS = ("level2", "trades", "status", "orders")
MARKET_CHANNELS = ("level1", "trades", "status")
BUCKET = re.compile(r'crossbook_matcher_apply_seconds_bucket\{(?:[^}]*,)?le="([^"]+)"[^}]*\} (\S+)')
WATCH = """(wanted) => {
  window.painted = {};
  window.taken = [];
  let trades = [];
  Crossbook.feed.subscribe("trades", [wanted], (message) => {
    if (message.type !== "snapshot") trades.push(Date.parse(message.time));
  });
  const painted = (act) => requestAnimationFrame(() => setTimeout(act));
  Crossbook.feed.onFlush(() => {
    const drawn = trades;
    trades = [];
    if (drawn.length) painted(() => drawn.forEach((at) => window.taken.push(Date.now() - at)));
    const book = Crossbook.feed.books.get(wanted);
    for (const level of book.bids.best()) if (!(level.price in window.painted))
      painted(() => { window.painted[level.price] ||= Date.now(); });
  });
}"""


@dataclass
class MainThread:
    """The main thread of the one page that is open."""

    page: CDPSession
    browser: CDPSession

    @classmethod
    def of(cls, page: Page, browser: Browser) -> MainThread:
        """Begin to count."""
        session = page.context.new_cdp_session(page)
        session.send("Performance.enable")
        return cls(session, browser.new_browser_cdp_session())

    def busy_s(self) -> float:
        """Wall time in tasks since the page began."""
        metrics = self.page.send("Performance.getMetrics")["metrics"]
        return next(each["value"] for each in metrics if each["name"] == "TaskDuration")

    def cpu_s(self) -> float:
        """CPU time, of all renderers: those without a page do nothing. (CDP's threadTicks are the
        wall's too.)"""
        processes = self.browser.send("SystemInfo.getProcessInfo")["processInfo"]
        threads = [
            thread
            for process in processes
            if process["type"] == "renderer"
            for thread in psutil.Process(process["id"]).threads()
            if thread.id == process["id"]
        ]
        return sum(thread.user_time + thread.system_time for thread in threads)


def open_page(browser: Browser, exchange: Exchange, path: str) -> Page:
    """A page with the demo key that has all it shows."""
    page = browser.new_context(viewport=SIZE, color_scheme="dark").new_page()
    page.add_init_script(f"sessionStorage.setItem('crossbook.key', '{exchange.key('demo')}')")
    page.goto(exchange.url + path)
    page.wait_for_selector(".ag-row")
    page.wait_for_timeout(SETTLE_S * 1_000)
    return page


def page_cost(browser: Browser, exchange: Exchange, path: str, seconds: float) -> dict[str, Any]:
    """The main thread's share over `seconds`, and the updates that were drawn in them."""
    page = open_page(browser, exchange, path)
    page.evaluate("window.drawn = 0; void Crossbook.feed.onFlush(() => (window.drawn += 1))")
    thread = MainThread.of(page, browser)
    began, drawn = time.monotonic(), page.evaluate("window.drawn")
    busy, worked = thread.busy_s(), thread.cpu_s()
    page.wait_for_timeout(seconds * 1_000)
    elapsed = time.monotonic() - began
    figures = {
        "figure": "page",
        "path": path,
        "main_thread_cpu_share": round((thread.cpu_s() - worked) / elapsed, 3),
        "main_thread_wall_share": round((thread.busy_s() - busy) / elapsed, 3),
        "updates_per_s": round((page.evaluate("window.drawn") - drawn) / elapsed, 1),
        "messages_per_s": page.evaluate("Crossbook.feed.rate"),
    }
    page.context.close()
    return figures


def screen_latency(browser: Browser, exchange: Exchange, count: int) -> dict[str, Any]:
    """Send `count` orders, each at a price of its own, and see when the page has painted each."""
    page = open_page(browser, exchange, f"/ui/trade?symbol={SYMBOL}")
    page.evaluate(WATCH, SYMBOL)
    taken: list[float] = []
    with exchange.client("demo") as client:
        best = client.book(SYMBOL, depth=1).bids[0].price
        for number in range(1, count + 1):
            price = f"{float(best) - 5 - number / 100:.4f}"
            began = time.time()
            client.submit(SYMBOL, "buy", 1, price=price)
            taken.append(_painted_ms(page, price) - began * 1_000)
        client.mass_cancel(SYMBOL)
    trades = page.evaluate("window.taken")
    page.context.close()
    return {
        "figure": "screen",
        "order_to_screen": _spread(taken),
        "match_to_screen": _spread(trades),
    }


def _painted_ms(page: Page, price: str) -> float:
    """When the page had painted `price`, in milliseconds since 1970. (Playwright's
    wait_for_function needs eval, which the page's policy forbids.)"""
    deadline = time.monotonic() + PAINTED_S
    while (painted := page.evaluate("(price) => window.painted[price]", price)) is None:
        assert time.monotonic() < deadline, f"{price} was not painted in {PAINTED_S} s"
        page.wait_for_timeout(20)
    return float(painted)


def _spread(taken_ms: list[float]) -> dict[str, float]:
    found = sorted(taken_ms)
    return {
        "count": len(found),
        "p50_ms": round(statistics.median(found), 1),
        "p99_ms": round(found[min(len(found) - 1, int(len(found) * 0.99))], 1),
        "max_ms": round(found[-1], 1),
    }


def apply_buckets(url: str) -> dict[float, float]:
    """The matcher's apply times so far: upper bound in seconds to the number of steps under it."""
    found: dict[float, float] = {}
    for bound, count in BUCKET.findall(httpx.get(url + "/metrics", timeout=30).text):
        found[float(bound)] = found.get(float(bound), 0.0) + float(count)
    assert found, "no crossbook_matcher_apply_seconds in /metrics"
    return found


def quantile(before: dict[float, float], after: dict[float, float], share: float) -> float:
    """A quantile of what was counted between, in seconds, linear within its bucket."""
    counted = {bound: count - before.get(bound, 0.0) for bound, count in sorted(after.items())}
    wanted = share * max(counted.values())
    low_bound, low_count = 0.0, 0.0
    for bound, count in counted.items():
        if count >= wanted:
            inside = (wanted - low_count) / max(1e-9, count - low_count)
            return low_bound if bound == float("inf") else low_bound + inside * (bound - low_bound)
        low_bound, low_count = bound, count
    return low_bound


async def _watch(url: str, subscriptions: list[tuple[str, list[str]]]) -> None:
    async with connect(url, compression=None, max_size=None, proxy=None) as socket:
        for channel, symbols in subscriptions:
            await socket.send(
                json.dumps({"op": "subscribe", "channel": channel, "symbols": symbols})
            )
        async for _ in socket:
            pass


async def apply_p99(
    exchange: Exchange, dashboards: int, seconds: float, symbols: list[str]
) -> float:
    """The matcher's p99 apply time over `seconds` with so many dashboards, in seconds."""
    url = "ws" + exchange.url.removeprefix("http") + "/v1/stream"
    kinds = [
        [(channel, [SYMBOL]) for channel in TRADE_CHANNELS],
        [(channel, symbols) for channel in MARKET_CHANNELS],
    ]
    tasks = [asyncio.create_task(_watch(url, kinds[each % 2])) for each in range(dashboards)]
    await asyncio.sleep(SETTLE_S)
    before = await asyncio.to_thread(apply_buckets, exchange.url)
    await asyncio.sleep(seconds)
    after = await asyncio.to_thread(apply_buckets, exchange.url)
    assert not any(task.done() for task in tasks), "a dashboard was cut off"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    return quantile(before, after, 0.99)


def exchange_cost(exchange: Exchange, options: argparse.Namespace) -> dict[str, Any]:
    """Without and with dashboards, in turns; medians of the rounds."""
    with exchange.client("demo") as client:
        symbols = [each.symbol for each in client.instruments()]
    sent = _rate(exchange.url)
    found: dict[int, list[float]] = {0: [], options.dashboards: []}
    for _ in range(options.rounds):
        for dashboards, p99s in found.items():
            p99s.append(asyncio.run(apply_p99(exchange, dashboards, options.seconds, symbols)))
    without, beside = (statistics.median(p99s) for p99s in found.values())
    return {
        "figure": "exchange",
        "dashboards": options.dashboards,
        "batches_per_s": round(sent(), 1),
        "orders_per_s_asked": options.rate,
        "apply_p99_us_without": round(without * 1e6, 1),
        "apply_p99_us_with": round(beside * 1e6, 1),
        "rise": round(beside / without - 1, 3),
    }


def _rate(url: str) -> Callable[[], float]:
    """Begin to count batches of the log; what is returned tells how many came a second."""

    def written() -> int:
        shards = httpx.get(url + "/readyz", timeout=30).json()["shards"]
        return sum(shard["written"] for shard in shards)

    began, at = written(), time.monotonic()
    return lambda: (written() - began) / (time.monotonic() - at)


def main() -> None:
    """Measure, and print a JSON line a figure."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20, help="of each measurement")
    parser.add_argument("--page-rate", type=int, default=400, help="orders/s while pages are shown")
    parser.add_argument("--rate", type=int, default=3_000, help="orders/s beside the dashboards")
    parser.add_argument("--dashboards", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--orders", type=int, default=100, help="of which the latency is measured")
    parser.add_argument("--only", choices=("page", "screen", "exchange"))
    options = parser.parse_args()
    wanted = (options.only,) if options.only else ("page", "screen", "exchange")
    folder = Path(tempfile.mkdtemp(prefix="dashboard-"))
    for name in ("pages", "load"):
        (folder / name).mkdir()
    try:
        if {"page", "screen"} & set(wanted):
            pages(folder / "pages", options, wanted)
        if "exchange" in wanted:
            exchange = Exchange(folder / "load", symbols=(), rate=options.rate)
            try:
                exchange.start()
                print(json.dumps(exchange_cost(exchange, options)), flush=True)
            finally:
                exchange.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pages(folder: Path, options: argparse.Namespace, wanted: tuple[str, ...]) -> None:
    """The figures that need a browser."""
    exchange = Exchange(folder, symbols=(), rate=options.page_rate)
    try:
        exchange.start()
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox"]
            )
            if "page" in wanted:
                for path in (f"/ui/trade?symbol={SYMBOL}", "/ui/"):
                    print(
                        json.dumps(page_cost(browser, exchange, path, options.seconds)), flush=True
                    )
            if "screen" in wanted:
                print(json.dumps(screen_latency(browser, exchange, options.orders)), flush=True)
            browser.close()
    finally:
        exchange.stop()


if __name__ == "__main__":
    main()
