"""The GraphQL read model. `schema.graphql` is what its schema says of itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SDL_PATH: Final = Path(__file__).with_name("schema.graphql")
