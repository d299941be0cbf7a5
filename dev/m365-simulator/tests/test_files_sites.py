"""Sites, Sites.Selected, teams and where the files of channels are."""

from typing import Any

import httpx
import pytest

from m365_simulator.directory import CONTOSO, FABRIKAM

ANNA, BEN = "anna@contoso.example", "ben@contoso.example"


@pytest.fixture
async def site(world: Any) -> dict[str, Any]:
    return await world.control.do("site_add", tenant="contoso.example", name="Sales")


def grant(app: str, *roles: str) -> dict[str, Any]:
    return {"roles": list(roles), "grantedToIdentities": [{"application": {"id": app, "displayName": "X"}}]}


@pytest.mark.behaviour(52)
async def test_a_selected_application_enters_a_granted_site_and_writes_by_role(
    world: Any, site: dict[str, Any]
) -> None:
    app = world.graph(world.app_token(CONTOSO, "Sites.Selected"))
    owner = world.graph(world.token("admin@contoso.example", "Sites.FullControl.All"))
    root, upload = f"/sites/{site['id']}/drive/root", f"/drives/{site['drive']}/root:/a.txt:/content"
    session = f"/drives/{site['drive']}/root:/b.txt:/createUploadSession"
    refused = await app.get(root)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "accessDenied")
    assert (await app.get(f"/sites/{site['id']}")).status_code == 403
    made = await owner.post(f"/sites/{site['id']}/permissions", json=grant(world.simulator.settings.client_id, "read"))
    assert made.status_code == 201
    assert made.json()["grantedToIdentitiesV2"] == made.json()["grantedToIdentities"]
    assert (await app.get(root)).status_code == 200
    assert (await app.put(upload, content=b"x")).status_code == 403
    assert (await app.post(session, json={})).status_code == 403
    one = f"/sites/{site['id']}/permissions/{made.json()['id']}"
    assert (await owner.patch(one, json={"roles": ["write"]})).json()["roles"] == ["write"]
    assert (await app.put(upload, content=b"x")).status_code == 201
    assert (await app.post(session, json={})).status_code == 200
    assert len((await owner.get(f"/sites/{site['id']}/permissions")).json()["value"]) == 1
    assert (await owner.delete(one)).status_code == 204
    assert (await app.get(root)).status_code == 403


@pytest.mark.behaviour(52)
async def test_a_grant_is_of_its_application_and_site_alone(world: Any, site: dict[str, Any]) -> None:
    other = await world.control.do("site_add", tenant="contoso.example", name="Other")
    await world.control.do("site_grant", site="Sales", role="write", app="somebody-else")
    app = world.graph(world.app_token(CONTOSO, "Sites.Selected"))
    assert (await app.get(f"/drives/{site['drive']}/root")).status_code == 403
    await world.control.do("site_grant", site="Sales", role="write")
    assert (await app.get(f"/drives/{site['drive']}/root")).status_code == 200
    assert (await app.get(f"/drives/{other['drive']}/root")).status_code == 403
    foreign = world.graph(world.app_token(FABRIKAM, "Sites.Selected"))
    assert (await foreign.get(f"/sites/{site['id']}")).status_code == 403
    assert (await foreign.get(f"/drives/{site['drive']}/root")).status_code == 404


@pytest.mark.behaviour(52)
async def test_permissions_are_granted_by_full_control_and_to_one_known_role(world: Any, site: dict[str, Any]) -> None:
    path = f"/sites/{site['id']}/permissions"
    writer = world.graph(world.token(ANNA, "Sites.ReadWrite.All"))
    assert (await writer.post(path, json=grant("a", "write"))).status_code == 403
    owner = world.graph(world.token(ANNA, "Sites.FullControl.All"))
    for bad in (grant("a"), grant("a", "king"), {"roles": ["read"]}, {"roles": ["read"], "grantedToIdentities": [{}]}):
        assert (await owner.post(path, json=bad)).status_code == 400, bad
    assert (await owner.get(f"{path}/none")).status_code == 404
    stranger = world.graph(world.token("admin@fabrikam.example", "Sites.FullControl.All"))
    assert (await stranger.get(path)).status_code == 404


