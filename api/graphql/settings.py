"""The settings of GraphQL; the composition root takes them from its own (docs/settings.md says what
each is)."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class GraphQLLimits:
    """What one operation may be."""

    characters_max: int = 32_768
    tokens_max: int = 2_000
    depth_max: int = 12
    aliases_max: int = 30
    fields_max: int = 400
    cost_max: int = 10_000


@dataclass(frozen=True)
class GraphQLSettings:
    """Limits of operations and of subscriptions."""

    limits: GraphQLLimits = GraphQLLimits()
    subscriptions_max: int = 100
    subscriptions_per_account_max: int = 500
