"""How a service reaches Kafka and PostgreSQL: settings from files, and what is said when they do not fit."""

import asyncio
import ssl
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from m365_simulator.tls import ensure_certificates
from shared.bus import BusUnavailable, Record
from shared.bus.kafka import KafkaBus
from shared.database.unit_of_work import Database
from shared.hosting.engine_security import database_security, kafka_security
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings
from shared.testing import engines

from .said_by_entra import settings_of

PASSWORD = {"kafka_sasl_mechanism": "SCRAM-SHA-512", "kafka_username": "meetings", "kafka_password": "of-meetings"}


def test_a_setting_may_be_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "PROSPO_KAFKA_PASSWORD").write_text("of-a-file\n")
    (tmp_path / "PROSPO_KAFKA_USERNAME").write_text("of-a-file")
    monkeypatch.setenv("PROSPO_SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv("PROSPO_KAFKA_USERNAME", "of-the-environment")
    settings = settings_of(ServiceSettings)
    assert settings.kafka_password.get_secret_value() == "of-a-file"
    assert settings.kafka_username == "of-the-environment"


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_an_address_of_the_database_needs_not_name_our_driver(scheme: str) -> None:
    settings = settings_of(ServiceSettings, database_url=f"{scheme}://a:b@c/d")
    assert settings.database_url == "postgresql+asyncpg://a:b@c/d"


@pytest.mark.parametrize(
    ("given", "protocol"),
    [
        ({}, "PLAINTEXT"),
        ({"kafka_tls": True}, "SSL"),
        (PASSWORD, "SASL_PLAINTEXT"),
        (PASSWORD | {"kafka_tls": True}, "SASL_SSL"),
    ],
)
def test_settings_say_how_kafka_is_reached(given: dict[str, object], protocol: str) -> None:
    known = kafka_security(settings_of(ServiceSettings, **given))
    assert known["security_protocol"] == protocol
    assert known.get("sasl_plain_password") == ("of-meetings" if "SASL" in protocol else None)
    if "SSL" in protocol.removeprefix("SASL_"):
        assert known["ssl_context"].verify_mode is ssl.CERT_REQUIRED
        assert known["ssl_context"].check_hostname


def test_the_database_is_verified_where_tls_is_on() -> None:
    assert database_security(settings_of(ServiceSettings)) == {}
    context = database_security(settings_of(ServiceSettings, database_tls=True))["ssl"]
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"kafka_sasl_mechanism": "PLAIN"}, "PROSPO_KAFKA_USERNAME"),
        ({"kafka_tls": True, "kafka_certificate": "x.crt"}, "PROSPO_KAFKA_CERTIFICATE_KEY"),
        ({"kafka_tls": True, "kafka_certificate": "x.crt", "kafka_certificate_key": "x.key"}, "PEM"),
        ({"kafka_ca": "ca.crt"}, "PROSPO_KAFKA_TLS"),
        ({"kafka_tls": True, "kafka_ca": "ca.crt"}, "PROSPO_KAFKA_CA"),
        ({"database_ca": "ca.crt"}, "PROSPO_DATABASE_TLS"),
        ({"database_tls": True, "database_ca": "ca.crt"}, "PROSPO_DATABASE_CA"),
    ],
)
def test_settings_that_do_not_fit_are_named(given: dict[str, object], named: str) -> None:
    settings = settings_of(ServiceSettings, **given)
    with pytest.raises(ConfigurationError, match=named):
        kafka_security(settings), database_security(settings)


async def test_a_tls_connection_that_is_idle_holds_little_memory(tmp_path: Path) -> None:
    certificate, key = ensure_certificates(tmp_path)
    given = {"kafka_tls": True, "kafka_ca": tmp_path / "ca.pem"}
    client = kafka_security(settings_of(ServiceSettings, **given))["ssl_context"]
    broker = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    broker.load_cert_chain(certificate, key)
    server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0, ssl=broker)
    port = server.sockets[0].getsockname()[1]
    tracemalloc.start()
    pairs = [
        await asyncio.open_connection("127.0.0.1", port, ssl=client, server_hostname="localhost") for _ in range(8)
    ]
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    for _, writer in pairs:
        writer.close()
    server.close()
    assert held / (2 * len(pairs)) < 64 * 1024


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a container may read: an authority, a server's certificate and key, for this machine."""
    if not engines.docker_answers():
        pytest.skip("needs Docker: engines of their own, with certificates")
    folder = tmp_path_factory.mktemp("tls")
    certificate, key = ensure_certificates(folder)
    (folder / "broker.pem").write_bytes(key.read_bytes() + certificate.read_bytes())
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def kafka(tls: Path) -> Iterator[str]:
    with engines.kafka_container(tls, meetings="of-meetings") as servers:
        yield servers


@pytest.fixture(scope="module")
def postgres(tls: Path) -> Iterator[URL]:
    with engines.postgres_container(tls) as url:
        yield url


def kafka_of(servers: str, tls: Path, **more: Any) -> KafkaBus:
    given = PASSWORD | {"kafka_sasl_mechanism": "PLAIN", "kafka_tls": True, "kafka_ca": tls / "ca.pem"} | more
    return KafkaBus(servers, "meetings", kafka_security(settings_of(ServiceSettings, **given)))


async def revoked(_partitions: Any) -> None:
    pass


@pytest.mark.engine
async def test_events_go_through_a_kafka_that_wants_tls_and_a_password(kafka: str, tls: Path) -> None:
    bus = kafka_of(kafka, tls)
    record = Record("meeting.scheduled", "m1", b"{}", {"ce_id": "1"})
    assert await bus.publish([record]) == {}
    consumer = bus.consumer("meetings", [record.topic])
    await consumer.start(revoked)
    found: list[Record] = []
    while not found:
        found = await consumer.fetch(1, 1)
    assert (found[0].key, found[0].value) == ("m1", b"{}")
    await consumer.stop()
    await bus.stop()


@pytest.mark.engine
@pytest.mark.parametrize(
    "wrong", [{"kafka_password": "another"}, {"kafka_ca": None}, {"kafka_tls": False, "kafka_ca": None}]
)
async def test_who_cannot_say_who_it_is_or_trusts_nobody_reaches_no_kafka(
    kafka: str, tls: Path, wrong: dict[str, Any]
) -> None:
    bus = kafka_of(kafka, tls, **wrong)
    with pytest.raises(BusUnavailable):
        await bus.publish([Record("meeting.scheduled", "m1", b"{}")])
    await bus.stop()


@pytest.mark.engine
async def test_every_connection_to_the_database_is_encrypted(postgres: URL, tls: Path) -> None:
    url = postgres.render_as_string(hide_password=False)
    security = database_security(settings_of(ServiceSettings, database_tls=True, database_ca=tls / "ca.pem"))
    database = Database(url, security=security)
    encrypted = "SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()"
    for engine in (database.engine, database.system_engine):
        async with engine.connect() as connection:
            assert (await connection.execute(text(encrypted))).scalar() is True
    direct = await database.connect()
    assert await direct.fetchval(encrypted) is True
    await direct.close()
    await database.close()


@pytest.mark.engine
async def test_a_database_that_nobody_vouches_for_is_not_used(postgres: URL) -> None:
    security = database_security(settings_of(ServiceSettings, database_tls=True))
    database = Database(postgres.render_as_string(hide_password=False), security=security)
    with pytest.raises(ConfigurationError, match="PROSPO_DATABASE_URL"):
        await database.open()
    await database.close()
