"""The errors after which a worker tries again: the broker is down, or a write of it in doubt."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaException
from eventsourcing.persistence import PersistenceError

BROKER_ERRORS: Final = (KafkaException, PersistenceError)