async def test_sites_are_found_by_search_path_and_id(world: Any, site: dict[str, Any]) -> None:
    anna = world.graph(world.token(ANNA, "Sites.Read.All"))
    found = (await anna.get("/sites", params={"search": "sal"})).json()["value"]
    assert [row["id"] for row in found] == [site["id"]]
    host = site["id"].partition(",")[0]
    assert (await anna.get(f"/sites/{host}:/sites/Sales")).json()["id"] == site["id"]
    assert (await anna.get(f"/sites/{host}:/sites/none")).status_code == 404
    assert (await anna.get(f"/sites/{host}")).json()["root"] == {}
    assert (await anna.get("/sites/root")).json()["webUrl"] == f"https://{host}"
    assert (await anna.get("/sites/root/drive/root")).status_code == 200
    assert (await anna.get("/sites/root/drive")).json()["id"] != site["drive"]
    drives = (await anna.get(f"/sites/{site['id']}/drives")).json()["value"]
    assert [(row["id"], row["driveType"]) for row in drives] == [(site["drive"], "documentLibrary")]
    assert (await anna.get(f"/sites/{host}:/sites/Sales:/drives")).json()["value"] == drives
    assert (await anna.get("/sites")).status_code == 400
    assert (await anna.get(f"/sites/{site['id']}/lists")).status_code == 400
    selected = world.graph(world.app_token(CONTOSO, "Sites.Selected"))
    assert (await selected.get("/sites", params={"search": "sal"})).status_code == 403
    carl = world.graph(world.token("carl@fabrikam.example", "Sites.Read.All"))
    assert (await carl.get("/sites", params={"search": "sal"})).json()["value"] == []
    assert (await carl.get(f"/sites/{site['id']}")).status_code == 404


async def test_own_files_permission_does_not_open_sites(world: Any, site: dict[str, Any]) -> None:
    anna = world.graph(world.token(ANNA, "Files.ReadWrite"))
    assert (await anna.get(f"/drives/{site['drive']}/root")).status_code == 403
    every = world.graph(world.token(ANNA, "Files.ReadWrite.All"))
    assert (await every.put(f"/drives/{site['drive']}/root:/a:/content", content=b"x")).status_code == 201


TEAMS = "Team.ReadBasic.All Channel.ReadBasic.All Files.ReadWrite.All"


async def folder(client: httpx.AsyncClient, team: str, channel: str) -> httpx.Response:
    return await client.get(f"/teams/{team}/channels/{channel}/filesFolder")


@pytest.mark.behaviour(52)
async def test_a_channel_without_a_folder_is_404_until_somebody_opens_it(world: Any) -> None:
    team = await world.control.do("team_add", tenant="contoso.example", name="Deals", members=[ANNA, BEN])
    channel = await world.control.do("channel_add", team="Deals", name="North")
    anna = world.graph(world.token(ANNA, TEAMS))
    assert [row["displayName"] for row in (await anna.get("/me/joinedTeams")).json()["value"]] == ["Deals"]
    names = [row["displayName"] for row in (await anna.get(f"/teams/{team['id']}/channels")).json()["value"]]
    assert names == ["General", "North"]
    general = (await folder(anna, team["id"], team["channel"])).json()
    assert general["name"] == "General"
    assert (await folder(anna, team["id"], channel["id"])).status_code == 404
    await world.control.do("channel_open", team="Deals", channel="North")
    north = (await folder(anna, team["id"], channel["id"])).json()
    assert north["parentReference"]["driveId"] == general["parentReference"]["driveId"]
    path = f"/drives/{north['parentReference']['driveId']}/items/{north['id']}:/a.txt:/content"
    assert (await anna.put(path, content=b"x")).status_code == 201


