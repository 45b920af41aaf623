/* The account's orders, executions and positions. The key's own `executions` channel moves them; the list of orders
   is asked again after each write that this page made, after a reconnect, and where the book says that one of
   them changed in another way. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const PAGE = 500;
  const PAGES_MAX = 4;
  const SETTLE_MS = 300;
  const DAY_SETTLE_MS = 1500;
  const RECONCILE_MS = 20000;
  const EXECUTIONS_MAX = 500;
  const ACTIVE = new Set(["open", "partially_filled"]);
  const STATES = {
    open: "open", partially_filled: "partly filled", filled: "filled", cancelled: "cancelled", expired: "expired",
    rejected: "refused",
  };

  /** A holding by average cost; prices in price ticks, `realised` in ticks times shares. */
  class Holding {
    constructor() {
      this.quantity = 0;
      this.cost = 0;
      this.realised = 0;
    }

    apply(side, ticks, quantity) {
      let signed = side === "buy" ? quantity : -quantity;
      if (this.quantity * signed < 0) {
        const closed = Math.min(Math.abs(signed), Math.abs(this.quantity));
        const taken = (Math.abs(this.cost) * closed) / Math.abs(this.quantity);
        const long = this.quantity > 0;
        this.realised += long ? ticks * closed - taken : taken - ticks * closed;
        this.cost += long ? -taken : taken;
        this.quantity += long ? -closed : closed;
        signed += long ? closed : -closed;
      }
      this.quantity += signed;
      this.cost += ticks * signed;
    }
  }

  class Account {
    constructor(trade) {
      this.trade = trade;
      this.shown = "working";
      this.grid = new CB.GridRows("orders", (row) => row.orderId);
      this.fillsGrid = new CB.GridRows("executions", (row) => row.key);
      this.positionsGrid = new CB.GridRows("positions", (row) => row.symbol);
      this.clear();
    }

    clear() {
      this.orders = new Map();
      this.fills = new Map();
      this.holdings = new Map();
      this.marks = new Map();
      this.position = null; // of the last write: reads wait for it
      this.dirty = true;
      this.loaded = false;
      this.trouble = null;
    }

    mount(ends) {
      this.ends = ends;
      ends(CB.key.onChange(() => this.keyed()));
      ends(CB.feed.onState((feed) => feed.state === "live" && this.loaded && this.soon()));
      const timer = setInterval(() => !document.hidden && CB.key.get() && this.soon(), RECONCILE_MS);
      ends(() => clearInterval(timer));
      ends(() => clearTimeout(this.timer));
      ends(() => clearTimeout(this.dayTimer));
      document.getElementById("cancel-all").addEventListener("click", () => this.askCancelAll());
      const press = (id, act) => document.getElementById(id).addEventListener("click", act);
      press("cancel-symbol", () => this.cancelAll(this.trade.symbol));
      press("cancel-every", () => this.cancelAll(null));
      press("cancel-none", () => document.getElementById("cancel-dialog").close());
      this.keyed();
    }

    /** Another key, or none: begin anew. */
    async keyed() {
      this.clear();
      this.quiet();
      if (!CB.key.get()) {
        this.draw();
        return;
      }
      const symbols = [...(await CB.instruments()).keys()].slice(0, 300);
      if (this.trade.gone) return;
      this.end = CB.feed.subscribe("executions", symbols, (message) => this.executed(message));
      this.ends(() => this.quiet());
      this.load();
      this.loadDay();
    }

    quiet() {
      if (this.end) this.end();
      this.end = null;
    }

    /** Ask for the orders again, when what is happening has settled. */
    soon() {
      clearTimeout(this.timer);
      this.timer = setTimeout(() => this.load(), SETTLE_MS);
    }

    async load() {
      const asked = (this.asking = Symbol("asking"));
      const minimum = this.position || undefined;
      try {
        const active = await this.pages({state: "active", min_position: minimum}, PAGES_MAX);
        const recent = await this.pages({min_position: minimum}, 1);
        if (asked !== this.asking || !CB.key.get()) return;
        const orders = new Map([...recent, ...active].map((order) => [order.order_id, this.shownOrder(order)]));
        this.orders = orders;
        this.loaded = true;
        this.trouble = null;
      } catch (problem) {
        this.trouble = problem;
        if (problem.status === 503 || problem.status === 0) this.soon();
      }
      this.changed();
    }

    async pages(query, most) {
      const orders = [];
      let cursor;
      for (let page = 0; page < most; page += 1) {
        const answer = await CB.api.orders({...query, limit: PAGE, cursor});
        orders.push(...answer.orders);
        cursor = answer.next_cursor;
        if (!cursor) break;
      }
      return orders;
    }

    async loadDay() {
      try {
        const {name, limits, fills, positions} = await CB.accountDay();
        if (!CB.key.get()) return;
        this.trade.limits = limits;
        this.holdings = positions;
        [...fills].reverse().forEach((fill) => this.fills.set(fill.key, {...fill, decimals: this.decimals(fill.symbol)}));
        CB.say("key-state", `Account ${name}`);
      } catch (problem) {
        this.trouble = problem;
      }
      this.changed();
    }

    shownOrder(order) {
      const instrument = this.trade.instruments.get(order.symbol);
      return {
        orderId: order.order_id, time: order.created_at, symbol: order.symbol, side: order.side, quantity: order.quantity,
        executed: order.executed_quantity, leaves: order.leaves_quantity, price: order.price ? F.ticksOf(order.price) : null,
        average: order.average_price ? F.ticksOf(order.average_price) : null, tif: order.time_in_force, type: order.type,
        state: order.state, stateText: stateText(order.state, order.reason), decimals: instrument ? instrument.decimals : 2,
      };
    }

    /** An order as its answer says, before any list has it. */
    submitted(body, answer) {
      const state = answer.state || "open";
      this.position = answer.position || this.position;
      const order = {
        ...body, order_id: answer.order_id, created_at: new Date().toISOString(), executed_quantity: answer.executed_quantity || 0,
        leaves_quantity: answer.leaves_quantity || 0, average_price: answer.average_price, state, reason: answer.cancel_reason,
      };
      this.orders.set(answer.order_id, this.shownOrder(order));
      this.changed();
      this.soon();
    }

    /** The account's own execution, as the stream tells it. */
    executed(message) {
      if (message.type !== "execution") {
        if (message.conflated || message.resync) this.keyedAgain();
        return;
      }
      const ticks = F.ticksOf(message.price);
      const key = `${message.match_number} ${message.order_id}`;
      if (this.fills.has(key)) return;
      this.fills.set(key, {
        key, number: Number(message.match_number), time: message.time, symbol: message.symbol, side: message.side,
        quantity: message.quantity, price: ticks, leaves: message.leaves_quantity, liquidity: message.liquidity,
        decimals: this.decimals(message.symbol),
      });
      if (this.fills.size > EXECUTIONS_MAX) this.fills.delete(this.fills.keys().next().value);
      const holding = this.holdings.get(message.symbol) || new Holding();
      holding.apply(message.side, ticks, message.quantity);
      this.holdings.set(message.symbol, holding);
      const order = this.orders.get(message.order_id);
      if (order) this.orders.set(order.orderId, filled(order, message, ticks));
      this.soon();
      this.daySoon();
      this.changed();
    }

    /** Have positions as the exchange reckons them, once executions have settled. */
    daySoon() {
      clearTimeout(this.dayTimer);
      this.dayTimer = setTimeout(() => this.loadDay(), DAY_SETTLE_MS);
    }

    keyedAgain() {
      this.loadDay();
      this.soon();
    }

    decimals(symbol) {
      const instrument = this.trade.instruments.get(symbol);
      return instrument ? instrument.decimals : 2;
    }

    /** The book told that an order, which may be ours, changed. */
    noted(changes) {
      const other = changes.some((change) => change.event !== "executed" && change.event !== "added" && this.orders.has(change.order_id));
      if (other) this.soon();
    }

    working(symbol) {
      return [...this.orders.values()].filter((order) => ACTIVE.has(order.state) && (!symbol || order.symbol === symbol));
    }

    changed() {
      this.dirty = true;
      const own = {buy: new Map(), sell: new Map()};
      for (const order of this.working(this.trade.symbol)) {
        if (order.price === null) continue;
        const level = own[order.side].get(order.price) || {ticks: order.price, quantity: 0};
        level.quantity += order.leaves;
        own[order.side].set(order.price, level);
      }
      this.trade.own = own;
      CB.feed.touch();
    }

    // --- what the user asks for ---

    edit(order) {
      const current = this.orders.get(order.orderId);
      if (current) this.trade.ticket.edit(current);
    }

    async cancel(order) {
      const named = `${order.side} ${F.quantity(order.leaves)} ${order.symbol}`;
      try {
        const answer = await CB.api.cancel(order.orderId);
        this.answered(order, answer);
        CB.notice("done", "Cancelled", `${named}: nothing of it is open any more.`);
      } catch (problem) {
        CB.notice("refused", `Not cancelled: ${named}`, CB.adviceFor(problem));
        this.soon();
      }
    }

    /** Change price or total quantity of an order. True where the exchange did. */
    async replace(order, change) {
      const body = {};
      if (change.price !== undefined) body.price = F.priceText(change.price);
      if (change.quantity !== undefined) body.quantity = change.quantity;
      try {
        const answer = await CB.api.replace(order.orderId, order.symbol, body);
        this.answered(order, answer, change);
        CB.notice("done", answer.outcome === "pending" ? "Replace sent" : "Replaced", replacedText(order, answer, change));
        return {answer};
      } catch (problem) {
        CB.notice("refused", "Not replaced", CB.adviceFor(problem));
        this.soon();
        return {problem};
      }
    }

    answered(order, answer, change) {
      this.position = answer.position || this.position;
      const current = this.orders.get(order.orderId);
      if (current && answer.outcome !== "pending") {
        const leaves = answer.leaves_quantity;
        const state = answer.outcome === "cancelled" ? "cancelled" : leaves === 0 ? "filled" : current.executed ? "partially_filled" : "open";
        const next = {...current, ...(change || {}), leaves, state, stateText: stateText(state, answer.cancel_reason)};
        this.orders.set(order.orderId, next);
        this.changed();
      }
      this.soon();
    }

    askCancelAll() {
      if (!CB.key.get()) return;
      const count = (symbol) => this.working(symbol).length;
      CB.say("cancel-symbol", `Cancel ${count(this.trade.symbol)} of ${this.trade.symbol}`);
      CB.say("cancel-every", `Cancel all ${count(null)}`);
      document.getElementById("cancel-dialog").showModal();
    }

    async cancelAll(symbol) {
      document.getElementById("cancel-dialog").close();
      try {
        const answer = await CB.api.cancelAll(symbol || undefined);
        this.position = answer.position || this.position;
        const text = answer.cancelled_count === undefined ? "sent; the list shows what comes of it" : `${answer.cancelled_count} orders`;
        CB.notice("done", symbol ? `Cancelled all of ${symbol}` : "Cancelled everything", text);
      } catch (problem) {
        CB.notice("refused", "Not cancelled", CB.adviceFor(problem));
      }
      this.soon();
    }

    // --- screens ---

    draw() {
      if (!this.dirty) return;
      const orders = [...this.orders.values()].filter((order) => this.shown === "all" || ACTIVE.has(order.state));
      const positions = this.positionRows();
      if (!this.grid.sync(orders) || !this.fillsGrid.sync([...this.fills.values()]) || !this.positionsGrid.sync(positions)) return;
      this.dirty = false;
      CB.say("orders-count", count(this.working(null).length));
      CB.say("executions-count", count(this.fills.size));
      CB.say("positions-count", count(positions.filter((row) => row.quantity).length));
      this.emptiness();
    }

    emptiness() {
      const keyless = !CB.key.get();
      for (const name of ["orders", "fills", "positions"]) {
        const box = document.getElementById(`${name}-empty`);
        box.hidden = !(keyless || (this.trouble && !this.loaded));
        if (!keyless && this.trouble) {
          box.querySelector("strong").textContent = "Your account cannot be shown";
          box.querySelector("span").textContent = `${CB.adviceFor(this.trouble)}`;
        }
      }
    }

    mark(symbol, ticks) {
      if (this.holdings.has(symbol) && this.marks.get(symbol) !== ticks) {
        this.marks.set(symbol, ticks);
        this.dirty = true;
      }
    }

    positionRows() {
      return [...this.holdings].filter(([, held]) => held.quantity || held.realised).map(([symbol, held]) => {
        const mark = this.marks.has(symbol) ? this.marks.get(symbol) : held.mark === undefined ? null : held.mark;
        const unrealised = mark === null ? null : mark * held.quantity - held.cost;
        return {
          symbol, quantity: held.quantity, average: held.quantity ? Math.round(held.cost / held.quantity) : null, mark, unrealised,
          realised: held.realised, total: unrealised === null ? null : held.realised + unrealised, decimals: this.decimals(symbol),
        };
      });
    }
  }

  const count = (number) => (number ? `(${number})` : "");

  function stateText(state, reason) {
    const words = STATES[state] || state;
    return reason && !["by_request"].includes(reason) ? `${words}: ${reason.replaceAll("_", " ")}` : words;
  }

  function filled(order, message, ticks) {
    const executed = order.executed + message.quantity;
    const average = Math.round(((order.average || 0) * order.executed + ticks * message.quantity) / executed);
    const state = message.leaves_quantity === 0 ? "filled" : "partially_filled";
    return {...order, executed, average, leaves: message.leaves_quantity, state, stateText: stateText(state)};
  }

  function replacedText(order, answer, change) {
    if (answer.outcome === "cancelled") return "Nothing of it was left open, so it was cancelled.";
    const at = change.price !== undefined ? ` at ${F.price(change.price, order.decimals)}` : "";
    return `${order.symbol}: ${F.quantity(answer.leaves_quantity)} open${at}.`;
  }

  CB.Holding = Holding;
  CB.Account = Account;
  window.dashAgGridFunctions.cbSigned = (params) =>
    params.value ? F.change(params.value, F.quantity(Math.abs(params.value))) : "flat";
})(window.Crossbook);
