/* Time travel: which moment is shown, how one gets there, and playing on from it. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const TICK_MS = 50;
  const DRAW_MS = 100;
  const DRAG_MS = 140;
  const AHEAD = 120; // steps that are loaded ahead of what is played
  const PARTS = 1000; // of the overview's width

  class Travel {
    constructor(data) {
      this.begin = data;
      this.symbol = null;
      this.instrument = null;
      this.past = null;
      this.newest = 0;
      this.playing = false;
      this.speed = 5;
      this.due = 0;
      this.asked = 0;
      this.book = new CB.travelViews.BookView(this);
      this.queue = new CB.travelViews.QueueView();
      this.steps = new CB.travelViews.StepsView(this);
      this.life = new CB.OrderLife(this);
      this.around = new CB.Chart("travel-around", 90, () => CB.travelViews.aroundFigure(this));
      this.depth = new CB.Chart("travel-depth", 90, () => CB.travelViews.depthFigure(this));
    }

    async mount(ends) {
      this.ends = ends;
      ends(() => {
        this.gone = true;
        this.leaveFeed();
        clearTimeout(this.dragging);
      });
      this.makeSlider();
      this.listen();
      const timer = setInterval(() => this.tick(), TICK_MS);
      ends(() => clearInterval(timer));
      const drawing = setInterval(() => this.drawCharts(), DRAW_MS);
      ends(() => clearInterval(drawing));
      let instruments;
      try {
        instruments = await CB.instruments();
      } catch (problem) {
        this.failed(problem);
        return;
      }
      if (this.gone) return;
      const symbols = [...instruments.keys()];
      this.begin = {...this.begin, ...JSON.parse(sessionStorage.getItem("crossbook.travel") || "{}")};
      sessionStorage.removeItem("crossbook.travel");
      const wanted = (this.begin.symbol || sessionStorage.getItem("crossbook.symbol") || symbols[0] || "").toUpperCase();
      const symbol = instruments.has(wanted) ? wanted : symbols[0];
      window.dash_clientside.set_props("travel-symbol", {data: symbols, value: symbol});
      if (symbol) await this.choose(symbol);
    }

    listen() {
      const press = (id, act) => {
        const button = document.getElementById(id);
        if (button) button.addEventListener("click", act);
      };
      press("travel-first", () => this.goto(0));
      press("travel-back", () => this.step(-1));
      press("travel-step", () => this.step(1));
      press("travel-last-event", () => this.goto(this.newest));
      press("travel-trade-back", () => this.toTrade(-1));
      press("travel-trade-next", () => this.toTrade(1));
      press("travel-play", () => this.toggle());
      const rowId = (event) => {
        const row = event.target.closest && event.target.closest(".ag-row");
        return row && row.getAttribute("row-id");
      };
      const on = (className, act) => {
        const place = document.querySelector(`.${className}`);
        place.addEventListener("click", act);
        place.addEventListener("keydown", (event) => event.key === "Enter" && act(event));
      };
      on("cb-travel-book-panel", (event) => {
        const chosen = this.book.priceAt(event);
        if (!chosen) return;
        this.queue.chosen = chosen;
        this.draw();
      });
      on("cb-travel-queue-panel", (event) => rowId(event) && this.life.open(rowId(event)));
      on("cb-travel-steps-panel", (event) => rowId(event) && this.goto(Number(rowId(event))));
      this.clickAround();
    }

    /** A click into the chart goes to the nearest event. */
    clickAround() {
      const holder = document.getElementById("travel-around-chart");
      holder.addEventListener("click", (event) => {
        const plot = holder.querySelector(".js-plotly-plot");
        const area = plot && plot._fullLayout && plot._fullLayout.xaxis;
        if (!area) return;
        const x = event.clientX - plot.getBoundingClientRect().left - area._offset;
        if (x >= 0 && x <= area._length) this.goto(Math.round(area.p2d(x)));
      });
    }

    // --- where ---

    async choose(symbol) {
      if (!symbol || symbol === this.symbol) return;
      this.leaveFeed();
      this.pause();
      this.symbol = symbol;
      this.past = null;
      this.queue.chosen = null;
      this.life.clear();
      sessionStorage.setItem("crossbook.symbol", symbol);
      this.instrument = (await CB.instruments()).get(symbol);
      try {
        this.setNewest(await CB.pastAsk.newest(symbol));
      } catch (problem) {
        this.failed(problem);
        return;
      }
      if (this.symbol !== symbol || this.gone) return;
      this.endFeed = CB.feed.subscribe("level1", [symbol], (message) => this.setNewest(Number(message.sequence)));
      const {symbol: meant, sequence, time} = this.begin;
      if (meant === symbol && time) await this.gotoAt({time});
      else if (meant === symbol && sequence) {
        this.newest = Math.max(this.newest, Number(sequence)); // the stream may be a moment behind the log
        await this.goto(Number(sequence));
      } else await this.goto(this.newest);
      if (this.begin.order) this.life.open(this.begin.order);
      this.begin = {};
    }

    leaveFeed() {
      if (this.endFeed) this.endFeed();
      this.endFeed = null;
    }

    setNewest(sequence) {
      if (!Number.isFinite(sequence) || sequence < this.newest && this.past) return;
      this.newest = sequence;
      CB.say("travel-newest", F.quantity(sequence));
      if (this.slider && Number(this.slider.max) !== sequence) {
        this.slider.max = sequence;
        this.overviewSoon();
      }
    }

    /** Show the book after event `sequence`, or with `whole` after all events of the command that it is of. */
    async goto(sequence, {whole = false} = {}) {
      const wanted = Math.max(0, Math.min(sequence, this.newest));
      const asked = (this.asked += 1);
      if (!this.past || !this.past.holds(wanted)) {
        const {symbol} = this;
        this.loading(true);
        try {
          const past = await CB.Past.around(symbol, wanted);
          if (asked !== this.asked || symbol !== this.symbol || this.gone) return;
          this.past = past;
          this.setNewest(past.newest);
        } catch (problem) {
          if (asked === this.asked) this.failed(problem);
          return;
        }
        this.loading(false);
      } else this.past.goto(wanted);
      if (whole) this.past.gotoStepOf(wanted);
      this.draw();
      this.ahead();
    }

    async gotoAt(asOf) {
      if (!this.symbol) return;
      try {
        await this.goto(await CB.pastAsk.at(this.symbol, asOf));
      } catch (problem) {
        CB.notice("refused", "That moment cannot be shown", problem.message);
      }
    }

    async step(direction) {
      const {past} = this;
      if (!past) return;
      this.pause();
      if (direction > 0 && past.done === past.steps.length) await this.reload();
      const moved = this.past && (direction > 0 ? this.past.forward() : this.past.back());
      if (moved) this.draw();
      else if (direction < 0 && this.past.base > 0) await this.goto(this.past.base - 1);
      this.ahead();
    }

    async toTrade(direction) {
      if (!this.past) return;
      this.pause();
      const sequence = this.past.tradeFrom(direction);
      if (sequence !== null) await this.goto(sequence);
      else if (direction < 0 && this.past.base > 0) {
        await this.goto(this.past.base - 1);
        if (this.past.current && !this.past.current.trades.length && this.past.tradeFrom(-1) !== null) await this.toTrade(-1);
      } else CB.notice("note", "No trade there", `None among the events that are loaded, to ${F.quantity(this.past.end)}.`);
    }

    // --- playing ---

    toggle() {
      if (this.playing) this.pause();
      else if (this.past) {
        this.playing = true;
        this.due = 0;
        this.showPlaying();
      }
    }

    pause() {
      if (!this.playing) return;
      this.playing = false;
      this.showPlaying();
    }

    showPlaying() {
      const button = document.getElementById("travel-play");
      if (!button) return;
      button.textContent = this.playing ? "Pause" : "Play";
      button.dataset.playing = String(this.playing);
    }

    tick() {
      if (!this.playing || !this.past) return;
      this.due += (this.speed * TICK_MS) / 1000;
      let moved = false;
      while (this.due >= 1) {
        this.due -= 1;
        if (!this.past.forward()) {
          this.due = 0;
          if (!this.past.hasMore && this.past.end >= this.newest) {
            this.pause();
            CB.notice("note", "That is the newest event", "Nothing happened after it yet.");
          }
          break;
        }
        moved = true;
      }
      if (moved) this.draw();
      this.ahead();
    }

    /** Have enough steps ahead of where we are. */
    ahead() {
      const {past} = this;
      if (!past || past.loading || past.steps.length - past.done > AHEAD || (!past.hasMore && past.end >= this.newest)) return;
      this.reload();
    }

    async reload() {
      const {past} = this;
      if (!past.hasMore && past.end >= this.newest) return;
      try {
        await past.more();
        if (past !== this.past || this.gone) return;
        this.draw();
        this.ahead();
      } catch (problem) {
        this.pause();
        CB.notice("refused", "The next events could not be read", `${problem.message}. Press Play to ask again.`);
      }
    }

    // --- drawing ---

    loading(begins) {
      const place = document.getElementById("travel-loading");
      if (!place) return;
      place.hidden = !begins;
      place.dataset.state = "loading";
      place.querySelector("strong").textContent = "Loading the past";
      place.querySelector("span").textContent = "the book is made again from the log";
    }

    failed(problem) {
      this.pause();
      const place = document.getElementById("travel-loading");
      if (!place) return;
      place.hidden = false;
      place.dataset.state = "failed";
      place.querySelector("strong").textContent = "The past cannot be shown";
      place.querySelector("span").textContent = `${problem.message}. Choose another moment, or try again shortly.`;
    }

    draw() {
      if (this.drawing || this.gone) return;
      this.drawing = requestAnimationFrame(() => {
        this.drawing = null;
        if (this.past && !this.gone) this.drawNow();
      });
    }

    drawNow() {
      const {past, instrument} = this;
      const {decimals} = instrument;
      this.figures();
      this.placeSlider();
      const drawn = this.book.draw(past, decimals) && this.queue.draw(past, decimals, this.life.orderId);
      this.steps.draw(past, decimals);
      this.around.touch();
      this.depth.touch();
      this.drawCharts();
      if (!drawn) setTimeout(() => this.draw(), 100); // the grids are not made yet
    }

    drawCharts() {
      this.around.draw();
      this.depth.draw();
    }

    figures() {
      const {past} = this;
      const {decimals} = this.instrument;
      const [bid, ask] = past.top();
      CB.say("travel-sequence", F.quantity(past.sequence));
      CB.say("travel-clock", past.clock ? F.clock(past.clock, true) : "–");
      CB.say("travel-position", past.position || "–");
      CB.say("travel-state", past.state ? past.state.toLowerCase().replaceAll("_", " ") : "–");
      CB.say("travel-bid", F.price(bid, decimals));
      CB.say("travel-ask", F.price(ask, decimals));
      CB.say("travel-spread", bid === null || ask === null ? "–" : F.price(ask - bid, decimals));
      const {last} = past;
      CB.say("travel-last", last ? `${F.quantity(last.quantity)} at ${F.price(last.ticks, decimals)}` : "–");
      const page = document.getElementById("travel-page");
      if (page) page.dataset.sequence = String(past.sequence);
    }

    // --- the slider and what is drawn above it ---

    makeSlider() {
      const slider = document.createElement("input");
      slider.type = "range";
      slider.min = 0;
      slider.max = 0;
      slider.step = 1;
      slider.setAttribute("aria-label", "Event of the book to show");
      slider.addEventListener("input", () => this.dragged());
      document.getElementById("travel-slider").replaceChildren(slider);
      this.slider = slider;
    }

    dragged() {
      this.pause();
      const wanted = Number(this.slider.value);
      clearTimeout(this.dragging);
      if (this.past && this.past.holds(wanted)) this.goto(wanted);
      else this.dragging = setTimeout(() => this.goto(wanted), DRAG_MS);
    }

    placeSlider() {
      const {past, slider} = this;
      if (document.activeElement !== slider || Number(slider.value) !== past.sequence) slider.value = past.sequence;
      slider.setAttribute("aria-valuetext", `event ${F.quantity(past.sequence)} of ${F.quantity(this.newest)}, ${past.clock ? F.clock(past.clock) : "before the clock began"}`);
      this.drawOverview();
    }

    overviewSoon() {
      if (this.past && !this.overviewTimer) {
        this.overviewTimer = setTimeout(() => {
          this.overviewTimer = null;
          if (!this.gone) this.drawOverview();
        }, 500);
      }
    }

    drawOverview() {
      const holder = document.getElementById("travel-overview");
      const {past} = this;
      if (!holder || !past) return;
      const full = Math.max(1, this.newest);
      const at = (sequence) => ((PARTS * sequence) / full).toFixed(1);
      const key = `${past.base} ${past.end} ${past.steps.length} ${this.newest}`;
      if (key === this.overviewKey && past === this.overviewOf) return;
      [this.overviewKey, this.overviewOf] = [key, past];
      const marks = past.steps.filter((step) => step.trades.length).map((step) => {
        const up = step.trades[0].aggressorSide === "BUY";
        return `<line class="${up ? "cb-mark-up" : "cb-mark-down"}" x1="${at(step.sequence)}" x2="${at(step.sequence)}" y1="${up ? 3 : 11}" y2="${up ? 10 : 18}"/>`;
      });
      const from = at(past.base);
      const width = Math.max(3, Number(at(past.end)) - Number(from)).toFixed(1);
      holder.innerHTML = `<svg viewBox="0 0 ${PARTS} 20" preserveAspectRatio="none" aria-hidden="true"><rect class="cb-loaded" x="${from}" y="0" width="${width}" height="20"/>${marks.join("")}</svg>`;
      const trades = marks.length;
      CB.say("travel-window", `loaded: events ${F.quantity(past.base)} to ${F.quantity(past.end)}, ${F.quantity(trades)} with trades`);
    }
  }

  let travel = null;

  CB.page("travel", {
    mount(ends, data) {
      CB.shownSymbol = null;
      travel = new Travel(data);
      CB.travel = travel;
      travel.mount(ends);
    },
    unmount() {
      travel = CB.travel = null;
    },
    keys: {
      " ": () => travel.toggle(),
      ArrowLeft: () => travel.step(-1),
      ArrowRight: () => travel.step(1),
      "[": () => travel.toTrade(-1),
      "]": () => travel.toTrade(1),
      Home: () => travel.goto(0),
      End: () => travel.goto(travel.newest),
    },
  });

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.travel = {
    choose(symbol) {
      if (travel && symbol) travel.choose(symbol);
    },
    speed(value) {
      if (travel) travel.speed = Number(value) || 5;
    },
    time(value) {
      if (travel && value) travel.gotoAt({time: new Date(value.replace(" ", "T")).toISOString()});
    },
    goto(_submits, value) {
      const sequence = Number(value);
      if (!travel || value === "" || value === null || value === undefined) return "";
      if (!Number.isInteger(sequence) || sequence < 0) return "a whole number";
      if (sequence > travel.newest) return `at most ${F.quantity(travel.newest)}`;
      travel.goto(sequence);
      return "";
    },
    order(_submits, value) {
      const text = (value || "").trim();
      if (!travel || !text) return "";
      if (!/^\d{1,20}$/.test(text)) return "digits only";
      travel.life.open(text);
      return "";
    },
  };
})(window.Crossbook);
