"""Odd contacts: each is a row with its reason, the run goes on, and nothing is stored half."""

from typing import Any

import pytest

ODD = {
    "sixty addresses": {"emailAddresses": [{"address": f"a{number}@x.example"} for number in range(60)]},
    "an exchange name": {"emailAddresses": [{"address": "/o=ExchangeLabs/ou=X/cn=Recipients/cn=ada"}]},
    "control characters": {"jobTitle": "Boss\x07\x1b[31m", "companyName": "A\u202eB"},
    "NUL": {"jobTitle": "Bo\x00ss"},
    "emoji": {"nickName": "👩‍💻🏳️‍🌈", "jobTitle": "🦄"},
    "a megabyte of notes": {"personalNotes": "n" * 1_000_000},
    "html in names": {"surname": "<img src=x onerror=alert(1)>", "companyName": "<b>Bold</b>"},
    "no address in an address": {"emailAddresses": [{"name": "Ada"}, {"address": ""}]},
    "a birthday that is none": {"birthday": "4501-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("odd", ODD)
async def test_an_odd_contact_stops_nothing(house: Any, odd: str) -> None:
    await house.connect()
    body = {"givenName": "Odd", "surname": "One"} | ODD[odd]
    await house.microsoft.do("contact_add", user="anna@contoso.example", folder="contacts", contact=body)
    await house.add("Zoe", "Zander", "zoe@x.example")
    run = await house.imported()
    assert (run["status"], run["problem"]) == ("finished", None)
    rows = await house.all_rows(run)
    assert len(rows) == 2
    for row in rows:
        assert (row["outcome"] == "done") == (row["action"] == "new")
        assert row["outcome"] == "done" or row["sentence"]
    for contact in await house.contacts():
        assert (await house.call("GET", f"/v1/contacts/{contact['id']}")).status_code == 200
    assert "Zoe Zander" in await house.names()
    await house.sql("UPDATE mailbox_folder SET delta_link = NULL")
    again = await house.imported()
    assert again["total"] == 0


@pytest.mark.parametrize("again", ["all that there is", "what changed"])
async def test_a_page_too_long_to_be_read_is_asked_for_in_parts(house: Any, again: str) -> None:
    """Seventeen contacts with a megabyte of notes each are longer than any answer that is read."""
    await house.connect()
    if again == "what changed":
        await house.add("Zoe", "Zander", "zoe@x.example")
        await house.imported()
    for number in range(17):
        await house.add(f"Bo {number}", "Beck", f"bo{number}@x.example", personalNotes="n" * 1_000_000)
    run = await house.imported()
    assert (run["status"], run["outcome"]["created"]) == ("finished", 17)


async def test_a_contact_without_a_name_is_shown_by_what_it_has(house: Any) -> None:
    await house.connect()
    contact = {"emailAddresses": [{"address": "only@x.example"}]}
    await house.microsoft.do("contact_add", user="anna@contoso.example", folder="contacts", contact=contact)
    await house.imported()
    assert await house.names() == ["only@x.example"]


async def test_a_mailbox_that_is_not_there_is_said(house: Any) -> None:
    await house.connect()
    folder = await house.folder()
    refusal = {"status": 404, "code": "MailboxNotEnabledForRESTAPI", "times": None, "match": {"path": "/me/contact*"}}
    await house.microsoft.fault("refused", **refusal)
    body = {"json": {"folders": [folder]}, "headers": {"Idempotency-Key": "k"}}
    run = (await house.call("POST", "/v1/contacts/imports", **body)).json()
    await house.work()
    failed = await house.run(run["id"])
    assert (failed["status"], failed["problem"]["code"]) == ("failed", "no_mailbox")


async def test_a_changed_or_foreign_cursor_opens_nothing(house: Any) -> None:
    """A cursor is signed for its list and its person."""
    await house.connect()
    for name in ("Ada", "Bo", "Cleo"):
        await house.add(name, "A", f"{name}@x.example")
    await house.imported(share=True)
    page = (await house.call("GET", "/v1/contacts", params={"limit": 1})).json()
    cursor = page["next_cursor"]
    second = (await house.call("GET", "/v1/contacts", params={"limit": 1, "cursor": cursor})).json()
    assert (page["items"][0]["name"], second["items"][0]["name"]) == ("Ada A", "Bo A")
    changed = cursor[:-2] + ("A" if cursor[-2] != "A" else "B") + cursor[-1]
    for user, params in (("anna", {"cursor": changed}), ("ben", {"cursor": cursor}), ("anna", {"cursor": "x"})):
        refused = await house.call("GET", "/v1/contacts", user=user, params={"limit": 1, **params})
        assert (refused.status_code, refused.json()["code"]) == (422, "unknown_cursor")
    other = await house.call("GET", "/v1/contacts", params={"limit": 1, "cursor": cursor, "query": "a"})
    assert other.json()["code"] == "unknown_cursor"
