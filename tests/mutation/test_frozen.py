"""The frozen streams are what their recipes make, and their answers are the reference book's."""

from __future__ import annotations

import pytest

from tests.mutation.streams import STREAMS, freeze, read, record


@pytest.mark.parametrize("name", STREAMS)
def test_engine_and_reference_agree_on_every_event_of_a_frozen_stream(name: str) -> None:
    frozen = read(name)
    assert record(name) == frozen.batches, "recording compares every event with the reference's"
    assert freeze(frozen.batches) == frozen
