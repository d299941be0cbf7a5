"""What an erasure leaves of a person and an organisation in mail."""

import pytest

from mail.main import create_service
from mail.settings import Settings
from shared.hosting.service import Service
from shared.testing import erasure
from shared.testing.harness import StartService

ROWS = (
    """INSERT INTO outgoing_mail (org_id, id, user_id, account, status, subject, recipients, content_type, body,
            problem)
        VALUES ('{org}', 'm-{user}', '{user}', 'o', 'failed', '{mark}', '[{{"email": "{mark}"}}]', 'text',
            convert_to('{mark}', 'UTF8'), '{{"detail": "{mark}"}}')""",
    """INSERT INTO mail_step (org_id, mail_id, user_id, what, code)
        VALUES ('{org}', 'm-{user}', '{user}', 'failed', '{mark}')""",
    """INSERT INTO mail_file (org_id, id, user_id, mail_id, name, media_type)
        VALUES ('{org}', 'f-{user}', '{user}', 'm-{user}', '{mark}', 'text/plain')""",
    """INSERT INTO mail_file_part (org_id, file_id, number, user_id, content)
        VALUES ('{org}', 'f-{user}', 0, '{user}', convert_to('{mark}', 'UTF8'))""",
    """INSERT INTO mailbox (org_id, user_id) VALUES ('{org}', '{user}')""",
    """INSERT INTO request_key (org_id, user_id, key, request_hash, mail_id)
        VALUES ('{org}', '{user}', '{mark}', 'h', 'm-{user}')""",
    """INSERT INTO conversation (org_id, id, user_id, subject, participants, addresses)
        VALUES ('{org}', 'c-{user}', '{user}', '{mark}', '[{{"address": "{mark}"}}]', ARRAY['{mark}'])""",
    """INSERT INTO message (org_id, id, user_id, account, graph_id, folder_id, conversation_id, direction, subject,
            people, addresses, at, body, why)
        VALUES ('{org}', 'g-{user}', '{user}', 'o', 'g', 'f', 'c-{user}', 'received', '{mark}',
            '[{{"address": "{mark}"}}]', ARRAY['{mark}'], now(), convert_to('{mark}', 'UTF8'), 'first')""",
    """INSERT INTO message_reference (org_id, user_id, key, conversation_id)
        VALUES ('{org}', '{user}', '{mark}', 'c-{user}')""",
    """INSERT INTO mailbox_folder (org_id, user_id, account, folder_id, name, delta_link)
        VALUES ('{org}', '{user}', 'o', 'f', '{mark}', '{mark}')""",
    """INSERT INTO mail_round (org_id, user_id, account, folder_id, number, whole, link)
        VALUES ('{org}', '{user}', 'o', 'f', 1, true, '{mark}')""",
    """INSERT INTO folder_health (org_id, user_id, account, folder_id, problem)
        VALUES ('{org}', '{user}', 'o', 'f', '{{"detail": "{mark}"}}')""",
    """INSERT INTO contact_address (org_id, contact_id, address, user_id, shared)
        VALUES ('{org}', 'a-{user}', '{mark}', '{user}', false)""",
    """INSERT INTO mail_backfill (org_id, user_id, address) VALUES ('{org}', '{user}', '{mark}')""",
    """INSERT INTO address_cursor (org_id, cursor) VALUES ('{org}', '1') ON CONFLICT DO NOTHING""",
    """INSERT INTO mail_retention (org_id, keep_days) VALUES ('{org}', 90) ON CONFLICT DO NOTHING""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "mail")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    tables = ("outgoing_mail", "mail_step", "mail_file", "mail_file_part", "mailbox", "message", "conversation")
    assert {table: erased[table] for table in tables} == dict.fromkeys(tables, 1)


async def test_an_organisation_is_erased_and_no_other(service: Service) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert report.erased["outgoing_mail"] == 2
