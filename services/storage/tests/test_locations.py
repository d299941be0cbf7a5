"""An Org Admin chooses where files go: an address becomes a place, which is tried before it is chosen."""

from typing import Any

import pytest

from m365_simulator.directory import FABRIKAM

from .office import FOLDER, SITE, Office

STEPS = ("find", "small_file", "large_file", "rename", "versions", "columns", "check_out", "approval", "delete")
LIBRARY = f"{SITE}/Shared%20Documents"
VIEW = f"{SITE}/Shared%20Documents/Forms/AllItems.aspx?id=%2Fsites%2FSales%2FShared%20Documents%2FRecordings&viewid=1"
SHARED = "https://contoso.sharepoint.example/:f:/r/sites/Sales/Shared%20Documents/Recordings?csf=1&web=1&e=x"


def verdicts(answer: dict[str, Any]) -> dict[str, str]:
    return {step["name"]: step["verdict"] for step in answer["steps"]}


async def granted(office: Office, role: str = "write") -> None:
    await office.tenant()
    await office.microsoft.do("site_grant", site="/sites/Sales", role=role)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (SITE, "Sales › Shared Documents"),
        (f"{SITE}/", "Sales › Shared Documents"),
        (f"{SITE}/SitePages/Home.aspx", "Sales › Shared Documents"),
        (f"{SITE}/shared documents", "Sales › Shared Documents"),
        (f"{SITE}/Shared%20Documents/Forms/AllItems.aspx", "Sales › Shared Documents"),
        (FOLDER, "Sales › Shared Documents › Recordings"),
        (VIEW, "Sales › Shared Documents › Recordings"),
        (SHARED, "Sales › Shared Documents › Recordings"),
    ],
)
async def test_what_a_browser_shows_leads_to_the_place(office: Office, address: str, name: str) -> None:
    await granted(office)
    assert await office.choose(address) == {
        "chosen": True,
        "name": name,
        "steps": [{"name": step, "verdict": "ok", "says": ""} for step in STEPS],
        "grant": None,
    }
    found = (await office.location())["location"]
    assert (found["name"], found["site_url"], found["state"], found["chosen_by"]) == (name, SITE, "works", "ada")
    (told,) = await office.published("storage.location_selected")
    assert (told["location"], told["aggregate_version"]) == (name, 1)
    assert office.in_library() == [], "the trial leaves nothing behind"


@pytest.mark.parametrize(
    ("address", "code"),
    [
        ("Sales", "address_unreadable"),
        ("http://contoso.sharepoint.example/sites/Sales", "address_unreadable"),
        ("https://[", "address_unreadable"),
        (f"{SITE}/Shared%20Documents/..%2F..%2Fadmin", "address_unreadable"),
        (f"{SITE}/Shared%20Documents/%00", "address_unreadable"),
        ("https://teams.microsoft.com/l/channel/19%3Ax%40thread.tacv2/General?groupId=1", "address_of_teams"),
        ("https://contoso-my.sharepoint.example/personal/anna/Documents", "address_of_person"),
        ("https://contoso.sharepoint.example/:f:/s/Sales/EabcDEF", "address_of_share"),
        (f"{SITE}/Other%20Library", "library_not_found"),
        (f"{FOLDER}/None", "folder_not_found"),
        (f"{FOLDER}/read%20me.txt", "not_a_folder"),
    ],
)
async def test_an_address_that_is_no_place_says_what_to_paste(office: Office, address: str, code: str) -> None:
    await granted(office)
    answer = await office.admin("PUT", "/v1/storage/location", json={"address": address})
    assert (answer.status_code, answer.json()["code"]) == (422, code), answer.text
    assert (await office.location())["location"] is None


async def test_a_folder_too_deep_for_the_names_of_files_is_not_chosen(office: Office) -> None:
    await granted(office)
    wide = "d" * 115
    await office.microsoft.do("file_put", drive="Sales", path=f"{wide}/{wide}/{wide}/read me.txt", text="not ours")
    answer = await office.admin("PUT", "/v1/storage/location", json={"address": f"{LIBRARY}/{wide}/{wide}/{wide}"})
    assert (answer.status_code, answer.json()["code"]) == (422, "folder_too_deep")
    await office.tenant(on=True)
    assert (await office.choose(f"{LIBRARY}/{wide}/{wide}"))["chosen"]
    session = (await office.begin(name="n" * 396 + ".mp4")).json()
    item = await office.send(session)
    assert (await office.complete(session, item_id=item["id"])).status_code == 200
    (path,) = office.in_library()
    assert len(f"/sites/Sales/Shared Documents/{path}") <= 400


async def test_a_missing_grant_is_one_text_to_copy_and_given_it_works(office: Office) -> None:
    """Complaint: without the grant there is a stack trace, and nobody says what to ask the administrator for."""
    await office.tenant()
    refused = await office.choose()
    client_id = office.simulator.settings.client_id
    assert verdicts(refused) == dict.fromkeys(STEPS, "not_tried") | {"find": "refused"}
    assert "grant on the site is missing" in refused["steps"][0]["says"]
    assert f"-AppId '{client_id}'" in refused["grant"]["powershell"]
    assert f"-Site '{SITE}' -Permissions Write" in refused["grant"]["powershell"]
    assert "/sites/contoso.sharepoint.example:/sites/Sales" in refused["grant"]["graph"]
    assert ((await office.location())["location"], await office.published("storage.location_selected")) == (None, [])
    await office.microsoft.do("site_grant", site="/sites/Sales", role="write")
    assert (await office.choose())["chosen"]


