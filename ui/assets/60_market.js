/* Market: the day so far is asked once, everything after comes by the stream (level1, trades and status of every
   instrument) and is drawn at most ten times a second. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const SYMBOLS_MAX = 300; // three channels each, of the 1,000 subscriptions of a connection
  const SPARK_POINTS = 60;
  const ACTIVITY_S = 300;
  const RATE_S = 10;
  const RECENT_MAX = 500;

  class Row {
    constructor(instrument) {
      this.symbol = instrument.symbol;
      this.decimals = instrument.decimals;
      this.state = instrument.state;
      this.first = null; // the day's first price, in price ticks
      this.last = null;
      this.prices = [];
      this.spark = this.prices; // those that are drawn
      this.volume = 0;
      this.trades = 0;
      this.turnover = 0; // price ticks times shares
      this.bid = this.ask = this.bidQuantity = this.askQuantity = null;
      this.counted = 0; // the last match number in the figures above
      this.recent = []; // trades of the stream, to count on from a day that was read meanwhile
      this.dirty = true;
    }

    day(overview) {
      this.first = overview.first;
      this.last = overview.last;
      this.volume = overview.volume;
      this.trades = overview.trades;
      this.turnover = overview.turnover;
      this.counted = overview.matchNumber;
      this.prices = this.spark = overview.prices.slice(-SPARK_POINTS);
      this.dirty = true;
      this.recent.forEach((message) => this.count(message));
    }

    /** Count one execution of the stream. False where it was counted already. */
    trade(message) {
      this.recent.push(message);
      if (this.recent.length > RECENT_MAX) this.recent.shift();
      return this.count(message);
    }

    count(message) {
      const number = Number(message.match_number);
      if (number <= this.counted) return false;
      const ticks = F.ticksOf(message.price);
      this.counted = number;
      this.last = ticks;
      if (this.first === null) this.first = ticks;
      this.volume += message.quantity;
      this.trades += 1;
      this.turnover += ticks * message.quantity;
      this.prices = [...this.prices.slice(1 - SPARK_POINTS), ticks];
      this.dirty = true;
      return true;
    }

    quote(message) {
      const side = (level) => (level ? [F.ticksOf(level[0]), level[1]] : [null, null]);
      [this.bid, this.bidQuantity] = side(message.bid);
      [this.ask, this.askQuantity] = side(message.ask);
      this.dirty = true;
    }

    /** Have the line of prices drawn as it is now: once a second, since it is the costliest of a row's cells. */
    line() {
      if (this.spark === this.prices) return;
      this.spark = this.prices;
      this.dirty = true;
    }

    /** The row as the grid shows it. */
    shown() {
      const moved = this.first === null || this.last === null;
      this.dirty = false;
      return {
        symbol: this.symbol, decimals: this.decimals, last: this.last,
        change: moved ? null : this.last - this.first,
        percent: moved || !this.first ? null : (this.last - this.first) / this.first,
        spark: this.spark, bid: this.bid, bidQuantity: this.bidQuantity, ask: this.ask,
        askQuantity: this.askQuantity, spread: this.bid === null || this.ask === null ? null : this.ask - this.bid,
        volume: this.volume, trades: this.trades, state: this.state,
      };
    }
  }

  /** Trades and shares of each of the last seconds. */
  class Activity {
    constructor() {
      this.seconds = new Map();
      this.since = Math.floor(Date.now() / 1000);
    }

    add(quantity) {
      const second = Math.floor(Date.now() / 1000);
      const found = this.seconds.get(second) || {trades: 0, shares: 0};
      found.trades += 1;
      found.shares += quantity;
      this.seconds.set(second, found);
      if (this.seconds.size > ACTIVITY_S + 60) this.seconds.delete(this.seconds.keys().next().value);
    }

    /** Trades a second over the last full seconds. */
    rate() {
      const now = Math.floor(Date.now() / 1000);
      let trades = 0;
      for (let back = 1; back <= RATE_S; back += 1) trades += (this.seconds.get(now - back) || {trades: 0}).trades;
      return trades / RATE_S;
    }

    figure() {
      const now = Math.floor(Date.now() / 1000);
      const times = [];
      const trades = [];
      const shares = [];
      const begin = now - Math.min(ACTIVITY_S, Math.max(60, now - this.since));
      for (let second = begin - (begin % 5); second + 5 <= now; second += 5) {
        let count = 0;
        let quantity = 0;
        for (let each = second; each < second + 5; each += 1) {
          const found = this.seconds.get(each);
          if (found) {
            count += found.trades;
            quantity += found.shares;
          }
        }
        times.push(new Date((second + 5) * 1000));
        trades.push(count / 5);
        shares.push(quantity / 5);
      }
      const colours = CB.palette();
      const layout = CB.chartLayout({
        margin: {l: 52, r: 58, t: 10, b: 22}, bargap: 0.15,
        xaxis: CB.axis({type: "date", showgrid: false, nticks: 5}),
        yaxis: CB.axis({rangemode: "tozero", nticks: 4, title: {text: "trades/s", font: {size: 11, color: colours.dim}, standoff: 4}}),
        yaxis2: CB.axis({rangemode: "tozero", nticks: 4, overlaying: "y", side: "right", tickmode: "auto", showgrid: false,
          title: {text: "shares/s", font: {size: 11, color: colours.dim}, standoff: 4}}),
      });
      return {
        data: [
          {type: "bar", x: times, y: trades, marker: {color: colours.accent}, opacity: 0.75, name: "trades/s",
            hovertemplate: "%{y:.1f}"},
          {type: "scatter", mode: "lines", x: times, y: shares, yaxis: "y2", line: {color: colours.down, width: 1.5},
            name: "shares/s", hovertemplate: "%{y:,.0f}"},
        ],
        layout,
      };
    }
  }

  class Market {
    constructor() {
      this.rows = new Map();
      this.activity = new Activity();
      this.watch = new CB.GridRows("watchlist", (row) => row.symbol);
      this.up = new CB.GridRows("movers-up", (row) => row.symbol);
      this.down = new CB.GridRows("movers-down", (row) => row.symbol);
      this.chart = new CB.Chart("activity", 1000, () => this.activity.figure());
      this.slowAt = 0;
      this.health = null;
      this.gone = false;
    }

    async begin(ends) {
      ends(() => (this.gone = true));
      CB.instruments(true).catch(() => null); // what came of it is told below
      const instruments = await CB.untilInstruments(() => this.gone, (problem) => this.failed(problem));
      if (!instruments || this.gone) return;
      const listed = [...instruments.values()].slice(0, SYMBOLS_MAX);
      this.listedCount = instruments.size;
      for (const each of listed) this.rows.set(each.symbol, new Row(each));
      this.follow(ends, listed.map((each) => each.symbol));
      await this.readDay();
      const hide = document.getElementById("market-loading");
      if (hide) hide.hidden = true;
      CB.feed.touch();
    }

    failed(problem) {
      const place = document.getElementById("market-loading");
      if (place) {
        place.querySelector("strong").textContent = "The market cannot be shown";
        place.querySelector("span").textContent = `${problem.message}. It is asked for again.`;
      }
    }

    follow(ends, symbols) {
      const feed = CB.feed;
      ends(feed.subscribe("level1", symbols, (message) => this.row(message).quote(message)));
      ends(feed.subscribe("trades", symbols, (message) => this.traded(message)));
      ends(feed.subscribe("status", symbols, (message) => {
        const row = this.row(message);
        row.state = message.state;
        row.dirty = true;
      }));
      ends(feed.onFlush(() => this.draw()));
      const timer = setInterval(() => this.slow(), 1000);
      const asking = setInterval(() => this.askHealth(), 3000);
      ends(() => clearInterval(timer));
      ends(() => clearInterval(asking));
      this.askHealth();
    }

    row(message) {
      return this.rows.get(message.symbol);
    }

    traded(message) {
      const row = this.row(message);
      if (message.type === "snapshot") {
        if (message.conflated || message.resync) this.readDay();
        else if (message.last_trade && row.last === null) {
          row.last = F.ticksOf(message.last_trade.price);
          row.dirty = true;
        }
      } else if (row.trade(message)) {
        this.activity.add(message.quantity);
        this.chart.touch();
      }
    }

    /** The day so far of every instrument. */
    async readDay() {
      try {
        const days = await CB.overview([...this.rows.keys()]);
        for (const [symbol, day] of days) {
          const row = this.rows.get(symbol);
          if (row) row.day(day);
        }
      } catch (problem) {
        CB.notice("refused", "The day so far could not be read", `${problem.message}. Figures count from now.`);
      }
    }

    draw() {
      const rows = [...this.rows.values()];
      if (!this.synced || rows.some((row) => row.dirty)) {
        this.synced = this.watch.sync(rows.map((row) => this.shownOf(row)));
      }
      this.chart.draw();
    }

    shownOf(row) {
      if (row.dirty || !row.cache) row.cache = row.shown();
      return row.cache;
    }

    /** What a second is soon enough for. */
    slow() {
      this.rows.forEach((row) => row.line());
      const rows = [...this.rows.values()].map((row) => this.shownOf(row));
      const moving = rows.filter((row) => row.percent !== null && row.percent !== 0);
      moving.sort((one, other) => other.percent - one.percent);
      const top = (list) => list.slice(0, 5);
      this.up.sync(top(moving.filter((row) => row.percent > 0)));
      this.down.sync(top(moving.filter((row) => row.percent < 0).reverse()));
      this.figures(rows, moving);
      this.chart.touch();
      this.draw();
      this.showHealth();
    }

    figures(rows, moving) {
      const sum = (values) => values.reduce((total, value) => total + value, 0);
      const rising = moving.filter((row) => row.percent > 0).length;
      const rate = this.activity.rate();
      CB.say("market-open", `${rows.filter((row) => row.state === "open").length} of ${this.listedCount}`);
      CB.say("market-breadth", `▲ ${rising}  ▼ ${moving.length - rising}`);
      CB.say("market-trades", F.quantity(sum(rows.map((row) => row.trades))));
      CB.say("market-volume", F.short(sum(rows.map((row) => row.volume))));
      CB.say("market-turnover", "$" + F.short(Math.round(sum([...this.rows.values()].map((row) => row.turnover)) / F.TICKS)));
      CB.say("market-rate", rate.toFixed(1));
      CB.say("market-messages", F.quantity(CB.feed.rate));
      CB.say("activity-now", `${rate.toFixed(1)} trades/s`);
    }

    async askHealth() {
      if (document.hidden) return;
      try {
        this.health = {ready: await CB.api.ask("GET", "/readyz", undefined, {key: ""})};
      } catch (problem) {
        this.health = {problem};
      }
    }

    showHealth() {
      if (!this.health) return;
      const {ready, problem} = this.health;
      const word = ready ? "Caught up" : problem.status === 503 ? "Behind" : "No answer";
      CB.say("market-exchange", word);
      CB.say("exchange-state", word);
      const list = document.getElementById("exchange-rows");
      if (!list) return;
      const lines = ready ? shardLines(ready) : [["Trouble", problem.message]];
      list.replaceChildren(...lines.map(([term, value, trend]) => pair(term, value, trend)));
    }
  }

  function shardLines(ready) {
    const lines = [];
    for (const shard of ready.shards) {
      const name = ready.shards.length > 1 ? ` of shard ${shard.shard}` : "";
      const behind = (position) => (position === null ? "no answer" : lag(shard.matched - position));
      lines.push([`Commands in the log${name}`, F.quantity(shard.written + 1)]);
      lines.push([`Matcher${name}`, lag(shard.written - shard.matched)]);
      lines.push([`Books (Redis)${name}`, behind(shard.redis)]);
      lines.push([`History (PostgreSQL)${name}`, behind(shard.postgres)]);
    }
    return lines;
  }

  const lag = (batches) => (batches <= 2 ? "✓ caught up" : `${F.quantity(batches)} batches behind`);

  function pair(term, value) {
    const row = document.createElement("div");
    const name = document.createElement("dt");
    const what = document.createElement("dd");
    name.textContent = term;
    what.textContent = value;
    what.className = "cb-num";
    row.append(name, what);
    return row;
  }

  // --- the page ---

  let market = null;

  function open(symbol) {
    sessionStorage.setItem("crossbook.symbol", symbol);
    const link = document.getElementById("nav-trade");
    if (link) link.click();
  }

  /** The symbol of a grid's row at an event. */
  function symbolAt(event) {
    const row = event.target.closest && event.target.closest(".cb-market .ag-row");
    return row ? row.getAttribute("row-id") : null;
  }

  CB.page("market", {
    mount(ends) {
      CB.shownSymbol = null;
      market = new Market();
      const onDouble = (event) => {
        const symbol = symbolAt(event);
        if (symbol) open(symbol);
      };
      const onKey = (event) => {
        if (event.key === "Enter" && symbolAt(event)) open(symbolAt(event));
      };
      const page = document.getElementById("market-page");
      page.addEventListener("dblclick", onDouble);
      page.addEventListener("keydown", onKey);
      market.begin(ends);
    },
    unmount() {
      market = null;
    },
  });

  window.dash_clientside.market = {
    filter(text) {
      const api = market && market.watch.api();
      if (api) api.setGridOption("quickFilterText", text || "");
    },
  };
})(window.Crossbook);
