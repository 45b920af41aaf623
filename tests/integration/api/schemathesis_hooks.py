"""Where JSON Schema knows no better: for it `83.0` is an integer, the API wants digits alone."""

from __future__ import annotations

from typing import Any

import schemathesis


def whole(value: Any) -> Any:
    """The same with integers written as integers."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: whole(each) for name, each in value.items()}
    return [whole(each) for each in value] if isinstance(value, list) else value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    """Bodies as they are sent."""
    return whole(body)
