"""The board about people: who is looked at, what counts as an answer, and who reads it."""

from typing import Any

import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM, find_user
from shared.hosting.migrate import migrate
from shared.testing.migrating import back_to

CHECK = "check_readiness"
MANY = """INSERT INTO user_copy (org_id, user_id, version, connected, tid, oid)
    SELECT 'acme', 'u' || n, 1, true, :tid, 'oid of u' || n FROM generate_series(1, :count) n"""


def named(row: Any) -> list[str]:
    return [one["user_id"] for one in row["people"]]


async def two_at_a_time(board: Any) -> list[str]:
    """Anna and Ben lack a licence, which the first check finds; six others, whom it returns, lack nothing."""
    board.service.settings.readiness_people = 2
    others = [f"p{n}" for n in range(6)]
    for name in others:
        await board.microsoft.do("user_add", tenant=CONTOSO, name=name, local=name)
    await board.know(*others)
    for name in ("anna", "ben"):
        await board.microsoft.do("user_change", user=f"{name}@contoso.example", licences=[])
    assert named((await board.checked())["licences"]) == ["anna", "ben"]
    return others


async def test_a_recheck_asks_again_about_who_is_red(board: Any) -> None:
    await two_at_a_time(board)
    for name in ("anna", "ben"):
        await board.microsoft.do("user_change", user=f"{name}@contoso.example", licences=["SPE_E3"])
    assert named((await board.checked())["licences"]) == ["ben"]
    assert (await board.checked())["licences"]["verdict"] == "ready"


async def test_who_is_red_leaves_others_their_turn(board: Any) -> None:
    others = await two_at_a_time(board)
    for _ in others:
        await board.checked()
    looked_at = {row["user_id"] for row in await board.rows("readiness_person")}
    assert looked_at == {"anna", "ben", *others}


async def test_people_unknown_to_microsoft_do_not_stand_for_the_tenant(board: Any) -> None:
    await board.sql(MANY, tid=CONTOSO, count=4)
    await board.checked()
    before = len(board.asked("getAllTranscripts"))
    assert (await board.checked())["transcript_access"]["verdict"] == "ready"
    assert len(board.asked("getAllTranscripts")) == before + 1


@pytest.mark.parametrize(("path", "name"), [("*/calendar*", "mailbox"), ("*/users/*accountEnabled*", "licences")])
async def test_a_refusal_about_everybody_is_no_answer_about_anybody(board: Any, path: str, name: str) -> None:
    other = {"mailbox": "licences", "licences": "mailbox"}[name]
    await board.microsoft.fault("batch_item", status=403, match={"path": path}, times=2)
    rows = await board.checked()
    row = rows[name]
    assert (row["verdict"], "says nothing about the answer" in row["reason"]) == ("unknown", True)
    assert "Nobody has connected" not in row["reason"]
    assert {one["status"] for one in row["evidence"]} == {200, 403}
    assert rows[other]["verdict"] == "ready"
    assert (await board.checked())[name]["verdict"] == "ready"


async def test_an_outage_about_everybody_leaves_the_verdict(board: Any) -> None:
    before = await board.checked()
    await board.microsoft.fault("batch_item", status=503, retry_after=99, match={"path": "*/users/*"}, times=4)
    rows = await board.checked()
    for name in ("licences", "mailbox"):
        assert (rows[name]["verdict"], rows[name]["checked_at"]) == ("ready", before[name]["checked_at"])
        assert "could not be asked" in rows[name]["failure"]
    assert 800 < await board.next_in_s(CHECK) <= 900


async def test_who_brought_no_answer_is_not_counted_and_stays_known(board: Any) -> None:
    await board.know("unlicensed")
    assert named((await board.checked())["mailbox"]) == ["unlicensed"]
    oid = find_user(board.simulator.store, "unlicensed@contoso.example")["id"]
    await board.microsoft.fault("batch_item", status=403, match={"path": f"*{oid}*"}, times=2)
    rows = await board.checked()
    assert (named(rows["licences"]), named(rows["mailbox"])) == (["unlicensed"], ["unlicensed"])
    anna = find_user(board.simulator.store, "anna@contoso.example")["id"]
    await board.sql("DELETE FROM readiness_person")
    await board.microsoft.fault("batch_item", status=403, match={"path": f"*{anna}/calendar*"}, times=1)
    rows = await board.checked()
    assert ("1 of 3 people" in rows["licences"]["reason"], "1 of 2 people" in rows["mailbox"]["reason"]) == (True, True)


