"""What an erasure leaves of a person and an organisation in recording-ingest."""

import pytest
from sqlalchemy import text

from recording_ingest.main import create_service
from recording_ingest.settings import Settings
from shared.hosting.service import Service
from shared.problems import Unavailable
from shared.testing import erasure
from shared.testing.harness import StartService

LATER = "now() + interval '1 day'"
ROWS = (
    """INSERT INTO ledger_meeting (org_id, meeting_id, user_id, subject, auto_recording, status, meeting_version,
            revision, version, absences)
        VALUES ('{org}', 'm-{user}', '{user}', '{mark}', true, 'ended', 1, 1, 1, '{{}}')""",
    """INSERT INTO artefact (org_id, id, meeting_id, kind, graph_id, created_at, status, reason)
        VALUES ('{org}', 'a-{user}', 'm-{user}', 'transcript', '{mark}', now(), 'imported', '{mark}')""",
    """INSERT INTO transcript (org_id, id, meeting_id, user_id, speakers)
        VALUES ('{org}', 'a-{user}', 'm-{user}', '{user}', '["{mark}"]')""",
    """INSERT INTO transcript_line (org_id, transcript_id, number, start_ms, end_ms, text)
        VALUES ('{org}', 'a-{user}', 1, 0, 1, '{mark}')""",
    """INSERT INTO meeting_step (org_id, id, meeting_id, what, details)
        VALUES ('{org}', 's-{user}', 'm-{user}', 'looked', '{{"about": "{mark}"}}')""",
    """INSERT INTO unassigned (org_id, id, user_id, online_meeting_id, kind, graph_id, created_at, why, scores)
        VALUES ('{org}', 'u-{user}', '{user}', '{mark}', 'recording', '{user}', now(), 'far', '[]')""",
    f"""INSERT INTO job (org_id, kind, payload, priority, run_at)
        VALUES ('{{org}}', 'reconcile', '{{{{"meeting_id": "m-{{user}}", "about": "{{mark}}"}}}}', 0, {LATER})""",
    f"""INSERT INTO job (org_id, kind, payload, priority, run_at)
        VALUES ('{{org}}', 'import', '{{{{"artefact_id": "a-{{user}}", "about": "{{mark}}"}}}}', 0, {LATER})""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "recording-ingest")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    assert (erased["ledger_meeting"], erased["artefact"], erased["transcript"], erased["job"]) == (1, 1, 1, 3)


async def test_an_organisation_is_erased_and_no_other(service: Service) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert (report.erased["ledger_meeting"], report.erased["transcript"]) == (2, 2)


async def test_rows_that_something_still_points_to_are_never_reported_as_erased(service: Service) -> None:
    await erasure.fill(service, ROWS)
    async with service.db.system_work() as work:  # it belongs to somebody else, so it stays, and what it points to
        await work.session.execute(
            text("UPDATE transcript SET user_id = 'ben', meeting_id = 'm-ben' WHERE id = 'a-anna' AND org_id = 'acme'")
        )
    with pytest.raises(Unavailable):
        await erasure.erase(service, "acme", "anna")
