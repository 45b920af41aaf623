"""Every setting is documented, with its default and its meaning."""

from __future__ import annotations

from pathlib import Path

import pytest

from cli.settings import Settings

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "settings.md").read_text()


@pytest.mark.parametrize("name", Settings.model_fields)
def test_is_documented_with_default_and_meaning(name: str) -> None:
    field = Settings.model_fields[name]
    default = "" if field.default in (None, "") else f"`{field.default}`"
    assert f"| `CROSSBOOK_{name.upper()}` | {default} | {field.description} |" in PAGE


def test_documents_nothing_that_is_not_there() -> None:
    documented = {line.split("`")[1] for line in PAGE.splitlines() if line.startswith("| `")}
    assert documented == {f"CROSSBOOK_{name.upper()}" for name in Settings.model_fields}
