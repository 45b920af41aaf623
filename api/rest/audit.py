"""`GET /v1/admin/audit`: who changed the directory, newest first."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request
from msgspec import Struct
from starlette.responses import Response

from api.keys import ADMIN, Caller
from api.rest.answers import json_response
from api.rest.parameters import Cursor, Limit
from api.services import services_of
from commands.directory.audit import AuditEntry, AuditTrail

router: Final = APIRouter()


class AuditedChange(Struct, kw_only=True):
    """One change: `event` of `subject` (an account's number, a symbol) by `by`, such as
    `key:<key id>`."""

    notification_id: str
    time: str
    event: str
    subject: str
    by: str
    changes: dict[str, Any]


class AuditAnswer(Struct):
    """A page of changes, newest first; `next_cursor` asks for older ones."""

    changes: list[AuditedChange]
    next_cursor: str | None


def audited_change(entry: AuditEntry) -> AuditedChange:
    """An entry in the API's shape."""
    return AuditedChange(
        notification_id=str(entry.notification_id),
        time=entry.at.isoformat().replace("+00:00", "Z"),
        event=entry.kind,
        subject=entry.subject,
        by=entry.by,
        changes=entry.changes,
    )


@router.get("/v1/admin/audit")
async def get_audit(
    request: Request,
    caller: Annotated[Caller, Depends(ADMIN)],
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Response:
    """Every change of accounts, keys, limits, instruments and trading states, newest first."""
    services = services_of(request)
    trail = AuditTrail(services.directory.application, services.directory_view)
    found = await asyncio.to_thread(trail.newest, limit, cursor)
    more = str(found[-1].notification_id) if len(found) == limit else None
    return json_response(AuditAnswer([audited_change(entry) for entry in found], more))
