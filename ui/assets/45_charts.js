/* Charts: Plotly drawn in place, in the page's own colours, at most so often. A chart keeps its zoom while its
   `uirevision` stays the same. */
(function (CB) {
  "use strict";

  function token(name) {
    return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  }

  /** The colours of the scheme on screen; read once a scheme. */
  let palette = null;
  CB.palette = function () {
    const scheme = document.documentElement.dataset.mantineColorScheme;
    if (!palette || palette.scheme !== scheme) {
      palette = {
        scheme, text: token("--cb-text"), dim: token("--cb-dim"), line: token("--cb-line"),
        grid: token("--cb-line-soft"), panel: token("--cb-panel"), up: token("--cb-up-fill"),
        down: token("--cb-down-fill"), upSoft: token("--cb-up-soft"), downSoft: token("--cb-down-soft"),
        accent: token("--cb-accent"), own: token("--cb-own"), warn: token("--cb-warn"), font: token("--cb-font"),
      };
    }
    return palette;
  };

  /** An axis as all charts have it. */
  CB.axis = function (more) {
    const colours = CB.palette();
    return {
      gridcolor: colours.grid, linecolor: colours.line, zerolinecolor: colours.line, tickcolor: colours.line,
      tickfont: {size: 11, color: colours.dim}, automargin: false, fixedrange: true, ...more,
    };
  };

  CB.chartLayout = function (more) {
    const colours = CB.palette();
    return {
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", autosize: true, showlegend: false,
      font: {family: colours.font, size: 11, color: colours.text},
      margin: {l: 8, r: 56, t: 8, b: 22}, hovermode: "x unified", dragmode: false, separators: ".,",
      hoverlabel: {bgcolor: colours.panel, bordercolor: colours.line, font: {color: colours.text, size: 11}},
      ...more,
    };
  };

  /** A chart with nothing in it: Plotly draws no axis of which there is no trace. */
  CB.noFigure = () => ({data: [], layout: CB.chartLayout({xaxis: {visible: false}, yaxis: {visible: false}})});

  const ROOM_PX = 60; // less than its margins cannot be drawn in

  const IDLE_MS = 250; // a busy tab draws its charts after so long all the same

  /** One chart. `make()` answers {data, layout}; `draw()` has it drawn where news came and `everyMs` has passed: once
      the tab has painted what is more urgent, since Plotly takes tens of milliseconds. */
  class Chart {
    constructor(name, everyMs, make) {
      this.name = name;
      this.everyMs = everyMs;
      this.make = make;
      this.dirty = true;
      this.drawnAt = 0;
      this.scheme = null;
      this.waiting = false;
    }

    touch() {
      this.dirty = true;
    }

    draw() {
      if (this.waiting || document.hidden) return;
      const scheme = document.documentElement.dataset.mantineColorScheme;
      const due = this.dirty && performance.now() - this.drawnAt >= this.everyMs;
      if (!due && scheme === this.scheme) return;
      this.waiting = true;
      window.requestIdleCallback(() => {
        this.waiting = false;
        this.paint(scheme);
      }, {timeout: IDLE_MS});
    }

    paint(scheme) {
      const holder = document.getElementById(`${this.name}-chart`);
      const plot = holder && holder.querySelector(".js-plotly-plot");
      if (!plot || !window.Plotly || !plot.offsetWidth || plot.offsetHeight < ROOM_PX) return;
      const figure = this.make();
      if (!figure) return;
      this.dirty = false;
      this.drawnAt = performance.now();
      this.scheme = scheme;
      window.Plotly.react(plot, figure.data, figure.layout);
    }
  }

  CB.Chart = Chart;
})(window.Crossbook);
