"""An operator erases, exports and rotates keys with commands, while the service's database is in use."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from dev.embedded.engines import EmbeddedKafka
from shared.bus.kafka import KafkaBus
from shared.bus.port import Record
from shared.database.unit_of_work import Database
from shared.eventing.relay import Relay
from shared.privacy.keys import BATCH
from shared.secrets import Envelope, KeyRing
from shared.testing.databases import TestDatabase, connect
from shared.testing.fixtures import ISSUER, PlatformKeys

from .operating import command

pytestmark = pytest.mark.slow
Run = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def environment(database: TestDatabase, platform_keys: PlatformKeys, tmp_path: Path) -> dict[str, str]:
    platform_keys.add_service("any")
    return {
        "PATH": os.environ["PATH"],
        "PROSPO_DATABASE_URL": database.url,
        "PROSPO_REQUEST_DATABASE_URL": database.request_url,
        "PROSPO_MIGRATION_DATABASE_URL": database.owner_url,
        "PROSPO_KAFKA_BOOTSTRAP_SERVERS": "nowhere:9092",
        "PROSPO_KEY_RING_DIR": str(platform_keys.key_ring_dir),
        "PROSPO_SERVICE_KEY_PATH": str(platform_keys.private / "any.pem"),
        "PROSPO_SERVICE_PUBLIC_KEYS_DIR": str(platform_keys.public),
        "PROSPO_JWT_ISSUER": ISSUER,
        "PROSPO_JWT_JWKS_URL": f"{ISSUER}/jwks",
        "PROSPO_OBJECT_STORE_DIR": str(tmp_path / "files"),
    }


async def start(environment: dict[str, str], package: str, *words: str) -> asyncio.subprocess.Process:
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", package, *words, env=environment, stdout=pipe, stderr=pipe
    )


@pytest.fixture
def run(environment: dict[str, str]) -> Run:
    """``await run("meetings", "erase", …)``: exit status, standard output, standard error."""
    return partial(command, environment)


async def over_all(database: TestDatabase) -> "asyncpg.Connection":
    """A connection that sees every organisation."""
    connection: asyncpg.Connection = await connect(database.url)
    return connection


async def execute(database: TestDatabase, *statements: str) -> None:
    connection = await over_all(database)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


CONNECTION = """INSERT INTO connection (org_id, user_id, status, version, tid, oid, name, email)
    VALUES ('acme', '{0}', 'disconnected', 2, 't', 'o-{0}', '{0}', '{0}@contoso.example')"""
CONNECT = """UPDATE connection SET status = 'connected', sealed_cache = 'x', token_expires_at = now()
    WHERE user_id = 'anna'"""
DISCONNECT = "UPDATE connection SET status = 'disconnected', sealed_cache = NULL WHERE user_id = 'anna'"


async def test_a_person_is_exported_then_refused_while_connected_then_erased(
    run: Run, environment: dict[str, str], database: TestDatabase
) -> None:
    assert (await run("user_auth", "migrate"))[0] == 0
    await execute(database, CONNECTION.format("anna"), CONNECTION.format("ben"), CONNECT)
    who = ("--org", "acme", "--user", "anna")
    status, out, err = await run("user_auth", "export", *who)
    document = json.loads(out)
    assert (status, document["person"], document["service"]) == (0, "anna", "user-auth"), err
    assert [row["email"] for row in document["data"]["connection"]] == ["anna@contoso.example"]
    status, out, err = await run("user_auth", "erase", *who)
    assert (status, out) == (1, "")
    assert "Disconnect it first under Settings" in err
    assert "Traceback" not in err
    await execute(database, DISCONNECT)
    no_owner = {name: value for name, value in environment.items() if name != "PROSPO_MIGRATION_DATABASE_URL"}
    status, out, err = await command(no_owner, "user_auth", "erase", *who)
    assert (status, out) == (2, "")
    assert "set PROSPO_MIGRATION_DATABASE_URL" in err
    status, out, err = await run("user_auth", "erase", *who)
    report = json.loads(out)
    assert (status, report["erased"]) == (0, {"connection": 1}), err
    assert {"audit", "inbox", "outbox"} <= report["kept"].keys()
    assert json.loads((await run("user_auth", "erase", *who))[1])["erased"] == {}
    left = await over_all(database)
    assert [row["user_id"] for row in await left.fetch("SELECT user_id FROM connection")] == ["ben"]
    trail = await left.fetch("SELECT actor, action, details ->> 'rows' AS rows FROM audit ORDER BY id")
    assert [tuple(line) for line in trail] == [
        ("service:user-auth", "person.export", "1"),
        ("service:user-auth", "person.erase", "1"),
    ]
    await left.close()


@pytest.mark.parametrize(
    "words", [("erase",), ("erase", "--user", "anna"), ("export", "--user", "anna"), ("keys", "x")]
)
async def test_a_command_that_names_nobody_does_nothing(run: Run, words: tuple[str, ...]) -> None:
    status, _, err = await run("mail", *words)
    assert status == 2
    assert "usage" in err


async def test_the_tombstone_of_an_erased_person_is_null_in_kafka(run: Run, database: TestDatabase) -> None:
    await run("user_auth", "migrate")
    await execute(database, CONNECTION.format("anna"))
    assert (await run("user_auth", "erase", "--org", "acme", "--user", "anna"))[0] == 0
    kafka = EmbeddedKafka()
    bus, db = KafkaBus(kafka.bootstrap_servers), Database(database.url)
    consumer = bus.consumer("others", ["user.state"])

    async def revoked(_: Any) -> None: ...

    await bus.publish([Record("user.state", "acme:ben", b"{}")])
    await Relay(db, bus).drain()
    await consumer.start(revoked)
    found: dict[str, bool] = {}
    async with asyncio.timeout(60):
        while len(found) < 2:
            found |= {record.key: record.is_tombstone for record in await consumer.fetch(10, 1)}
    for thing in (consumer, bus):
        await thing.stop()
    await db.close()
    assert found == {"acme:ben": False, "acme:anna": True}


async def seal_for(database: TestDatabase, ring: KeyRing, organisations: list[str]) -> dict[str, bytes]:
    db, envelope = Database(database.url), Envelope(ring)
    async with db.system_work() as work:
        blobs = {org: await envelope.seal(work.session, org, "t|1", org.encode()) for org in organisations}
    await db.close()
    return blobs


async def open_all(database: TestDatabase, ring: KeyRing, blobs: dict[str, bytes]) -> None:
    db, envelope = Database(database.url), Envelope(ring)
    async with db.system_work() as work:
        for org, blob in blobs.items():
            assert await envelope.open(work.session, org, "t|1", blob) == org.encode()
    await db.close()


async def wrapped_by(connection: Any, ring_key_id: str) -> int:
    return int(await connection.fetchval("SELECT count(*) FROM data_key WHERE ring_key_id = $1", ring_key_id))


async def test_a_killed_rewrap_loses_nothing_and_the_next_finishes_it(
    run: Run, database: TestDatabase, environment: dict[str, str]
) -> None:
    await run("storage", "migrate")
    folder = Path(environment["PROSPO_KEY_RING_DIR"])
    before = KeyRing.load(folder)
    blobs = await seal_for(database, before, [f"org-{n}" for n in range(BATCH + 50)])
    current = json.loads((await run("storage", "keys", "rotate"))[1])["current"]
    assert current != before.current
    watching, holding = await over_all(database), await over_all(database)
    async with holding.transaction():
        await holding.execute("SELECT id FROM data_key ORDER BY id DESC LIMIT 1 FOR UPDATE")  # in the second batch
        rewrapping = await start(environment, "storage", "keys", "rewrap")
        async with asyncio.timeout(60):
            while await wrapped_by(watching, current) < BATCH:  # noqa: ASYNC110 - the database tells nobody
                await asyncio.sleep(0.02)
        rewrapping.send_signal(signal.SIGKILL)
        await rewrapping.communicate()
    assert (await wrapped_by(watching, current), await wrapped_by(watching, before.current)) == (BATCH, 50)
    await open_all(database, KeyRing.load(folder), blobs)
    status, out, err = await run("storage", "keys", "rewrap")
    assert (status, json.loads(out)) == (0, {"rewrapped": 50, "unreadable": []}), err
    listed = {key["id"]: key["data_keys"] for key in json.loads((await run("storage", "keys", "list"))[1])["keys"]}
    assert listed == {before.current: 0, current: BATCH + 50}
    (folder / f"{before.current}.key").unlink()
    await open_all(database, KeyRing.load(folder), blobs)
    for connection in (watching, holding):
        await connection.close()


async def test_a_rewrap_fails_on_a_data_key_without_its_ring_key(
    run: Run, database: TestDatabase, environment: dict[str, str]
) -> None:
    await run("storage", "migrate")
    folder = Path(environment["PROSPO_KEY_RING_DIR"])
    before = KeyRing.load(folder).current
    await seal_for(database, KeyRing.load(folder), ["acme"])
    await run("storage", "keys", "rotate")
    (folder / f"{before}.key").unlink()
    status, out, _ = await run("storage", "keys", "rewrap")
    connection = await over_all(database)
    (row,) = await connection.fetch("SELECT id::text, ring_key_id FROM data_key")
    await connection.close()
    assert (status, json.loads(out)) == (1, {"rewrapped": 0, "unreadable": [row["id"]]})
    assert row["ring_key_id"] == before
