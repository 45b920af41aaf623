"""The read model in PostgreSQL: its tables, what fills them, and how they are built anew."""

from projections.postgres.rebuild import PostgresRebuild
from projections.postgres.sink import PostgresSink

__all__ = ["PostgresRebuild", "PostgresSink"]
