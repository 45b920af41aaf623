/* The picture of the pipeline: boxes in the page, lines between them drawn here, and what each box says. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const SVG = "http://www.w3.org/2000/svg";
  const SINKS = ["redis", "postgres", "multicast", "stream"];
  const LINKS = [
    ["clients", "gateway"], ["gateway", "commands"], ["commands", "matcher"], ["matcher", "events"],
    ...SINKS.map((sink) => ["events", sink]),
  ];
  const WORDS = {good: "healthy", behind: "behind", bad: "stopped", off: "off", unknown: "not known"};
  const TREND_POINTS = 60;

  const element = (name, attributes) => {
    const made = document.createElementNS(SVG, name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };

  class Pipeline {
    mount(ends) {
      this.frame = document.getElementById("pipeline");
      this.drawLines();
      const watch = new ResizeObserver(() => this.drawLines());
      watch.observe(this.frame);
      ends(() => watch.disconnect());
    }

    /** Where a box begins and ends, within the picture. */
    box(name) {
      const outer = this.frame.getBoundingClientRect();
      const inner = document.getElementById(`stage-${name}`).getBoundingClientRect();
      return {
        left: inner.left - outer.left, right: inner.right - outer.left,
        middle: inner.top - outer.top + inner.height / 2,
      };
    }

    drawLines() {
      const holder = document.getElementById("pipeline-lines");
      if (!holder || !this.frame.clientWidth) return;
      const svg = element("svg", {width: this.frame.clientWidth, height: this.frame.clientHeight, "aria-hidden": "true"});
      for (const [from, to] of LINKS) {
        const start = this.box(from);
        const end = this.box(to);
        const bend = (start.right + end.left) / 2;
        const path = `M${start.right},${start.middle} C${bend},${start.middle} ${bend},${end.middle} ${end.left - 5},${end.middle}`;
        svg.append(element("path", {d: path, class: "cb-link"}));
        svg.append(element("path", {d: path, class: "cb-flow", id: `flow-${to}`}));
        const tip = `M${end.left - 6},${end.middle - 4} l6,4 l-6,4 z`;
        svg.append(element("path", {d: tip, class: "cb-tip"}));
      }
      holder.replaceChildren(svg);
      this.speeds = {};
    }

    /** Let the dots of a line flow as fast as `rate` says, on a logarithmic scale; none while nothing passes. */
    flow(to, rate) {
      const path = document.getElementById(`flow-${to}`);
      const speed = rate ? Math.max(1, Math.round(Math.log10(1 + rate) * 2)) : 0;
      if (!path || this.speeds[to] === speed) return;
      this.speeds[to] = speed;
      path.style.animationDuration = speed ? `${(3.2 / speed).toFixed(2)}s` : "0s";
      path.dataset.flows = speed ? "yes" : "no";
    }

    /** What a box says: {health, figures: {name: text}, rate, trend: [numbers]}. */
    show(name, stage) {
      const box = document.getElementById(`stage-${name}`);
      if (!box) return;
      box.dataset.health = stage.health;
      CB.say(`stage-${name}-health`, stage.word || WORDS[stage.health]);
      for (const [figure, text] of Object.entries(stage.figures)) CB.say(`stage-${name}-${figure}`, text);
      this.flow(name, stage.rate);
      if (stage.trend) this.trend(name, stage.trend);
    }

    trend(name, rates) {
      const holder = document.getElementById(`stage-${name}-trend`);
      const last = rates.slice(-TREND_POINTS);
      if (!holder || last.length < 2) return;
      const high = Math.max(...last, 1e-9);
      const step = 100 / (TREND_POINTS - 1);
      const begin = 100 - step * (last.length - 1);
      const points = last.map((rate, at) => `${(begin + at * step).toFixed(1)},${(19 - (rate / high) * 17).toFixed(1)}`);
      let svg = holder.firstChild;
      if (!svg) {
        svg = element("svg", {viewBox: "0 0 100 20", preserveAspectRatio: "none", "aria-hidden": "true"});
        svg.append(element("polygon", {class: "cb-trend-area"}), element("polyline", {class: "cb-trend-line"}));
        holder.append(svg);
      }
      svg.lastChild.setAttribute("points", points.join(" "));
      svg.firstChild.setAttribute("points", `${begin.toFixed(1)},20 ${points.join(" ")} 100,20`);
    }
  }

  CB.Pipeline = Pipeline;

  const most = (values) => {
    const known = values.filter((value) => value !== null && value !== undefined);
    return known.length ? Math.max(...known) : null;
  };
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  /** The batch number of a log position "0-123". */
  CB.batchOf = (position) => (position ? Number(position.slice(position.indexOf("-") + 1)) : null);

  /** How a stage is: its role's state first, then its lag. */
  function health(up, lag, lagMax) {
    if (up === false) return "bad";
    if (lag === null) return "unknown";
    return lag > lagMax ? "behind" : "good";
  }

  /** All boxes, out of the metrics and the status (null while neither is known). */
  CB.pipelineStages = function (metrics, status) {
    const shards = status ? status.shards : [];
    const role = (name) => {
      const found = status && status.roles.find((each) => each.role === name);
      return found ? found.up : null;
    };
    const quantile = (name, wanted) => F.span(metrics.quantile(`crossbook_${name}_seconds`, 0.99, wanted));
    const rate = (name, wanted) => metrics.rate(`crossbook_${name}_total`, wanted);
    const trend = (name, wanted) => metrics.history(`crossbook_${name}_total`, wanted).map((point) => point.rate);
    const matcherLag = shards.length ? most(shards.map((shard) => shard.lagBatches)) : metrics.now("crossbook_lag_batches", {stage: "matcher"});
    const commands = rate("written_commands");
    const api = status ? "good" : "unknown";
    const stages = {
      clients: {
        health: api, word: status ? "connected" : undefined, rate: null, trend: trend("http_requests"),
        figures: {requests: F.rate(rate("http_requests")), streams: streams(metrics, status), http: quantile("http_request")},
      },
      gateway: {
        health: api, rate: rate("http_requests"), trend: trend("written_commands"),
        figures: {rate: F.rate(commands), waiting: F.quantity(metrics.now("crossbook_sequencer_pending_commands")), outcome: quantile("outcome")},
      },
      commands: {
        health: (rate("write_failures") || 0) > 0 ? "bad" : api, rate: commands, trend: trend("written_batches"),
        word: (rate("write_failures") || 0) > 0 ? "writes fail" : undefined,
        figures: {rate: F.rate(rate("written_batches")), position: ends(shards, "written"), append: quantile("command_append")},
      },
      matcher: {
        health: health(role("matching"), matcherLag, 64), rate: commands, trend: trend("matched_commands"),
        figures: {rate: F.rate(rate("matched_commands")), lag: lagText(matcherLag), apply: quantile("matcher_apply")},
      },
      events: {
        health: health(role("matching"), matcherLag, 64), rate: rate("events"), trend: trend("events"),
        figures: {rate: F.rate(rate("events")), position: ends(shards, "matched"), append: quantile("event_append")},
      },
    };
    for (const sink of ["redis", "postgres"]) stages[sink] = store(sink, shards, metrics, role("projections"));
    stages.multicast = multicast(metrics, status);
    stages.stream = stream(metrics, shards);
    return stages;
  };

  const lagText = (lag) => (lag === null ? "–" : lag === 0 ? "none" : `${F.quantity(lag)} ${lag === 1 ? "batch" : "batches"}`);

  function ends(shards, field) {
    return shards.length ? F.quantity(sum(shards.map((shard) => CB.batchOf(shard[field])))) : "–";
  }

  function streams(metrics, status) {
    if (status) return F.quantity(status.clients.streams + status.clients.subscriptions);
    return F.quantity(metrics.now("crossbook_stream_connections"));
  }

  /** Redis or PostgreSQL: lag as their stores say. */
  function store(name, shards, metrics, up) {
    const each = shards.map((shard) => shard.projections.find((projection) => projection.name === name)).filter(Boolean);
    const lag = each.length ? most(each.map((one) => one.lagBatches)) : metrics.now("crossbook_lag_batches", {stage: name});
    const stopped = (metrics.now("crossbook_sink_stopped", {sink: name}) || 0) > 0;
    const rates = each.map((one) => one.batchesPerSecond).filter((one) => one !== null);
    const measured = metrics.rate("crossbook_sink_batches_total", {sink: name});
    const rate = measured !== null ? measured : rates.length ? sum(rates) : null;
    return {
      health: stopped ? "bad" : health(up, lag, 64), word: stopped ? "stopped: a fork" : undefined, rate,
      trend: metrics.history("crossbook_sink_batches_total", {sink: name}).map((point) => point.rate),
      figures: {rate: F.rate(rate), lag: lagText(lag), delay: F.span(metrics.quantile("crossbook_sink_delay_seconds", 0.99, {sink: name}))},
    };
  }

  /** The publisher of the feed. Where it runs apart, its own worker shows its metrics. */
  function multicast(metrics, status) {
    const rate = metrics.rate("crossbook_feed_messages_total");
    const lag = metrics.now("crossbook_feed_lag_batches");
    const stopped = (metrics.now("crossbook_sink_stopped", {sink: "multicast"}) || 0) > 0;
    const apart = status && status.mode === "distributed";
    const there = lag !== null || metrics.now("crossbook_feed_messages_total") !== null;
    return {
      health: stopped ? "bad" : there ? health(true, lag, 64) : apart ? "unknown" : "off", rate,
      trend: metrics.history("crossbook_feed_messages_total").map((point) => point.rate),
      figures: {rate: F.rate(rate), lag: lagText(lag), resent: F.quantity(metrics.now("crossbook_feed_resent_messages_total") || 0)},
    };
  }

  function stream(metrics, shards) {
    const behind = shards.map((shard) => (shard.streamed ? Math.max(0, CB.batchOf(shard.matched) - CB.batchOf(shard.streamed)) : null));
    const lag = most(behind);
    const waiting = metrics.now("crossbook_stream_waiting_bytes_max");
    return {
      health: lag === null ? (shards.length ? "off" : "unknown") : health(true, lag, 64),
      rate: lag === null ? null : metrics.rate("crossbook_events_total"),
      trend: metrics.history("crossbook_events_total").map((point) => point.rate),
      figures: {
        clients: F.quantity(metrics.now("crossbook_stream_connections")), lag: lagText(lag),
        waiting: waiting === null ? "–" : `${F.short(waiting)} B`,
      },
    };
  }
})(window.Crossbook);
