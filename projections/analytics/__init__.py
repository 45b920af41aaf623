"""Figures of the market's past with Polars: documented functions over trades, quotes and messages,
read from PostgreSQL or from the archive.

Guarantees: integers stay exact as long as they can (sums of price × quantity are 128 bits wide);
where there is nothing to tell a figure is null, never NaN and never infinite.
"""
