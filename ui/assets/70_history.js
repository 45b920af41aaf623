/* History: the range that is looked at, what is asked of it, and what of it is shown. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const SPANS = {"15m": 900, "1h": 3600, "4h": 14400, "1d": 86400, "7d": 604800, "30d": 2592000};
  const INTERVALS = {"1m": 60, "5m": 300, "15m": 900, "30m": 1800, "1h": 3600, "4h": 14400, "1d": 86400};
  const NAMES = {"1m": "M1", "5m": "M5", "15m": "M15", "30m": "M30", "1h": "H1", "4h": "H4", "1d": "D1"};
  const CANDLES_WANTED = 240; // of an automatic interval
  const CANDLES_MAX = 1000;
  const TRADES_A_PAGE = 500;
  const ROWS_MAX = 20000;
  const AT_ONCE = 4; // requests for analytics
  const SOON_MS = 60;
  const DRAW_MS = 200; // plots that changed, or whose panel was not there yet

  const CANDLES = `query($symbol: String!, $interval: CandleInterval!, $since: Time, $until: Time, $first: Int!) {
    candles(symbol: $symbol, interval: $interval, since: $since, until: $until, first: $first) {
      begins open high low close volume turnover tradeCount vwap
    }
  }`;
  const TRADES = `query($symbol: String!, $first: Int!, $after: String, $filter: TradeFilter) {
    trades(symbol: $symbol, first: $first, after: $after, filter: $filter) {
      pageInfo { hasNextPage endCursor }
      edges { node { time tradingTime price quantity aggressorSide matchNumber position } }
    }
  }`;

  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const iso = (ms) => new Date(ms).toISOString();
  /** Milliseconds as a date picker has them: local, without a zone. */
  const pickerText = (ms) => {
    const at = new Date(ms);
    const two = (value) => String(value).padStart(2, "0");
    return `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())} ${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  };
  const pickerMs = (text) => (text ? new Date(text.replace(" ", "T")).getTime() : null);

  class History {
    constructor(data) {
      this.data = data;
      this.symbol = null;
      this.preset = "1h";
      this.since = this.until = null; // milliseconds
      this.every = "auto";
      this.dataset = "trades";
      this.rows = {}; // of each table that was loaded
      this.asked = 0;
      this.candles = [];
      this.chart = new CB.Chart("history-candles", 0, () => CB.historyPlots.candles(this));
      this.metrics = data.metrics.map((metric) => new CB.historyPlots.Metric(metric, this));
    }

    async mount(ends) {
      ends(() => {
        this.gone = true;
        clearTimeout(this.soon);
      });
      const timer = setInterval(() => this.redraw(), DRAW_MS);
      ends(() => clearInterval(timer));
      document.getElementById("history-refresh").addEventListener("click", () => this.load());
      document.getElementById("history-page").addEventListener("click", (event) => {
        const wanted = event.target.closest("[data-dataset]");
        if (wanted) set("history-dataset", {value: wanted.dataset.dataset});
        const again = event.target.closest("[data-again]");
        if (again) this.load();
      });
      const table = document.querySelector(".cb-history-table-panel");
      table.addEventListener("dblclick", (event) => this.travelTo(event));
      table.addEventListener("scroll", (event) => this.scrolled(event.target), true);
      let instruments;
      try {
        instruments = await CB.instruments();
      } catch (problem) {
        this.tell("history-candles-empty", "Nothing can be shown", problem.message);
        return;
      }
      if (this.gone) return;
      const symbols = [...instruments.keys()];
      const wanted = (this.data.symbol || sessionStorage.getItem("crossbook.symbol") || "").toUpperCase();
      set("history-symbol", {data: symbols, value: instruments.has(wanted) ? wanted : symbols[0]});
    }

    // --- what is chosen ---

    async choose(symbol) {
      if (!symbol || symbol === this.symbol) return;
      this.symbol = symbol;
      sessionStorage.setItem("crossbook.symbol", symbol);
      this.instrument = (await CB.instruments()).get(symbol);
      this.loadSoon();
    }

    choosePreset(preset) {
      if (preset === this.preset) return;
      this.preset = preset;
      if (preset !== "own") this.loadSoon();
    }

    /** A time picked by hand. What the page put there itself is no choice. */
    pick(end, text) {
      const ms = pickerMs(text);
      if (ms === null || Number.isNaN(ms) || text === this[`${end}Shown`]) return;
      this[end] = ms;
      this[`${end}Shown`] = text;
      this.preset = "own";
      set("history-preset", {value: "own"});
      if (this.since !== null && this.until !== null && this.since >= this.until) {
        CB.notice("refused", "No such range", "The range must begin before it ends.");
        return;
      }
      this.loadSoon();
    }

    chooseEvery(every) {
      if (every === this.every) return;
      this.every = every;
      this.loadSoon();
    }

    chooseDataset(dataset) {
      if (!dataset || dataset === this.dataset) return;
      this.dataset = dataset;
      this.showTable();
    }

    loadSoon() {
      clearTimeout(this.soon);
      this.soon = setTimeout(() => this.symbol && !this.gone && this.load(), SOON_MS);
    }

    /** Fix the range: a preset ends now. */
    async setRange() {
      if (this.preset !== "own") {
        this.until = Date.now();
        if (this.preset === "all") {
          const days = await this.askCandles("1d", null, null, CANDLES_MAX);
          this.since = days.length ? new Date(days[0].begins).getTime() : this.until - 3600000;
        } else this.since = this.until - SPANS[this.preset] * 1000;
      }
      for (const end of ["since", "until"]) {
        if (this[end] === null) this[end] = end === "until" ? Date.now() : (this.until || Date.now()) - 3600000;
        this[`${end}Shown`] = pickerText(this[end]);
        set(`history-${end}`, {value: this[`${end}Shown`]});
      }
      const seconds = (this.until - this.since) / 1000;
      const fitting = Object.entries(INTERVALS).find(([, each]) => seconds / each <= CANDLES_WANTED);
      this.interval = this.every === "auto" ? (fitting ? fitting[0] : "1d") : this.every;
    }

    get intervalSeconds() {
      return INTERVALS[this.interval];
    }

    /** The chosen interval and the next longer ones, `count` in all, that fit the range twice. */
    intervalsFrom(count) {
      const names = Object.keys(INTERVALS);
      const longer = names.slice(names.indexOf(this.interval)).filter((name) => INTERVALS[name] * 2000 <= this.until - this.since);
      return longer.length ? longer.slice(0, count) : [this.interval];
    }

    // --- asking ---

    async load() {
      const asked = (this.asked += 1);
      const stale = () => asked !== this.asked || this.gone;
      this.rows = {};
      this.tell("history-candles-empty", "Loading", "candles of the range");
      this.metrics.forEach((metric) => metric.wait());
      this.showTable();
      try {
        await this.setRange();
        if (stale()) return;
        this.candles = await this.askCandles(this.interval, this.since, this.until, CANDLES_MAX);
      } catch (problem) {
        if (!stale()) this.failed("history-candles-empty", problem);
        return;
      }
      if (stale()) return;
      this.shown();
      await Promise.all([this.loadTrades(stale), this.loadMetrics(stale)]);
    }

    async askCandles(interval, since, until, first) {
      const variables = {symbol: this.symbol, interval: NAMES[interval], first, since: since && iso(since), until: until && iso(until)};
      return (await CB.api.graphql(CANDLES, variables, {key: ""})).candles;
    }

    shown() {
      const {candles} = this;
      this.rows.candles = candles.map((candle) => ({key: candle.begins, ...candle})).reverse();
      this.tell("history-candles-empty", candles.length ? "" : "No trades in this range",
        candles.length ? "" : "Choose a longer one, or another symbol.");
      CB.say("history-candles-note", `${F.quantity(candles.length)} candles of ${this.interval}${candles.length >= CANDLES_MAX ? ", the newest that fit" : ""}`);
      this.figures();
      this.chart.touch();
      this.redraw();
      if (this.dataset === "candles") this.showTable();
    }

    figures() {
      const {candles} = this;
      const decimals = this.instrument.decimals;
      const price = (text) => F.price(text === null ? null : F.ticksOf(text), decimals);
      const first = candles[0];
      const last = candles[candles.length - 1];
      const sum = (field) => candles.reduce((total, candle) => total + Number(candle[field]), 0);
      const ticks = (field) => candles.map((candle) => F.ticksOf(candle[field]));
      const volume = sum("volume");
      const change = first ? F.ticksOf(last.close) - F.ticksOf(first.open) : 0;
      CB.say("history-open", first ? price(first.open) : "–");
      CB.say("history-high", first ? F.price(Math.max(...ticks("high")), decimals) : "–");
      CB.say("history-low", first ? F.price(Math.min(...ticks("low")), decimals) : "–");
      CB.say("history-close", first ? price(last.close) : "–");
      const share = first ? ` (${Math.abs((100 * change) / F.ticksOf(first.open)).toFixed(2)}%)` : "";
      CB.sayChange("history-change", change, first ? F.change(change, F.price(Math.abs(change), decimals)) + share : "–");
      CB.say("history-vwap", volume ? (sum("turnover") / volume).toFixed(4) : "–");
      CB.say("history-volume", F.short(volume));
      CB.say("history-turnover", `$${F.short(Math.round(sum("turnover")))}`);
      CB.say("history-trades", F.quantity(sum("tradeCount")));
      CB.say("history-range", F.long((this.until - this.since) / 1000));
    }

    async loadTrades(stale) {
      this.after = null;
      this.rows.trades = [];
      await this.nextTrades(stale);
    }

    async nextTrades(stale) {
      const filter = {since: iso(this.since), until: iso(this.until)};
      this.reading = true;
      try {
        const variables = {symbol: this.symbol, first: TRADES_A_PAGE, after: this.after, filter};
        const page = (await CB.api.graphql(TRADES, variables, {key: ""})).trades;
        if (stale()) return;
        const rows = page.edges.map(({node}) => ({key: node.matchNumber, ...node}));
        this.rows.trades = [...this.rows.trades, ...rows];
        this.after = page.pageInfo.hasNextPage ? page.pageInfo.endCursor : null;
        if (this.dataset === "trades") this.showTable();
      } catch (problem) {
        if (!stale() && this.dataset === "trades") this.failed("history-table-empty", problem);
      } finally {
        this.reading = false;
      }
    }

    /** The next page of trades when the table is scrolled to its end. */
    scrolled(element) {
      const near = element.scrollTop + element.clientHeight > element.scrollHeight - 400;
      if (!near || this.dataset !== "trades" || !this.after || this.reading || this.rows.trades.length >= ROWS_MAX) return;
      const asked = this.asked;
      this.nextTrades(() => asked !== this.asked || this.gone);
    }

    async loadMetrics(stale) {
      const waiting = [...this.metrics];
      const one = async () => {
        while (waiting.length && !stale()) await waiting.shift().load(stale);
      };
      await Promise.all(Array.from({length: AT_ONCE}, one));
    }

    // --- showing ---

    redraw() {
      this.chart.draw();
      this.metrics.forEach((metric) => metric.chart.draw());
    }

    /** Say something in the place of a plot; nothing where `title` is empty. */
    tell(id, title, text) {
      const place = document.getElementById(id);
      if (!place) return;
      place.hidden = !title;
      place.querySelector("strong").textContent = title;
      place.querySelector("span").textContent = text;
    }

    failed(id, problem) {
      this.tell(id, "It could not be read", `${problem.message}. Press “Ask again”.`);
    }

    showTable() {
      const rows = this.rows[this.dataset];
      const fields = this.data.columns[this.dataset];
      const decimals = this.instrument ? this.instrument.decimals : 2;
      set("history-table", {columnDefs: fields, rowData: (rows || []).map((row) => ({...row, decimals}))});
      if (!rows) this.tell("history-table-empty", "Loading", "rows of the range");
      else this.tell("history-table-empty", rows.length ? "" : "Nothing in this range", "Choose a longer one.");
    }

    /** A double click on a trade goes to the book at that moment. */
    travelTo(event) {
      const row = event.target.closest(".ag-row");
      if (!row || this.dataset !== "trades") return;
      const trade = this.rows.trades.find((each) => each.key === row.getAttribute("row-id"));
      const link = document.getElementById("nav-travel");
      if (!trade || !link) return;
      sessionStorage.setItem("crossbook.travel", JSON.stringify({symbol: this.symbol, time: trade.tradingTime || trade.time}));
      link.click();
    }

    exported(kind) {
      if (!this.symbol || this.since === null) return window.dash_clientside.no_update;
      return {
        dataset: this.dataset, kind, symbol: this.symbol, since: iso(this.since), until: iso(this.until),
        interval: this.interval, candles: NAMES[this.interval], at: Date.now(),
      };
    }
  }

  let history = null;

  CB.page("history", {
    mount(ends, data) {
      CB.shownSymbol = null;
      history = new History(data);
      history.mount(ends);
    },
    unmount() {
      history = null;
    },
    keys: {r: () => history.load()},
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.history = {
    symbol: (value) => void (history && history.choose(value)),
    preset: (value) => void (history && history.choosePreset(value)),
    since: (value) => void (history && history.pick("since", value)),
    until: (value) => void (history && history.pick("until", value)),
    interval: (value) => void (history && history.chooseEvery(value)),
    dataset: (value) => void (history && history.chooseDataset(value)),
    export_csv: (clicks) => (history && clicks ? history.exported("csv") : window.dash_clientside.no_update),
    export_parquet: (clicks) => (history && clicks ? history.exported("parquet") : window.dash_clientside.no_update),
  };
})(window.Crossbook);
