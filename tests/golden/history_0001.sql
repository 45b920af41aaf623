-- The history of orders and trades. Every value is a function of the event log, so all of this can
-- be dropped and built again. Prices are 1/10,000 dollar, times nanoseconds since 1970 (UTC):
-- accepted_at, updated_at and executed_at as the gateway's clock said, trading_time as the exchange's.

CREATE TABLE sink_positions (
    sink text NOT NULL,
    shard integer NOT NULL,
    position bigint NOT NULL,
    chain bytea NOT NULL,
    PRIMARY KEY (sink, shard)
);

CREATE TABLE instruments (
    instrument bigint PRIMARY KEY,
    shard smallint NOT NULL,
    symbol text NOT NULL,
    tick_size bigint NOT NULL,
    lot_size bigint NOT NULL,
    price_collar bigint NOT NULL,
    state smallint NOT NULL,
    listed_position bigint NOT NULL,
    updated_position bigint NOT NULL
);

-- Room is left in each page, so that an order's later states need no new index entries.
CREATE TABLE orders (
    order_id bigint NOT NULL,
    shard smallint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    client_order_id text COLLATE "C",
    side smallint NOT NULL,
    order_type smallint NOT NULL,
    time_in_force smallint NOT NULL,
    price_ticks bigint NOT NULL,
    quantity bigint NOT NULL,
    executed_quantity bigint NOT NULL,
    leaves_quantity bigint NOT NULL,
    executed_value bigint NOT NULL,
    status smallint NOT NULL,
    reason smallint NOT NULL,
    accepted_position bigint NOT NULL,
    updated_position bigint NOT NULL,
    accepted_at_ns bigint NOT NULL,
    updated_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (order_id)
) WITH (fillfactor = 70);

COMMENT ON COLUMN orders.status IS
    '0 open, 1 partially filled, 2 filled, 3 cancelled, 4 expired, 5 rejected';
COMMENT ON COLUMN orders.quantity IS 'total: executed and open';
COMMENT ON COLUMN orders.executed_value IS 'price ticks times quantity, summed over executions';
COMMENT ON COLUMN orders.trading_time_ns IS 'the exchange''s own time when the order came';

CREATE INDEX orders_of_account ON orders (account, accepted_at_ns, order_id);
CREATE INDEX orders_by_client_order_id ON orders (account, client_order_id)
    WHERE client_order_id IS NOT NULL;

-- One row an order and match: what the two parties learn, each of its own side.
CREATE TABLE executions (
    order_id bigint NOT NULL,
    match_number bigint NOT NULL,
    shard smallint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    side smallint NOT NULL,
    liquidity smallint NOT NULL,
    price_ticks bigint NOT NULL,
    quantity bigint NOT NULL,
    leaves_quantity bigint NOT NULL,
    position bigint NOT NULL,
    executed_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (order_id, match_number)
);

COMMENT ON COLUMN executions.liquidity IS '0 resting, 1 aggressor';

CREATE INDEX executions_of_account ON executions (account, executed_at_ns, match_number);

-- One row a match: what everybody learns.
CREATE TABLE trades (
    instrument bigint NOT NULL,
    match_number bigint NOT NULL,
    shard smallint NOT NULL,
    aggressor_side smallint NOT NULL,
    price_ticks bigint NOT NULL,
    quantity bigint NOT NULL,
    position bigint NOT NULL,
    executed_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (instrument, match_number)
);

CREATE INDEX trades_by_time ON trades USING brin (executed_at_ns) WITH (autosummarize = on);
