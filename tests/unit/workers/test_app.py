"""What a worker's Faust application is allowed to do, and how it proves who it is."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from faust.auth import SASLCredentials, SSLCredentials
from faust.types.auth import AuthProtocol, SASLMechanism
from faust.types.enums import ProcessingGuarantee

from streams.kafka.connection import KafkaConnection
from streams.workers.app import broker_credentials, make_app

BROKERS = "one.example:9092, two.example:9093"


def test_at_least_once_a_static_member_no_web_server_and_no_topics_of_its_own(
    tmp_path: Path,
) -> None:
    connection = KafkaConnection(BROKERS, topic_prefix="prod.")
    conf = make_app(connection, "matching", instance="m1", scratch=tmp_path).conf
    assert conf.id == "prod.crossbook-matching"
    assert [str(url) for url in conf.broker] == [
        "kafka://one.example:9092",
        "kafka://two.example:9093",
    ]
    assert conf.processing_guarantee is ProcessingGuarantee.AT_LEAST_ONCE
    assert conf.consumer_group_instance_id == "m1"
    assert (conf.web_enabled, conf.topic_allow_declare, conf.topic_disable_leader) == (
        False,
        False,
        True,
    )
    assert (conf.broker_session_timeout, conf.producer_acks) == (10.0, -1)


def test_a_plain_connection_has_no_credentials() -> None:
    assert broker_credentials(KafkaConnection(BROKERS)) is None


@pytest.mark.parametrize("protocol", ["SASL_PLAINTEXT", "SASL_SSL"])
def test_a_user_with_a_password(protocol: str) -> None:
    found = broker_credentials(
        KafkaConnection(
            BROKERS,
            security_protocol=protocol,
            sasl_mechanism="SCRAM-SHA-512",
            sasl_username="matcher",
            sasl_password="secret",
        )
    )
    assert isinstance(found, SASLCredentials)
    assert found.protocol is AuthProtocol(protocol)
    assert found.mechanism is SASLMechanism.SCRAM_SHA_512
    assert (found.username, found.password) == ("matcher", "secret")


def test_an_encrypted_connection_checks_the_broker() -> None:
    found = broker_credentials(KafkaConnection(BROKERS, security_protocol="SSL"))
    assert isinstance(found, SSLCredentials)
    assert found.context.verify_mode is ssl.CERT_REQUIRED
    assert found.context.check_hostname
