/* A GraphQL console that loads nothing from outside: queries by POST, subscriptions over graphql-transport-ws.
   The key is the dashboard's, kept in this tab's sessionStorage and sent to this exchange alone. */
(function () {
  "use strict";
  const KEY = "crossbook.key";
  const MESSAGES_SHOWN = 100;
  const BLOCKS_SHOWN = 40;
  const EXAMPLES = {
    "a book": `{
  book(symbol: "AAPL", depth: 5) {
    sequence position
    bids { price quantity orderCount }
    asks { price quantity orderCount }
    lastTrade { price quantity time }
  }
}`,
    "the market": `{
  market(movers: 3) {
    instruments {
      symbol state
      quote { bid { price quantity } ask { price quantity } spread }
      day { last change changePercent high low volume }
    }
    gainers { symbol day { changePercent } }
  }
}`,
    "candles": `{
  candles(symbol: "AAPL", interval: M1, first: 10) { begins open high low close volume }
}`,
    "a book as it stood": `{
  book(symbol: "AAPL", asOf: {sequence: "20"}) {
    sequence tradingTime
    bids { price quantity } asks { price quantity }
  }
}`,
    "my account (needs a key)": `{
  account {
    name
    positions { symbol quantity averagePrice unrealised }
    orders(first: 20) { edges { node { orderId symbol side price leavesQuantity state } } }
  }
}`,
    "live quotes": `subscription {
  quotes(symbols: ["AAPL", "MSFT"]) { symbol sequence bid { price quantity } ask { price quantity } }
}`,
    "a live book": `subscription {
  bookDeltas(symbol: "AAPL") {
    ... on BookSnapshot { sequence bids { price quantity } asks { price quantity } }
    ... on BookDelta { sequence previousSequence bids { price quantity } asks { price quantity } }
  }
}`,
    "status": `{
  status { ready behind mode shards { shard projections { name position lagBatches } } roles { role up } }
}`,
  };

  const at = (id) => document.getElementById(id);
  const endpoint = new URL("../graphql", location.href);
  let socket = null;

  function say(text) { at("said").textContent = text; }
  function show(value) { at("answer").textContent = JSON.stringify(value, null, 2); }

  /** What is to be sent; throws where the variables are no JSON object. */
  function asked() {
    const text = at("variables").value.trim();
    const request = {query: at("query").value};
    if (text) request.variables = JSON.parse(text);
    return request;
  }

  /** Whether a document's first operation is a subscription: comments and strings left out. */
  function isSubscription(document) {
    const bare = document.replace(/"""[^]*?"""|"(?:\\.|[^"\\\n])*"|#[^\n]*/g, " ");
    const operation = bare.match(/(?:^|[}\s])(query|mutation|subscription)\b|\{/);
    return operation !== null && operation[1] === "subscription";
  }

  async function run() {
    stop();
    let request;
    try {
      request = asked();
    } catch (error) {
      say(`the variables are no JSON: ${error.message}`);
      return;
    }
    if (isSubscription(request.query)) subscribe(request);
    else await query(request);
  }

  async function query(request) {
    const headers = {"Content-Type": "application/json", Accept: "application/json"};
    const key = at("key").value.trim();
    if (key) headers.Authorization = `Bearer ${key}`;
    const began = performance.now();
    say("asking …");
    try {
      const response = await fetch(endpoint, {
        method: "POST", headers, body: JSON.stringify(request), cache: "no-store", credentials: "omit",
      });
      show(await response.json());
      const took = (performance.now() - began).toFixed(0);
      say(`${response.status} in ${took} ms, request ${response.headers.get("X-Request-ID")}`);
    } catch (error) {
      say(`no answer: ${error.message}`);
    }
  }

  function subscribe(request) {
    const url = new URL(endpoint);
    url.protocol = url.protocol.replace("http", "ws");
    const opened = new WebSocket(url, "graphql-transport-ws");
    const messages = [];
    const key = at("key").value.trim();
    let count = 0;
    socket = opened;
    running(true);
    say("connecting …");
    opened.onopen = () => opened.send(JSON.stringify({
      type: "connection_init", payload: key ? {authorization: `Bearer ${key}`} : {},
    }));
    opened.onmessage = ({data}) => {
      const message = JSON.parse(data);
      if (message.type === "connection_ack") {
        opened.send(JSON.stringify({id: "1", type: "subscribe", payload: request}));
        say("subscribed; nothing came yet");
      } else if (message.type === "ping") {
        opened.send(JSON.stringify({type: "pong"}));
      } else if (message.type === "next" || message.type === "error") {
        count += 1;
        messages.unshift(message.type === "next" ? message.payload : {errors: message.payload});
        messages.length = Math.min(messages.length, MESSAGES_SHOWN);
        show(messages);
        say(`${count} messages, newest first`);
      }
      if (message.type === "error" || message.type === "complete") {
        say(message.type === "error" ? "refused" : `complete after ${count} messages`);
        finished(opened);
      }
    };
    opened.onclose = ({code, reason}) => {
      if (socket !== opened) return;
      say(code === 1006 ? "no connection" : `the exchange ended it: ${code} ${reason}`);
      finished(opened);
    };
  }

  function finished(ended) {
    if (socket !== ended) return;
    socket = null;
    running(false);
    ended.close();
  }

  function stop() {
    if (socket === null) return;
    finished(socket);
    say("stopped");
  }

  function running(isRunning) { at("stop").hidden = !isRunning; }

  /* --- the schema ------------------------------------------------------------------------------------------------ */

  async function readSchema() {
    const response = await fetch("schema.graphql", {credentials: "omit"});
    if (!response.ok) throw new Error(`status ${response.status}`);
    const blocks = (await response.text()).split(/\n\n(?=\S)/);
    const find = () => {
      const words = at("search").value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = blocks.filter((block) => words.every((word) => block.toLowerCase().includes(word)));
      const isNamed = (block) => words.includes((block.match(/^(?:type|enum|input|union|scalar) (\w+)/m) || ["", ""])[1].toLowerCase());
      found.sort((one, other) => isNamed(other) - isNamed(one));
      const more = found.length - BLOCKS_SHOWN;
      at("schema").textContent = found.slice(0, BLOCKS_SHOWN).join("\n\n")
        + (more > 0 ? `\n\n… and ${more} more: search for something` : found.length ? "" : "nothing is called that");
    };
    at("search").addEventListener("input", find);
    find();
  }

  /* --- the page -------------------------------------------------------------------------------------------------- */

  const given = new URLSearchParams(location.search);
  at("notice").hidden = given.get("without") !== "graphiql";
  for (const name of Object.keys(EXAMPLES)) at("examples").add(new Option(name));
  at("query").value = given.get("q") || EXAMPLES["a book"];
  at("variables").value = given.get("variables") || "";
  at("key").value = sessionStorage.getItem(KEY) || "";
  at("key").addEventListener("change", () => {
    const key = at("key").value.trim();
    if (key) sessionStorage.setItem(KEY, key);
    else sessionStorage.removeItem(KEY);
  });
  at("examples").addEventListener("change", () => {
    at("query").value = EXAMPLES[at("examples").value];
    at("variables").value = "";
  });
  at("run").addEventListener("click", run);
  at("stop").addEventListener("click", stop);
  addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run();
  });
  readSchema().catch((error) => { at("schema").textContent = `the schema could not be read: ${error.message}`; });
})();
