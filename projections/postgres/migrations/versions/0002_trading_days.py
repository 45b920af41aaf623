"""Partitions by trading day, daily summaries, the steps of orders, level changes; all rows stay.

A trading day is the UTC day of the batch's trading time: an order's is that of its birth, also
where it changes later. What version 1 did not write stays NULL (book sequences) or absent
(order_steps, level_changes); `crossbook rebuild postgres` fills it in from the event log.
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

# The tables of version 1 step aside, without the indexes whose names are wanted.
ASIDE = """
ALTER TABLE orders RENAME TO orders_before;
ALTER TABLE executions RENAME TO executions_before;
ALTER TABLE trades RENAME TO trades_before;
ALTER TABLE orders_before DROP CONSTRAINT orders_pkey;
ALTER TABLE executions_before DROP CONSTRAINT executions_pkey;
ALTER TABLE trades_before DROP CONSTRAINT trades_pkey;
DROP INDEX orders_of_account, orders_by_client_order_id, executions_of_account, trades_by_time
"""

ORDERS = """
CREATE TABLE orders (
    order_id bigint NOT NULL,
    trading_day date NOT NULL,
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
    updated_trading_time_ns bigint,
    PRIMARY KEY (order_id, trading_day)
) PARTITION BY RANGE (trading_day);

COMMENT ON COLUMN orders.trading_day IS 'UTC day of trading_time_ns: the day of its birth';
COMMENT ON COLUMN orders.status IS
    '0 open, 1 partially filled, 2 filled, 3 cancelled, 4 expired, 5 rejected';
COMMENT ON COLUMN orders.quantity IS 'total: executed and open';
COMMENT ON COLUMN orders.executed_value IS 'price ticks times quantity, summed over executions';
COMMENT ON COLUMN orders.trading_time_ns IS 'the exchange''s own time when the order came';

CREATE INDEX orders_of_account ON orders (account, accepted_at_ns, order_id);
CREATE INDEX orders_by_client_order_id ON orders (account, client_order_id)
    WHERE client_order_id IS NOT NULL;
"""

MATCHES = """
-- One row an order and match: what the two parties learn, each of its own side.
CREATE TABLE executions (
    order_id bigint NOT NULL,
    match_number bigint NOT NULL,
    trading_day date NOT NULL,
    shard smallint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    side smallint NOT NULL,
    liquidity smallint NOT NULL,
    price_ticks bigint NOT NULL,
    quantity bigint NOT NULL,
    leaves_quantity bigint NOT NULL,
    book_sequence bigint,
    position bigint NOT NULL,
    executed_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (order_id, match_number, trading_day)
) PARTITION BY RANGE (trading_day);

COMMENT ON COLUMN executions.liquidity IS '0 resting, 1 aggressor';

CREATE INDEX executions_of_account ON executions (account, executed_at_ns, match_number);

-- One row a match: what everybody learns.
CREATE TABLE trades (
    instrument bigint NOT NULL,
    match_number bigint NOT NULL,
    trading_day date NOT NULL,
    shard smallint NOT NULL,
    aggressor_side smallint NOT NULL,
    price_ticks bigint NOT NULL,
    quantity bigint NOT NULL,
    book_sequence bigint,
    position bigint NOT NULL,
    executed_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (instrument, match_number, trading_day)
) PARTITION BY RANGE (trading_day);

CREATE INDEX trades_by_time ON trades USING brin (executed_at_ns, trading_time_ns)
    WITH (autosummarize = on);
"""

MARKET = """
-- What neither an order's row nor its executions tell of its life.
CREATE TABLE order_steps (
    order_id bigint NOT NULL,
    position bigint NOT NULL,
    command_index bigint NOT NULL,
    trading_day date NOT NULL,
    shard smallint NOT NULL,
    account bigint NOT NULL,
    instrument bigint NOT NULL,
    step smallint NOT NULL,
    side smallint,
    reason smallint NOT NULL,
    kept_priority smallint,
    price_ticks bigint NOT NULL,
    leaves_quantity bigint NOT NULL,
    previous_price_ticks bigint,
    previous_leaves_quantity bigint,
    executed_quantity bigint,
    book_sequence bigint,
    occurred_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (order_id, position, command_index, trading_day)
) PARTITION BY RANGE (trading_day);

COMMENT ON COLUMN order_steps.step IS '1 replaced, 2 cancel refused, 3 replace refused';
COMMENT ON COLUMN order_steps.account IS 'who sent it: of a refused one maybe not the owner';
COMMENT ON COLUMN order_steps.price_ticks IS 'of a refused one: as it was sent';

