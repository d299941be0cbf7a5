"""What an erasure leaves of a person and an organisation in contacts."""

import pytest

from contacts.main import create_service
from contacts.settings import Settings
from shared.hosting.service import Service
from shared.testing import erasure
from shared.testing.harness import StartService

ROWS = (
    """INSERT INTO import_run (org_id, id, user_id, account, status, folders, problem, made_at)
        VALUES ('{org}', 'r-{user}', '{user}', 'o', 'failed', '[{{"id": "f", "name": "{mark}"}}]',
            '{{"detail": "{mark}"}}', now())""",
    """INSERT INTO import_row (org_id, run_id, source_id, user_id, graph_id, folder_id, status, name, record, payload)
        VALUES ('{org}', 'r-{user}', 's-{user}', '{user}', 'g', 'f', 'valid', '{mark}', '{{"a": "{mark}"}}', '{{}}')""",
    """INSERT INTO source_record (org_id, id, user_id, account, graph_id, folder_id, change_key, digest, payload)
        VALUES ('{org}', 's-{user}', '{user}', 'o', 'g', 'f', 'k', 'd', '{{"displayName": "{mark}"}}')""",
    """INSERT INTO contact (org_id, id, user_id, record, name, sort_name, emails, words)
        VALUES ('{org}', 'c-{user}', '{user}', '{{"fields": {{}}, "sets": {{}}}}', '{mark}', '{mark}',
            ARRAY['{mark}'], '{mark}')""",
    """INSERT INTO contact_photo (org_id, contact_id, user_id, source_id, change_key, photo)
        VALUES ('{org}', 'c-{user}', '{user}', 's-{user}', 'k', convert_to('{mark}', 'UTF8'))""",
    """INSERT INTO address_change (org_id, contact_id, user_id) VALUES ('{org}', '{mark}', '{user}')""",
    """INSERT INTO not_same (org_id, user_id, one, other) VALUES ('{org}', '{user}', '{mark}', 'b')""",
    """INSERT INTO proposal (org_id, user_id, one, other, score, reasons)
        VALUES ('{org}', '{user}', 'a', 'b', 0.9, '[{{"sentence": "{mark}"}}]')""",
    """INSERT INTO mailbox_folder (org_id, user_id, account, folder_id, name, delta_link)
        VALUES ('{org}', '{user}', 'o', 'f', '{mark}', '{mark}')""",
    """INSERT INTO book (org_id, user_id) VALUES ('{org}', '{user}')""",
    """INSERT INTO removal_policy (org_id, removed_in_outlook) VALUES ('{org}', 'archive') ON CONFLICT DO NOTHING""",
    """INSERT INTO request_key (org_id, user_id, key, request_hash, run_id)
        VALUES ('{org}', '{user}', '{mark}', 'h', 'r-{user}')""",
)


@pytest.fixture
async def service(start_service: StartService) -> Service:
    return await start_service(create_service, Settings, "contacts")


async def test_every_table_is_declared(service: Service) -> None:
    await erasure.check_declarations(service)


async def test_a_person_is_erased_and_nobody_else(service: Service) -> None:
    erased = await erasure.check_a_person_is_erased(service, ROWS)
    tables = ("contact", "contact_photo", "source_record", "import_run", "import_row", "mailbox_folder", "book")
    assert {table: erased[table] for table in tables} == dict.fromkeys(tables, 1)


async def test_an_organisation_is_erased_and_no_other(service: Service) -> None:
    report = await erasure.check_an_organisation_is_erased(service, ROWS)
    assert report.erased["contact"] == 2
