/* An order's life, event by event: all of it with a key of its owner, else what the book showed of it. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const LIFE = `query($orderId: OrderId!) {
    orderLife(orderId: $orderId) {
      orderId clientOrderId symbol side type timeInForce price quantity state executedQuantity leavesQuantity
      averagePrice born logEnd why
      events { kind text position sequence time tradingTime leavesQuantity reason }
    }
  }`;
  const KINDS = {
    added: "joins the book", executed: "trades", reduced: "is reduced", removed: "leaves the book",
  };

  const make = (name, className, text) => {
    const made = document.createElement(name);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const words = (text) => String(text).toLowerCase().replaceAll("_", " ");
  const dollars = (text) => (text === null ? "market" : F.price(F.ticksOf(text), 2));

  class Life {
    constructor(travel) {
      this.travel = travel;
      this.orderId = null;
    }

    clear() {
      this.orderId = null;
      this.show(null);
    }

    show(content) {
      const holder = document.getElementById("travel-life");
      const empty = document.getElementById("travel-life-empty");
      if (!holder || !empty) return;
      empty.hidden = content !== null;
      holder.replaceChildren(...(content || []));
    }

    async open(orderId) {
      this.orderId = orderId;
      this.show([make("p", "cb-dim", "Asking for the order's life…")]);
      let told = null;
      let note = "";
      if (CB.key.get()) {
        try {
          told = (await CB.api.graphql(LIFE, {orderId})).orderLife;
          note = told ? "" : "This key's account does not own the order, so this is what the book showed of it.";
        } catch (problem) {
          note = `All of its life could not be read: ${problem.message}. This is what the book showed of it.`;
        }
      } else note = "Without a key: what the book showed of it. With its owner's key (k) you see every event, and why.";
      if (this.orderId !== orderId) return;
      this.show(told ? this.whole(told) : this.publicly(orderId, note));
    }

    // --- with a key ---

    whole(told) {
      const title = make("h3", told.side === "BUY" ? "cb-up" : "cb-down",
        `${told.side === "BUY" ? "▲ Buy" : "▼ Sell"} ${F.quantity(told.quantity)} ${told.symbol} at ${dollars(told.price)}, ${words(told.type)} ${told.timeInForce}`);
      const average = told.averagePrice ? ` at ${F.price(F.ticksOf(told.averagePrice), 4)} on average` : "";
      const outcome = make("p", "cb-life-outcome", `${words(told.state)}: ${F.quantity(told.executedQuantity)} executed${average}, ${F.quantity(told.leavesQuantity)} open`);
      const name = told.clientOrderId ? `, client order id ${told.clientOrderId}` : "";
      const id = make("p", "cb-dim cb-num", `order ${told.orderId}${name}, born at log position ${told.born}`);
      const why = make("ul", "cb-life-why");
      told.why.forEach((sentence) => why.append(make("li", "", sentence)));
      const list = make("ol", "cb-life-events");
      told.events.forEach((event) => list.append(this.event({
        kind: event.kind, text: event.text, position: event.position, sequence: event.sequence === null ? null : Number(event.sequence),
        time: event.tradingTime || event.time, leaves: event.leavesQuantity,
      })));
      return [title, outcome, id, why, list];
    }

    // --- without ---

    publicly(orderId, note) {
      const {past} = this.travel;
      const found = past ? past.publicLife(orderId) : [];
      const id = make("p", "cb-num", `order ${orderId}`);
      const list = make("ol", "cb-life-events");
      for (const {step, change} of found) list.append(this.event({...this.tell(change), sequence: step.sequence, position: step.position, time: step.tradingTime || step.time}));
      const none = found.length ? null : make("p", "cb-dim", "Nothing happened to it in the steps that are loaded around this moment.");
      return [id, make("p", "cb-life-note", note), list, none].filter(Boolean);
    }

    tell(change) {
      const side = change.side === "BUY" ? "buy" : "sell";
      const price = F.price(change.ticks, this.travel.instrument.decimals);
      const text = {
        added: `${side} ${F.quantity(change.quantity)} at ${price} ${KINDS.added}`,
        executed: `${F.quantity(change.executed)} traded at ${price} (match ${change.matchNumber})`,
        reduced: `reduced to ${F.quantity(change.quantity)}, keeps its place`,
        removed: `${KINDS.removed}`,
      }[change.kind] || words(change.kind);
      return {kind: `order_${change.kind}`, text, leaves: change.quantity};
    }

    /** One event as a list item; a button shows the book right after it. */
    event({kind, text, position, sequence, time, leaves}) {
      const item = make("li", "cb-life-event");
      item.dataset.kind = kind;
      const head = make("div", "cb-life-when cb-num", `${F.clock(time)} · log ${position}`);
      const what = make("div", "cb-life-what", text);
      item.append(head, what);
      if (leaves !== null && leaves !== undefined) item.append(make("div", "cb-dim cb-num", `${F.quantity(leaves)} open after it`));
      if (sequence !== null && sequence !== undefined) {
        const button = make("button", "cb-row-button", `Book at ${F.quantity(sequence)}`);
        button.type = "button";
        button.addEventListener("click", () => this.travel.goto(sequence, {whole: true}));
        item.append(button);
      }
      return item;
    }
  }

  CB.OrderLife = Life;
})(window.Crossbook);
