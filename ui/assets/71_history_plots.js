/* The plots of History: candles, and each analytic out of the rows that /v1/analytics answers. */
(function (CB) {
  "use strict";
  const F = CB.format;

  /** A length of time: "15 min", "4.0 h", "30 days". */
  F.long = function (seconds) {
    if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
    if (seconds < 172800) return `${(seconds / 3600).toFixed(1)} h`;
    return `${Math.round(seconds / 86400)} days`;
  };

  function candles(history) {
    const list = history.candles;
    const {instrument} = history;
    if (!instrument || !list.length) return null;
    const colours = CB.palette();
    const times = list.map((candle) => new Date(candle.begins));
    const numbers = (field) => list.map((candle) => Number(candle[field]));
    const up = list.map((candle) => Number(candle.close) >= Number(candle.open));
    const line = (colour, fill) => ({line: {color: colour, width: 1}, fillcolor: fill});
    const length = history.intervalSeconds * 1000;
    const data = [
      {type: "bar", x: times, y: numbers("volume"), width: length * 0.7, yaxis: "y2", name: "shares", opacity: 0.55, hovertemplate: "%{y:,} shares<extra></extra>",
        marker: {color: up.map((rises) => (rises ? colours.up : colours.down)), line: {width: 0}}},
      {type: "candlestick", x: times, open: numbers("open"), high: numbers("high"), low: numbers("low"), close: numbers("close"),
        increasing: line(colours.up, colours.panel), decreasing: line(colours.down, colours.down), name: history.symbol, whiskerwidth: 0},
      {type: "scatter", mode: "lines", x: times, y: numbers("vwap"), name: "VWAP", line: {color: colours.own, width: 1.4, dash: "dot"},
        hovertemplate: "VWAP %{y:,.4f}<extra></extra>"},
    ];
    const layout = CB.chartLayout({
      uirevision: `${history.symbol} ${history.since} ${history.until}`, dragmode: "pan", hovermode: "x", bargap: 0.3,
      margin: {l: 10, r: 62, t: 8, b: 36},
      xaxis: CB.axis({type: "date", anchor: "free", position: 0, fixedrange: false, rangeslider: {visible: false}, nticks: 9,
        range: [new Date(Math.floor(history.since / length) * length - length / 2), new Date(history.until + length / 2)]}),
      yaxis: CB.axis({side: "right", domain: [0.24, 1], nticks: 7, tickformat: `,.${instrument.decimals}f`}),
      yaxis2: CB.axis({side: "right", domain: [0, 0.18], nticks: 3, rangemode: "tozero", showgrid: false, tickformat: "~s"}),
    });
    return {data, layout};
  }

  const number = (value) => (value === null || value === undefined ? null : Number(value));
  const TICKS = {price: ",.2f", money: "~s", quantity: "~s", percent: ",.2~f", ratio: ",.3~f", bps: ",.2~f"};
  const HOVERS = {price: ",.4f", money: ",.2f", quantity: ",", percent: ",.3f", ratio: ",.4f", bps: ",.3f"};
  const UNITS = {percent: "%", bps: " bp", money: " $"};

  /** One analytic: its rows, its plot, and what its panel says. */
  class Metric {
    constructor(metric, history) {
      this.metric = metric;
      this.history = history;
      this.rows = [];
      this.chart = new CB.Chart(`metric-${metric.name}`, 0, () => this.figure());
    }

    get place() {
      return `metric-${this.metric.name}-empty`;
    }

    wait() {
      this.history.tell(this.place, "Loading", this.metric.title.toLowerCase());
    }

    async load(stale) {
      const {history, metric} = this;
      try {
        const rows = await CB.analytics(metric, history);
        if (stale()) return;
        this.rows = rows;
        history.rows[metric.name] = rows.map((row, at) => ({key: String(at), ...row}));
        const known = rows.some((row) => metric.series.some((series) => number(row[series.field]) !== null));
        history.tell(this.place, known ? "" : "Nothing to measure", known ? "" : "in this range there is nothing that it could be made of");
        if (history.dataset === metric.name) history.showTable();
      } catch (problem) {
        if (stale()) return;
        this.rows = [];
        history.failed(this.place, problem);
      }
      this.sayNow();
      this.chart.touch();
      this.chart.draw();
    }

    /** The newest figure of the first series, where rows are in time. */
    sayNow() {
      const {metric, rows} = this;
      const of = metric.series[0];
      const known = rows.map((row) => number(row[of.field])).filter((value) => value !== null);
      const shown = metric.x === "begins" && known.length ? `${of.name} ${figureText(known[known.length - 1], metric.format)}` : "";
      CB.say(`metric-${metric.name}-now`, shown);
    }

    figure() {
      const {metric, rows} = this;
      const colours = CB.palette();
      const timed = metric.x === "begins";
      const across = metric.series[0].kind === "across";
      const x = rows.map((row) => (timed ? new Date(row[metric.x]) : row[metric.x]));
      const data = metric.series.map((series) => trace(series, x, rows.map((row) => number(row[series.field])), metric, colours));
      if (timed) data.filter((each) => each.type === "bar").forEach((each) => (each.width = this.history.intervalSeconds * 800));
      const value = {nticks: 5, tickformat: TICKS[metric.format], ticksuffix: UNITS[metric.format] === "%" ? "%" : ""};
      const many = metric.series.length > 1;
      const base = {
        margin: {l: across ? 70 : 8, r: across ? 24 : 56, t: many ? 26 : 10, b: 22}, showlegend: many, bargap: 0.2, barmode: "relative",
        legend: {orientation: "h", x: 0, y: 1.16, font: {size: 11, color: colours.text}, bgcolor: "rgba(0,0,0,0)"},
        hovermode: across ? "closest" : "x unified",
      };
      if (across) {
        return {data, layout: CB.chartLayout({...base, xaxis: CB.axis(value), yaxis: CB.axis({showgrid: false, nticks: 8, ...CATEGORY[metric.x]})})};
      }
      const range = timed ? {type: "date", range: [new Date(this.history.since), new Date(this.history.until)]} : {};
      const bars = metric.series.every((series) => series.kind === "bar");
      return {data, layout: CB.chartLayout({...base, xaxis: CB.axis({nticks: 5, showgrid: false, ...range}),
        yaxis: CB.axis({side: "right", rangemode: bars ? "tozero" : "normal", ...value})})};
    }
  }

  const CATEGORY = {symbol: {type: "category", nticks: 20}, price: {tickformat: ",.2f"}};

  function trace(series, x, y, metric, colours) {
    const hover = `${series.name} %{${series.kind === "across" ? "x" : "y"}:${HOVERS[metric.format]}}${UNITS[metric.format] || ""}<extra></extra>`;
    const colour = colours[series.colour];
    if (series.kind === "line") {
      return {type: "scatter", mode: x.length < 3 ? "lines+markers" : "lines", x, y, name: series.name, connectgaps: false,
        line: {color: colour, width: 1.7, dash: series.dash}, hovertemplate: hover};
    }
    const signed = y.map((value) => (value !== null && value < 0 ? colours.down : colour));
    const bars = {type: "bar", name: series.name, marker: {color: signed, line: {width: 0}}, opacity: 0.8, hovertemplate: hover};
    return series.kind === "across" ? {...bars, orientation: "h", x: y, y: x} : {...bars, x, y};
  }

  function figureText(value, format) {
    if (format === "price") return value.toFixed(4);
    if (format === "quantity") return F.short(value);
    if (format === "money") return `$${F.short(Math.round(value))}`;
    return `${value.toFixed(format === "ratio" ? 3 : 2)}${UNITS[format] || ""}`;
  }

  CB.historyPlots = {candles, Metric};

  const MOVERS = 16;

  /** A row of the API: times in ms, prices in dollars, without the units in their names. */
  function rowOf(raw) {
    const row = {};
    for (const [name, value] of Object.entries(raw)) {
      if (name === "begins_ns") row.begins = new Date(Number(BigInt(value) / 1000000n)).toISOString();
      else if (name.endsWith("_ticks")) row[name.slice(0, -6)] = value === null ? null : Number(value) / F.TICKS;
      else row[name] = value;
    }
    if (typeof row.change === "number") row.change_percent = row.change * 100;
    if (typeof row.volatility === "number") row.volatility_percent = row.volatility * 100;
    return row;
  }

  async function ask(history, name, symbol, interval) {
    const query = new URLSearchParams({from: `${history.since}000000`, to: `${history.until}000000`, interval});
    if (symbol) query.set("symbol", symbol);
    const answer = await CB.api.ask("GET", `/v1/analytics/${name}?${query}`, undefined, {key: ""});
    return answer.rows.map(rowOf);
  }

  /** The rows of one analytic over the range of the page. */
  CB.analytics = async function (metric, history) {
    if (metric.name === "volatility") {
      const lengths = history.intervalsFrom(3);
      const found = await Promise.all(lengths.map((every) => ask(history, "volatility", history.symbol, every)));
      return found.flatMap((rows, at) => rows.map((row) => ({every: lengths[at], ...row})));
    }
    const rows = await ask(history, metric.source || metric.name, metric.whole ? null : history.symbol, history.interval);
    return metric.name === "movers" ? rows.filter((row) => row.change).slice(0, MOVERS).reverse() : rows;
  };

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  const has = (params) => params.value !== null && params.value !== undefined;
  functions.cbMoment = (params) => {
    if (!has(params)) return "–";
    const at = new Date(params.value);
    const day = at.toLocaleDateString("en-GB", {day: "2-digit", month: "short"});
    return `${day} ${F.clock(at, true)}`;
  };
  functions.cbAnalyticPrice = (params) => (has(params) ? Number(params.value).toLocaleString("en-US", {minimumFractionDigits: 2, maximumFractionDigits: 4}) : "–");
  functions.cbAnalyticMoney = (params) => (has(params) ? F.short(Math.round(Number(params.value))) : "–");
  functions.cbAnalyticPercent = (params) => (has(params) ? `${Number(params.value).toFixed(3)}%` : "–");
  functions.cbAnalyticRatio = (params) => (has(params) ? Number(params.value).toFixed(4) : "–");
  functions.cbAggressor = (params) => (params.value === "BUY" ? "▲ Buy" : params.value === "SELL" ? "▼ Sell" : "–");
})(window.Crossbook);
