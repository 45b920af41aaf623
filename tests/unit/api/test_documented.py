"""docs/rest.md names every endpoint and every reason that the API can answer."""

from __future__ import annotations

import re
from pathlib import Path

from api.reasons import DETAIL_OF, reason_code
from api.rest.operations import OPERATIONS
from commands.directory.terms import DirectoryError
from commands.validation import FIELD_REASONS

ROOT = Path(__file__).parents[3]
TEXT = (ROOT / "docs" / "rest.md").read_text()
RAISED = re.compile(r'(?:Problem|Refusal)\(\s*(?:\d+|status),\s*"(\w+)"')


def test_every_reason_is_documented() -> None:
    reasons = set(FIELD_REASONS.values())
    for folder in ("api", "commands"):
        for file in (ROOT / folder).rglob("*.py"):
            if file.parent.name != "graphql":  # docs/graphql.md has those
                reasons |= set(RAISED.findall(file.read_text()))
    reasons |= {kind.reason for kind in DirectoryError.__subclasses__()}
    assert len(reasons) > 40
    assert [reason for reason in sorted(reasons) if f"`{reason}`" not in TEXT] == []


def test_every_endpoint_is_documented() -> None:
    for method, path in OPERATIONS:
        documented = re.sub(r"/v1/admin/accounts/\{account\}", "/{account}", path)
        assert path in TEXT or documented in TEXT, f"{method} {path}"


def test_every_reason_of_the_engine_has_a_sentence() -> None:
    assert all(DETAIL_OF.values())
    assert reason_code(999) == "reason_999"