async def test_a_site_of_another_tenant_is_not_shown_and_nothing_is_kept(office: Office) -> None:
    await granted(office)
    await office.microsoft.do("site_add", tenant="fabrikam.example", name="Theirs")
    refused = await office.choose("https://fabrikam.sharepoint.example/sites/Theirs")
    assert (refused["chosen"], refused["steps"][0]["verdict"]) == (False, "refused")
    assert "your Microsoft 365 has no such site" in refused["steps"][0]["says"]
    assert (await office.location())["location"] is None


async def test_who_may_only_read_there_is_told_the_role_that_is_missing(office: Office) -> None:
    await granted(office, "read")
    refused = await office.choose()
    assert verdicts(refused) == dict.fromkeys(STEPS, "not_tried") | {"find": "ok", "small_file": "refused"}
    assert "has to have the role write" in refused["steps"][1]["says"]
    assert (await office.location())["location"] is None


@pytest.mark.parametrize(
    ("step", "method", "path", "status"),
    [
        ("small_file", "PUT", "*/content", 507),
        ("large_file", "POST", "*/createUploadSession", 403),
        ("large_file", "PUT", "/up/*", 507),
        ("rename", "PATCH", "/drives/*", 423),
        ("versions", "GET", "*/versions", 423),
        ("delete", "DELETE", "/drives/*", 403),
    ],
)
async def test_the_step_that_fails_is_named_and_nothing_is_chosen(
    office: Office, step: str, method: str, path: str, status: int
) -> None:
    await granted(office)
    await office.microsoft.fault("refused", status=status, match={"path": path, "method": method})
    refused = await office.choose()
    at = STEPS.index(step)
    expected = dict.fromkeys(STEPS[:at], "ok") | {step: "refused"} | dict.fromkeys(STEPS[at + 1 :], "not_tried")
    assert (refused["chosen"], verdicts(refused)) == (False, expected)
    assert refused["steps"][at]["says"]
    assert (await office.location())["location"] is None
    assert office.in_library() == []


@pytest.mark.parametrize(
    ("rules", "step", "word"),
    [
        ({"required_columns": True}, "columns", "columns to be filled in"),
        ({"required_columns": True, "approval": True}, "columns", "columns to be filled in"),
        ({"check_out": True}, "check_out", "checked out"),
        ({"check_out": True, "approval": True}, "check_out", "checked out"),
        ({"approval": True}, "approval", "approved"),
    ],
)
async def test_a_library_that_would_hide_files_is_not_chosen(
    office: Office, rules: dict[str, bool], step: str, word: str
) -> None:
    await granted(office)
    await office.microsoft.do("library_rules", drive="Sales", **rules)
    refused = await office.choose()
    at = STEPS.index(step)
    expected = dict.fromkeys(STEPS[:at], "ok") | {step: "refused"} | dict.fromkeys(STEPS[at + 1 :], "not_tried")
    assert (refused["chosen"], verdicts(refused)) == (False, expected)
    assert word in refused["steps"][at]["says"]
    assert office.in_library() == []
    await office.microsoft.do("library_rules", drive="Sales")
    assert (await office.choose())["chosen"]


async def test_a_library_that_keeps_two_versions_of_a_file_is_not_chosen(office: Office) -> None:
    """Complaint: one recording takes its room twice, for setting something later makes another version."""
    await granted(office)
    await office.microsoft.do("files_rules", rename_versions=True)
    refused = await office.choose()
    at = STEPS.index("versions")
    expected = dict.fromkeys(STEPS[:at], "ok") | {"versions": "refused"} | dict.fromkeys(STEPS[at + 1 :], "not_tried")
    assert (refused["chosen"], verdicts(refused)) == (False, expected)
    assert "made 2 versions of one file" in refused["steps"][at]["says"]
    assert office.in_library() == []


async def test_a_site_that_lists_no_versions_is_chosen_and_that_is_said(office: Office) -> None:
    await granted(office)
    await office.microsoft.fault("refused", status=403, match={"path": "*/versions", "method": "GET"})
    answer = await office.choose()
    assert (answer["chosen"], verdicts(answer)) == (True, dict.fromkeys(STEPS, "ok") | {"versions": "not_tried"})
    assert "does not list the versions" in answer["steps"][STEPS.index("versions")]["says"]


async def test_a_place_is_of_the_tenant_it_was_chosen_in(office: Office) -> None:
    answer = await office.admin("PUT", "/v1/storage/location", json={"address": SITE})
    assert (answer.status_code, answer.json()["code"]) == (409, "tenant_not_connected")
    assert answer.json()["link"] == "/connectors/microsoft365"
    await office.in_use()
    assert (await office.location())["in_use"]
    await office.tenant(on=True, tid=FABRIKAM)
    assert (await office.location())["location"] is None
    assert "attempt" not in (await office.begin()).json()


async def test_choosing_again_is_told_with_a_later_version(office: Office) -> None:
    await granted(office)
    await office.choose()
    await office.choose(SITE)
    told = await office.published("storage.location_selected")
    assert [(one["aggregate_version"], one["location"]) for one in told] == [
        (1, "Sales › Shared Documents › Recordings"),
        (2, "Sales › Shared Documents"),
    ]
    (line, _) = (await office.admin("GET", "/v1/files/audit", params={"action": "storage.location_choose"})).json()[
        "items"
    ]
    assert (line["actor"], line["target"]) == ("ada", "Sales › Shared Documents")


async def test_only_an_org_admin_of_the_organisation_sees_and_chooses_it(office: Office) -> None:
    await granted(office)
    await office.choose()
    for method, body in (("GET", None), ("PUT", {"address": "https://contoso.sharepoint.com/sites/sales"})):
        assert (await office.call(method, "/v1/storage/location", json=body)).status_code == 403
    other = await office.admin("GET", "/v1/storage/location", org="globex")
    assert other.json()["location"] is None
