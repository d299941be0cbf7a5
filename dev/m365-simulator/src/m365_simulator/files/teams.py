"""Teams and channels as far as files need them: which team has which site, and where a channel's files are."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from m365_simulator.core import Simulator
from m365_simulator.odata import Allows
from m365_simulator.store import Row
from m365_simulator.wire import Caller, GraphError, GraphRoute, answer, listed

from . import drives, site_rows
from .tree import Tree

router = APIRouter(prefix="/v1.0", route_class=GraphRoute)
TEAMS = "Team.ReadBasic.All TeamSettings.Read.All TeamSettings.ReadWrite.All Directory.Read.All"
CHANNELS = "Channel.ReadBasic.All ChannelSettings.Read.All ChannelSettings.ReadWrite.All Directory.Read.All"
FILES = "Files.Read.All Files.ReadWrite.All Sites.Read.All Sites.ReadWrite.All"
LIST = Allows(filters=("displayName", "membershipType"), page=100)


def add_team(simulator: Simulator, tenant: str, name: str, members: list[str]) -> Row:
    """With its site and the General channel."""
    word = "".join(part for part in name if part.isalnum())
    site = site_rows.add(simulator, tenant, word, f"/sites/{word}", title=name)
    key = simulator.ids.guid("team")
    row: Row = {"id": key, "tenant": tenant, "name": name, "site": site["id"], "members": members, "channels": []}
    simulator.store.put("teams", key, row)
    add_channel(simulator, row, "General", provisioned=True)
    return row


def add_channel(
    simulator: Simulator,
    team: Row,
    name: str,
    *,
    membership: str = "standard",
    members: list[str] | None = None,
    provisioned: bool = False,
) -> Row:
    """A private or shared channel has a site of its own; without ``provisioned`` it has no folder yet."""
    key = f"19:{simulator.ids.text('channel', 32)}@thread.tacv2"
    site = team["site"]
    if membership != "standard":
        base = simulator.store.get("sites", team["site"]) or {}
        word = "".join(part for part in name if part.isalnum())
        title = f"{team['name']}-{name}"
        own = members or team["members"]
        site = site_rows.add(simulator, team["tenant"], word, f"{base['path']}-{word}", members=own, title=title)["id"]
    channel: Row = {"id": key, "name": name, "membership": membership, "site": site, "folder": None}
    channel["members"] = members if membership != "standard" else None
    team["channels"].append(channel)
    simulator.store.put("teams", team["id"], team)
    return open_channel(simulator, team, channel) if provisioned else channel


def open_channel(simulator: Simulator, team: Row, channel: Row) -> Row:
    """What somebody's first look at the Files tab does: the folder is there from now on."""
    drive = next(row for row in simulator.store.all("drives") if row["site"] == channel["site"])
    place = Tree(simulator, drive)
    found = place.child(place.root(), channel["name"]) or place.add(place.root(), channel["name"], None)
    channel |= {"folder": found["id"], "drive": drive["id"]}
    simulator.store.put("teams", team["id"], team)
    return channel


def _team(caller: Caller, key: str) -> Row:
    row: Row | None = caller.store.get("teams", key)
    if row is None or row["tenant"] != caller.tenant:
        raise GraphError(404, "NotFound", "No team found with the id.")
    if not caller.app_only and caller.claims["oid"] not in row["members"]:
        raise GraphError(403, "Forbidden", "The signed-in user is not a member of the team.")
    return row


def _sees(caller: Caller, team: Row, channel: Row) -> bool:
    return caller.app_only or caller.claims["oid"] in (channel["members"] or team["members"])


@router.get("/me/joinedTeams")
@router.get("/users/{user}/joinedTeams")
async def joined(request: Request) -> Response:
    caller = Caller(request).need(delegated=TEAMS, role=TEAMS, place="teams")
    user = caller.user(request.path_params.get("user"), place="teams")
    rows = [row for row in caller.store.all("teams") if user["id"] in row["members"]]
    shown = [
        {"id": row["id"], "displayName": row["name"], "description": row["name"], "tenantId": row["tenant"]}
        for row in rows
    ]
    return listed(caller, "teams", shown, kind="graph.team", query=caller.query("graph.team", Allows(page=100)))


@router.get("/teams/{team}/channels")
async def channels(request: Request, team: str) -> Response:
    caller = Caller(request).need(delegated=CHANNELS, role=CHANNELS, place="teams")
    row = _team(caller, team)
    shown = [_shown(row, one) for one in row["channels"] if _sees(caller, row, one)]
    query = caller.query("graph.channel", LIST)
    return listed(caller, f"teams('{team}')/channels", shown, kind="graph.channel", query=query)


def _shown(team: Row, channel: Row) -> Row:
    return {
        "id": channel["id"],
        "displayName": channel["name"],
        "description": None,
        "membershipType": channel["membership"],
        "tenantId": team["tenant"],
        "webUrl": f"https://teams.microsoft.com/l/channel/{channel['id']}?groupId={team['id']}",
    }


@router.get("/teams/{team}/channels/{channel}")
async def one_channel(request: Request, team: str, channel: str) -> Response:
    caller = Caller(request).need(delegated=CHANNELS, role=CHANNELS, place="teams")
    row = _team(caller, team)
    shape = caller.query("graph.channel", Allows()).shape
    shown = shape(_shown(row, _channel(caller, row, channel)))
    return answer(caller.simulator, f"teams('{team}')/channels/$entity", shown, kind="graph.channel")


def _channel(caller: Caller, team: Row, key: str) -> Row:
    found: Row | None = next((one for one in team["channels"] if one["id"] == key and _sees(caller, team, one)), None)
    if found is None:
        raise GraphError(404, "NotFound", "No channel found with the id.")
    return found


@router.get("/teams/{team}/channels/{channel}/filesFolder")
async def files_folder(request: Request, team: str, channel: str) -> Response:
    """404 until the channel's folder was made; a private channel's is in its own site."""
    caller = Caller(request).need(delegated=FILES, role=FILES, place="teams")
    found = _channel(caller, _team(caller, team), channel)
    drive = caller.store.get("drives", found.get("drive") or "")
    place = Tree(caller.simulator, drive) if drive else None
    folder = place.get(found["folder"]) if place else None
    if place is None or folder is None:
        text = "Folder location for this channel is not ready yet, please try again later."
        raise GraphError(404, "NotFound", text)
    drives.admit(caller, place.drive, write=False)
    shown = caller.query("graph.driveItem", Allows()).shape(place.shown(folder))
    context = f"teams('{team}')/channels('{channel}')/filesFolder/$entity"
    return answer(caller.simulator, context, shown, kind="graph.driveItem")
