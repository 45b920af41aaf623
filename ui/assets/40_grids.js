/* What AG Grid columns name in Python: formatters, cell classes and small renderers. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  const components = (window.dashAgGridComponentFunctions = window.dashAgGridComponentFunctions || {});
  const has = (params) => params.value !== null && params.value !== undefined;

  functions.cbPrice = (params) => (has(params) ? F.price(params.value, params.data && params.data.decimals) : "–");
  functions.cbQuantity = (params) => (has(params) ? F.quantity(params.value) : "–");
  functions.cbBlank = (params) => (params.value ? F.quantity(params.value) : "");
  functions.cbShort = (params) => (has(params) ? F.short(params.value) : "–");
  functions.cbPercent = (params) => F.percent(params.value);
  functions.cbChange = (params) =>
    has(params) ? F.change(params.value, F.price(Math.abs(params.value), params.data.decimals)) : "–";
  functions.cbProfit = (params) => F.profit(params.value);
  functions.cbDollars = (params) => (has(params) ? F.dollars(params.value) : "–");
  functions.cbClock = (params) => (has(params) ? F.clock(params.value) : "–");
  functions.cbWords = (params) => (has(params) ? String(params.value).replaceAll("_", " ") : "–");
  functions.cbCapitals = (params) => (has(params) ? String(params.value).toUpperCase() : "–");
  functions.cbSide = (params) => (params.value === "buy" ? "▲ Buy" : params.value === "sell" ? "▼ Sell" : "–");
  /** A bar behind a quantity; `data.full` is the quantity of a full bar. */
  functions.cbBar = (params, side) => {
    const full = params.data && params.data.full;
    const share = params.value && full ? Math.min(100, Math.round((params.value / full) * 100)) : 0;
    if (!share) return {backgroundImage: "none"};
    const colour = side === "buy" ? "var(--cb-up-soft)" : "var(--cb-down-soft)";
    const towards = side === "buy" ? "to left" : "to right";
    return {backgroundImage: `linear-gradient(${towards}, ${colour} ${share}%, transparent ${share}%)`};
  };

  /** A change with its colour: both in one piece, since AG Grid sets a cell's classes before React its text. */
  components.CbTrend = (params) => {
    const trend = params.value > 0 ? "up" : params.value < 0 ? "down" : "flat";
    return window.React.createElement("span", {"data-trend": trend}, params.valueFormatted);
  };

  /** A line of the last prices, in the colour of their change. */
  components.CbSparkline = (params) => {
    const values = params.value || [];
    const make = window.React.createElement;
    if (values.length < 2) return make("span", {className: "cb-dim"}, "–");
    const low = Math.min(...values);
    const span = Math.max(...values) - low || 1;
    const step = 88 / (values.length - 1);
    const points = values.map((value, at) => `${(at * step + 1).toFixed(1)},${(19 - ((value - low) / span) * 16).toFixed(1)}`);
    const rises = values[values.length - 1] >= values[0];
    return make(
      "svg", {className: "cb-spark", viewBox: "0 0 90 22", "aria-hidden": true, "data-trend": rises ? "up" : "down"},
      make("polyline", {points: points.join(" "), fill: "none", strokeWidth: 1.4, vectorEffect: "non-scaling-stroke"}),
    );
  };

  /** Buttons of a row of the blotter. */
  components.CbOrderButtons = (params) => {
    const make = window.React.createElement;
    const order = params.data;
    const button = (text, label, act) =>
      make("button", {type: "button", className: "cb-row-button", "aria-label": label, title: label,
        onClick: () => act(order)}, text);
    if (!order || !["open", "partially_filled"].includes(order.state)) return null;
    const named = `${order.side} ${order.leaves} ${order.symbol} at ${F.price(order.price, order.decimals)}`;
    return make("span", {className: "cb-row-buttons"},
      button("Replace", `Replace ${named}`, (each) => CB.trade.account.edit(each)),
      button("Cancel", `Cancel ${named}`, (each) => CB.trade.account.cancel(each)));
  };

  const SORT_MS = 1000; // a row that jumps about ten times a second cannot be read, and sorting is the costlier part

  /** Rows of a grid kept by key: `sync(rows)` adds and removes in one transaction, and gives the rows that changed their
      new values in place, which draws no more than the cells that differ; these find their place once a second. `bars`
      are the columns drawn by cbBar: where `full` is another, they are drawn anew although their quantity stayed. */
  class GridRows {
    constructor(gridId, keyOf, {bars = []} = {}) {
      this.gridId = gridId;
      this.keyOf = keyOf;
      this.bars = bars;
      this.full = undefined;
      this.sorting = null;
      this.rows = new Map();
    }

    api() {
      if (!document.getElementById(this.gridId)) return null;
      try {
        return window.dash_ag_grid.getApi(this.gridId);
      } catch (error) {
        return null; // it is not made yet
      }
    }

    /** Show exactly these rows. False where the grid is not there yet. */
    sync(rows) {
      const api = this.api();
      if (!api) return false;
      const next = new Map(rows.map((row) => [this.keyOf(row), row]));
      const add = [];
      const update = [];
      const remove = [];
      for (const [key, row] of next) {
        const known = this.rows.get(key);
        if (!known) add.push(row);
        else if (!same(known, row)) update.push(row);
      }
      for (const [key, row] of this.rows) if (!next.has(key)) remove.push(row);
      for (const row of update) api.getRowNode(this.keyOf(row)).updateData(row);
      if (add.length || remove.length) api.applyTransaction({add, remove});
      this.rows = next;
      if (this.bars.length && rows.length && rows[0].full !== this.full) {
        this.full = rows[0].full;
        api.refreshCells({columns: this.bars, force: true, suppressFlash: true});
      }
      if (update.length) this.sortSoon();
      return true;
    }

    sortSoon() {
      this.sorting = this.sorting || setTimeout(() => {
        this.sorting = null;
        const api = this.api();
        if (api) api.refreshClientSideRowModel("sort");
      }, SORT_MS);
    }
  }

  function same(one, other) {
    for (const name in other) if (one[name] !== other[name]) return false;
    return true;
  }

  CB.GridRows = GridRows;

  /** Give every grid on the page its accessible name, which AG Grid has no option for. */
  CB.labelGrids = function () {
    for (const frame of document.querySelectorAll(".cb-grid-frame")) {
      const root = frame.querySelector("[role=grid], [role=treegrid]");
      if (root && !root.hasAttribute("aria-label")) root.setAttribute("aria-label", frame.dataset.label);
    }
  };
})(window.Crossbook);
