/* The ladder: rows of one price step each around a centre, with the account's own orders beside the book.
   It stays where it is while a pointer is over it, so that a click never hits a price that has just moved there. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const ROW_PX = 21;
  const HEAD_PX = 27;
  const STEPS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000];

  /** The quantity of a full bar: of so few sizes that bars seldom have to be drawn anew for the scale alone. */
  function fullBar(most) {
    const power = 10 ** Math.floor(Math.log10(most));
    return power * [1, 1.5, 2, 3, 5, 7, 10].find((times) => times * power >= most);
  }

  class Ladder {
    constructor(trade) {
      this.trade = trade;
      this.grid = new CB.GridRows("ladder", (row) => row.key, {bars: ["bid", "ask"]});
      this.heightPx = 0;
      this.clear();
    }

    clear() {
      this.centre = null; // price ticks
      this.step = null;
      this.manual = false;
      this.held = null; // {side, ticks, orders}: own orders picked up
      this.showHeld();
    }

    mount(ends) {
      const frame = document.getElementById("ladder-frame");
      const watch = new ResizeObserver(([entry]) => {
        this.heightPx = entry.contentRect.height;
        CB.feed.touch();
      });
      watch.observe(frame);
      ends(() => watch.disconnect());
      const listen = (name, act, options) => {
        frame.addEventListener(name, act, options);
        ends(() => frame.removeEventListener(name, act, options));
      };
      listen("click", (event) => this.clicked(event));
      listen("keydown", (event) => event.key === "Enter" && this.clicked(event));
      listen("wheel", (event) => this.wheeled(event), {passive: false});
      listen("mouseenter", () => (this.over = true));
      listen("mouseleave", () => (this.over = false));
      const press = (id, act) => document.getElementById(id).addEventListener("click", act);
      press("ladder-centre", () => this.recentre());
      press("ladder-held-keep", () => this.drop());
      press("ladder-held-cancel", () => this.cancelHeld());
    }

    /** How many rows there is room for. */
    get room() {
      return Math.max(0, Math.floor((this.heightPx - HEAD_PX) / ROW_PX));
    }

    draw() {
      const {book, instrument} = this.trade;
      const room = this.room;
      if (!book || !instrument || room < 5) return;
      const bid = book.bids.best()[0];
      const ask = book.asks.best()[0];
      this.place(bid ? bid.ticks : null, ask ? ask.ticks : null, room);
      if (this.centre === null) return;
      this.grid.sync(this.rows(room));
      this.foot(book);
    }

    /** Choose step and centre; neither moves under a pointer. */
    place(bid, ask, room) {
      const tick = this.trade.instrument.tick;
      const middle = bid !== null && ask !== null ? (bid + ask) / 2 : bid !== null ? bid : ask !== null ? ask : this.trade.last;
      if (middle === null || middle === undefined) {
        this.centre = this.trade.instrument.reference;
        this.step = tick;
        return;
      }
      if (this.step !== null && this.centre !== null && (this.over || this.manual)) return;
      const spread = bid !== null && ask !== null ? ask - bid : 0;
      const fits = (step) => spread <= (step * room) / 3;
      const wanted = STEPS.map((times) => times * tick).find(fits) || STEPS[STEPS.length - 1] * tick;
      const tooFine = this.step === null || spread > this.step * room * 0.6;
      const tooCoarse = this.step !== null && wanted * 2 < this.step;
      if (tooFine || tooCoarse) {
        this.step = wanted;
        this.centre = null;
      }
      const away = this.centre === null ? Infinity : Math.abs(middle - this.centre) / this.step;
      if (away > room / 5) this.centre = Math.round(middle / this.step) * this.step;
    }

    rows(room) {
      const {book, instrument, own, last} = this.trade;
      const half = Math.floor(room / 2);
      const top = this.centre + half * this.step;
      const bottom = top - (room - 1) * this.step;
      const bids = this.bucket(book.bids.best(), Math.floor, bottom, top, (level) => level.quantity);
      const asks = this.bucket(book.asks.best(), Math.ceil, bottom, top, (level) => level.quantity);
      const ownBids = this.bucket([...own.buy.values()], Math.floor, bottom, top, (each) => each.quantity);
      const ownAsks = this.bucket([...own.sell.values()], Math.ceil, bottom, top, (each) => each.quantity);
      const full = fullBar(Math.max(1, ...bids.values(), ...asks.values()));
      const best = book.bids.best()[0];
      const worst = book.asks.best()[0];
      const lastAt = last === null ? null : Math.round(last / this.step) * this.step;
      const rows = [];
      for (let ticks = top; ticks >= bottom && ticks > 0; ticks -= this.step) {
        rows.push({
          key: String(ticks), price: ticks, decimals: instrument.decimals, full,
          bid: bids.get(ticks) || 0, ask: asks.get(ticks) || 0,
          ownBid: ownBids.get(ticks) || 0, ownAsk: ownAsks.get(ticks) || 0, last: ticks === lastAt,
          inside: Boolean(best && worst && ticks > best.ticks && ticks < worst.ticks),
        });
      }
      return rows;
    }

    /** Sums of what lies in each row's prices. */
    bucket(levels, round, bottom, top, quantityOf) {
      const sums = new Map();
      for (const level of levels) {
        const at = round(level.ticks / this.step) * this.step;
        if (at < bottom || at > top) continue;
        sums.set(at, (sums.get(at) || 0) + quantityOf(level));
      }
      return sums;
    }

    foot(book) {
      const sum = (side) => side.best().reduce((total, level) => total + level.quantity, 0);
      const step = this.step === this.trade.instrument.tick ? "" : `rows of ${F.price(this.step, this.trade.instrument.decimals)}`;
      CB.say("ladder-step", step);
      CB.say("ladder-foot", `Bids ${F.short(sum(book.bids))} in ${book.bids.levels.size} levels · asks ${F.short(sum(book.asks))} in ${book.asks.levels.size}`);
      const empty = document.getElementById("ladder-empty");
      if (empty) empty.hidden = book.sequence === null || book.bids.levels.size + book.asks.levels.size > 0;
    }

    recentre() {
      this.manual = false;
      this.over = false;
      this.centre = null;
      CB.feed.touch();
    }

    wheeled(event) {
      if (this.centre === null) return;
      event.preventDefault();
      this.manual = true;
      this.centre = Math.max(this.step, this.centre - Math.sign(event.deltaY) * 3 * this.step);
      CB.feed.touch();
    }

    // --- trading by click ---

    clicked(event) {
      const cell = event.target.closest(".ag-cell");
      const row = event.target.closest(".ag-row");
      if (!cell || !row) return;
      const ticks = Number(row.getAttribute("row-id"));
      const column = cell.getAttribute("col-id");
      if (!Number.isFinite(ticks)) return;
      if (column === "ownBid" || column === "ownAsk") {
        const side = column === "ownBid" ? "buy" : "sell";
        if (this.pickUp(side, ticks)) return;
      }
      if (this.held) {
        this.moveHeld(ticks);
        return;
      }
      const side = column === "bid" || column === "ownBid" ? "buy" : column === "ask" || column === "ownAsk" ? "sell" : null;
      this.trade.ticket.fill({price: ticks, side});
      if (side && this.trade.armed) this.trade.ticket.sendAt(side, ticks);
    }

    /** Take the account's orders of one row in hand, to move or cancel them. */
    pickUp(side, ticks) {
      const inRow = side === "buy" ? Math.floor : Math.ceil;
      const orders = this.trade.account.working(this.trade.symbol).filter(
        (order) => order.side === side && inRow(order.price / this.step) * this.step === ticks);
      if (!orders.length) return false;
      this.held = {side, ticks, orders};
      this.showHeld();
      return true;
    }

    showHeld() {
      const box = document.getElementById("ladder-held");
      if (!box) return;
      box.hidden = !this.held;
      if (!this.held) return;
      const {orders, side} = this.held;
      const quantity = orders.reduce((total, order) => total + order.leaves, 0);
      const what = orders.length > 1 ? `${orders.length} orders, ` : "";
      CB.say("ladder-held-text", `${side === "buy" ? "Buy" : "Sell"} ${what}${F.quantity(quantity)} at ${F.price(orders[0].price, orders[0].decimals)}: click a price to move`);
    }

    drop() {
      this.held = null;
      this.showHeld();
    }

    cancelHeld() {
      const {orders} = this.held;
      this.drop();
      orders.forEach((order) => this.trade.account.cancel(order));
    }

    moveHeld(ticks) {
      const {orders} = this.held;
      this.drop();
      orders.filter((order) => order.price !== ticks).forEach((order) => this.trade.account.replace(order, {price: ticks}));
    }
  }

  CB.Ladder = Ladder;
})(window.Crossbook);
