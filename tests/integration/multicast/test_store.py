"""The file of a feed: the same packets whatever was applied at once and however often it was opened
again; races, damage, forgetting and building anew."""

from __future__ import annotations

import sqlite3
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domain.batch import START, ConflictError, ForkError, Position
from projections.itch.encoder import FeedEncoder
from projections.multicast.board import FeedBoard
from projections.multicast.packets import cut
from projections.multicast.rebuild import FeedRebuild
from projections.multicast.sink import MulticastSink
from projections.multicast.store import FeedStore, look, path_of
from tests.integration.projections.flow import Flow
from tests.property.itch_book import messages_of, unpack


@cache
def flow() -> Flow:
    """A log of every kind of command; nothing changes it."""
    made = Flow(instruments=4)
    for _ in range(12):
        made.go_wild(4)
        made.open_all()
        made.go(2, 120)
    return made


@cache
def expected() -> list[tuple[int, bytes]]:
    """Its packets, encoded in one go."""
    encoder = FeedEncoder()
    for batch in flow().batches:
        encoder.apply(batch.record)
    return encoder.packets


def packets_of(folder: Path) -> list[tuple[int, bytes]]:
    """Every packet of the file."""
    with sqlite3.connect(path_of(folder, 0)) as connection:
        return connection.execute("SELECT * FROM packets ORDER BY first_sequence").fetchall()


def sink_of(folder: Path, **options: int) -> MulticastSink:
    """A sink that sends nothing."""
    return MulticastSink(
        folder, board=FeedBoard(), lines=None, tail_of=lambda _: 0, messages_kept=0, **options
    )


def apply_all(folder: Path, sizes: list[int], closed_after: set[int]) -> None:
    """Apply the whole log in groups of `sizes`, with a new sink after some of them."""
    sink = sink_of(folder)
    group = 0
    while (at := sink.position(0).position) < len(flow().batches):
        size = sizes[group % len(sizes)]
        sink.apply(0, flow().batches[at : at + size])
        if group in closed_after:
            sink.close()
            sink = sink_of(folder)
        group += 1
    sink.close()


@settings(max_examples=12, deadline=None)
@given(
    st.lists(st.integers(1, 20), min_size=1, max_size=6),
    st.sets(st.integers(0, 30), max_size=8),
)
def test_any_grouping_and_any_restart_gives_the_same_packets(
    sizes: list[int], closed_after: set[int]
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        apply_all(folder, sizes, closed_after)
        assert packets_of(folder) == expected()
        assert look(path_of(folder, 0))[1] == len(flow().batches)


def test_a_writer_that_lost_a_race_wrote_nothing_and_goes_on_from_the_others_position(
    tmp_path: Path,
) -> None:
    first, second = sink_of(tmp_path), sink_of(tmp_path)
    assert first.position(0) == second.position(0) == START
    first.apply(0, flow().batches[:5])
    with pytest.raises(ConflictError):
        second.apply(0, flow().batches[:3])
    assert second.position(0) == flow().batches[4].at
    second.apply(0, flow().batches[5:])
    with pytest.raises(ConflictError):
        first.apply(0, flow().batches[5:9])
    assert first.position(0) == flow().at
    assert packets_of(tmp_path) == expected()


def test_batches_of_another_history_are_refused(tmp_path: Path) -> None:
    other = Flow(instruments=2, seed=9)
    other.go(4)
    sink = sink_of(tmp_path)
    sink.apply(0, flow().batches[:3])
    with pytest.raises(ForkError):
        sink.apply(0, other.batches[3:4])
    with pytest.raises(ConflictError):
        sink.apply(0, flow().batches[4:5])
    assert sink.position(0) == flow().batches[2].at


def test_a_failed_write_leaves_the_encoder_where_the_file_is(tmp_path: Path) -> None:
    sink = sink_of(tmp_path)
    sink.apply(0, flow().batches[:3])
    locked = sqlite3.connect(path_of(tmp_path, 0), isolation_level=None)
    locked.execute("CREATE TRIGGER full BEFORE INSERT ON marks BEGIN SELECT RAISE(ABORT, 'x'); END")
    with pytest.raises(sqlite3.Error):
        sink.apply(0, flow().batches[3:6])
    locked.execute("DROP TRIGGER full")
    locked.close()
    sink.apply(0, flow().batches[3:])
    assert packets_of(tmp_path) == expected()


@pytest.mark.parametrize("damage", [b"this is no database at all " * 400, b""])
def test_a_file_that_is_damaged_or_lost_is_made_again(tmp_path: Path, damage: bytes) -> None:
    apply_all(tmp_path, [9], set())
    for file in tmp_path.iterdir():
        file.unlink()
    path_of(tmp_path, 0).write_bytes(damage)
    apply_all(tmp_path, [9], set())
    assert packets_of(tmp_path) == expected()
    assert path_of(tmp_path, 0).with_suffix(".damaged").exists() == bool(damage)


def test_damage_that_shows_later_is_mended_too(tmp_path: Path) -> None:
    apply_all(tmp_path, [9], set())
    path = path_of(tmp_path, 0)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * (len(whole) - 4096))
    sink = sink_of(tmp_path)
    assert sink.position(0) == START
    sink.apply(0, flow().batches)
    assert packets_of(tmp_path) == expected()


