"""The logs on Kafka: an `eventsourcing` persistence module (`PERSISTENCE_MODULE=streams.kafka`) and
the command and event logs built on it. One partition is one shard's log; docs/kafka.md."""

from streams.kafka.factory import KafkaFactory as KafkaFactory
