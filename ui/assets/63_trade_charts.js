/* Candles with volume and VWAP, the depth chart, and the tape. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const SECONDS = {"10s": 10, "1m": 60, "5m": 300, "15m": 900, "1h": 3600, "1d": 86400};
  const TRADES_MAX = 20000;
  const CANDLES_MAX = 300;
  const TAPE_ROWS = 60;
  const DEPTH_LEVELS = 60;

  /** Candles of one instrument and length: those of the history, and the stream's trades after them. */
  class Candles {
    constructor(trade) {
      this.trade = trade;
      this.interval = "1m";
      this.chart = new CB.Chart("candles", 1000, () => this.figure());
      this.clear();
    }

    clear() {
      this.trades = []; // {number, at (ms), ticks, quantity}, oldest first: those that are known one by one
      this.list = [];
      this.counted = 0; // the last match in the list of candles
      this.chart.touch();
    }

    /** The last trades, newest first, as the API has them; those of the stream follow. */
    begin(newestFirst) {
      const later = this.trades;
      const newest = newestFirst.length ? newestFirst[0].number : 0;
      this.trades = [...newestFirst].reverse().concat(later.filter((trade) => trade.number > newest));
      if (this.interval === "10s") this.rebuild([]);
    }

    /** Count one trade of the stream. */
    add(trade) {
      const last = this.trades[this.trades.length - 1];
      if (last && trade.number <= last.number) return;
      this.trades.push(trade);
      if (this.trades.length > TRADES_MAX) this.trades.splice(0, TRADES_MAX / 4);
      this.put(trade);
    }

    put(trade) {
      if (trade.number <= this.counted) return;
      this.counted = trade.number;
      const length = SECONDS[this.interval] * 1000;
      const begins = Math.floor(trade.at / length) * length;
      let candle = this.list[this.list.length - 1];
      if (!candle || begins > candle.begins) {
        candle = {begins, open: trade.ticks, high: trade.ticks, low: trade.ticks, close: trade.ticks, volume: 0, turnover: 0};
        this.list.push(candle);
        if (this.list.length > CANDLES_MAX) this.list.shift();
      }
      candle.high = Math.max(candle.high, trade.ticks);
      candle.low = Math.min(candle.low, trade.ticks);
      candle.close = trade.ticks;
      candle.volume += trade.quantity;
      candle.turnover += trade.ticks * trade.quantity;
      this.chart.touch();
    }

    /** Begin with candles of the history, and count on from their last match. */
    rebuild(candles) {
      this.list = candles;
      this.counted = candles.length ? candles[candles.length - 1].matchNumber : 0;
      this.trades.forEach((trade) => this.put(trade));
      this.chart.touch();
      CB.feed.touch();
    }

    /** Read the candles of this interval; 10 s are made of the last trades alone. */
    async load() {
      const {symbol} = this.trade;
      const {interval} = this;
      const candles = interval === "10s" ? [] : await CB.candlesOf(symbol, interval, CANDLES_MAX);
      if (symbol === this.trade.symbol && interval === this.interval) this.rebuild(candles);
    }

    choose(interval) {
      if (!SECONDS[interval] || interval === this.interval) return;
      this.interval = interval;
      this.list = [];
      this.counted = Infinity; // until its candles are here
      this.load().catch((problem) => CB.notice("refused", "The candles could not be read", problem.message));
    }

    /** Volume-weighted average price so far at the end of each candle. */
    averages() {
      let volume = 0;
      let turnover = 0;
      return this.list.map((candle) => {
        volume += candle.volume;
        turnover += candle.turnover;
        return turnover / volume / F.TICKS;
      });
    }

    figure() {
      const empty = document.getElementById("candles-empty");
      if (empty) empty.hidden = this.list.length > 0;
      if (!this.list.length) return CB.noFigure();
      const colours = CB.palette();
      const times = this.list.map((candle) => new Date(candle.begins));
      const dollars = (name) => this.list.map((candle) => candle[name] / F.TICKS);
      const decimals = this.trade.instrument ? this.trade.instrument.decimals : 2;
      const length = SECONDS[this.interval] * 1000;
      const last = this.list.length ? this.list[this.list.length - 1].begins : Date.now();
      const shown = Math.max(30, Math.min(90, this.list.length + 3));
      const layout = CB.chartLayout({
        uirevision: `${this.trade.symbol} ${this.interval}`, dragmode: "pan", hovermode: "x", bargap: 0.3,
        margin: {l: 8, r: 62, t: 6, b: 20},
        xaxis: CB.axis({type: "date", fixedrange: false, rangeslider: {visible: false}, anchor: "y2", nticks: 8, showgrid: true,
          range: [new Date(last - shown * length), new Date(last + 2 * length)]}),
        yaxis: CB.axis({side: "right", domain: [0.22, 1], nticks: 7, tickformat: `,.${decimals}f`}),
        yaxis2: CB.axis({side: "right", domain: [0, 0.17], nticks: 3, rangemode: "tozero", showgrid: false, tickformat: "~s"}),
      });
      return {data: [this.bars(times, colours), this.sticks(times, dollars, colours), this.average(times, colours)], layout};
    }

    bars(times, colours) {
      const up = this.list.map((candle) => candle.close >= candle.open);
      return {type: "bar", x: times, y: this.list.map((candle) => candle.volume), yaxis: "y2", name: "volume",
        marker: {color: up.map((rises) => (rises ? colours.up : colours.down)), line: {width: 0}}, opacity: 0.55,
        hovertemplate: "volume %{y:,}<extra></extra>"};
    }

    sticks(times, dollars, colours) {
      const line = (colour, fill) => ({line: {color: colour, width: 1}, fillcolor: fill});
      return {type: "candlestick", x: times, open: dollars("open"), high: dollars("high"), low: dollars("low"),
        close: dollars("close"), increasing: line(colours.up, colours.panel), decreasing: line(colours.down, colours.down),
        name: this.trade.symbol, whiskerwidth: 0};
    }

    average(times, colours) {
      return {type: "scatter", mode: "lines", x: times, y: this.averages(), line: {color: colours.own, width: 1.4, dash: "dot"},
        name: "VWAP", hovertemplate: "VWAP %{y:,.4f}<extra></extra>"};
    }
  }

  /** Cumulative quantity by price, around the middle. */
  class Depth {
    constructor(trade) {
      this.trade = trade;
      this.chart = new CB.Chart("depth", 1000, () => this.figure());
    }

    side(levels, colour, soft, name) {
      const x = [];
      const y = [];
      let sum = 0;
      for (const level of levels.slice(0, DEPTH_LEVELS)) {
        sum += level.quantity;
        x.push(level.ticks / F.TICKS);
        y.push(sum);
      }
      return {type: "scatter", mode: "lines", x, y, name, fill: "tozeroy", fillcolor: soft,
        line: {color: colour, width: 1.5, shape: "hv"}, hovertemplate: `%{y:,} ${name} to here<extra></extra>`};
    }

    figure() {
      const {book, instrument, symbol} = this.trade;
      if (!book || !instrument) return null;
      const bids = book.bids.best();
      const asks = book.asks.best();
      const empty = document.getElementById("depth-empty");
      if (empty) empty.hidden = book.sequence === null || bids.length + asks.length > 0;
      if (!bids.length && !asks.length) return CB.noFigure();
      const colours = CB.palette();
      const data = [this.side(bids, colours.up, colours.upSoft, "bid"), this.side(asks, colours.down, colours.downSoft, "ask")];
      const total = (trace) => (trace.y.length ? trace.y[trace.y.length - 1] : 0);
      const share = total(data[0]) + total(data[1]) ? total(data[0]) / (total(data[0]) + total(data[1])) : null;
      CB.say("depth-balance", share === null ? "" : `bids ${Math.round(share * 100)}% of ${F.short(total(data[0]) + total(data[1]))}`);
      const layout = CB.chartLayout({
        uirevision: symbol, margin: {l: 8, r: 62, t: 6, b: 20},
        xaxis: CB.axis({showgrid: false, nticks: 8, tickformat: `,.${instrument.decimals}f`, range: this.range(bids, asks)}),
        yaxis: CB.axis({side: "right", nticks: 4, rangemode: "tozero", tickformat: "~s"}),
      });
      return {data, layout};
    }

    /** The same distance to both sides of the middle. */
    range(bids, asks) {
      if (!bids.length || !asks.length) return undefined;
      const middle = (bids[0].ticks + asks[0].ticks) / 2;
      const end = (levels) => Math.abs(levels[Math.min(levels.length, DEPTH_LEVELS) - 1].ticks - middle);
      const reach = Math.max(end(bids), end(asks)) || this.trade.instrument.tick;
      const rounded = Math.ceil(reach / (10 * this.trade.instrument.tick)) * 10 * this.trade.instrument.tick;
      return [(middle - rounded) / F.TICKS, (middle + rounded) / F.TICKS];
    }
  }

  /** The last trades, newest first. */
  class Tape {
    constructor(trade) {
      this.trade = trade;
      this.grid = new CB.GridRows("tape", (row) => row.key);
      this.clear();
    }

    clear() {
      this.rows = [];
      this.dirty = true;
    }

    begin(newestFirst) {
      this.rows = newestFirst.slice(0, TAPE_ROWS).map((trade) => this.row(trade));
      this.dirty = true;
    }

    add(trade) {
      if (this.rows.length && trade.number <= this.rows[0].number) return;
      this.rows.unshift(this.row(trade));
      this.rows.length = Math.min(this.rows.length, TAPE_ROWS);
      this.dirty = true;
    }

    row(trade) {
      const decimals = this.trade.instrument.decimals;
      return {key: String(trade.number), number: trade.number, time: trade.time, price: trade.ticks, quantity: trade.quantity, side: trade.side, decimals};
    }

    draw() {
      if (this.dirty && this.grid.sync(this.rows)) this.dirty = false;
    }
  }

  /** A trade of the API or the stream. */
  CB.tradeOf = (message) => ({
    number: Number(message.match_number), time: message.time, at: Date.parse(message.time),
    ticks: F.ticksOf(message.price), quantity: message.quantity, side: message.aggressor_side,
  });
  CB.Candles = Candles;
  CB.Depth = Depth;
  CB.Tape = Tape;
})(window.Crossbook);