-- One row a batch and instrument whose book changed: its level changes, 24 bytes each.
CREATE TABLE level_changes (
    instrument bigint NOT NULL,
    position bigint NOT NULL,
    trading_day date NOT NULL,
    shard smallint NOT NULL,
    last_sequence bigint NOT NULL,
    changes bytea NOT NULL,
    occurred_at_ns bigint NOT NULL,
    trading_time_ns bigint NOT NULL,
    PRIMARY KEY (instrument, position, trading_day)
) PARTITION BY RANGE (trading_day);

-- Compression would cost more time than it saves.
ALTER TABLE level_changes ALTER COLUMN changes SET STORAGE EXTERNAL;

COMMENT ON COLUMN level_changes.changes IS 'of each change, little-endian: price_ticks u32,'
    ' order_count u32, quantity * 2 + side (0 bid, 1 ask) i64, book_sequence i64';

CREATE TABLE daily_summaries (
    instrument bigint NOT NULL,
    trading_day date NOT NULL,
    shard smallint NOT NULL,
    open_ticks bigint NOT NULL,
    high_ticks bigint NOT NULL,
    low_ticks bigint NOT NULL,
    close_ticks bigint NOT NULL,
    volume bigint NOT NULL,
    value numeric NOT NULL,
    trade_count bigint NOT NULL,
    first_match_number bigint NOT NULL,
    last_match_number bigint NOT NULL,
    first_executed_at_ns bigint NOT NULL,
    last_executed_at_ns bigint NOT NULL,
    PRIMARY KEY (instrument, trading_day)
) WITH (fillfactor = 50);

COMMENT ON COLUMN daily_summaries.value IS
    'price ticks times quantity, summed: over volume, the VWAP';

-- An order id begins with its shard and position: so its position tells its trading day.
CREATE TABLE trading_days (
    shard smallint NOT NULL,
    first_position bigint NOT NULL,
    trading_day date NOT NULL,
    PRIMARY KEY (shard, first_position)
);

COMMENT ON COLUMN trading_days.first_position IS 'of the day''s first order';
"""

FUNCTIONS = """
CREATE FUNCTION day_of_order(wanted bigint) RETURNS date LANGUAGE sql STABLE PARALLEL SAFE
BEGIN ATOMIC
    SELECT trading_day FROM trading_days
    WHERE shard = (wanted >> 55) AND first_position <= ((wanted >> 16) & 549755813887)
    ORDER BY first_position DESC LIMIT 1;
END;

-- The day's partitions of every table. Made aside and attached, which waits for no reader.
CREATE FUNCTION make_trading_day(wanted date) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    parent text;
    leaf text;
    options text;
BEGIN
    PERFORM pg_advisory_xact_lock(1128418563);
    FOREACH parent IN ARRAY
        ARRAY['orders', 'executions', 'trades', 'order_steps', 'level_changes']
    LOOP
        leaf := parent || '_' || to_char(wanted, 'YYYYMMDD');
        CONTINUE WHEN to_regclass(leaf) IS NOT NULL;
        -- Room is left in each page, so that an order's later states need no new index entries.
        options := CASE parent WHEN 'orders' THEN ' WITH (fillfactor = 50)' ELSE '' END;
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING ALL)%s', leaf, parent, options);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)',
            parent, leaf, wanted, wanted + 1);
    END LOOP;
END $$;
"""

ORDER_EVENTS = """
-- Every event of an order. In order: position, place, book_sequence, command_index.
CREATE VIEW order_events AS
SELECT o.order_id, o.trading_day, o.shard, o.account, o.instrument, o.accepted_position AS position,
    0::smallint AS place, NULL::bigint AS book_sequence, NULL::bigint AS command_index,
    CASE o.status WHEN 5 THEN 'rejected' ELSE 'accepted' END AS event, o.side,
    coalesce(first.previous_price_ticks, o.price_ticks) AS price_ticks,
    coalesce(first.total, o.quantity) AS quantity,
    CASE o.status WHEN 5 THEN 0 ELSE coalesce(first.total, o.quantity) END AS leaves_quantity,
    CASE o.status WHEN 5 THEN o.reason ELSE 0 END::smallint AS reason,
    NULL::bigint AS match_number, NULL::boolean AS aggressor,
    NULL::bigint AS previous_price_ticks, NULL::bigint AS previous_leaves_quantity,
    NULL::boolean AS kept_priority,
    o.accepted_at_ns AS occurred_at_ns, o.trading_time_ns
