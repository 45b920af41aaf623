/* The order ticket: explains, checks and sends. Each submit has a client order id made here, so that sending it again
   after a lost answer can never make a second order. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const QUANTITY_MAX = 1e9;
  const PRICE_MAX = 4294967295;
  const RESENDS_MAX = 5;
  const LOOKS_MAX = 20;

  /** What to do about a refusal, by reason (docs/rest.md). */
  const ADVICE = {
    no_key: "Give a key (press k).", invalid_key: "The key is not valid any more: give another (press k).",
    missing_scope: "This key may only read. Use one with scope trade.",
    price_not_on_tick: "Choose a price that is a multiple of the tick size.",
    quantity_not_on_lot: "Choose a quantity that is a multiple of the lot size.",
    price_collar: "The price is further from the reference price than the collar allows: come closer.",
    order_notional_limit: "Price times quantity is over your account's limit: send less.",
    order_quantity_limit: "The quantity is over your account's limit: send less.",
    open_orders_limit: "You have as many open orders as your account may: cancel some first.",
    instrument_halted: "Trading is halted: wait until it opens again.",
    instrument_cancel_only: "Only cancels are taken now: wait until it opens again.",
    instrument_closed: "The instrument is closed.", account_killed: "Your account is stopped: ask the exchange's operator.",
    unknown_order: "It is not open any more: it was filled, cancelled or expired.",
    duplicate_client_order_id: "This id was used for another order: send again, with a new one.",
    market_must_be_ioc_or_fok: "A market order is IOC or FOK.", not_written: "Nothing was written: send it again.",
    behind: "The exchange is catching up: try again in a moment.", no_answer: "The exchange did not answer: it may be restarting.",
  };

  CB.adviceFor = function (problem) {
    const advice = ADVICE[problem.reason];
    const what = problem.message.charAt(0).toUpperCase() + problem.message.slice(1);
    return advice ? `${what}. ${advice}` : `${what} (${problem.reason}).`;
  };

  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  class Ticket {
    constructor(trade) {
      this.trade = trade;
      this.values = {side: "buy", type: "limit", quantity: 100, price: "", tif: "day"};
      this.replacing = null;
      this.busy = false;
    }

    mount(ends) {
      const press = (id, act) => document.getElementById(id).addEventListener("click", act);
      press("ticket-send", () => this.send());
      press("ticket-replace-end", () => this.edit(null));
      press("ticket-at-bid", () => this.fillFrom("bid"));
      press("ticket-at-middle", () => this.fillFrom("middle"));
      press("ticket-at-ask", () => this.fillFrom("ask"));
      ends(CB.key.onChange(() => this.draw(true)));
      this.draw(true);
    }

    /** The fields as they are now. */
    typed(side, type, quantity, price, tif) {
      const before = this.values;
      this.values = {side, type, quantity, price, tif};
      if (type !== before.type) this.retype(type, tif);
      this.draw(true);
    }

    /** A market order takes no price and rests never. */
    retype(type, tif) {
      const market = type === "market";
      set("ticket-price", {disabled: market});
      const both = [{value: "ioc", label: "IOC · at once, rest cancelled"}, {value: "fok", label: "FOK · all at once or nothing"}];
      const all = [{value: "day", label: "Day"}, {value: "gtc", label: "GTC · until cancelled"}, ...both];
      set("ticket-tif", {data: market ? both : all, ...(market && !["ioc", "fok"].includes(tif) ? {value: "ioc"} : {})});
      if (!market && tif === "ioc") set("ticket-tif", {value: "day"});
    }

    fill({price, side, quantity}) {
      if (this.replacing && side && side !== this.values.side) return;
      if (price !== undefined) set("ticket-price", {value: price / F.TICKS});
      if (side) set("ticket-side", {value: side});
      if (quantity !== undefined) set("ticket-quantity", {value: quantity});
      if (price !== undefined && this.values.type === "market" && !this.replacing) set("ticket-type", {value: "limit"});
    }

    fillFrom(where) {
      const {book, instrument} = this.trade;
      if (!book || !instrument) return;
      const bid = book.bids.best()[0];
      const ask = book.asks.best()[0];
      const ticks = where === "bid" ? bid && bid.ticks : where === "ask" ? ask && ask.ticks
        : bid && ask ? Math.floor((bid.ticks + ask.ticks) / 2 / instrument.tick) * instrument.tick : null;
      if (ticks) this.fill({price: ticks});
    }

    /** Replace this order instead of sending a new one; null: back to a new one. */
    edit(order) {
      this.replacing = order;
      if (order) {
        set("ticket-side", {value: order.side});
        set("ticket-type", {value: "limit"});
        set("ticket-quantity", {value: order.quantity});
        if (order.price !== null) set("ticket-price", {value: order.price / F.TICKS});
      }
      ["ticket-side", "ticket-type", "ticket-tif"].forEach((id) => set(id, {disabled: Boolean(order)}));
      this.draw(true);
      if (order) this.focus("ticket-price");
    }

    focus(id) {
      const field = document.getElementById(id);
      if (field) {
        field.focus();
        if (field.select) field.select();
      }
    }

    /** Price ticks of what is typed, null where it is no price. */
    get ticks() {
      const {price, type} = this.values;
      if (type === "market" || price === "" || price === null || price === undefined) return null;
      const value = Number(price);
      return Number.isFinite(value) ? Math.round(value * F.TICKS) : null;
    }

    // --- checking ---

    /** What is wrong with each field; null where nothing is. */
    problems() {
      const {quantity, type} = this.values;
      const {instrument} = this.trade;
      const found = {quantity: null, price: null};
      const shares = Number(quantity);
      if (quantity === "" || quantity === null || !Number.isInteger(shares) || shares < 1) found.quantity = "A whole number from 1";
      else if (shares > QUANTITY_MAX) found.quantity = "At most 1,000,000,000";
      else if (instrument && shares % instrument.lot) found.quantity = `A multiple of the lot, ${instrument.lot}`;
      else if (this.replacing && shares <= this.replacing.executed) found.quantity = `Above ${F.quantity(this.replacing.executed)}, which is filled; or cancel`;
      if (type !== "market") found.price = this.priceProblem();
      if (!found.quantity) found.quantity = this.limitProblem(shares);
      return found;
    }

    priceProblem() {
      const {instrument} = this.trade;
      const ticks = this.ticks;
      if (ticks === null) return "A limit order has a price";
      if (ticks < 1) return "Above 0";
      if (ticks > PRICE_MAX) return "At most 429,496.7295";
      if (!instrument) return null;
      if (ticks % instrument.tick) return `A multiple of the tick, ${F.price(instrument.tick, instrument.decimals)}`;
      if (instrument.collar !== null && instrument.reference !== null && Math.abs(ticks - instrument.reference) > instrument.collar) {
        const band = [instrument.reference - instrument.collar, instrument.reference + instrument.collar];
        return `Within the collar, ${band.map((each) => F.price(each, instrument.decimals)).join(" to ")}`;
      }
      return null;
    }

    limitProblem(shares) {
      const limits = this.trade.limits;
      if (!limits) return null;
      if (limits.quantity && shares > limits.quantity) return `Your account's limit is ${F.quantity(limits.quantity)}`;
      if (limits.notional && this.ticks && shares * this.ticks > limits.notional) return `Over your account's limit of $${F.dollars(limits.notional)}`;
      return null;
    }

    /** What would trade at once: {quantity, average (price ticks), rest}. */
    preview() {
      const {side, type} = this.values;
      const {book} = this.trade;
      const shares = Number(this.values.quantity) || 0;
      const limit = this.ticks;
      if (!book || (type === "limit" && limit === null)) return null;
      let left = shares;
      let value = 0;
      for (const level of (side === "buy" ? book.asks : book.bids).best()) {
        if (!left) break;
        if (limit !== null && (side === "buy" ? level.ticks > limit : level.ticks < limit)) break;
        const taken = Math.min(left, level.quantity);
        value += taken * level.ticks;
        left -= taken;
      }
      return {quantity: shares - left, average: shares > left ? value / (shares - left) : null, rest: left, value};
    }

    explanation() {
      const {side, type, tif} = this.values;
      if (this.replacing) {
        return "Changes price or total quantity. Less at the same price keeps its place in the queue; more, or another price, goes to the end of it.";
      }
      const verb = side === "buy" ? "Buys" : "Sells";
      const at = type === "market" ? "at the best prices there are, as far as the collar allows"
        : side === "buy" ? "at your price or lower" : "at your price or higher";
      const then = {
        day: "What does not trade at once waits in the book until the instrument closes.",
        gtc: "What does not trade at once waits in the book until it trades or you cancel it.",
        ioc: "What does not trade at once is cancelled.",
        fok: "If not all of it can trade at once, nothing does.",
      };
      return `${verb} ${at}. ${then[tif] || ""}`;
    }

    // --- screen ---

    /** Called after each change of a field, and (without `checked`) when the book has moved. */
    draw(checked) {
      const button = document.getElementById("ticket-send");
      if (!button) return;
      const found = this.problems();
      if (checked) this.showProblems(found);
      CB.say("ticket-explains", this.explanation());
      this.showPreview(found);
      const {side, type} = this.values;
      const keyless = !CB.key.get();
      const shares = F.quantity(Number(this.values.quantity) || 0);
      const decimals = this.trade.instrument ? this.trade.instrument.decimals : 2;
      const at = type === "market" ? "at market" : this.ticks === null ? "" : `at ${F.price(this.ticks, decimals)}`;
      const verb = this.replacing ? "Replace with" : side === "buy" ? "Buy" : "Sell";
      CB.say("ticket-send", keyless ? "Give a key to trade (k)" : this.busy ? "Sending…" : `${verb} ${shares} ${this.trade.symbol || ""} ${at}`);
      button.dataset.side = side;
      button.disabled = this.busy || (!keyless && Boolean(found.quantity || found.price));
      const box = document.getElementById("ticket-replacing");
      box.hidden = !this.replacing;
      if (this.replacing) CB.say("ticket-replacing-text", `Replacing ${this.replacing.side} ${F.quantity(this.replacing.leaves)} at ${F.price(this.replacing.price, decimals)}`);
    }

    showProblems(found) {
      const untouched = this.values.price === "" && this.values.type === "limit";
      const said = JSON.stringify([found, untouched]);
      if (said === this.said) return;
      this.said = said;
      set("ticket-quantity", {error: found.quantity || false});
      set("ticket-price", {error: (!untouched && found.price) || false});
    }

    showPreview(found) {
      const place = document.getElementById("ticket-preview");
      const preview = found.quantity || found.price ? null : this.preview();
      const {instrument} = this.trade;
      const decimals = instrument ? instrument.decimals : 2;
      const lines = !preview ? [["Trades at once", "–"], ["Then", "–"], ["Value", "–"]] : [
        ["Trades at once", preview.quantity ? `${F.quantity(preview.quantity)} at about ${F.price(preview.average, decimals)}` : "nothing"],
        ["Then", this.rest(preview)],
        ["Value", `$${F.dollars(preview.value + (this.ticks || 0) * (this.ticks ? preview.rest : 0))}`],
      ];
      const said = lines.map((line) => line.join()).join(";");
      if (said === this.previewed && place.childElementCount) return;
      this.previewed = said;
      place.replaceChildren(...lines.map(([term, value]) => {
        const row = document.createElement("div");
        const name = document.createElement("dt");
        const what = document.createElement("dd");
        name.textContent = term;
        what.textContent = value;
        what.className = "cb-num";
        row.append(name, what);
        return row;
      }));
    }

    rest(preview) {
      if (!preview.rest) return "all of it is done";
      const {tif} = this.values;
      if (tif === "fok") return "nothing trades: not all of it can";
      if (tif === "ioc") return `${F.quantity(preview.rest)} cancelled`;
      return `${F.quantity(preview.rest)} wait in the book`;
    }

    outcome(kind, title, text) {
      const place = document.getElementById("ticket-outcome");
      if (!place) return;
      place.dataset.kind = kind;
      const strong = document.createElement("strong");
      const span = document.createElement("span");
      strong.textContent = title;
      span.textContent = text;
      place.replaceChildren(strong, span);
    }

    // --- sending ---

    async send() {
      if (!CB.key.get()) {
        set("key-modal", {opened: true});
        return;
      }
      const found = this.problems();
      if (this.busy || found.quantity || found.price) return;
      if (this.replacing) await this.sendReplace();
      else await this.submit(this.body(this.values.side, this.ticks));
    }

    /** Click-to-trade: the ticket's quantity at this price. */
    async sendAt(side, ticks) {
      if (!CB.key.get()) {
        set("key-modal", {opened: true});
        return;
      }
      const shares = Number(this.values.quantity);
      if (!Number.isInteger(shares) || shares < 1) {
        CB.notice("refused", "Nothing was sent", "The ticket's quantity is no whole number from 1.");
        return;
      }
      const body = this.body(side, ticks);
      if (this.values.type === "market") Object.assign(body, {type: "limit", price: F.priceText(ticks), time_in_force: "day"});
      await this.submit(body);
    }

    body(side, ticks) {
      const {type, tif, quantity} = this.values;
      const body = {
        symbol: this.trade.symbol, side, type, quantity: Number(quantity), time_in_force: tif, client_order_id: CB.api.newClientOrderId(),
      };
      if (type === "limit") body.price = F.priceText(ticks);
      return body;
    }

    async sendReplace() {
      const order = this.replacing;
      const change = {};
      if (this.ticks !== order.price) change.price = this.ticks;
      if (Number(this.values.quantity) !== order.quantity) change.quantity = Number(this.values.quantity);
      if (!Object.keys(change).length) {
        this.outcome("note", "Nothing to change", "Price and quantity are as they were.");
        return;
      }
      this.setBusy(true);
      const {answer, problem} = await this.trade.account.replace(order, change);
      this.setBusy(false);
      if (problem) this.outcome("refused", "Not replaced", CB.adviceFor(problem));
      else {
        this.outcome("done", "Replaced", `${F.quantity(answer.leaves_quantity || 0)} open.`);
        this.edit(null);
      }
    }

    setBusy(busy) {
      this.busy = busy;
      this.draw(true);
    }

    async submit(body) {
      this.setBusy(true);
      try {
        const answer = await this.resent(body);
        if (answer.outcome === "pending") await this.follow(body, answer);
        else this.told(body, answer);
      } catch (problem) {
        this.outcome("refused", "Refused", CB.adviceFor(problem));
        CB.notice("refused", `Refused: ${body.side} ${F.quantity(body.quantity)} ${body.symbol}`, CB.adviceFor(problem));
      } finally {
        this.setBusy(false);
      }
    }

    /** Send; after a lost or unclear answer send the same again, which can make no second order. */
    async resent(body) {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await CB.api.submit(body);
        } catch (problem) {
          const unclear = problem.status === 0 || problem.status === 503 || problem.status === 429;
          if (!unclear || attempt > RESENDS_MAX) throw problem;
          this.outcome("note", "No answer yet", `Sending the same again (${attempt}): it can not become two orders.`);
          await pause(400 * 2 ** (attempt - 1));
        }
      }
    }

    /** Durable, but not matched yet: ask until it is. */
    async follow(body, answer) {
      this.outcome("note", "Accepted, not matched yet", "It is in the log and will not be lost. This waits for its outcome.");
      for (let look = 0; look < LOOKS_MAX; look += 1) {
        await pause(500);
        try {
          const order = await CB.api.ask("GET", `/v1/orders/client:${encodeURIComponent(body.client_order_id)}?symbol=${encodeURIComponent(body.symbol)}`);
          this.told(body, {...order, outcome: order.state === "rejected" ? "rejected" : "accepted"});
          return;
        } catch (problem) {
          if (problem.status !== 404 && problem.status !== 503 && problem.status !== 0) throw problem;
        }
      }
      this.outcome("note", "Still not matched", `Position ${answer.position}. The list of orders will show it.`);
      this.trade.account.soon();
    }

    told(body, answer) {
      const order = answer.outcome === "repeated" && answer.order ? answer.order : answer;
      const executed = order.executed_quantity || 0;
      const decimals = this.trade.instrument.decimals;
      const average = order.average_price ? ` at ${F.price(F.ticksOf(order.average_price), decimals)}` : "";
      const parts = [];
      if (executed) parts.push(`${F.quantity(executed)} filled${average}`);
      if (order.leaves_quantity) parts.push(`${F.quantity(order.leaves_quantity)} open`);
      const why = order.cancel_reason || order.reason;
      if (order.state === "cancelled") parts.push(`the rest cancelled: ${(why || "").replaceAll("_", " ")}`);
      const words = {open: "In the book", partially_filled: "Partly filled", filled: "Filled", cancelled: executed ? "Partly filled" : "Nothing traded", rejected: "Refused"};
      const title = words[order.state] || "Accepted";
      this.outcome(order.state === "rejected" || (order.state === "cancelled" && !executed) ? "note" : "done", title, parts.join(", ") || `order ${answer.order_id}`);
      this.trade.account.submitted(body, {...order, order_id: answer.order_id || order.order_id});
      CB.notice("done", `${title}: ${body.side} ${F.quantity(body.quantity)} ${body.symbol}`, parts.join(", "));
    }
  }

  CB.Ticket = Ticket;
})(window.Crossbook);
