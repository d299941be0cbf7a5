"""How a service reaches Kafka and PostgreSQL: settings from files, and what is said when they do not fit."""

import ssl
from pathlib import Path

import pytest

from shared.engine_security import database_security, kafka_security
from shared.problems import ConfigurationError
from shared.settings import ServiceSettings

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