async def test_microsofts_word_for_a_missing_mailbox_is_shown(board: Any) -> None:
    await board.know("unlicensed")
    evidence = (await board.checked())["mailbox"]["evidence"]
    (said,) = [one for one in evidence if one["code"]]
    assert (said["method"], said["path"], said["status"]) == ("GET", "/users/{id}/calendar", 404)
    assert (said["code"], bool(said["request_id"])) == ("MailboxNotEnabledForRESTAPI", True)


async def test_evidence_is_of_its_own_capability_and_not_endless(board: Any) -> None:
    board.service.settings.readiness_people = 200
    await board.sql(MANY, tid=CONTOSO, count=118)
    rows = await board.checked()
    assert len([one for one in rows["licences"]["evidence"] if one["path"] == "/$batch"]) == 4
    assert rows["licences"]["evidence"][-1]["path"] == "/users/{id}"
    assert len(rows["licences"]["evidence"]) == len(rows["mailbox"]["evidence"]) == 5


async def test_who_lacks_what_is_for_org_admins_and_others_read_how_many(board: Any) -> None:
    await board.know("unlicensed")
    await board.checked()
    for role, names in (("org_admin", ["unlicensed"]), ("user", [])):
        found = await board.read_board(user="anna", roles=(role,))
        for name in ("licences", "mailbox"):
            row = next(one for one in found["capabilities"] if one["capability"] == name)
            assert (row["people_lacking"], named(row)) == (1, names)
            assert "unlicensed" not in row["reason"]


async def test_who_disconnects_is_not_named_any_more(board: Any) -> None:
    await board.know("unlicensed")
    await board.checked()
    await board.know("unlicensed", version=2, connected=False)
    found = await board.read_board()
    for row in found["capabilities"]:
        assert (row["people"], row["people_lacking"]) == ([], 0)


async def test_people_of_another_tenant_are_forgotten(board: Any) -> None:
    await board.know("unlicensed")
    await board.checked()
    await board.sql("UPDATE user_copy SET tid = :tid WHERE user_id = 'unlicensed'", tid=FABRIKAM)
    assert (await board.checked())["licences"]["verdict"] == "ready"
    assert {row["user_id"] for row in await board.rows("readiness_person")} == {"anna", "ben"}


async def test_a_guest_is_no_member_of_the_tenant(board: Any) -> None:
    guest = await board.microsoft.do("guest_add", tenant=CONTOSO, user="carl@fabrikam.example")
    await board.know("carl")
    await board.sql("UPDATE user_copy SET oid = :oid WHERE user_id = 'carl'", oid=guest["id"])
    row = (await board.checked())["licences"]
    assert row["people"] == [{"user_id": "carl", "lacks": ["membership", "teams", "exchange"]}]


@pytest.mark.parametrize(
    ("status", "lacks"), [("Enabled", []), ("Warning", []), ("Suspended", ["anna"]), ("Deleted", ["anna"])]
)
async def test_a_plan_counts_while_it_is_enabled_or_in_its_grace(
    board: Any, monkeypatch: Any, status: str, lacks: list[str]
) -> None:
    from m365_simulator import people

    plan = people._plan
    monkeypatch.setattr(people, "_plan", lambda service: plan(service) | {"capabilityStatus": status})
    await board.know("ben", version=2, connected=False)
    assert named((await board.checked())["licences"]) == lacks


async def test_who_lacked_a_mailbox_still_does_and_all_others_are_asked_anew(board: Any) -> None:
    await back_to("0004", "tenant_connector", board.owner_url)
    for name, lacks in (("anna", '["teams", "mailbox"]'), ("ben", "[]")):
        insert = "INSERT INTO readiness_person VALUES ('acme', :name, :lacks, clock_timestamp())"
        await board.sql(insert, name=name, lacks=lacks)
    await migrate("tenant_connector", board.service.settings)
    rows = await board.sql("SELECT lacks, without_mailbox FROM readiness_person ORDER BY user_id")
    assert [tuple(row) for row in rows] == [(["teams"], True), ([], None)]
