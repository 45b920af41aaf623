/* Prometheus's text as the API shows it at /metrics, kept for some minutes: sums, rates and quantiles of it. A
   counter that fell began anew with its process, and counts from 0. */
(function (CB) {
  "use strict";
  const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
  const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;
  const KEPT_MS = 330000;

  /** Metric name to [{labels, key, value}]. */
  function parse(text) {
    const found = new Map();
    for (const line of text.split("\n")) {
      if (!line.startsWith("crossbook_")) continue;
      const match = LINE.exec(line);
      if (!match) continue;
      const labels = {};
      for (const [, name, value] of (match[2] || "").matchAll(LABEL)) labels[name] = value;
      if (!found.has(match[1])) found.set(match[1], []);
      found.get(match[1]).push({labels, key: match[2] || "", value: Number(match[3])});
    }
    return found;
  }

  const fits = (labels, wanted) => Object.entries(wanted).every(([name, value]) => labels[name] === value);

  class Metrics {
    constructor() {
      this.samples = []; // {at, values}, oldest first
    }

    take(text, at) {
      this.samples.push({at, values: parse(text)});
      while (this.samples.length > 2 && this.samples[0].at < at - KEPT_MS) this.samples.shift();
    }

    get newest() {
      return this.samples[this.samples.length - 1];
    }

    /** The sample that is about `seconds` older than the newest, or the oldest there is. */
    before(seconds) {
      const since = this.newest.at - seconds * 1000;
      return this.samples.find((sample) => sample.at >= since) || this.newest;
    }

    /** The sum of a metric now; null where nobody shows it. */
    now(name, wanted = {}) {
      const all = (this.newest && this.newest.values.get(name)) || [];
      const mine = all.filter((each) => fits(each.labels, wanted));
      return mine.length ? mine.reduce((sum, each) => sum + each.value, 0) : null;
    }

    /** How much each series of a counter grew between two samples: [{labels, grown}]. */
    grown(name, from, to, wanted = {}) {
      const old = new Map((from.values.get(name) || []).map((each) => [each.key, each.value]));
      const all = (to.values.get(name) || []).filter((each) => fits(each.labels, wanted));
      return all.map(({labels, key, value}) => {
        const known = old.get(key) || 0;
        return {labels, value, grown: value >= known ? value - known : value};
      });
    }

    /** Growth a second over the last `seconds`; null where it is not known. */
    rate(name, wanted = {}, seconds = 10) {
      if (this.samples.length < 2) return null;
      return this.rateBetween(name, this.before(seconds), this.newest, wanted);
    }

    rateBetween(name, from, to, wanted = {}) {
      if (to.at <= from.at || !to.values.has(name)) return null;
      const sum = this.grown(name, from, to, wanted).reduce((total, each) => total + each.grown, 0);
      return (sum * 1000) / (to.at - from.at);
    }

    /** A quantile of a histogram's observations of the last `seconds`, in seconds, between its bucket bounds; null
        where nothing was observed. */
    quantile(name, share, wanted = {}, seconds = 60) {
      if (this.samples.length < 2) return null;
      const sums = new Map();
      for (const each of this.grown(`${name}_bucket`, this.before(seconds), this.newest, wanted)) {
        const bound = each.labels.le === "+Inf" ? Infinity : Number(each.labels.le);
        sums.set(bound, (sums.get(bound) || 0) + each.grown);
      }
      const bounds = [...sums].sort((one, other) => one[0] - other[0]);
      const count = bounds.length ? bounds[bounds.length - 1][1] : 0;
      if (!count) return null;
      const rank = share * count;
      let lower = 0;
      let below = 0;
      for (const [bound, upTo] of bounds) {
        if (upTo >= rank) {
          if (bound === Infinity) return lower;
          return lower + ((bound - lower) * (rank - below)) / (upTo - below || 1);
        }
        lower = bound;
        below = upTo;
      }
      return lower;
    }

    /** [{at, rate}] of a counter, a point for each two neighbouring samples. */
    history(name, wanted = {}) {
      const points = [];
      for (let at = 1; at < this.samples.length; at += 1) {
        const rate = this.rateBetween(name, this.samples[at - 1], this.samples[at], wanted);
        if (rate !== null) points.push({at: this.samples[at].at, rate});
      }
      return points;
    }
  }

  CB.Metrics = Metrics;

  /** Seconds for people: 850 µs, 4.2 ms, 1.3 s. */
  CB.format.span = function (seconds) {
    if (seconds === null || seconds === undefined || !Number.isFinite(seconds)) return "–";
    if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
    if (seconds < 0.1) return `${(seconds * 1000).toFixed(1)} ms`;
    if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
    return `${seconds.toFixed(1)} s`;
  };

  /** A rate: three figures where it is small. */
  CB.format.rate = function (value) {
    if (value === null || value === undefined) return "–";
    if (value >= 10000) return CB.format.short(Math.round(value));
    if (value >= 100) return CB.format.quantity(Math.round(value));
    return value.toFixed(value >= 10 ? 0 : 1);
  };

  /** How long ago: "now", "12 s ago", "5 min ago". */
  CB.format.ago = function (time) {
    const seconds = Math.round((Date.now() - new Date(time).getTime()) / 1000);
    if (!Number.isFinite(seconds)) return "–";
    if (seconds < 2) return "just now";
    if (seconds < 120) return `${seconds} s ago`;
    if (seconds < 7200) return `${Math.round(seconds / 60)} min ago`;
    return `${Math.round(seconds / 3600)} h ago`;
  };

  const functions = (window.dashAgGridFunctions = window.dashAgGridFunctions || {});
  functions.cbRate = (params) => CB.format.rate(params.value);
})(window.Crossbook);
