"""Who may change what, and on which version of it."""

from typing import Any


async def test_an_edit_needs_the_version_it_was_made_of(house: Any) -> None:
    """When two have read the same version, the second one to write has to read again first."""
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    await house.imported()
    ada = await house.contact("Ada Abel")
    path, wanted = f"/v1/contacts/{ada['id']}", {"json": {"fields": {"company": "Second"}}}
    for method, more in (("PATCH", wanted), ("DELETE", {})):
        refused = await house.call(method, path, **more)
        assert (refused.status_code, refused.json()["code"]) == (428, "if_match_required")
    assert (await house.edit(ada, fields={"company": "First"})).status_code == 200
    for refused in (await house.edit(ada, fields={"company": "Second"}), await house.delete(ada)):
        assert (refused.status_code, refused.json()["code"]) == (412, "contact_changed")
    assert (await house.contact("Ada Abel"))["company"] == "First"


async def test_an_import_is_its_persons_alone(house: Any) -> None:
    await house.connect()
    await house.add("Ada", "Abel", "ada@x.example")
    run = await house.imported()
    path = f"/v1/contacts/imports/{run['id']}"
    tries = [("GET", path), ("GET", f"{path}/rows"), ("GET", f"{path}/problems")]
    tries += [("POST", f"{path}/{what}") for what in ("start", "cancel", "undo")]
    for method, where in tries:
        refused = await house.call(method, where, user="ben", json={} if method == "POST" else None)
        assert (refused.status_code, refused.json()["code"]) == (404, "import_not_found"), where
    assert (await house.call("GET", "/v1/contacts/imports", user="ben")).json()["items"] == []
    assert (await house.run(run["id"]))["status"] == "finished"


async def test_addresses_and_numbers_are_edited_and_stay(house: Any) -> None:
    """What is sent again as it was stays Outlook's; what a person typed or took out outlives the next delivery."""
    await house.connect()
    home = {"street": "Ring 1", "city": "Ulm"}
    numbers = {"mobilePhone": "030/901820 (office)", "businessPhones": ["+49 30 1234567"]}
    contact = await house.add("Ada", "Abel", "ada@x.example", homeAddress=home, **numbers)
    await house.imported()
    ada = await house.contact("Ada Abel")
    phones, addresses = ([one["value"] for one in ada["sets"][name]] for name in ("phones", "addresses"))
    assert (await house.edit(ada, phones=phones, addresses=addresses)).json() == ada
    work = {"street": "Platz 2\nHof", "postal_code": "53111", "city": "Bonn", "label": "work"}
    refused = await house.edit(ada, addresses=[work, {"label": "work"}])
    assert (refused.status_code, refused.json()["code"]) == (422, "empty_address")
    assert (await house.edit(ada, phones=[*phones[:1], {"number": "+44 20 79460000"}], addresses=[work])).is_success
    await house.change(contact, jobTitle="Boss")
    await house.imported()
    ada = await house.contact("Ada Abel")
    assert [one["value"]["number"] for one in ada["sets"]["phones"]] == ["030/901820 (office)", "+44 20 79460000"]
    assert [one["provenance"][0]["by"] for one in ada["sets"]["phones"]] == ["outlook", "person"]
    assert ([one["value"] for one in ada["sets"]["addresses"]], ada["job_title"]) == ([work], "Boss")
