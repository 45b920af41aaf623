/* The public API as the browser asks it. The key is in sessionStorage: it is sent to the API of this origin
   and to nothing else, and ends with the tab. */
(function (CB) {
  "use strict";
  const KEY = "crossbook.key";
  const TIMEOUT_MS = 15000;
  const listeners = new Set();

  const key = {
    get: () => sessionStorage.getItem(KEY) || "",
    set(text) {
      if (text) sessionStorage.setItem(KEY, text);
      else sessionStorage.removeItem(KEY);
      listeners.forEach((listener) => listener(text));
    },
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  };

  /** A refusal or failure: `reason` as in docs/rest.md, `detail` for people, `status` 0 without an answer. */
  class ApiProblem extends Error {
    constructor(status, body) {
      super(body.detail || body.title || `status ${status}`);
      this.status = status;
      this.reason = body.reason || "unexpected_answer";
      this.refusedBy = body.refused_by || null;
      this.orderId = body.order_id || null;
      this.requestId = body.request_id || "";
    }
  }

  async function fetched(method, path, body, options, accept) {
    const headers = {Accept: accept};
    const secret = options && "key" in options ? options.key : key.get();
    if (secret) headers.Authorization = `Bearer ${secret}`;
    if (body !== undefined) headers["Content-Type"] = "application/json";
    const stop = new AbortController();
    const timer = setTimeout(() => stop.abort(), TIMEOUT_MS);
    try {
      const response = await fetch(path, {
        method, headers, signal: stop.signal, cache: "no-store", credentials: "omit",
        body: body === undefined ? undefined : JSON.stringify(body),
      });
      return {response, text: await response.text()};
    } catch (error) {
      throw new ApiProblem(0, {reason: "no_answer", detail: "the exchange did not answer"});
    } finally {
      clearTimeout(timer);
    }
  }

  /** The first of a GraphQL answer's errors, as REST would tell it. */
  function problemOf([first]) {
    const code = first && first.extensions && first.extensions.code;
    return {reason: code || "graphql_error", detail: first ? first.message : ""};
  }

  async function ask(method, path, body, options) {
    const {response, text} = await fetched(method, path, body, options, "application/json");
    let answer = {};
    try {
      answer = text ? JSON.parse(text) : {};
    } catch (error) {
      throw new ApiProblem(response.status, {detail: "the answer is not JSON"});
    }
    if (!response.ok) throw new ApiProblem(response.status, answer.errors ? problemOf(answer.errors) : answer);
    return answer;
  }

  /** A page of text that needs no key, such as /metrics. */
  async function text(path) {
    const {response, text: page} = await fetched("GET", path, undefined, {key: ""}, "text/plain");
    if (!response.ok) throw new ApiProblem(response.status, {});
    return page;
  }

  async function graphql(query, variables, options) {
    const answer = await ask("POST", "/graphql", {query, variables: variables || {}}, options);
    if (answer.errors && answer.errors.length) throw new ApiProblem(200, problemOf(answer.errors));
    return answer.data;
  }

  function query(values) {
    const given = Object.entries(values).filter(([, value]) => value !== undefined && value !== null && value !== "");
    return given.length ? "?" + new URLSearchParams(given) : "";
  }

  const path = (symbol) => encodeURIComponent(symbol);

  /** A client order id that no other order has: it is what makes a retry safe. */
  function newClientOrderId() {
    const bytes = crypto.getRandomValues(new Uint8Array(12));
    return "ui-" + Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  }

  CB.key = key;
  CB.ApiProblem = ApiProblem;
  CB.api = {
    ask,
    text,
    graphql,
    newClientOrderId,
    instruments: () => ask("GET", "/v1/instruments").then((answer) => answer.instruments),
    trades: (symbol, limit, before) => ask("GET", `/v1/trades/${path(symbol)}${query({limit, before})}`),
    book: (symbol, depth) => ask("GET", `/v1/books/${path(symbol)}${query({depth})}`),
    orders: (values, options) => ask("GET", `/v1/orders${query(values)}`, undefined, options),
    order: (orderId) => ask("GET", `/v1/orders/${orderId}`),
    submit: (order) => ask("POST", "/v1/orders", order),
    replace: (orderId, symbol, change) => ask("PATCH", `/v1/orders/${orderId}${query({symbol})}`, change),
    cancel: (orderId) => ask("DELETE", `/v1/orders/${orderId}`),
    cancelAll: (symbol, side) => ask("DELETE", `/v1/orders${query({symbol, side})}`),
  };
})(window.Crossbook);
