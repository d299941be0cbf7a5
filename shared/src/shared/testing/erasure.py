"""One suite for what every service declares of its tables: rows of several people, and what an erasure leaves of them.

A service's test gives the rows of one person as SQL, with ``{org}``, ``{user}`` and ``{mark}`` (in every text that
tells of the person) to fill in. The engines' tables are filled here. What is left is looked at as text, so that a
column nobody thought of is found all the same.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from sqlalchemy import text

from shared.database.unit_of_work import Database
from shared.hosting.service import Service
from shared.privacy.erasure import Delete, Erasure, Report, Rewrite, Subject, declared
from shared.privacy.exporting import export

MARK = "private of {org}/{user}"
ENGINE_ROWS = (
    """INSERT INTO job (org_id, kind, payload, priority, run_at) VALUES ('{org}', 'some',
        '{{"user_id": "{user}", "about": "{mark}"}}', 0, clock_timestamp() + interval '1 day')""",
    """INSERT INTO job_turn (org_id, priority) VALUES ('{org}', 1) ON CONFLICT DO NOTHING""",
    """INSERT INTO outbox (event_id, topic, key, headers, payload, parked_at) VALUES (gen_random_uuid(), 'some.topic',
        '{org}:m1', '{{"ce_orgid": "{org}"}}', '{{"user_id":"{user}","about":"{mark}"}}', clock_timestamp())""",
    """INSERT INTO outbox_sent (id, event_id, topic, key, headers, payload)
        SELECT coalesce(max(id), 0) + 1, gen_random_uuid(), 'user.state', '{org}:{user}', '{{"ce_orgid": "{org}"}}',
            convert_to('{mark}', 'UTF8') FROM outbox_sent""",
    """INSERT INTO parked_record (topic, key, "partition", "offset", headers, value, reason) VALUES ('some.topic',
        '{org}:m1', 0, 0, '{{}}', convert_to('{{"user_id": "{user}", "about": "{mark}"}}', 'UTF8'), 'a bug')""",
    """INSERT INTO graph_subscription (org_id, user_id, resource) VALUES ('{org}', '{user}', '{mark}')""",
    """INSERT INTO graph_notification (dedupe, org_id, user_id, resource, change_types, body)
        VALUES ('{mark}', '{org}', '{user}', '{mark}', 'created', '{{}}')""",
    """INSERT INTO tenant_copy (org_id, version, connected, tid, features)
        VALUES ('{org}', 1, false, 't', '{{}}') ON CONFLICT DO NOTHING""",
    """INSERT INTO user_copy (org_id, user_id, version, connected, name)
        VALUES ('{org}', '{user}', 1, false, '{mark}')""",
    """INSERT INTO rate_limit (org_id, user_id, name, full_at)
        VALUES ('{org}', '{user}', '{mark}', clock_timestamp())""",
)
PEOPLE = (("acme", "anna"), ("acme", "ben"), ("globex", "anna"))
_USER_COLUMNS = ("user_id", "owner_id", "actor", "connected_by", "claimed_by", "changed_by")
_SECRET = ("sealed", "token", "hash", "delta", "client_state", "wrapped", "browser_key", "resource_url")
_COLUMNS = text(
    """SELECT table_name, column_name, data_type = 'bytea' AS is_binary FROM information_schema.columns
       WHERE table_schema = 'public' ORDER BY table_name, ordinal_position"""
)


async def columns(db: Database) -> dict[str, dict[str, bool]]:
    """Table → column → whether it is binary, of everything in the service's database."""
    found: dict[str, dict[str, bool]] = {}
    async with db.system_work() as work:
        for row in await work.session.execute(_COLUMNS):
            found.setdefault(row.table_name, {})[row.column_name] = row.is_binary
    return found


async def fill(service: Service, rows: Sequence[str]) -> None:
    """Rows of three people in every table, and a sealed secret of each organisation."""
    async with service.db.system_work() as work:
        for org, user in PEOPLE:
            for statement in (*ENGINE_ROWS, *rows):
                given = statement.format(org=org, user=user, mark=MARK.format(org=org, user=user))
                await work.session.execute(text(given.replace(":", "\\:")))
        for org in ("acme", "globex"):
            await service.envelope.seal(work.session, org, "some|row", b"secret")


