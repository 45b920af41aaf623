/* System: /metrics and the GraphQL status, asked every two seconds, one request of each at a time. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const ASK_MS = 2000;
  const DRAW_MS = 250; // charts that changed, or whose panel was not there yet
  const STATUS = `{
    status {
      ready behind time mode directory
      shards {
        shard written matched lagBatches batchesPerSecond streamed tradingTime instruments
        projections { name position lagBatches batchesPerSecond runningHash verifiedPosition verifiedAt }
        stateHash { position sha256 takenAt verifiedAt }
      }
      roles { role up detail }
      clients { streams subscriptions }
    }
  }`;
  const STAGES = [
    ["queue", "crossbook_sequencer_queue_seconds", {}], ["command log", "crossbook_command_append_seconds", {}],
    ["matcher", "crossbook_matcher_apply_seconds", {}], ["event log", "crossbook_event_append_seconds", {}],
    ["answer", "crossbook_outcome_seconds", {}], ["→ Redis", "crossbook_sink_delay_seconds", {sink: "redis"}],
    ["→ PostgreSQL", "crossbook_sink_delay_seconds", {sink: "postgres"}],
  ];

  class System {
    constructor() {
      this.metrics = new CB.Metrics();
      this.status = null;
      this.trouble = "";
      this.pipeline = new CB.Pipeline();
      this.stages = new CB.GridRows("stages", (row) => row.key);
      this.rejects = new CB.GridRows("rejects", (row) => row.key, {bars: ["recent"]});
      this.throughput = new CB.Chart("throughput", 1000, () => this.throughputFigure());
      this.latency = new CB.Chart("latency", 1000, () => this.latencyFigure());
      this.over = false;
    }

    mount(ends) {
      this.pipeline.mount(ends);
      ends(() => {
        this.over = true;
        clearTimeout(this.timer);
      });
      const timer = setInterval(() => this.redraw(), DRAW_MS);
      ends(() => clearInterval(timer));
      this.round();
    }

    async round() {
      if (!document.hidden) {
        const [metrics, status] = await Promise.allSettled([CB.api.text("/metrics"), CB.api.graphql(STATUS, {}, {key: ""})]);
        if (this.over) return;
        this.take(metrics, status);
        this.draw();
      }
      this.timer = setTimeout(() => this.round(), ASK_MS);
    }

    take(metrics, status) {
      const troubles = [];
      if (metrics.status === "fulfilled") this.metrics.take(metrics.value, Date.now());
      else troubles.push(`Metrics: ${metrics.reason.message}.`);
      if (status.status === "fulfilled") this.status = status.value.status;
      else {
        troubles.push(`Status: ${status.reason.message}.`);
        this.status = null;
      }
      if (this.status && this.status.behind.length) troubles.push(`Behind: ${this.status.behind.join("; ")}.`);
      this.trouble = troubles.join(" ");
    }

    draw() {
      const place = document.getElementById("system-trouble");
      if (place) {
        place.hidden = !this.trouble;
        CB.say("system-trouble", this.trouble);
      }
      if (this.metrics.newest) {
        this.stagesShown = CB.pipelineStages(this.metrics, this.status);
        for (const [name, stage] of Object.entries(this.stagesShown)) this.pipeline.show(name, stage);
        this.figures();
        this.showRejects();
      }
      this.stages.sync(this.stageRows());
      this.showHashes();
      this.showGaps();
      this.throughput.touch();
      this.latency.touch();
      this.redraw();
    }

    redraw() {
      this.throughput.draw();
      this.latency.draw();
    }

    figures() {
      const metrics = this.metrics;
      const rate = (name) => F.rate(metrics.rate(`crossbook_${name}_total`));
      const rejects = metrics.rate("crossbook_rejects_total", {}, 60);
      const status = this.status;
      CB.say("system-ready", status ? (status.ready ? "✓ Caught up" : "Behind") : "No answer");
      CB.say("system-commands", rate("written_commands"));
      CB.say("system-events", rate("events"));
      CB.say("system-trades", rate("trades"));
      CB.say("system-outcome", F.span(metrics.quantile("crossbook_outcome_seconds", 0.99)));
      CB.say("system-history", F.span(metrics.quantile("crossbook_sink_delay_seconds", 0.99, {sink: "postgres"})));
      CB.say("system-rejects", rejects === null ? "none" : F.rate(rejects * 60));
      CB.say("system-asked", `${F.clock(Date.now())}, every 2 s`);
      if (!status) return;
      const times = status.shards.map((shard) => shard.tradingTime).filter(Boolean).sort();
      CB.say("system-instruments", F.quantity(status.shards.reduce((total, shard) => total + shard.instruments, 0)));
      CB.say("system-clock", times.length ? F.clock(times[times.length - 1]) : "not begun");
      const verified = status.shards.map((shard) => shard.stateHash && shard.stateHash.verifiedAt).filter(Boolean).sort();
      CB.say("system-verified", verified.length ? F.ago(verified[0]) : "not yet");
      CB.say("stages-mode", `${status.mode}, ${status.shards.length} ${status.shards.length === 1 ? "shard" : "shards"}, directory change ${F.quantity(status.directory)}`);
    }

    // --- stages by shard ---

    stageRows() {
      if (!this.status) return [];
      const matching = this.status.roles.find((role) => role.role === "matching");
      const rows = [];
      const add = (shard, stage, values) => rows.push({key: `${shard.shard} ${stage}`, stage, shard: shard.shard, verified: "", ...values});
      for (const shard of this.status.shards) {
        add(shard, "Commands", {position: CB.batchOf(shard.written), lag: null, rate: null, ...word(true, 0)});
        add(shard, "Matcher", {
          position: CB.batchOf(shard.matched), lag: shard.lagBatches, rate: shard.batchesPerSecond,
          ...word(matching ? matching.up : null, shard.lagBatches),
        });
        for (const each of shard.projections) {
          add(shard, NAMES[each.name] || each.name, {
            position: CB.batchOf(each.position), lag: each.lagBatches, rate: each.batchesPerSecond,
            ...word(each.position !== null, each.lagBatches),
            verified: each.verifiedPosition ? `${F.quantity(CB.batchOf(each.verifiedPosition))}, ${F.ago(each.verifiedAt)}` : each.name === "multicast" ? "" : "not compared yet",
          });
        }
        const lag = shard.streamed === null ? null : Math.max(0, CB.batchOf(shard.matched) - CB.batchOf(shard.streamed));
        add(shard, "Stream", {position: CB.batchOf(shard.streamed), lag, rate: null, ...word(lag === null ? null : true, lag)});
      }
      return rows;
    }

    // --- rejects ---

    showRejects() {
      const {metrics} = this;
      const grown = metrics.grown("crossbook_rejects_total", metrics.samples[0], metrics.newest);
      const byReason = new Map();
      for (const {labels, grown: recent, value} of grown) {
        const key = `${labels.by} ${labels.reason}`;
        const row = byReason.get(key) || {key, reason: labels.reason, by: labels.by, recent: 0, total: 0};
        row.recent += metrics.samples.length > 1 ? recent : 0;
        row.total += value;
        byReason.set(key, row);
      }
      const rows = [...byReason.values()];
      const full = Math.max(1, ...rows.map((row) => row.recent));
      this.rejects.sync(rows.map((row) => ({...row, full})));
      const commands = metrics.now("crossbook_written_commands_total");
      const total = rows.reduce((sum, row) => sum + row.total, 0);
      CB.say("rejects-rate", commands ? `${F.quantity(total)} since start, ${((100 * total) / commands).toFixed(2)} per 100 commands` : "");
    }

    // --- state hashes ---

    showHashes() {
      const holder = document.getElementById("state-hashes");
      const known = this.status ? this.status.shards.filter((shard) => shard.stateHash) : [];
      const empty = document.getElementById("hashes-empty");
      if (!holder || !empty) return;
      empty.hidden = known.length > 0;
      const text = JSON.stringify(known.map((shard) => [shard.shard, shard.stateHash]));
      if (text !== this.hashesShown) {
        this.hashesShown = text;
        holder.replaceChildren(...known.map(hashCard));
      }
      for (const shard of known) {
        const {takenAt, verifiedAt} = shard.stateHash;
        CB.say(`hash-taken-${shard.shard}`, `taken ${F.ago(takenAt)}`);
        CB.say(`hash-verified-${shard.shard}`, verifiedAt ? `✓ restored and equal, ${F.ago(verifiedAt)}` : "not verified yet");
      }
      const all = known.length && known.every((shard) => shard.stateHash.verifiedAt);
      CB.say("hashes-verified", all ? "✓ verified" : "");
    }

    // --- gaps ---

    showGaps() {
      const {feed} = CB;
      const list = document.getElementById("gap-rows");
      if (!list) return;
      const count = (name) => this.metrics.now(`crossbook_${name}_total`);
      const own = feed.counts.resyncs;
      const lines = [
        ["This tab: broken chains, begun anew", F.quantity(own)],
        ["This tab: connections lost and resumed", F.quantity(feed.counts.reconnects)],
        ["This tab: conflated, being too slow", F.quantity(feed.counts.conflated)],
        ["All streams: conflated snapshots", F.quantity(count("stream_conflated"))],
        ["All streams: cut off", F.quantity(count("stream_cut_off") || 0)],
        ["Multicast: requests for what was missed", F.quantity(count("feed_requests") || 0)],
        ["Multicast: messages sent again", F.quantity(count("feed_resent_messages") || 0)],
        ["Sinks: steps that failed", F.quantity(count("sink_errors") || 0)],
      ];
      list.replaceChildren(...lines.map(([term, value]) => pair(term, value)));
      CB.say("gaps-state", own === 0 ? "✓ no gap in this tab" : `${F.quantity(own)} gaps, repaired`);
    }

    // --- charts ---

    throughputFigure() {
      const colours = CB.palette();
      const line = (name, title, colour, dash) => {
        const points = this.metrics.history(name);
        return {type: "scatter", mode: "lines", name: title, x: points.map((point) => new Date(point.at)), y: points.map((point) => point.rate),
          line: {color: colour, width: 1.7, dash}, hovertemplate: "%{y:,.1f}"};
      };
      const end = Date.now();
      return {
        data: [
          line("crossbook_events_total", "events/s", colours.dim, "dot"),
          line("crossbook_written_commands_total", "commands/s", colours.accent, "solid"),
          line("crossbook_trades_total", "trades/s", colours.down, "dash"),
        ],
        layout: CB.chartLayout({
          margin: {l: 40, r: 12, t: 24, b: 22}, showlegend: true,
          legend: {orientation: "h", x: 0, y: 1.14, font: {size: 11, color: colours.text}, bgcolor: "rgba(0,0,0,0)"},
          xaxis: CB.axis({type: "date", showgrid: false, nticks: 6, range: [new Date(end - 300000), new Date(end)]}),
          yaxis: CB.axis({rangemode: "tozero", nticks: 5, tickformat: "~s"}),
        }),
      };
    }

    latencyFigure() {
      const colours = CB.palette();
      const rows = STAGES.map(([title, name, wanted]) => ({
        title, median: this.metrics.quantile(name, 0.5, wanted), high: this.metrics.quantile(name, 0.99, wanted),
      })).reverse();
      const empty = document.getElementById("latency-empty");
      if (empty) empty.hidden = rows.some((row) => row.median !== null);
      const trace = (field, name, colour, opacity) => ({
        type: "bar", orientation: "h", name, y: rows.map((row) => row.title), x: rows.map((row) => row[field] && row[field] * 1000),
        marker: {color: colour}, opacity, text: rows.map((row) => (row[field] === null ? "" : F.span(row[field]))),
        textposition: "outside", constraintext: "none", textfont: {size: 10, color: colours.text}, cliponaxis: false, hoverinfo: "skip",
      });
      const most = Math.max(1, ...rows.map((row) => (row.high || 0) * 1000));
      return {
        data: [trace("high", "p99", colours.down, 0.75), trace("median", "median", colours.accent, 0.9)],
        layout: CB.chartLayout({
          margin: {l: 86, r: 18, t: 30, b: 22}, showlegend: true, bargap: 0.25, bargroupgap: 0.05, hovermode: false,
          legend: {orientation: "h", x: 0, y: 1.2, traceorder: "reversed", font: {size: 11, color: colours.text}, bgcolor: "rgba(0,0,0,0)"},
          xaxis: CB.axis({type: "log", range: [-2, Math.log10(most) + 0.55], dtick: 1, tickvals: [0.01, 0.1, 1, 10, 100, 1000, 10000],
            ticktext: ["10 µs", "100 µs", "1 ms", "10 ms", "100 ms", "1 s", "10 s"]}),
          yaxis: CB.axis({showgrid: false, tickfont: {size: 11, color: colours.text}}),
        }),
      };
    }
  }

  const NAMES = {redis: "Redis", postgres: "PostgreSQL", multicast: "Multicast"};

  function word(up, lag) {
    if (up === false) return {health: "▲ down", good: false};
    if (up === null || lag === null) return {health: "not known", good: null};
    return lag > 64 ? {health: "▲ behind", good: false} : {health: "✓ healthy", good: true};
  }

  function pair(term, value) {
    const row = document.createElement("div");
    const name = document.createElement("dt");
    const what = document.createElement("dd");
    name.textContent = term;
    what.textContent = value;
    what.className = "cb-num";
    row.append(name, what);
    return row;
  }

  /** One shard's state hash: the hash, where it is of, and how to make it oneself. */
  function hashCard(shard) {
    const {position, sha256} = shard.stateHash;
    const card = document.createElement("section");
    const make = (name, className, text, id) => {
      const made = document.createElement(name);
      made.className = className;
      made.textContent = text;
      if (id) made.id = id;
      return made;
    };
    const command = `crossbook replay --shard ${shard.shard} --to-position ${CB.batchOf(position)}`;
    const copy = make("button", "cb-row-button", "Copy");
    copy.type = "button";
    copy.setAttribute("aria-label", `Copy the command that makes the state hash of shard ${shard.shard} again`);
    copy.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command);
      CB.notice("done", "Copied", "Run it in Crossbook's folder: its line “state” is this hash.");
    });
    const line = make("div", "cb-hash-command", "");
    line.append(make("code", "", command), copy);
    const facts = make("div", "cb-hash-facts cb-num", "");
    facts.append(
      make("span", "", `after batch ${F.quantity(CB.batchOf(position))}`),
      make("span", "", "", `hash-taken-${shard.shard}`),
      make("span", "cb-ok", "", `hash-verified-${shard.shard}`),
    );
    card.append(make("h3", "", `Shard ${shard.shard}`), make("code", "cb-hash", sha256), facts, line);
    return card;
  }

  CB.page("system", {
    mount(ends) {
      CB.shownSymbol = null;
      new System().mount(ends);
    },
  });
})(window.Crossbook);
