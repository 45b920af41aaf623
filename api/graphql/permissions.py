"""Who may see a field.

Guarantees: a field says which scope it needs in the schema itself (`@needsRead`, `@needsAdmin`),
and is refused before its resolver runs; a caller who may not see another account's things is told
what one who asks for what never was is told. A test walks the schema: nothing of an account can be
reached but through such a field.
"""

from __future__ import annotations

from typing import Any, Final

from graphql import GraphQLError
from strawberry.permission import BasePermission, PermissionExtension
from strawberry.types import Info

from api.errors import Problem
from api.keys import IMPLIED_BY, Caller

ADMIN: Final = "admin"
READ: Final = "read"


def _has(info: Info[Any, Any], scope: str) -> bool:
    caller: Caller | None = info.context.caller()
    if caller is None:
        detail = "send a key: Authorization: Bearer cbk_…, X-API-Key, or in connection_init"
        raise Problem(401, "no_key", detail)
    scopes = info.context.scopes()
    if scopes.isdisjoint(IMPLIED_BY[scope]) and ADMIN not in scopes:
        raise Problem(403, "missing_scope", f"this key has not the scope {scope!r}")
    return True


class NeedsRead(BasePermission):
    """The caller's key has the scope `read`, or one that implies it."""

    error_class = GraphQLError

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        """Raises Problem (401, 403) where it has not."""
        return _has(info, READ)


class NeedsAdmin(BasePermission):
    """The caller's key has the scope `admin`."""

    error_class = GraphQLError

    def has_permission(self, source: Any, info: Info[Any, Any], **kwargs: Any) -> bool:
        """Raises Problem (401, 403) where it has not."""
        return _has(info, ADMIN)


def needs_read() -> list[PermissionExtension]:
    """The extensions of a field that needs the scope `read`."""
    return [PermissionExtension(permissions=[NeedsRead()])]


def needs_admin() -> list[PermissionExtension]:
    """The extensions of a field that needs the scope `admin`."""
    return [PermissionExtension(permissions=[NeedsAdmin()])]