FROM orders o LEFT JOIN LATERAL (
    SELECT s.previous_price_ticks, s.previous_leaves_quantity + s.executed_quantity AS total
    FROM order_steps s
    WHERE s.order_id = o.order_id AND s.trading_day >= o.trading_day AND s.step = 1
    ORDER BY s.position, s.command_index LIMIT 1
) first ON true
UNION ALL
SELECT order_id, trading_day, shard, account, instrument, position, 1::smallint, book_sequence,
    NULL, 'executed', side, price_ticks, quantity, leaves_quantity, 0::smallint, match_number,
    liquidity = 1, NULL, NULL, NULL, executed_at_ns, trading_time_ns
FROM executions
UNION ALL
SELECT order_id, trading_day, shard, account, instrument, position,
    CASE step WHEN 1 THEN 1 ELSE 3 END::smallint, book_sequence, command_index,
    (ARRAY['replaced', 'cancel_refused', 'replace_refused'])[step], side, price_ticks,
    CASE step WHEN 1 THEN executed_quantity + leaves_quantity ELSE leaves_quantity END,
    CASE step WHEN 1 THEN leaves_quantity END, reason, NULL, NULL, previous_price_ticks,
    previous_leaves_quantity, kept_priority = 1, occurred_at_ns, trading_time_ns
FROM order_steps
UNION ALL
SELECT order_id, trading_day, shard, account, instrument, updated_position, 2::smallint, NULL,
    NULL, CASE status WHEN 3 THEN 'cancelled' ELSE 'expired' END, side, price_ticks,
    quantity - executed_quantity, 0, reason, NULL, NULL, NULL, NULL, NULL, updated_at_ns,
    updated_trading_time_ns
FROM orders WHERE status IN (3, 4);
"""

FILL = """
DO $$
DECLARE
    day date;
BEGIN
    FOR day IN
        SELECT DISTINCT date '1970-01-01' + (trading_time_ns / 86400000000000)::integer FROM (
            SELECT trading_time_ns FROM orders_before
            UNION ALL SELECT trading_time_ns FROM trades_before
        ) every ORDER BY 1
    LOOP
        PERFORM make_trading_day(day);
    END LOOP;
END $$;

INSERT INTO trading_days
SELECT shard, min(accepted_position),
    date '1970-01-01' + (trading_time_ns / 86400000000000)::integer
FROM orders_before GROUP BY 1, 3;

INSERT INTO orders
SELECT order_id, date '1970-01-01' + (trading_time_ns / 86400000000000)::integer, shard, account,
    instrument, client_order_id, side, order_type, time_in_force, price_ticks, quantity,
    executed_quantity, leaves_quantity, executed_value, status, reason, accepted_position,
    updated_position, accepted_at_ns, updated_at_ns, trading_time_ns,
    CASE WHEN updated_position = accepted_position THEN trading_time_ns END
FROM orders_before;

INSERT INTO executions
SELECT order_id, match_number, date '1970-01-01' + (trading_time_ns / 86400000000000)::integer,
    shard, account, instrument, side, liquidity, price_ticks, quantity, leaves_quantity, NULL,
    position, executed_at_ns, trading_time_ns
FROM executions_before;

INSERT INTO trades
SELECT instrument, match_number, date '1970-01-01' + (trading_time_ns / 86400000000000)::integer,
    shard, aggressor_side, price_ticks, quantity, NULL, position, executed_at_ns, trading_time_ns
FROM trades_before;

INSERT INTO daily_summaries
SELECT instrument, trading_day, min(shard), (array_agg(price_ticks ORDER BY match_number))[1],
    max(price_ticks), min(price_ticks), (array_agg(price_ticks ORDER BY match_number DESC))[1],
    sum(quantity), sum(price_ticks::numeric * quantity), count(*), min(match_number),
    max(match_number), min(executed_at_ns), max(executed_at_ns)
FROM trades GROUP BY 1, 2;

DROP TABLE orders_before, executions_before, trades_before
"""


def upgrade() -> None:
    """Make the partitioned tables, move the rows into them."""
    for statements in (ASIDE, ORDERS, MATCHES, MARKET, FUNCTIONS, ORDER_EVENTS, FILL):
        op.execute(statements)


def downgrade() -> None:
    """There is no way back but `crossbook rebuild postgres` by the older release."""
    raise NotImplementedError(
        "drop the schema and let the older release build it from the event log"
    )
