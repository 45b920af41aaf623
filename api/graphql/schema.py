"""The schema, built once; `schema.graphql` beside this file is what it says of itself, and a test
holds the two together. `python -m api.graphql.schema` writes it anew.
"""

from __future__ import annotations

import strawberry
from graphql import GraphQLError
from strawberry.schema.config import StrawberryConfig
from strawberry.types import ExecutionContext

from api.graphql import SDL_PATH
from api.graphql.guard import Documents, Guard
from api.graphql.query import Query
from api.graphql.scalars import SCALARS
from api.graphql.settings import GraphQLLimits
from api.graphql.subscription import Subscription


class Schema(strawberry.Schema):
    """The schema; what fails is logged by `errors`, once and only where it was unexpected."""

    def process_errors(
        self, errors: list[GraphQLError], execution_context: ExecutionContext | None = None
    ) -> None:
        """Log nothing here: refusals are no failures."""


def build_schema(limits: GraphQLLimits | None = None) -> Schema:
    """The schema, with what each operation may be."""
    kept = Documents()
    return Schema(
        query=Query,
        subscription=Subscription,
        config=StrawberryConfig(scalar_map=SCALARS),
        extensions=[lambda: Guard(limits or GraphQLLimits(), kept)],
    )


if __name__ == "__main__":
    SDL_PATH.write_text(build_schema().as_str() + "\n")
