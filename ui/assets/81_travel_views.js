/* What is drawn of a moment of the past: book, surroundings, depth, the queue of a price, the steps around it. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const ROWS = 60;
  const DEPTH_LEVELS = 40;
  const AROUND_STEPS = 120;

  class BookView {
    constructor(travel) {
      this.travel = travel;
      this.grid = new CB.GridRows("travel-book", (row) => row.row, {bars: ["bidQuantity", "askQuantity"]});
    }

    draw(past, decimals) {
      const bids = past.sorted("BUY");
      const asks = past.sorted("SELL");
      const changed = {BUY: new Set(), SELL: new Set()};
      if (past.current) past.current.levels.forEach((change) => changed[change.side].add(change.ticks));
      const full = Math.max(1, ...bids.slice(0, ROWS).map((each) => each.quantity), ...asks.slice(0, ROWS).map((each) => each.quantity));
      const rows = [];
      for (let at = 0; at < Math.min(ROWS, Math.max(bids.length, asks.length)); at += 1) {
        const bid = bids[at];
        const ask = asks[at];
        rows.push({
          row: String(at), decimals, full,
          bid: bid ? bid.ticks : null, bidQuantity: bid ? bid.quantity : 0, bidCount: bid ? bid.count : 0,
          ask: ask ? ask.ticks : null, askQuantity: ask ? ask.quantity : 0, askCount: ask ? ask.count : 0,
          bidChanged: Boolean(bid && changed.BUY.has(bid.ticks)), askChanged: Boolean(ask && changed.SELL.has(ask.ticks)),
        });
      }
      const sum = (levels) => levels.reduce((total, level) => total + level.quantity, 0);
      CB.say("travel-depth", `${F.short(sum(bids))} bid in ${bids.length}, ${F.short(sum(asks))} asked in ${asks.length}`);
      return this.grid.sync(rows);
    }

    /** The side and price of the cell at an event. */
    priceAt(event) {
      const cell = event.target.closest(".ag-cell");
      const row = event.target.closest(".ag-row");
      if (!cell || !row) return null;
      const kept = this.grid.rows.get(row.getAttribute("row-id"));
      const side = cell.getAttribute("col-id").startsWith("bid") ? "BUY" : "SELL";
      const ticks = kept && (side === "BUY" ? kept.bid : kept.ask);
      return ticks ? {side, ticks} : null;
    }
  }

  class QueueView {
    constructor() {
      this.grid = new CB.GridRows("travel-queue", (row) => row.orderId);
      this.chosen = null; // {side, ticks}; null: the best bid
    }

    draw(past, decimals, orderId) {
      const [bid, ask] = past.top();
      const of = this.chosen || (bid !== null ? {side: "BUY", ticks: bid} : ask !== null ? {side: "SELL", ticks: ask} : null);
      const queue = of ? past.queues[of.side].get(of.ticks) || [] : [];
      let ahead = 0;
      const rows = queue.map((order, at) => {
        const row = {
          place: at + 1, orderId: order.orderId, quantity: order.quantity, ahead,
          own: past.own.has(order.orderId) ? "mine" : "", chosen: order.orderId === orderId,
        };
        ahead += order.quantity;
        return row;
      });
      const text = of ? `${of.side === "BUY" ? "bid" : "ask"} ${F.price(of.ticks, decimals)}${this.chosen ? "" : ", the best"}` : "";
      CB.say("travel-queue-of", text);
      const key = of ? `${of.side} ${of.ticks}` : "";
      if (key !== this.shown || !inOrder(this.grid.rows, rows)) this.grid.sync([]);
      this.shown = key;
      return this.grid.sync(rows);
    }
  }

  /** Whether rows that stay keep their order and new ones come last: then a transaction keeps the order too. */
  function inOrder(known, rows) {
    let met = false;
    const before = [...known.keys()].filter((key) => rows.some((row) => row.orderId === key));
    for (const [at, row] of rows.entries()) {
      if (known.has(row.orderId)) {
        if (met || before[at] !== row.orderId) return false;
      } else met = true;
    }
    return true;
  }

  class StepsView {
    constructor(travel) {
      this.travel = travel;
      this.grid = new CB.GridRows("travel-steps", (row) => row.sequence);
    }

    draw(past, decimals) {
      if (past !== this.past || past.steps.length !== this.count || past.base !== this.base) {
        const rows = past.steps.map((step) => ({
          sequence: String(step.sequence), ...CB.tellStep(step, decimals), time: step.tradingTime || step.time, position: step.position,
        }));
        if (past !== this.past) this.grid.sync([]);
        if (!this.grid.sync(rows)) return;
        [this.past, this.count, this.base] = [past, past.steps.length, past.base];
      }
      CB.say("travel-steps-count", past.steps.length ? `${F.quantity(past.done)} of ${F.quantity(past.steps.length)} loaded` : "");
      this.select(past);
    }

    select(past) {
      const api = this.grid.api();
      if (!api) return;
      const key = past.current ? String(past.current.sequence) : null;
      if (key === this.selected && this.selectedOf === past) return;
      this.selected = key;
      this.selectedOf = past;
      api.deselectAll();
      if (key === null) return;
      const node = api.getRowNode(key);
      if (!node) return;
      node.setSelected(true);
      api.ensureNodeVisible(node, this.travel.playing ? "bottom" : "middle");
    }
  }

  /** Best prices and trades by sequence, with a line where the book stands. */
  function aroundFigure(travel) {
    const {past, instrument} = travel;
    if (!past || !instrument) return null;
    const colours = CB.palette();
    const from = Math.max(0, past.done - AROUND_STEPS);
    const upTo = Math.min(past.steps.length, past.done + AROUND_STEPS);
    const steps = past.steps.slice(from, upTo);
    const tops = past.tops.slice(from, upTo);
    const dollars = (ticks) => (ticks === null ? null : ticks / F.TICKS);
    const x = steps.map((step) => step.sequence);
    const line = (side, name, colour) => ({
      type: "scatter", mode: "lines", name, x, y: tops.map((top) => dollars(top[side])), connectgaps: false,
      line: {color: colour, width: 1.6, shape: "hv"}, hovertemplate: `${name} %{y:,.${instrument.decimals}f}<extra></extra>`,
    });
    const trades = (side, name, symbol, colour) => {
      const list = steps.flatMap((step) => step.trades.filter((trade) => trade.aggressorSide === side).map((trade) => ({...trade, sequence: step.sequence})));
      const largest = Math.max(1, ...list.map((trade) => trade.quantity));
      return {
        type: "scatter", mode: "markers", name, x: list.map((trade) => trade.sequence), y: list.map((trade) => dollars(trade.ticks)),
        customdata: list.map((trade) => F.quantity(trade.quantity)),
        marker: {symbol, color: colour, size: list.map((trade) => 6 + 8 * Math.sqrt(trade.quantity / largest)), line: {color: colours.panel, width: 1}},
        hovertemplate: `${name} %{customdata} at %{y:,.${instrument.decimals}f}<extra></extra>`,
      };
    };
    const data = [line(0, "bid", colours.up), line(1, "ask", colours.down),
      trades("BUY", "bought", "triangle-up", colours.up), trades("SELL", "sold", "triangle-down", colours.down)];
    const layout = CB.chartLayout({
      margin: {l: 8, r: 62, t: 8, b: 22}, hovermode: "x",
      xaxis: CB.axis({nticks: 8, tickformat: ",d", range: x.length ? [x[0] - 1, x[x.length - 1] + 1] : undefined, showgrid: false}),
      yaxis: CB.axis({side: "right", nticks: 5, tickformat: `,.${instrument.decimals}f`}),
      shapes: [{type: "line", xref: "x", yref: "paper", x0: past.sequence, x1: past.sequence, y0: 0, y1: 1, line: {color: colours.own, width: 2}}],
    });
    return {data, layout};
  }

  function depthFigure(travel) {
    const {past, instrument} = travel;
    if (!past || !instrument) return null;
    const colours = CB.palette();
    const side = (levels, colour, soft, name) => {
      let sum = 0;
      const shown = levels.slice(0, DEPTH_LEVELS);
      return {
        type: "scatter", mode: "lines", name, fill: "tozeroy", fillcolor: soft, line: {color: colour, width: 1.5, shape: "hv"},
        x: shown.map((level) => level.ticks / F.TICKS), y: shown.map((level) => (sum += level.quantity)),
        hovertemplate: `%{y:,} ${name} to here<extra></extra>`,
      };
    };
    const data = [side(past.sorted("BUY"), colours.up, colours.upSoft, "bid"), side(past.sorted("SELL"), colours.down, colours.downSoft, "asked")];
    const total = (trace) => (trace.y.length ? trace.y[trace.y.length - 1] : 0);
    const all = total(data[0]) + total(data[1]);
    CB.say("travel-balance", all ? `bids ${Math.round((100 * total(data[0])) / all)}% of ${F.short(all)}` : "");
    return {
      data,
      layout: CB.chartLayout({
        margin: {l: 8, r: 44, t: 8, b: 22}, hovermode: "closest",
        xaxis: CB.axis({showgrid: false, nticks: 5, tickformat: `,.${instrument.decimals}f`}),
        yaxis: CB.axis({side: "right", nticks: 4, rangemode: "tozero", tickformat: "~s"}),
      }),
    };
  }

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.cbTravelPrice = (params) =>
    params.value === null || params.value === undefined ? "" : F.price(params.value, params.data && params.data.decimals);

  CB.travelViews = {BookView, QueueView, StepsView, aroundFigure, depthFigure};
})(window.Crossbook);
