/* The one connection to /v1/stream of this tab. Guarantees: what a handler sees of a subscription is an unbroken
   chain (previous_sequence is checked, and a broken one begun anew); after a lost connection it resumes with
   `since`; screens are told at most ten times a second, whatever comes. */
(function (CB) {
  "use strict";
  const FLUSH_MS = 100;
  const PING_MS = 2000;
  const STALE_MS = 5000; // nothing heard, although pings are sent
  const LOST_MS = 9000;
  const PAUSE_MS_MAX = 5000;
  const SYMBOLS_A_REQUEST = 500;

  class Feed {
    constructor() {
      this.subscriptions = new Map(); // "channel symbol" to {channel, symbol, sequence, handlers}
      this.books = new Map();
      this.state = "connecting"; // live, stale, offline
      this.sinceState = Date.now();
      this.account = false; // whether the connection has the key
      this.lastClosed = ""; // why the last connection ended: the close code and its reason
      this.counts = {messages: 0, resyncs: 0, reconnects: 0, conflated: 0};
      this.rate = 0;
      this.roundTripMs = null;
      this.renderMs = 0;
      this.screens = new Set();
      this.watchers = new Set();
      this._socket = null;
      this._attempts = 0;
      this._heard = 0;
      this._wanted = new Map();
      this._pings = new Map();
      this._requestId = 0;
      this._flushedAt = 0;
      this._flushing = false;
      this._retryAfterMs = 0;
      this._countedAt = performance.now();
      this._counted = 0;
    }

    start() {
      if (this._socket || this._started) return;
      this._started = true;
      setInterval(() => this._tend(), 500);
      CB.key.onChange(() => this._reopen());
      document.addEventListener("visibilitychange", () => !document.hidden && this._schedule());
      window.addEventListener("online", () => this.state === "offline" && this._connect());
      this._connect();
    }

    /** Hand every message of `channel` and `symbols` to `handler`; returns what ends it. */
    subscribe(channel, symbols, handler) {
      for (const symbol of symbols) {
        const name = `${channel} ${symbol}`;
        let found = this.subscriptions.get(name);
        if (!found) {
          found = {channel, symbol, sequence: null, pending: false, handlers: new Set()};
          this.subscriptions.set(name, found);
          if (channel === "level2") this.books.set(symbol, new CB.Book(symbol));
          this._want(found);
        } else if (found.sequence !== null) {
          this._want(found, true); // a snapshot for the newcomer; a chain begun anew is sound for all
        }
        found.handlers.add(handler);
      }
      return () => this._leave(channel, symbols, handler);
    }

    /** Call `draw(changes)` after news, at most every 100 ms; returns what ends it. */
    onFlush(draw) {
      this.screens.add(draw);
      return () => this.screens.delete(draw);
    }

    /** Call `told(feed)` whenever the connection's state changes. */
    onState(told) {
      this.watchers.add(told);
      told(this);
      return () => this.watchers.delete(told);
    }

    /** Have screens drawn soon although nothing came. */
    touch() {
      this._schedule();
    }

    get lagMs() {
      return this.roundTripMs === null ? null : this.roundTripMs / 2 + this.renderMs;
    }

    // --- the connection ---

    _connect() {
      clearTimeout(this._retry);
      if (this._socket) return;
      const scheme = location.protocol === "https:" ? "wss:" : "ws:";
      const socket = new WebSocket(`${scheme}//${location.host}/v1/stream`);
      this._socket = socket;
      this._heard = performance.now();
      this._open = false;
      socket.onopen = () => this._opened(socket);
      socket.onmessage = (event) => socket === this._socket && this._message(event.data);
      socket.onclose = ({code, reason}) => socket === this._socket && this._closed(`${code} ${reason}`.trim());
    }

    _opened(socket) {
      if (socket !== this._socket) return;
      this._open = true;
      this._attempts = 0;
      this._pings.clear();
      this.account = false;
      this._wanted.clear();
      const secret = CB.key.get();
      if (secret) this._send({op: "auth", key: secret, id: "auth"});
      for (const each of this.subscriptions.values()) {
        if (each.channel !== "executions") this._want(each);
      }
      this._ping();
      this._setState("live");
    }

    _closed(why) {
      this._socket = null;
      this.lastClosed = why;
      this._open = false;
      this.account = false;
      this._setState("offline");
      this._attempts += 1;
      this.counts.reconnects += 1;
      const pause = Math.min(PAUSE_MS_MAX, 200 * 2 ** Math.min(this._attempts, 6));
      const wait = Math.max(pause * (0.5 + Math.random() / 2), this._retryAfterMs);
      this._retryAfterMs = 0;
      this._retry = setTimeout(() => this._connect(), wait);
    }

    /** Leave this connection for another: another key needs one. */
    _reopen() {
      const socket = this._socket;
      if (!socket) return;
      this._socket = null;
      socket.close();
      for (const each of this.subscriptions.values()) if (each.channel === "executions") each.sequence = null;
      this._connect();
    }

    _tend() {
      const now = performance.now();
      if (now - this._countedAt >= 1000) {
        this.rate = Math.round(((this.counts.messages - this._counted) * 1000) / (now - this._countedAt));
        this._counted = this.counts.messages;
        this._countedAt = now;
      }
      if (!this._socket) return;
      // Time in which this page itself stood still (a computer asleep) is no proof of silence: what
      // came meanwhile may wait to be read. It is stale at once, and lost only when it stays so.
      const stale = this._open && this.state === "stale";
      if (this._open && !stale && now - this._heard > STALE_MS) {
        this._staleAt = now;
        this._setState("stale");
      } else if (now > (stale ? this._staleAt + LOST_MS - STALE_MS : this._heard + LOST_MS)) {
        const socket = this._socket;
        this._socket = null;
        socket.close();
        this._closed("nothing came");
      }
      if (this._open && now - (this._pingedAt || 0) >= PING_MS) this._ping();
    }

    _ping() {
      this._pingedAt = performance.now();
      const id = `ping-${(this._requestId += 1)}`;
      this._pings.set(id, this._pingedAt);
      if (this._pings.size > 8) this._pings.delete(this._pings.keys().next().value);
      this._send({op: "ping", id});
    }

    _setState(state) {
      if (state === this.state) return;
      this.state = state;
      this.sinceState = Date.now();
      this.watchers.forEach((told) => told(this));
      this._schedule();
    }

    _send(request) {
      if (this._open) this._socket.send(JSON.stringify(request));
    }

    // --- subscriptions ---

    _want(subscription, anew) {
      if (anew) subscription.sequence = null;
      subscription.pending = true;
      const list = this._wanted.get(subscription.channel) || new Set();
      list.add(subscription);
      this._wanted.set(subscription.channel, list);
      if (!this._asking) {
        this._asking = true;
        queueMicrotask(() => {
          this._asking = false;
          this._request();
        });
      }
    }

    _request() {
      if (!this._open) return; // all of them are asked for when the connection is there
      for (const [channel, wanted] of [...this._wanted]) {
        if (channel === "executions" && !this.account) continue;
        this._wanted.delete(channel);
        const list = [...wanted].filter((each) => each.handlers.size);
        for (let at = 0; at < list.length; at += SYMBOLS_A_REQUEST) {
          const part = list.slice(at, at + SYMBOLS_A_REQUEST);
          const since = {};
          part.forEach((each) => each.sequence !== null && (since[each.symbol] = each.sequence));
          const request = {op: "subscribe", channel, symbols: part.map((each) => each.symbol)};
          if (Object.keys(since).length) request.since = since;
          request.id = this._requestId += 1;
          this._send(request);
        }
      }
    }

    _leave(channel, symbols, handler) {
      const gone = [];
      for (const symbol of symbols) {
        const name = `${channel} ${symbol}`;
        const found = this.subscriptions.get(name);
        if (!found) continue;
        found.handlers.delete(handler);
        if (found.handlers.size) continue;
        this.subscriptions.delete(name);
        if (channel === "level2") this.books.delete(symbol);
        gone.push(symbol);
      }
      if (gone.length) this._send({op: "unsubscribe", channel, symbols: gone});
    }

    // --- messages ---

    _message(text) {
      const message = JSON.parse(text);
      this._heard = performance.now();
      if (this.state !== "live") this._setState("live");
      if (message.channel !== undefined && message.sequence !== undefined) {
        this.counts.messages += 1;
        this._chained(message);
        return;
      }
      if (message.type === "pong") this._pong(message);
      else if (message.type === "authenticated") this._authenticated();
      else if (message.type === "serverShutdown") this._retryAfterMs = message.retry_after_ms || 0;
      else if (message.type === "error") this._refused(message);
    }

    _pong(message) {
      const sent = this._pings.get(message.id);
      this._pings.delete(message.id);
      if (sent !== undefined) this.roundTripMs = performance.now() - sent;
    }

    _authenticated() {
      this.account = true;
      for (const each of this.subscriptions.values()) if (each.channel === "executions") this._want(each);
      this.watchers.forEach((told) => told(this));
    }

    _refused(message) {
      if (message.code === "invalid_key" || message.code === "key_revoked") CB.key.set("");
      this.lastError = message;
      this.watchers.forEach((told) => told(this));
    }

    _chained(message) {
      const found = this.subscriptions.get(`${message.channel} ${message.symbol}`);
      if (!found) return; // it came before the end of the subscription did
      if (message.type === "snapshot") {
        if (message.conflated) this.counts.conflated += 1;
      } else if (found.sequence === null) {
        return; // of the chain that was given up
      } else if (message.previous_sequence !== found.sequence) {
        this._anew(found);
        return;
      }
      found.sequence = message.sequence;
      found.pending = false;
      if (message.channel === "level2" && !this.books.get(message.symbol).take(message)) {
        this._anew(found);
        return;
      }
      found.handlers.forEach((handler) => handler(message));
      this._schedule();
    }

    _anew(found) {
      this.counts.resyncs += 1;
      this._want(found, true);
    }

    // --- screens ---

    _schedule() {
      if (this._flushing || document.hidden) return;
      const wait = FLUSH_MS - (performance.now() - this._flushedAt);
      const draw = () => requestAnimationFrame(() => this._flush());
      this._flushing = true;
      if (wait > 0) setTimeout(draw, wait);
      else draw(); // the first news after a pause is in the next frame
    }

    _flush() {
      this._flushing = false;
      const began = (this._flushedAt = performance.now());
      this.screens.forEach((draw) => draw(this));
      this.renderMs = performance.now() - began;
    }
  }

  CB.feed = new Feed();
})(window.Crossbook);
