"""`crossbook audit`: who changed accounts, keys, limits, instruments and trading states.

Guarantees: it reads the directory's own events, whether the exchange runs or not, in either mode;
`GET /v1/admin/audit` tells the same."""

from __future__ import annotations

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from commands.directory.audit import AuditEntry

PAGE_MAX = 1_000


def audit(
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", help="Default: CROSSBOOK_DATA_DIR or ./data.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="Changes to show, the newest first.")] = 50,
    by: Annotated[str, typer.Option(help="Only those by whom this begins, such as key:")] = "",
    json: Annotated[bool, typer.Option("--json", help="Print one JSON object a line.")] = False,
) -> None:
    """Show who changed the directory: the newest change first.

    Refused changes are not in it: those are lines of the API's log (`crossbook.audit`).
    """
    from cli.directory_store import directory_environment
    from cli.main import load_settings, told_in_a_line
    from commands.directory.application import DirectoryApplication
    from commands.directory.audit import AuditTrail
    from commands.directory.view import DirectoryView

    settings = load_settings(data_dir)
    with told_in_a_line():
        application = DirectoryApplication(directory_environment(settings))
        try:
            trail = AuditTrail(application, DirectoryView(application))
            shown, before = 0, None
            while shown < limit:
                page = trail.newest(PAGE_MAX, before)
                for entry in page:
                    if entry.by.startswith(by) and shown < limit:
                        print(_as_json(entry) if json else _as_line(entry))
                        shown += 1
                if len(page) < PAGE_MAX:
                    return
                before = page[-1].notification_id
        finally:
            application.close()


def _as_line(entry: AuditEntry) -> str:
    what = " ".join(f"{name}={_text(value)}" for name, value in entry.changes.items())
    at = entry.at.strftime("%Y-%m-%d %H:%M:%S")
    line = f"{entry.notification_id:>8}  {at}  {entry.by:<22}  {entry.kind} {entry.subject} {what}"
    return line.rstrip()


def _text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "none" if value is None else str(value)


def _as_json(entry: AuditEntry) -> str:
    return json_format.dumps(
        {
            "notification_id": str(entry.notification_id),
            "time": entry.at.isoformat(),
            "event": entry.kind,
            "subject": entry.subject,
            "by": entry.by,
            "changes": entry.changes,
        }
    )
