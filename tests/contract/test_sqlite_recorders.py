"""The same suites on the recorders of the embedded mode: the library's, and ours that does not wait
for the disk.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from eventsourcing.persistence import ApplicationRecorder
from eventsourcing.sqlite import SQLiteFactory
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from streams.sqlite import UnsyncedFactory


class InFile:
    """A fresh file for each test."""

    factory_class = SQLiteFactory
    factory: SQLiteFactory

    @pytest.fixture(autouse=True)
    def _open(self, tmp_path: Path) -> Iterator[None]:
        before = set(threading.enumerate())
        self.factory = self.factory_class({"SQLITE_DBNAME": str(tmp_path / "events.sqlite")})
        yield
        # The suite tells its readers to stop but does not wait for them, and to close a connection
        # that a thread reads from crashes the interpreter.
        for thread in set(threading.enumerate()) - before:
            thread.join()
        self.factory.close()

    def create_recorder(self) -> ApplicationRecorder:
        return self.factory.application_recorder()


class TestDurable(InFile, ApplicationRecorderTestCase):
    """The command log's."""


class TestUnsynced(InFile, ApplicationRecorderTestCase):
    """The event log's."""

    factory_class = UnsyncedFactory


class TestDurableIds(InFile, NonInterleavingNotificationIDsBaseCase):
    """The command log's."""


class TestUnsyncedIds(InFile, NonInterleavingNotificationIDsBaseCase):
    """The event log's."""

    factory_class = UnsyncedFactory


del ApplicationRecorderTestCase, NonInterleavingNotificationIDsBaseCase
