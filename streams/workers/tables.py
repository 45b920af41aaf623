"""Faust's table manager, of whose tables we have none."""

from __future__ import annotations

from faust.tables.manager import TableManager


class NoTables(TableManager):
    """Starts at once: Faust's own waits a second for tables to be declared, which would be a second
    of every recovery.
    """

    async def on_start(self) -> None:
        """Go on to the first assignment."""
        await self._update_channels()
        await self.recovery.start()
