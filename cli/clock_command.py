"""`crossbook clock resume`: what an admin says to clocks that saw their wall time jump.

Guarantees: it is an event of the directory, which is its own audit trail; every clock of the
exchange hears it, in either mode."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

BY = "crossbook clock resume"

app = typer.Typer(no_args_is_help=True, help="The clocks that tell the shards the time.")


@app.callback()
def clocks() -> None:
    """The clocks that tell the shards the time."""


@app.command()
def resume(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Default: CROSSBOOK_DATA_DIR or ./data.")
    ] = None,
) -> None:
    """Have clocks tick again that saw their wall time jump, once you know that it is right.

    First look at the time of the machine that complains: trading time never goes back.
    """
    from cli.directory_store import directory_environment
    from cli.main import load_settings, told_in_a_line
    from commands.directory.application import Directory, DirectoryApplication

    settings = load_settings(data_dir)
    with told_in_a_line():
        application = DirectoryApplication(directory_environment(settings))
        try:
            Directory(application, settings.shards).resume_clocks(by=BY)
        finally:
            application.close()
    print("clocks that refused to tick will do so again, within two seconds")
