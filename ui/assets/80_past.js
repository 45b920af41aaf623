/* A piece of a book's past: the book at one sequence, and what happened after it, step by step. Guarantees: going
   back undoes exactly what going forward did, so that the book at a step is the same whichever way it was reached. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const STEPS_A_PAGE = 50; // what the limit of one answer's values allows (docs/graphql.md)
  const BEFORE = 120; // events before a moment that are loaded with it
  const STEPS_MAX = 4000;
  const DEPTH = 400;
  const ORDERS = 500; // of each side

  const STEPS = `after sequence newest hasMore
    steps {
      sequence previousSequence position time tradingTime events state
      levels { side price quantity orderCount }
      trades { matchNumber price quantity aggressorSide }
      orders { kind orderId side price quantity executed matchNumber }
    }`;
  const WINDOW = `query($symbol: String!, $after: Sequence!) {
    bookSteps(symbol: $symbol, after: $after, first: ${STEPS_A_PAGE}) { ${STEPS} }
  }`;
  const BOOK = `query($symbol: String!, $asOf: AsOf, $orders: Int!) {
    book(symbol: $symbol, depth: ${DEPTH}, asOf: $asOf) {
      sequence position state tradingTime
      bids { price quantity orderCount } asks { price quantity orderCount }
      lastTrade { price quantity aggressorSide time }
      orders(first: $orders) { orderId side price quantity own }
    }
  }`;
  const NEWEST = "query($symbol: String!) { book(symbol: $symbol, depth: 1) { sequence } }";
  const AT = "query($symbol: String!, $asOf: AsOf) { book(symbol: $symbol, depth: 1, asOf: $asOf) { sequence } }";

  const EMPTY = {sequence: "0", position: null, state: null, tradingTime: null, bids: [], asks: [], lastTrade: null, orders: []};

  CB.pastAsk = {
    steps: (symbol, after) => CB.api.graphql(WINDOW, {symbol, after: String(after)}).then((data) => data.bookSteps),
    /** The book after event `sequence`; before its first it is empty. */
    book: async (symbol, sequence) => (sequence === 0 ? EMPTY : CB.api.graphql(BOOK, {symbol, orders: ORDERS, asOf: {sequence: String(sequence)}}).then((data) => data.book)),
    newest: (symbol) => CB.api.graphql(NEWEST, {symbol}).then((data) => Number(data.book.sequence)),
    at: (symbol, asOf) => CB.api.graphql(AT, {symbol, asOf}).then((data) => Number(data.book.sequence)),
  };

  /** One step as it is kept: sequences as numbers, prices in price ticks. */
  function stepOf(raw) {
    return {
      sequence: Number(raw.sequence), previous: Number(raw.previousSequence), position: raw.position, time: raw.time,
      tradingTime: raw.tradingTime, events: raw.events, state: raw.state,
      levels: raw.levels.map((each) => ({...each, ticks: F.ticksOf(each.price)})),
      trades: raw.trades.map((each) => ({...each, ticks: F.ticksOf(each.price)})),
      orders: raw.orders.map((each) => ({...each, ticks: F.ticksOf(each.price)})),
    };
  }

  class Past {
    constructor(symbol, book, page) {
      this.symbol = symbol;
      this.base = Number(book.sequence);
      this.baseClock = book.tradingTime;
      this.basePosition = book.position;
      this.levels = {BUY: sideOf(book.bids), SELL: sideOf(book.asks)};
      this.queues = {BUY: new Map(), SELL: new Map()};
      this.own = new Set();
      for (const order of book.orders) {
        const ticks = F.ticksOf(order.price);
        const queue = this.queues[order.side].get(ticks) || [];
        this.queues[order.side].set(ticks, [...queue, {orderId: order.orderId, quantity: order.quantity}]);
        if (order.own) this.own.add(order.orderId);
      }
      this.state = book.state;
      this.last = book.lastTrade ? {...book.lastTrade, ticks: F.ticksOf(book.lastTrade.price)} : null;
      this.steps = [];
      this.undo = [];
      this.tops = []; // best prices after each step, [bid, ask] in price ticks
      this.done = 0; // steps applied
      this.take(page);
      this.topAtBase = this.top();
      this.fillTops();
    }

    /** The piece around `sequence`: what happened from BEFORE events earlier on. */
    static async around(symbol, sequence) {
      const from = Math.max(0, sequence - BEFORE);
      const [page, there] = await Promise.all([CB.pastAsk.steps(symbol, from), CB.pastAsk.book(symbol, from)]);
      const begins = Number(page.after);
      const book = Number(there.sequence) === begins ? there : await CB.pastAsk.book(symbol, begins);
      const past = new Past(symbol, book, page);
      while (past.hasMore && past.end < sequence) await past.more();
      past.goto(sequence);
      return past;
    }

    take(page) {
      const steps = page.steps.map(stepOf);
      if (steps.length && steps[0].previous !== this.end) throw new CB.ApiProblem(200, {detail: `the steps after event ${this.end} do not follow it`});
      this.steps.push(...steps);
      this.newest = Number(page.newest);
      this.hasMore = page.hasMore;
    }

    /** Load the steps after the last one that is here. */
    async more() {
      if (this.loading) return this.loading;
      this.loading = CB.pastAsk.steps(this.symbol, this.end).then((page) => {
        this.take(page);
        this.fillTops();
        this.trim();
      });
      try {
        return await this.loading;
      } finally {
        this.loading = null;
      }
    }

    /** Best prices after the steps that are new: they are gone through and back. */
    fillTops() {
      const at = this.done;
      while (this.done < this.tops.length) this.forward();
      while (this.done < this.steps.length) {
        this.forward();
        this.tops.push(this.top());
      }
      while (this.done > at) this.back();
    }

    /** Forget the oldest steps where there are too many. */
    trim() {
      const over = Math.min(this.steps.length - STEPS_MAX, this.done - BEFORE);
      if (over <= 0) return;
      const last = this.steps[over - 1];
      this.base = last.sequence;
      this.baseClock = last.tradingTime;
      this.basePosition = last.position;
      this.topAtBase = this.tops[over - 1];
      for (const list of [this.steps, this.undo, this.tops]) list.splice(0, over);
      this.done -= over;
    }

    get end() {
      return this.steps.length ? this.steps[this.steps.length - 1].sequence : this.base;
    }

    /** The step that led to the book as it stands; null at the beginning of the piece. */
    get current() {
      return this.done ? this.steps[this.done - 1] : null;
    }

    get sequence() {
      return this.current ? this.current.sequence : this.base;
    }

    get clock() {
      return this.current ? this.current.tradingTime : this.baseClock;
    }

    get position() {
      return this.current ? this.current.position : this.basePosition;
    }

    holds(sequence) {
      return sequence >= this.base && (sequence <= this.end || !this.hasMore);
    }

    /** Go to the last step at or before `sequence`. */
    goto(sequence) {
      while (this.done && this.sequence > sequence) this.back();
      while (this.done < this.steps.length && this.steps[this.done].sequence <= sequence) this.forward();
    }

    /** Go to the step that event `sequence` is of: a command's events change the book as one. */
    gotoStepOf(sequence) {
      this.goto(sequence);
      if (this.sequence < sequence) this.forward();
    }

    top() {
      return [best(this.levels.BUY, true), best(this.levels.SELL, false)];
    }

    forward() {
      const step = this.steps[this.done];
      if (!step) return false;
      const undo = {levels: [], queues: [], state: this.state, last: this.last};
      for (const change of step.levels) {
        const side = this.levels[change.side];
        undo.levels.push([change.side, change.ticks, side.get(change.ticks)]);
        if (change.quantity) side.set(change.ticks, {ticks: change.ticks, quantity: change.quantity, count: change.orderCount});
        else side.delete(change.ticks);
      }
      for (const change of step.orders) {
        const side = this.queues[change.side];
        const queue = side.get(change.ticks);
        undo.queues.push([change.side, change.ticks, queue]);
        const next = queueAfter(queue || [], change);
        if (next.length) side.set(change.ticks, next);
        else side.delete(change.ticks);
      }
      if (step.state) this.state = step.state;
      if (step.trades.length) this.last = {...step.trades[step.trades.length - 1], time: step.time};
      this.undo[this.done] = undo;
      this.done += 1;
      return true;
    }

    back() {
      if (!this.done) return false;
      this.done -= 1;
      const undo = this.undo[this.done];
      for (const [side, ticks, known] of undo.levels.reverse()) put(this.levels[side], ticks, known);
      for (const [side, ticks, known] of undo.queues.reverse()) put(this.queues[side], ticks, known);
      this.state = undo.state;
      this.last = undo.last;
      return true;
    }

    /** Levels of a side, best first. */
    sorted(side) {
      const sign = side === "BUY" ? -1 : 1;
      return [...this.levels[side].values()].sort((one, other) => sign * (one.ticks - other.ticks));
    }

    /** The next step with a trade in a direction, as its sequence; null where none is loaded. */
    tradeFrom(direction) {
      let at = this.done - 1 + direction;
      while (at >= 0 && at < this.steps.length) {
        if (this.steps[at].trades.length) return this.steps[at].sequence;
        at += direction;
      }
      return null;
    }

    /** What the book showed of one order, in the steps that are loaded: [{step, change}]. */
    publicLife(orderId) {
      const found = [];
      for (const step of this.steps) {
        for (const change of step.orders) if (change.orderId === orderId) found.push({step, change});
      }
      return found;
    }
  }

  const sideOf = (levels) =>
    new Map(levels.map((level) => {
      const ticks = F.ticksOf(level.price);
      return [ticks, {ticks, quantity: level.quantity, count: level.orderCount}];
    }));

  const put = (map, key, value) => (value === undefined ? map.delete(key) : map.set(key, value));

  function best(side, highest) {
    let found = null;
    for (const ticks of side.keys()) if (found === null || (highest ? ticks > found : ticks < found)) found = ticks;
    return found;
  }

  function queueAfter(queue, change) {
    if (change.kind === "added") return [...queue, {orderId: change.orderId, quantity: change.quantity}];
    if (!change.quantity || change.kind === "removed") return queue.filter((order) => order.orderId !== change.orderId);
    return queue.map((order) => (order.orderId === change.orderId ? {...order, quantity: change.quantity} : order));
  }

  CB.Past = Past;

  // --- in words ---

  const SIDES = {BUY: "Buy", SELL: "Sell"};
  const WHY = {order_cancelled: "cancelled", order_expired: "expired", order_replaced: "replaced"};

  /** One step in a few words: {text, side}. */
  CB.tellStep = function (step, decimals) {
    const price = (ticks) => F.price(ticks, decimals);
    if (step.trades.length) {
      const side = step.trades[0].aggressorSide;
      const quantity = step.trades.reduce((sum, trade) => sum + trade.quantity, 0);
      const prices = [...new Set(step.trades.map((trade) => trade.ticks))];
      const at = prices.length === 1 ? price(prices[0]) : `${price(prices[0])} to ${price(prices[prices.length - 1])}`;
      const rests = step.orders.find((change) => change.kind === "added");
      const rest = rests ? `; ${F.quantity(rests.quantity)} rest` : "";
      return {text: `${arrow(side)} ${SIDES[side]} ${F.quantity(quantity)} traded at ${at}${rest}`, side};
    }
    if (step.state) return {text: `Trading: ${step.state.toLowerCase().replaceAll("_", " ")}`, side: null};
    const added = step.orders.find((change) => change.kind === "added");
    const removed = step.orders.filter((change) => change.kind === "removed");
    if (added && step.events.includes("order_replaced")) {
      return {text: `${SIDES[added.side]} order moves to ${F.quantity(added.quantity)} at ${price(added.ticks)}`, side: null};
    }
    if (added) return {text: `${SIDES[added.side]} ${F.quantity(added.quantity)} joins at ${price(added.ticks)}`, side: null};
    const reduced = step.orders.find((change) => change.kind === "reduced");
    if (reduced) return {text: `${SIDES[reduced.side]} order at ${price(reduced.ticks)} reduced to ${F.quantity(reduced.quantity)}`, side: null};
    const why = step.events.map((event) => WHY[event]).find(Boolean) || "leaves";
    if (removed.length === 1) return {text: `${SIDES[removed[0].side]} order at ${price(removed[0].ticks)} ${why}`, side: null};
    if (removed.length) return {text: `${removed.length} orders ${why}`, side: null};
    return {text: step.events.join(", ").replaceAll("_", " "), side: null};
  };

  const arrow = (side) => (side === "BUY" ? "▲" : "▼");
})(window.Crossbook);
