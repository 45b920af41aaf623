/* The frame around the pages: the feed's badge, key, theme, navigation and shortcuts. */
(function (CB) {
  "use strict";
  const feed = CB.feed;
  const set = (id, props) => window.dash_clientside.set_props(id, props);
  const pages = new Map(); // name to {mount, unmount, keys}
  let current = null;
  let shortcutPages = {};
  let goAt = 0;

  // --- pages ---

  /** Register what a page does when it comes on screen (`mount`) and when it goes (`unmount`). */
  CB.page = (name, page) => pages.set(name, page);

  /** A page's components are there: its `NAME-boot` store says so. Answers the root's class. */
  function enter(data) {
    leave();
    const page = pages.get(data.page);
    if (page) {
      const ends = [];
      current = {page, ends};
      page.mount((end) => ends.push(end), data);
    }
    return `cb-${data.page}`;
  }

  function leave() {
    if (!current) return;
    current.ends.forEach((end) => end());
    if (current.page.unmount) current.page.unmount();
    current = null;
  }

  // --- instruments ---

  let instruments = null;

  /** The instruments, by symbol, with prices as ticks; asked once a minute at most. */
  CB.instruments = function (anew) {
    if (!instruments || anew || Date.now() - instruments.at > 60000) {
      const asked = CB.api.instruments().then((list) => new Map(list.map((each) => [each.symbol, ticked(each)])));
      instruments = {at: Date.now(), asked};
      asked.catch(() => (instruments = null));
    }
    return instruments.asked;
  };

  /** The instruments, asked for until they are there: `failed(problem)` hears of each try without. Null once `gone()`. */
  CB.untilInstruments = async function (gone, failed) {
    for (let pauseMs = 500; !gone(); pauseMs = Math.min(8000, 2 * pauseMs)) {
      try {
        return await CB.instruments();
      } catch (problem) {
        failed(problem);
      }
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
    }
    return null;
  };

  function ticked(instrument) {
    const ticks = (text) => (text === null || text === undefined ? null : CB.format.ticksOf(text));
    const tick = ticks(instrument.tick_size);
    return {
      symbol: instrument.symbol, tick, decimals: CB.format.decimalsOf(tick), lot: instrument.lot_size,
      collar: ticks(instrument.price_collar), reference: ticks(instrument.reference_price), state: instrument.state,
    };
  }

  // --- badge and status bar ---

  const WORDS = {connecting: "Connecting", live: "Live", stale: "Stale", offline: "Reconnecting"};

  function showState() {
    document.body.dataset.feed = feed.state;
    const badge = document.getElementById("feed-badge");
    if (badge) badge.dataset.feed = feed.state;
    const since = CB.format.clock(feed.sinceState);
    document.body.style.setProperty("--cb-stale-text", `"STALE since ${since}"`);
    showBar();
  }

  function showBar() {
    const lag = feed.lagMs === null || feed.state !== "live" ? null : Math.max(1, Math.round(feed.lagMs));
    CB.say("feed-state", lag === null ? WORDS[feed.state] : `${WORDS[feed.state]} · ${lag} ms`);
    const book = CB.shownSymbol ? feed.books.get(CB.shownSymbol) : null;
    CB.say("bar-feed", WORDS[feed.state] + (feed.account ? ", with key" : ""));
    CB.say("bar-lag", lag === null ? "–" : `${lag} ms`);
    CB.say("bar-rate", CB.format.quantity(feed.rate));
    CB.say("bar-resyncs", String(feed.counts.resyncs));
    const reconnects = CB.say("bar-reconnects", String(feed.counts.reconnects));
    if (reconnects) reconnects.title = feed.lastClosed && `the last one: ${feed.lastClosed}`;
    CB.say("bar-sequence", book && book.sequence ? `${book.symbol} ${CB.format.quantity(Number(book.sequence))}` : "–");
    CB.say("bar-checksum", book && book.verified ? `✓ to ${CB.format.quantity(Number(book.verified))}` : "–");
    CB.say("bar-clock", CB.format.clock(Date.now()));
  }

  // --- notices ---

  /** Tell the user something for a few seconds. `kind`: done, refused, note. */
  CB.notice = function (kind, title, message) {
    const colours = {done: "blue", refused: "orange", note: "gray"};
    set("notices", {sendNotifications: [{
      action: "show", id: `notice-${Math.random()}`, title, message, color: colours[kind],
      autoClose: kind === "refused" ? 9000 : 5000,
    }]});
  };

  // --- key ---

  function showKey() {
    const given = Boolean(CB.key.get());
    CB.say("key-state", given ? `Key ${CB.key.get().slice(0, 8)}…` : "Read-only");
    document.body.dataset.key = given ? "given" : "none";
  }

  async function takeKey(text) {
    const secret = (text || "").trim();
    if (!secret) return "Paste a key, such as the demo key that crossbook up prints.";
    try {
      await CB.api.orders({limit: 1}, {key: secret});
    } catch (problem) {
      if (problem.status === 401) return "The exchange does not know this key, or it was revoked.";
      if (problem.status === 403) return "This key may not read orders. Use one with scope read or trade.";
      return `The key could not be checked: ${problem.message}.`;
    }
    CB.key.set(secret);
    set("key-modal", {opened: false});
    set("key-input", {value: ""});
    CB.notice("done", "Key accepted", "You can trade. The key is forgotten when this tab is closed.");
    return "";
  }

  // --- shortcuts ---

  const typing = (target) => target.closest && target.closest("input, textarea, select, [contenteditable=true]");

  function go(path) {
    const link = [...document.querySelectorAll(".cb-nav a")].find((each) => each.pathname === path);
    if (link) link.click();
  }

  function pressed(event) {
    if (event.defaultPrevented || event.altKey || event.metaKey) return;
    const keys = (current && current.page.keys) || {};
    if (event.ctrlKey) {
      if (event.key === "Enter" && keys["Ctrl+Enter"]) take(event, keys["Ctrl+Enter"]);
      return;
    }
    if (event.key === "Escape" && keys.Escape) keys.Escape();
    if (typing(event.target) || document.querySelector(".mantine-Modal-content")) return;
    if (goAt && Date.now() - goAt < 1500 && shortcutPages[event.key]) {
      goAt = 0;
      take(event, () => go(shortcutPages[event.key]));
      return;
    }
    goAt = 0;
    const all = {
      "?": () => set("help-modal", {opened: true}),
      k: () => set("key-modal", {opened: true}),
      d: () => document.getElementById("scheme-toggle").click(),
      g: () => (goAt = Date.now()),
      "/": () => findSymbol(),
      ...keys,
    };
    if (all[event.key]) take(event, all[event.key]);
  }

  function take(event, act) {
    event.preventDefault();
    act();
  }

  function findSymbol() {
    const field = document.querySelector("[data-find-symbol] input, input[data-find-symbol]");
    if (field) {
      field.focus();
      field.select();
    }
  }

  // --- Dash ---

  window.dash_clientside = window.dash_clientside || {};
  window.dash_clientside.shell = {
    boot(data) {
      const base = location.pathname.slice(0, location.pathname.indexOf("/ui/"));
      shortcutPages = Object.fromEntries(
        Object.entries(data.pages).map(([key, path]) => [key, `${base}/ui${path}`]));
      document.addEventListener("keydown", pressed);
      feed.onState(showState);
      setInterval(() => {
        showBar();
        CB.labelGrids();
      }, 500);
      CB.key.onChange(showKey);
      showKey();
      feed.start();
    },
    enter,
    toggleKey: () => true,
    toggleHelp: () => true,
    saveKey: (_clicks, _submits, text) => takeKey(text),
    removeKey() {
      CB.key.set("");
      set("key-modal", {opened: false});
      return "";
    },
    navigated(pathname) {
      for (const link of document.querySelectorAll(".cb-nav a")) {
        const here = link.pathname.replace(/\/$/, "") === String(pathname).replace(/\/$/, "");
        if (here) link.setAttribute("aria-current", "page");
        else link.removeAttribute("aria-current");
      }
      return "cb-page";
    },
  };
})(window.Crossbook);
