/* Trade: the page around one instrument. Its book, trades, status and the account's executions come by the stream. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const SYMBOL = "crossbook.symbol";
  const HISTORY = 1000;
  const set = (id, props) => window.dash_clientside.set_props(id, props);

  /** The day's figures of one instrument: those of the history, and the stream's trades after them. */
  class Day {
    constructor() {
      this.first = this.last = this.high = this.low = null;
      this.volume = this.turnover = this.counted = 0;
      this.recent = [];
    }

    begin(day) {
      const {recent} = this;
      Object.assign(this, day, {counted: day.matchNumber});
      recent.forEach((trade) => this.count(trade));
    }

    add(trade) {
      this.recent.push(trade);
      if (this.recent.length > 2000) this.recent.shift();
      this.count(trade);
    }

    count(trade) {
      if (trade.number <= this.counted) return;
      this.counted = trade.number;
      this.last = trade.ticks;
      if (this.first === null) this.first = trade.ticks;
      this.high = this.high === null ? trade.ticks : Math.max(this.high, trade.ticks);
      this.low = this.low === null ? trade.ticks : Math.min(this.low, trade.ticks);
      this.volume += trade.quantity;
      this.turnover += trade.ticks * trade.quantity;
    }
  }

  class Trade {
    constructor() {
      this.symbol = null;
      this.instrument = null;
      this.instruments = new Map();
      this.book = null;
      this.day = new Day();
      this.own = {buy: new Map(), sell: new Map()};
      this.armed = false;
      this.limits = null;
      this.gone = false;
      this.ladder = new CB.Ladder(this);
      this.candles = new CB.Candles(this);
      this.depth = new CB.Depth(this);
      this.tape = new CB.Tape(this);
      this.account = new CB.Account(this);
      this.ticket = new CB.Ticket(this);
      this.left = [];
    }

    async begin(ends) {
      ends(() => {
        this.gone = true;
        this.leave();
      });
      const instruments = await CB.untilInstruments(() => this.gone, (problem) =>
        CB.notice("refused", "The instruments cannot be read", `${problem.message}. They are asked for again.`));
      if (!instruments || this.gone) return;
      this.instruments = instruments;
      const symbols = [...this.instruments.keys()].sort();
      set("trade-symbol", {data: symbols});
      this.ladder.mount(ends);
      this.account.mount(ends);
      this.ticket.mount(ends);
      ends(CB.feed.onFlush(() => this.draw()));
      const timer = setInterval(() => this.second(), 1000);
      ends(() => clearInterval(timer));
      const stored = new URLSearchParams(location.search).get("symbol") || sessionStorage.getItem(SYMBOL);
      const symbol = this.instruments.has(stored) ? stored : symbols[0];
      if (symbol) set("trade-symbol", {value: symbol});
      this.choose(symbol);
    }

    leave() {
      this.left.forEach((end) => end());
      this.left = [];
    }

    /** Show another instrument. */
    choose(symbol) {
      if (!this.instruments.has(symbol) || symbol === this.symbol) return;
      this.leave();
      sessionStorage.setItem(SYMBOL, symbol);
      this.symbol = symbol;
      this.instrument = this.instruments.get(symbol);
      this.state = this.instrument.state;
      this.day = new Day();
      CB.shownSymbol = symbol;
      [this.ladder, this.candles, this.tape].forEach((part) => part.clear());
      this.ticket.edit(null);
      set("ticket-price", {step: this.instrument.tick / F.TICKS, decimalScale: this.instrument.decimals, fixedDecimalScale: true, value: ""});
      set("ticket-quantity", {step: this.instrument.lot});
      this.priced = false;
      const feed = CB.feed;
      this.left.push(
        feed.subscribe("level2", [symbol], () => this.depth.chart.touch()),
        feed.subscribe("trades", [symbol], (message) => this.traded(message)),
        feed.subscribe("status", [symbol], (message) => (this.state = message.state)),
        feed.subscribe("orders", [symbol], (message) => message.changes && this.account.noted(message.changes)),
      );
      this.book = feed.books.get(symbol);
      this.account.changed();
      this.history(symbol);
      this.depth.chart.touch();
      feed.touch();
    }

    /** What was before this page came: the day, the last trades, candles. */
    async history(symbol) {
      try {
        const [day, answer] = await Promise.all([CB.dayOf(symbol), CB.api.trades(symbol, HISTORY)]);
        if (symbol !== this.symbol || this.gone) return;
        const trades = answer.trades.map(CB.tradeOf);
        this.day.begin(day);
        this.tape.begin(trades);
        this.candles.begin(trades);
        await this.candles.load();
        CB.feed.touch();
      } catch (problem) {
        CB.notice("refused", "What was before could not be read", `${problem.message}. Chart and figures begin now.`);
      }
    }

    traded(message) {
      if (message.type === "snapshot") {
        if (message.conflated || message.resync) this.history(this.symbol);
        if (message.last_trade && this.day.last === null) this.day.last = F.ticksOf(message.last_trade.price);
        return;
      }
      const trade = CB.tradeOf(message);
      this.day.add(trade);
      this.candles.add(trade);
      this.tape.add(trade);
    }

    get last() {
      return this.day.last;
    }

    draw() {
      if (!this.instrument) return;
      this.ladder.draw();
      this.tape.draw();
      this.figures();
      if (this.last !== null) this.account.mark(this.symbol, this.last);
      this.account.draw();
      this.ticket.draw(false);
      this.depth.chart.draw();
      this.candles.chart.draw();
    }

    second() {
      this.depth.chart.draw();
      this.candles.chart.draw();
      const recent = this.candles.trades.filter((trade) => Date.now() - trade.at < 60000).length;
      CB.say("tape-rate", `${recent} in the last minute`);
    }

    figures() {
      const {book, instrument, day} = this;
      const places = instrument.decimals;
      const bid = book && book.bids.best()[0];
      const ask = book && book.asks.best()[0];
      const moved = day.last === null || day.first === null ? null : day.last - day.first;
      CB.sayChange("trade-last", moved || 0, F.price(day.last, places));
      CB.sayChange("trade-change", moved || 0, moved === null ? "–"
        : `${F.change(moved, F.price(Math.abs(moved), places))} (${Math.abs((moved / day.first) * 100).toFixed(2)}%)`);
      CB.say("trade-bid", bid ? `${F.price(bid.ticks, places)} × ${F.quantity(bid.quantity)}` : "–");
      CB.say("trade-ask", ask ? `${F.price(ask.ticks, places)} × ${F.quantity(ask.quantity)}` : "–");
      CB.say("trade-spread", bid && ask ? F.price(ask.ticks - bid.ticks, places) : "–");
      CB.say("trade-high", F.price(day.high, places));
      CB.say("trade-low", F.price(day.low, places));
      CB.say("trade-vwap", day.volume ? F.price(day.turnover / day.volume, places) : "–");
      CB.say("trade-volume", F.short(day.volume));
      CB.say("trade-terms", `${F.price(instrument.tick, places)} / ${F.quantity(instrument.lot)}`);
      CB.say("trade-state", (this.state || "–").replaceAll("_", " "));
      if (!this.priced && (bid || ask)) {
        this.priced = true;
        if (this.ticket.values.price === "") this.ticket.fill({price: bid ? bid.ticks : ask.ticks});
      }
    }
  }

  CB.page("trade", {
    mount(ends) {
      CB.trade = new Trade();
      CB.trade.begin(ends);
    },
    unmount() {
      CB.shownSymbol = null;
      CB.trade = null;
    },
    keys: {
      b: () => set("ticket-side", {value: "buy"}),
      s: () => set("ticket-side", {value: "sell"}),
      l: () => set("ticket-type", {value: "limit"}),
      m: () => set("ticket-type", {value: "market"}),
      q: () => CB.trade.ticket.focus("ticket-quantity"),
      p: () => CB.trade.ticket.focus("ticket-price"),
      c: () => document.getElementById("ladder-armed").click(),
      r: () => CB.trade.ladder.recentre(),
      X: () => CB.trade.account.askCancelAll(),
      "Ctrl+Enter": () => CB.trade.ticket.send(),
      Escape: () => {
        CB.trade.ladder.drop();
        if (CB.trade.ticket.replacing) CB.trade.ticket.edit(null);
      },
    },
  });

  window.dash_clientside.trade = {
    choose: (symbol) => CB.trade && CB.trade.choose(symbol),
    arm(armed) {
      if (CB.trade) CB.trade.armed = Boolean(armed);
      return armed ? "cb-ladder-frame cb-armed" : "cb-ladder-frame";
    },
    interval: (value) => CB.trade && CB.trade.candles.choose(value),
    showing(value) {
      if (!CB.trade) return;
      CB.trade.account.shown = value;
      CB.trade.account.changed();
    },
    typed: (...values) => CB.trade && CB.trade.ticket.typed(...values),
  };
})(window.Crossbook);
