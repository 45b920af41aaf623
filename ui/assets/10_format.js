/* Numbers as a trader reads them. Prices come as decimal strings with 4 decimals and are kept as whole
   price ticks of 1/10,000 dollar: a float is never compared for equality. */
window.Crossbook = window.Crossbook || {};
(function (CB) {
  "use strict";
  const TICKS = 10000;
  const whole = new Intl.NumberFormat("en-US", {maximumFractionDigits: 0});
  const money = new Intl.NumberFormat("en-US", {minimumFractionDigits: 2, maximumFractionDigits: 2});

  /** "187.2400" as 1872400 price ticks; a sum of money too, below 0 as well. */
  function ticksOf(text) {
    if (text.startsWith("-")) return -ticksOf(text.slice(1));
    const point = text.indexOf(".");
    if (point < 0) return Number(text) * TICKS;
    const fraction = (text.slice(point + 1) + "0000").slice(0, 4);
    return Number(text.slice(0, point)) * TICKS + Number(fraction);
  }

  /** Price ticks as the API writes a price: 4 decimals. */
  function priceText(ticks) {
    const dollars = Math.trunc(ticks / TICKS);
    return `${dollars}.${String(ticks - dollars * TICKS).padStart(4, "0")}`;
  }

  /** Decimals that prices of this tick size need, 2 at least. */
  function decimalsOf(tickTicks) {
    if (tickTicks % 100 === 0) return 2;
    return tickTicks % 10 === 0 ? 3 : 4;
  }

  /** Price ticks for people: thousands separated, `decimals` decimals; a dash where there is none. */
  function price(ticks, decimals) {
    if (ticks === null || ticks === undefined || Number.isNaN(ticks)) return "–";
    const places = decimals === undefined ? 2 : decimals;
    if (places === 2) return money.format(ticks / TICKS);
    return (ticks / TICKS).toLocaleString("en-US", {
      minimumFractionDigits: places, maximumFractionDigits: places,
    });
  }

  /** A whole quantity, thousands separated. */
  function quantity(value) {
    return value === null || value === undefined ? "–" : whole.format(value);
  }

  /** 12,345,678 as 12.35M: at most four figures. */
  function short(value) {
    if (value === null || value === undefined) return "–";
    const size = Math.abs(value);
    if (size >= 1e9) return (value / 1e9).toFixed(2) + "B";
    if (size >= 1e6) return (value / 1e6).toFixed(2) + "M";
    if (size >= 1e4) return (value / 1e3).toFixed(1) + "K";
    return whole.format(value);
  }

  /** A signed change with its arrow, so that colour says nothing alone. */
  function change(value, text) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (value === 0) return `  ${text}`;
    return value > 0 ? `▲ +${text}` : `▼ −${text}`;
  }

  function percent(share) {
    if (share === null || share === undefined || Number.isNaN(share)) return "–";
    return change(share, `${Math.abs(share * 100).toFixed(2)}%`);
  }

  /** Dollars from ticks times shares. */
  function dollars(tickShares) {
    if (tickShares === null || tickShares === undefined) return "–";
    const value = tickShares / TICKS;
    const text = money.format(Math.abs(value));
    return value < 0 ? `−${text}` : text;
  }

  /** A gain or loss in dollars from ticks times shares, with sign and arrow. */
  function profit(tickShares) {
    if (tickShares === null || tickShares === undefined) return "–";
    return change(tickShares, money.format(Math.abs(tickShares / TICKS)));
  }

  /** Time of day, local, of an RFC 3339 text or of milliseconds. */
  function clock(time, withMillis) {
    const at = new Date(time);
    if (Number.isNaN(at.getTime())) return "–";
    const text = at.toLocaleTimeString("en-GB", {hour12: false});
    return withMillis ? `${text}.${String(at.getMilliseconds()).padStart(3, "0")}` : text;
  }

  CB.format = {
    TICKS, ticksOf, priceText, decimalsOf, price, quantity, short, change, percent, dollars, profit, clock,
  };

  /** Set the text of an element that belongs to live data, where it changed. */
  CB.say = function (name, text) {
    const element = document.getElementById(name);
    if (element && element.textContent !== text) element.textContent = text;
    return element;
  };

  /** Set text and whether it is a gain or a loss. */
  CB.sayChange = function (name, value, text) {
    const element = CB.say(name, text);
    if (element) element.dataset.trend = value > 0 ? "up" : value < 0 ? "down" : "flat";
  };

  const table = new Uint32Array(256).map((_, index) => {
    let value = index;
    for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
    return value;
  });

  /** CRC-32 of an ASCII text, as zlib's. */
  CB.crc32 = function (text) {
    let value = 0xffffffff;
    for (let at = 0; at < text.length; at += 1) value = table[(value ^ text.charCodeAt(at)) & 255] ^ (value >>> 8);
    return (value ^ 0xffffffff) >>> 0;
  };
})(window.Crossbook);
