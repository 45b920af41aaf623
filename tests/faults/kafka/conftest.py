"""Workers for the fault tests on Kafka; the seed is the other fault tests'."""

from tests.integration.workers.conftest import start_worker as start_worker
