/* What the history says, by GraphQL: the day so far, candles, and the account's executions and positions. Each figure
   comes with the last match that is in it, from which the stream's trades are counted on. */
(function (CB) {
  "use strict";
  const F = CB.format;
  const SPARK_POINTS = 48;
  const DAY = "open high low last previousClose volume turnover tradeCount lastMatchNumber";
  const INTERVALS = {"1m": "M1", "5m": "M5", "15m": "M15", "1h": "H1", "1d": "D1"};
  const ticks = (text) => (text === null || text === undefined ? null : F.ticksOf(text));

  function dayOf(day) {
    return {
      first: ticks(day.previousClose), last: ticks(day.last), high: ticks(day.high), low: ticks(day.low),
      volume: day.volume, trades: day.tradeCount, turnover: ticks(day.turnover),
      matchNumber: Number(day.lastMatchNumber || 0),
    };
  }

  /** Symbol to the day so far: {first, last, high, low, volume, trades, turnover, matchNumber, prices}. */
  CB.overview = async function (symbols) {
    const query = `query ($symbols: [String!], $points: Int!) { market(symbols: $symbols) { instruments {
      symbol day { ${DAY} } sparkline(points: $points) } } }`;
    const answer = await CB.api.graphql(query, {symbols, points: SPARK_POINTS}, {key: ""});
    return new Map(answer.market.instruments.map((each) =>
      [each.symbol, {...dayOf(each.day), prices: each.sparkline.map(F.ticksOf)}]));
  };

  /** The day so far of one instrument. */
  CB.dayOf = async function (symbol) {
    const query = `query ($symbol: String!) { instrument(symbol: $symbol) { day { ${DAY} } } }`;
    return dayOf((await CB.api.graphql(query, {symbol}, {key: ""})).instrument.day);
  };

  CB.candleIntervals = INTERVALS;

  /** The newest candles, oldest first: {begins (ms), open, high, low, close, volume, turnover, matchNumber}. */
  CB.candlesOf = async function (symbol, interval, first) {
    const query = `query ($symbol: String!, $interval: CandleInterval!, $first: Int!) {
      candles(symbol: $symbol, interval: $interval, first: $first) {
        begins open high low close volume turnover lastMatchNumber } }`;
    const answer = await CB.api.graphql(query, {symbol, interval: INTERVALS[interval], first}, {key: ""});
    return answer.candles.map((each) => ({
      begins: Date.parse(each.begins), open: ticks(each.open), high: ticks(each.high), low: ticks(each.low),
      close: ticks(each.close), volume: each.volume, turnover: ticks(each.turnover), matchNumber: Number(each.lastMatchNumber),
    }));
  };

  /** The account: {name, limits, fills (newest first), positions (symbol to Holding)}. */
  CB.accountDay = async function () {
    const query = `{ account { name limits { orderQuantityMax orderNotionalMax }
      positions { symbol quantity cost realised mark }
      executions(first: 200) { edges { node {
        orderId matchNumber symbol side liquidity price quantity leavesQuantity time } } } } }`;
    const {account} = await CB.api.graphql(query);
    const positions = new Map(account.positions.map((each) => [each.symbol, holdingOf(each)]));
    return {
      name: account.name, positions, fills: account.executions.edges.map((edge) => fillOf(edge.node)),
      limits: {quantity: account.limits.orderQuantityMax, notional: ticks(account.limits.orderNotionalMax)},
    };
  };

  function holdingOf(position) {
    const holding = new CB.Holding();
    holding.quantity = position.quantity;
    holding.cost = ticks(position.cost);
    holding.realised = ticks(position.realised);
    holding.mark = ticks(position.mark);
    return holding;
  }

  function fillOf(node) {
    return {
      key: `${node.matchNumber} ${node.orderId}`, number: Number(node.matchNumber), time: node.time, symbol: node.symbol,
      side: node.side.toLowerCase(), quantity: node.quantity, price: ticks(node.price), leaves: node.leavesQuantity,
      liquidity: node.liquidity.toLowerCase(),
    };
  }
})(window.Crossbook);
