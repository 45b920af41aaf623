"""`crossbook ui`: the dashboard by itself, before an exchange that runs somewhere else."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from cli.settings import Settings

PORT_MAX = 65_535


def ui(
    url: Annotated[str, typer.Option(help="Address of the API, such as http://127.0.0.1:8000.")],
    port: Annotated[
        int | None, typer.Option(min=0, max=PORT_MAX, help="Port, or the next free one.")
    ] = None,
    host: Annotated[str | None, typer.Option(help="Address; default: CROSSBOOK_HOST.")] = None,
) -> None:
    """Run the dashboard by itself, until Ctrl-C.

    It shows the exchange at --url, whose API and stream it hands on under its own address.
    `crossbook up` and `crossbook api` have the dashboard under /ui/ already.
    """
    from cli.addresses import free_port, url_of
    from cli.main import fail, load_settings, told_in_a_line

    if not url.startswith(("http://", "https://")):
        fail(f"--url is an address such as http://127.0.0.1:8000, not {url!r}", 2)
    settings = load_settings(None, port=port, host=host)
    with told_in_a_line():
        chosen = free_port(settings.host, settings.port)
        print(f"dashboard    {url_of(settings.host, chosen)}/ui/", flush=True)
        asyncio.run(_serve(settings, url.rstrip("/"), chosen))


async def _serve(settings: Settings, api_url: str, port: int) -> None:
    import uvicorn

    from cli.dashboard import Dashboard, WithDashboard
    from ui.proxy import ApiProxy

    proxy = ApiProxy(api_url)
    config = uvicorn.Config(
        WithDashboard(proxy, Dashboard(api_url)),
        host=settings.host,
        port=port,
        lifespan="off",
        access_log=False,
        log_level="warning",
        server_header=False,
        ws="websockets-sansio",
        ws_max_size=settings.stream_message_bytes_max,
        timeout_graceful_shutdown=2,
    )
    try:
        await uvicorn.Server(config).serve()
    finally:
        await proxy.close()