async def contents(db: Database) -> dict[str, list[str]]:
    """Table → its rows as text, binary columns as the text they hold; without tombstones."""
    found = {}
    there = await columns(db)
    async with db.system_work() as work:
        for table, names in there.items():
            shown = ", ".join(f"encode({c}, 'escape')" if binary else f'"{c}"' for c, binary in names.items())
            buried = " WHERE payload <> ''" if names.get("payload") else ""
            rows = await work.session.execute(text(f"SELECT concat_ws('|', {shown}) FROM {table}{buried}"))
            found[table] = sorted(rows.scalars())
    return found


async def erase(service: Service, org: str, user: str | None = None, *, force: bool = False) -> Report:
    """As the command does."""
    subject = Subject(org, user)
    return await Erasure(service.name, service.db, service.holdings, subject, service.provided).run(force=force)


async def exported(service: Service, org: str, user: str | None = None) -> Any:
    pieces = export(service.name, service.db, service.holdings, Subject(org, user), service.provided)
    return json.loads("".join([piece async for piece in pieces]))


def document_tables(document: Any) -> set[str]:
    return {table for table, rows in document["data"].items() if rows}


async def check_declarations(service: Service) -> None:
    """Every table and column is declared: how a person leaves it, and what of it they are given or why they are not."""
    known = declared(service.holdings)
    there = await columns(service.db)
    assert sorted(there) == sorted(known)
    assert ("audit" in there) == (service.holdings.audit_path is not None)
    for table, names in there.items():
        held = known[table]
        if "org_id" in names:
            assert held.organisation is not None or table == "data_key", f"{table}: how does an organisation leave it?"
        if set(names) & set(_USER_COLUMNS):
            assert held.person is not None, f"{table}: how does a person leave it?"
        assert held.exported_where is not None or not held.exported or isinstance(held.person, Delete), table
        given = [*Subject("acme").given(held).values()]
        assert set(names) == {*given, *held.withheld.split(), *(set(names) & {"org_id", *_USER_COLUMNS})}, table
        said = " ".join(given)
        assert not [secret for secret in _SECRET if secret in said], f"{table}: a secret would be exported"
        assert not isinstance(held.person, Rewrite) or held.keeps, f"{table}: what stays, and why?"


async def check_a_person_is_erased(service: Service, rows: Sequence[str]) -> Counter[str]:
    """Nothing tells of them any more, everybody else's is untouched, and a second run finds nothing to do."""
    await fill(service, rows)
    mark = MARK.format(org="acme", user="anna")
    before = await contents(service.db)
    touched = {table for table, found in before.items() if any(mark in row for row in found)}
    assert touched >= {"job", "outbox", "outbox_sent", "parked_record", "graph_subscription", "user_copy", "rate_limit"}
    document = json.dumps(await exported(service, "acme", "anna"))
    assert mark in document
    assert "acme/ben" not in document
    assert "globex" not in document
    of_all = await exported(service, "acme")
    assert "acme/ben" in json.dumps(of_all)
    assert "globex" not in json.dumps(of_all)
    assert document_tables(of_all) >= document_tables(json.loads(document))
    report = await erase(service, "acme", "anna")
    after = await contents(service.db)
    for table, found in before.items():
        assert [row for row in after[table] if mark in row] == [], table
        others = [row for row in found if "acme/ben" in row or "globex/anna" in row]
        assert [row for row in after[table] if "acme/ben" in row or "globex/anna" in row] == others
    assert after["data_key"] == before["data_key"]
    assert touched - set(report.erased) <= {"audit", "tenant"}
    assert (await erase(service, "acme", "anna")).total == 0
    assert mark not in json.dumps(await exported(service, "acme", "anna"))
    return report.erased


async def check_an_organisation_is_erased(service: Service, rows: Sequence[str]) -> Report:
    """Nothing of it is left but the facts of the audit trail, its data key is destroyed, the other one is untouched."""
    await fill(service, rows)
    before = await contents(service.db)
    report = await erase(service, "acme")
    after = await contents(service.db)
    for table in before.keys() - {"audit"}:
        assert [row for row in after[table] if "acme" in row] == [], table
        assert [r for r in after[table] if "globex" in r] == [r for r in before[table] if "globex" in r]
    trail = [row for row in after.get("audit", []) if "acme" in row]
    assert [row for row in trail if "acme/" in row or "anna" in row or "ben" in row] == []
    assert report.erased["data_key"] == 1
    assert (await erase(service, "acme")).total == 0
    return report
