"""Who may change what, and on which version of it."""

from typing import Any


async def test_an_edit_needs_the_version_it_was_made_of(house: Any) -> None:
    """Of two who read the same, the second one to write reads again first."""
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
