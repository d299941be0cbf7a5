"""``migrate --check kafka issuer``: nothing is changed unless those that the service needs let it in."""

import os
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI

from dev.embedded.engines import EmbeddedKafka
from shared.testing.databases import TestDatabase, connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.serving import serving

from .operating import command

NOWHERE = "127.0.0.1:1"
CHECKED = ("migrate", "--check", "kafka", "issuer")


@pytest.fixture(scope="module")
def kafka() -> EmbeddedKafka:
    return EmbeddedKafka()


@pytest.fixture
async def issuer(platform_keys: PlatformKeys) -> AsyncIterator[str]:
    app = FastAPI()
    async with serving(app) as url:
        app.add_api_route("/jwks", platform_keys.jwks)
        app.add_api_route("/nothing", lambda: {"keys": []})
        for path, name in {"": url, "/called-otherwise": url}.items():
            app.add_api_route(f"{path}/.well-known/openid-configuration", lambda name=name: {"issuer": name})
        yield url


@pytest.fixture
def environment(
    database: TestDatabase, platform_keys: PlatformKeys, kafka: EmbeddedKafka, issuer: str
) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "PROSPO_DATABASE_URL": database.url,
        "PROSPO_MIGRATION_DATABASE_URL": database.owner_url,
        "PROSPO_KAFKA_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
        "PROSPO_KEY_RING_DIR": str(platform_keys.key_ring_dir),
        "PROSPO_SERVICE_KEY_PATH": str(platform_keys.private / "contacts.pem"),
        "PROSPO_SERVICE_PUBLIC_KEYS_DIR": str(platform_keys.public),
        "PROSPO_JWT_ISSUER": issuer,
        "PROSPO_JWT_JWKS_URL": f"{issuer}/jwks",
    }


async def tables(database: TestDatabase) -> set[str]:
    connection = await connect(database.owner_url)
    try:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    finally:
        await connection.close()
    return {row["tablename"] for row in rows}


async def test_a_migration_goes_on_when_all_answer(environment: dict[str, str], database: TestDatabase) -> None:
    status, _, said = await command(environment, "contacts", *CHECKED)
    assert status == 0, said
    assert {"outbox", "contact"} <= await tables(database)


@pytest.mark.parametrize(
    ("setting", "given", "mend"),
    [
        ("PROSPO_KAFKA_BOOTSTRAP_SERVERS", NOWHERE, "kafka.bootstrapServers"),
        ("PROSPO_JWT_JWKS_URL", "{issuer}/nowhere", "platform.jwksUrl"),
        ("PROSPO_JWT_JWKS_URL", "{issuer}/nothing", "platform.jwksUrl"),
        ("PROSPO_JWT_JWKS_URL", f"http://{NOWHERE}/jwks", "platform.jwksUrl"),
        ("PROSPO_JWT_ISSUER", "{issuer}/", "platform.issuer"),
        ("PROSPO_JWT_ISSUER", "{issuer}/called-otherwise", "platform.issuer"),
        ("PROSPO_JWT_ISSUER", "{issuer}/undescribed", "platform.checkIssuer"),
        ("PROSPO_DATABASE_URL", f"postgresql://a:b@{NOWHERE}/c", "secrets.database"),
        ("PROSPO_MIGRATION_DATABASE_URL", f"postgresql+asyncpg://a:b@{NOWHERE}/c", "secrets.database"),
    ],
)
async def test_who_does_not_answer_is_named_and_nothing_changed(
    environment: dict[str, str], database: TestDatabase, issuer: str, setting: str, given: str, mend: str
) -> None:
    wrong = environment | {setting: given.format(issuer=issuer)}
    status, _, said = await command(wrong, "contacts", *CHECKED)
    assert status == 2
    assert setting in said
    assert mend in said
    assert "Traceback" not in said
    assert await tables(database) == set()


async def test_a_migration_that_fails_half_way_changes_nothing(
    environment: dict[str, str], database: TestDatabase
) -> None:
    connection = await connect(database.owner_url)
    await connection.execute("CREATE TABLE contact (of_somebody_else int)")
    await connection.close()
    status, _, said = await command(environment, "contacts", *CHECKED)
    assert status == 2
    assert 'relation "contact" already exists' in said
    assert "nothing was changed" in said
    assert "Traceback" not in said
    assert await tables(database) == {"contact"}