def test_what_lies_between_two_sequences(tmp_path: Path) -> None:
    apply_all(tmp_path, [50], set())
    store = FeedStore(tmp_path, 0)
    every = [message for _, packet in expected() for message in unpack(packet)[2]]
    end = len(every) + 1
    for first, count in ((1, 1), (1, 65_534), (2, 7), (end - 1, 5), (end, 5), (end + 1, 5)):
        found, blocks = store.messages(first, count, 10**9)
        assert messages_of(blocks) == every[first - 1 : first - 1 + count]
        assert found == len(messages_of(blocks))
    for first in range(1, end, 97):
        found, blocks = store.messages(first, 1_000, 1_380)
        assert messages_of(blocks) == every[first - 1 : first - 1 + found]
        following = every[first - 1 + found : first + found]
        full = len(blocks) + 2 + len(following[0]) > 1_380 if following else True
        assert full and found
    assert store.sequence_after(0) == 1
    assert store.sequence_after(len(flow().batches)) == end
    store.close()


def test_a_part_of_a_packet() -> None:
    packet = max((packet for _, packet in expected()), key=len)
    messages = unpack(packet)[2]
    for skip in range(len(messages) + 2):
        for most in (0, 1, 3, len(messages), 65_535):
            count, blocks = cut(packet, skip, most, 10_000)
            assert messages_of(blocks) == messages[skip : skip + most]
            assert count == len(messages_of(blocks))
    assert cut(packet, 0, 100, 37)[0] <= 2


def test_old_messages_are_forgotten(tmp_path: Path) -> None:
    sink = MulticastSink(
        tmp_path, board=FeedBoard(), lines=None, tail_of=lambda _: 0, messages_kept=500
    )
    for at in range(0, len(flow().batches), 4):
        sink.apply(0, flow().batches[at : at + 4])
    kept = packets_of(tmp_path)
    assert kept == expected()[-len(kept) :]
    _, _, next_sequence = look(path_of(tmp_path, 0))
    assert 500 <= next_sequence - kept[0][0] < 800
    store = FeedStore(tmp_path, 0)
    assert store.first_sequence() == kept[0][0]
    assert store.messages(kept[0][0] - 1, 5, 10_000) == (0, b"")
    assert store.position() == flow().at
    store.close()
    again = sink_of(tmp_path)
    assert again.position(0) == flow().at


def test_a_feed_is_built_anew_beside_the_one_that_is_served(tmp_path: Path) -> None:
    sink = sink_of(tmp_path)
    sink.apply(0, flow().batches[:30])
    with sqlite3.connect(path_of(tmp_path, 0)) as connection:
        connection.execute("UPDATE packets SET packet = x'00' WHERE first_sequence > 10")
    with FeedRebuild(tmp_path, 0) as rebuild:
        rebuild.apply(0, flow().batches[:20])
        assert not rebuild.finish()
        rebuild.apply(0, flow().batches[20:40])
        assert packets_of(tmp_path) != expected()[: len(packets_of(tmp_path))]
        assert rebuild.finish()
    with pytest.raises(ConflictError):
        sink.apply(0, flow().batches[30:])
    assert sink.position(0) == flow().batches[39].at
    sink.apply(0, flow().batches[40:])
    assert packets_of(tmp_path) == expected()


def test_a_rebuild_that_is_not_finished_leaves_nothing(tmp_path: Path) -> None:
    sink = sink_of(tmp_path)
    sink.apply(0, flow().batches[:5])
    with FeedRebuild(tmp_path, 0) as rebuild:
        rebuild.apply(0, flow().batches[:4])
    with sqlite3.connect(path_of(tmp_path, 0)) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    assert sorted(name for (name,) in names) == ["instruments", "marks", "names", "packets"]
    sink.apply(0, flow().batches[5:])
    assert packets_of(tmp_path) == expected()


def test_a_rebuild_replaces_a_history_that_forked_when_it_is_told_to(tmp_path: Path) -> None:
    other = Flow(instruments=2, seed=9)
    other.go(4)
    sink = sink_of(tmp_path)
    sink.apply(0, flow().batches)
    with FeedRebuild(tmp_path, 0) as rebuild:
        rebuild.apply(0, other.batches)
        assert not rebuild.finish()
        assert rebuild.finish(even_if_behind=True)
    assert sink.position(0) == Position(len(other.batches), other.at.chain)