@pytest.mark.behaviour(52)
async def test_a_private_channel_has_a_site_of_its_own_for_its_members(world: Any) -> None:
    team = await world.control.do("team_add", tenant="contoso.example", name="Deals", members=[ANNA, BEN])
    secret = await world.control.do(
        "channel_add", team="Deals", name="Secret", membership="private", members=[ANNA], provisioned=True
    )
    anna, ben = (world.graph(world.token(person, f"{TEAMS} Sites.Read.All")) for person in (ANNA, BEN))
    private = (await folder(anna, team["id"], secret["id"])).json()
    general = (await folder(anna, team["id"], team["channel"])).json()
    assert private["parentReference"]["driveId"] != general["parentReference"]["driveId"]
    assert private["parentReference"]["siteId"] != general["parentReference"]["siteId"]
    assert (await folder(ben, team["id"], secret["id"])).status_code == 404
    assert (await ben.get(f"/drives/{private['parentReference']['driveId']}/root")).status_code == 403
    seen = [row["displayName"] for row in (await ben.get(f"/teams/{team['id']}/channels")).json()["value"]]
    assert seen == ["General"]
    found = [row["displayName"] for row in (await ben.get("/sites", params={"search": "deals"})).json()["value"]]
    assert found == ["Deals"]


async def test_teams_are_their_members(world: Any) -> None:
    team = await world.control.do("team_add", tenant="contoso.example", name="Deals", members=[ANNA])
    ben = world.graph(world.token(BEN, TEAMS))
    assert (await ben.get("/me/joinedTeams")).json()["value"] == []
    assert (await ben.get(f"/teams/{team['id']}/channels")).status_code == 403
    carl = world.graph(world.token("carl@fabrikam.example", TEAMS))
    assert (await folder(carl, team["id"], team["channel"])).status_code == 404
    anna = world.graph(world.token(ANNA, "User.Read"))
    assert (await anna.get("/me/joinedTeams")).status_code == 403


async def test_sharepoint_says_what_is_left_and_throttles(world: Any, site: dict[str, Any]) -> None:
    await world.control.do("limit_set", name="sharepoint", path="sharepoint", requests=5, seconds=60, scope="user")
    anna = world.graph(world.token(ANNA, "Sites.Read.All"))
    answers = [await anna.get(f"/sites/{site['id']}") for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert answers[3].headers["ratelimit-remaining"] == "1"
    assert "retry-after" in answers[5].headers


ODD = [
    [], None, "x", 1, {"item": []}, {"item": None, "deferCommit": None}, {"item": {"name": None, "fileSize": None}},
    {"parentReference": None}, {"parentReference": {"id": None}, "name": None}, {"name": 3},
    {"name": None, "folder": {}},
    {"folder": {}}, {"type": None}, {"type": ["view"]}, {"type": "view", "scope": 3}, {"roles": None},
    {"roles": [None]}, {"roles": [[]]},
    {"roles": ["read"], "grantedToIdentities": [None]}, {"roles": ["read"], "grantedTo": {"application": None}},
    {"@microsoft.graph.sourceUrl": 3}, {"@microsoft.graph.conflictBehavior": []},
    {"type": "view", "expirationDateTime": 3},
]  # fmt: skip


@pytest.mark.parametrize("odd", ODD, ids=str)
async def test_an_odd_body_is_taken_or_refused_and_breaks_nothing(world: Any, site: dict[str, Any], odd: Any) -> None:
    owner = world.graph(world.token(ANNA, "Sites.FullControl.All Contacts.ReadWrite Mail.ReadWrite"))
    await world.control.do("file_put", drive="Sales", path="a.txt", text="x")
    root = f"/drives/{site['drive']}/root"
    message = (await owner.post("/me/messages", json={})).json()["id"]
    granted = await world.control.do("site_grant", site="Sales", role="read")
    for method, path in (
        ("POST", f"{root}/children"),
        ("POST", f"{root}:/b.txt:/createUploadSession"),
        ("PATCH", f"{root}:/a.txt:"),
        ("POST", f"{root}:/a.txt:/createLink"),
        ("PUT", f"{root}:/c.txt"),
        ("POST", f"/sites/{site['id']}/permissions"),
        ("PATCH", f"/sites/{site['id']}/permissions/{granted['id']}"),
        ("POST", "/me/contacts"),
        ("POST", "/me/contactFolders"),
        ("POST", "/me/mailFolders"),
        ("POST", "/me/translateExchangeIds"),
        ("POST", f"/me/messages/{message}/move"),
        ("POST", f"/me/messages/{message}/attachments"),
        ("POST", f"/me/messages/{message}/attachments/createUploadSession"),
    ):
        got = await owner.request(method, path, json=odd)
        assert got.status_code < 500, f"{method} {path}: {got.text}"
