"""How a sink proves that batches continue the very history that it holds.

Guarantees: a group of batches is applied only where its first batch follows the sink's last one,
and only where its running hash was made from the sink's own. Both are checked before anything is
written.
"""

from __future__ import annotations

from collections.abc import Sequence

from domain.batch import ConflictError, EventBatch, ForkError, Position
from domain.wire import chain_of


def check_link(stored: Position, batches: Sequence[EventBatch]) -> None:
    """Raises ConflictError where `batches` do not begin right after `stored`, and ForkError where
    they belong to another history than the one that brought the sink there."""
    first = batches[0]
    shard = first.header.shard
    if stored.position == first.position - 1:
        if chain_of(stored.chain, first.record) != first.header.chain:
            raise ForkError(f"shard {shard}: batch {first.position} continues another history")
        return
    for batch in batches:
        if batch.position == stored.position and batch.header.chain != stored.chain:
            raise ForkError(f"shard {shard}: another batch {batch.position} is stored already")
    raise ConflictError(
        f"shard {shard}: stored up to {stored.position}, asked to go on at {first.position}"
    )
