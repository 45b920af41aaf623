"""The dashboard: a Dash application under `/ui/` of the API process, or by itself before one.

Guarantees: it knows the exchange through `crossbook_client` and the public API alone; an API key
never reaches it, since whatever needs one is asked by the browser itself; market data goes from
`/v1/stream` to the browser, so that a dashboard costs the exchange what any stream client costs.
See docs/ui.md.
"""
