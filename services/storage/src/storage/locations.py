"""Where an organisation's new files go: the place in SharePoint that an Org Admin chose, and whether it works."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import unquote

from shared.connections import Tenant, tenant_of
from shared.connections.obstacles import TENANT_NOT_CONNECTED, Switch
from shared.connections.places import CONNECTOR_PLACE
from shared.connections.refusing import conflict
from shared.database.unit_of_work import Database, UnitOfWork
from shared.events import StorageLocationChanged, StorageLocationSelected
from shared.events.storage import LocationState
from shared.graph import Graph
from shared.graph.errors import GraphError, GraphFull, GraphNotFound, GraphRetry, GraphTellAdmin
from shared.problems import Conflict, Unavailable
from shared.web import audit
from storage import addresses, location_queries, move_queries, people_queries, places
from storage.addresses import Address
from storage.automaton import Folder
from storage.places import Place, Step
from storage.work import LookAtLocation, MoveFiles, SweepStaging

State = LocationState
SWITCH: Switch = "sharepoint_storage"
CHOOSE_PLACE = f"{CONNECTOR_PLACE} → Choose Storage Location"
DEFAULT_STORE = "Prospo storage"
WAIT_S = 300
"""So long whoever has a file for a place that does not work waits before asking again."""
_WAITS = "Files wait and follow by themselves."
_SAYS: dict[State, str] = {
    "no_access": "Prospo may not write to the place for files in SharePoint any more. Whoever manages the site has to "
    f"grant it again (see {CHOOSE_PLACE}), or an Org Admin chooses another place. {_WAITS}",
    "gone": "The folder for files is not in SharePoint any more. Restore it from the recycle bin, or choose another "
    f"place under {CHOOSE_PLACE}. {_WAITS}",
    "full": f"The library for files in SharePoint is full. Free some room there, or have its quota raised. {_WAITS}",
}


@dataclass(frozen=True, slots=True)
class Tried:
    """What came of an address: the place where there is one, each step, and whether it was chosen."""

    address: Address
    place: Place | None
    steps: tuple[Step, ...]

    @property
    def works(self) -> bool:
        return self.place is not None and all(step.verdict != "refused" for step in self.steps)


async def connected(db: Database, org_id: str) -> Tenant:
    """The tenant. Raises ``Conflict`` while none is connected."""
    async with db.unit_of_work(org_id) as work:
        tenant = await tenant_of(work.session, org_id)
    if not tenant.connected:
        raise conflict(TENANT_NOT_CONNECTED, "")
    return tenant


async def attempt(graph: Graph, org_id: str, text: str) -> Tried:
    """Find the place and write to it. Nothing is kept. Raises ``BadInput`` for an address that is none."""
    address, caller = addresses.read(text), graph.as_app(org_id, "interactive")
    try:
        place = await places.find(caller, address)
    except GraphError as error:
        return Tried(address, None, (Step("find", "refused", _not_found(error)), *places.NEVER_TRIED))
    return Tried(address, place, (Step("find", "ok"), *await places.probe(caller, place)))


def _not_found(error: GraphError) -> str:
    if isinstance(error, GraphRetry) or error.status not in {403, 404}:
        return places.sentence(error)
    return (
        "Microsoft does not show this site to Prospo: either its grant on the site is missing, or your Microsoft 365 "
        f"has no such site. Microsoft says: {error.message}"
    )


async def choose(work: UnitOfWork, tenant: Tenant, tried: Tried, user_id: str) -> None:
    """From now on new files go there, while the switch is on. Raises ``Conflict`` when the tenant changed meanwhile."""
    place = tried.place
    assert place is not None  # noqa: S101 - it works
    now = await tenant_of(work.session, work.org_id, hold=True)
    if (now.connected, now.tid) != (True, tenant.tid):
        raise Conflict("tenant_changed", "The connection to Microsoft 365 changed meanwhile. Choose the place again.")
    values = {"org_id": work.org_id, "tid": now.tid, "site_id": place.site_id, "drive_id": place.drive_id}
    values |= {"folder_id": place.folder_id, "name": place.name, "web_url": place.web_url, "user_id": user_id}
    values |= {"site_url": tried.address.url, "told": "works:false"}
    row = (await work.session.execute(location_queries.CHOOSE, values)).one()
    about: dict[str, Any] = {"org_id": work.org_id, "aggregate_version": row.version, "location": place.name}
    work.outbox.add(StorageLocationSelected(**about))
    work.outbox.add(StorageLocationChanged(**about, state="works", nearly_full=False))
    audit.note(work.session, work.org_id, user_id, "storage.location_choose", target=place.name)
    work.queue(LookAtLocation())
    work.queue(MoveFiles())


async def chosen(work: UnitOfWork) -> Any | None:
    """The row, while the tenant is the one that it was chosen in."""
    row = (await work.session.execute(location_queries.LOCATION, {"org_id": work.org_id})).first()
    tenant = await tenant_of(work.session, work.org_id)
    return row if row is not None and tenant.tid in {None, row.tid} else None


async def in_use(work: UnitOfWork) -> Any | None:
    """The place that files belong in, whether it works now or not."""
    tenant = await tenant_of(work.session, work.org_id)
    return await chosen(work) if tenant.connected and tenant.has_on(SWITCH) else None


async def place_for_new(work: UnitOfWork) -> Any | None:
    """Where a new file goes now; None is the default store, also while the place does not work and the organisation
    would not have files wait."""
    place = await in_use(work)
    if place is not None and place.state != "works":
        policy = (await work.session.execute(people_queries.POLICY, {"org_id": work.org_id})).first()
        if policy is not None and policy.when_stopped == "default":
            return None
    return place


async def follow(work: UnitOfWork, file_id: str) -> None:
    """A file that has just become whole in Prospo's own storage goes on to the chosen place, when one is in use."""
    place = await in_use(work)
    if place is not None:
        about = {"org_id": work.org_id, "file_id": file_id, "drive_id": place.drive_id, "folder_id": place.folder_id}
        await work.session.execute(move_queries.QUEUE, about)
        work.queue(MoveFiles())


async def name_of(work: UnitOfWork, file: Any) -> str:
    """Where a file is or goes, as people know it."""
    if file.drive_id is None:
        return DEFAULT_STORE
    location = (await work.session.execute(location_queries.LOCATION, {"org_id": work.org_id})).first()
    here = location is not None and (location.drive_id, location.folder_id) == (file.drive_id, file.folder_id)
    return str(location.name) if location is not None and here else "SharePoint"


def refuse_stopped(location: Any) -> None:
    """Raises ``Unavailable`` while the place is known not to work, without asking Microsoft for each file."""
    if location.state != "works":
        raise stopped(location.state)


def stopped(state: State) -> Unavailable:
    return Unavailable("storage_location_stopped", _SAYS[state], retry_after_s=WAIT_S)


def says(state: str) -> str:
    return _SAYS.get(state, "")  # type: ignore[call-overload, no-any-return]


def state_of(error: GraphError) -> State | None:
    """What a refusal says of the place; None when it says nothing of it."""
    if isinstance(error, GraphFull):
        return "full"
    if isinstance(error, GraphNotFound) or error.code == "place_gone":
        return "gone"
    return "no_access" if isinstance(error, GraphTellAdmin) and error.status == 403 else None


async def keep_state(work: UnitOfWork, folder: Folder, state: State, *, looking: bool = False) -> None:
    """Keep the state of the place that is chosen now; news of a former one is ignored. ``looking``: its job runs."""
    values = {"org_id": work.org_id, "drive_id": folder.drive_id, "folder_id": folder.folder_id, "state": state}
    changed = (await work.session.execute(location_queries.KEEP_STATE, values)).first()
    if changed is not None and state == "works":
        work.queue(MoveFiles())  # what waited follows
    elif changed is not None and not looking:
        work.queue(LookAtLocation(), run_at=datetime.now(UTC) + timedelta(seconds=WAIT_S))
    await _tell(work, folder)


async def _tell(work: UnitOfWork, folder: Folder) -> None:
    """Other services, when the state is another than they were told."""
    values = {"org_id": work.org_id, "drive_id": folder.drive_id, "folder_id": folder.folder_id}
    told = (await work.session.execute(location_queries.TELL, values)).first()
    if told is not None:
        about: dict[str, Any] = {"org_id": work.org_id, "aggregate_version": told.version, "location": told.name}
        work.outbox.add(StorageLocationChanged(**about, state=told.state, nearly_full=told.nearly_full))


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the place found; the name and address may have changed, for people rename and move folders."""

    state: State
    nearly_full: bool = False
    name: str = ""
    web_url: str = ""


async def look(graph: Graph, location: Any) -> Look:
    """Write to the place and read how full it is. Raises ``GraphError`` when that says nothing of the place."""
    caller, folder = graph.as_app(location.org_id, "backfill"), Folder(location.drive_id, location.folder_id)
    try:
        found = await caller.get(f"{folder.items}/{folder.folder_id}", {"$select": "id,name,webUrl,parentReference"})
        await places.writes(caller, folder)
        drive = await caller.get(f"/drives/{folder.drive_id}", {"$select": "id,quota"})
    except GraphError as error:
        state = state_of(error)
        if state is None:
            raise
        return Look(state)
    quota = drive.get("quota") or {}
    nearly_full = bool(quota.get("total")) and quota.get("remaining", 0) < quota["total"] / 10
    return Look("works", nearly_full, _renamed(location.name, found), str(found["webUrl"]))


def _renamed(name: str, folder: dict[str, Any]) -> str:
    """Where it is now. A library's root is called by the library, whatever Graph calls it."""
    site, library, *below = name.split(" › ")
    if not below or folder.get("name") in {None, "root"}:
        return name
    _, known, path = str((folder.get("parentReference") or {}).get("path") or "").partition("root:")
    above = [part for part in unquote(path).split("/") if part] if known else below[:-1]
    return " › ".join([site, library, *above, folder["name"]])


async def keep_look(work: UnitOfWork, location: Any, looked: Look) -> None:
    folder = Folder(location.drive_id, location.folder_id)
    if looked.state != "works":
        await keep_state(work, folder, looked.state, looking=True)
        return
    values = {"org_id": work.org_id, "drive_id": location.drive_id, "folder_id": location.folder_id}
    values |= {"nearly_full": looked.nearly_full, "name": looked.name, "web_url": looked.web_url}
    row = (await work.session.execute(location_queries.LOOKED, values)).first()
    if row is not None and looked.name != location.name:
        work.outbox.add(
            StorageLocationSelected(org_id=work.org_id, aggregate_version=row.version, location=looked.name)
        )
    await keep_state(work, folder, "works", looking=True)
    work.queue(SweepStaging())


async def refused(db: Database, org_id: str, folder: Folder, error: GraphError) -> Unavailable:
    """What whoever has the file is told; the place's state is kept."""
    state = state_of(error)
    if state is None:
        wait_s = error.after_s if isinstance(error, GraphRetry) else WAIT_S
        return Unavailable("sharepoint_refuses", places.sentence(error), retry_after_s=wait_s)
    async with db.unit_of_work(org_id) as work:
        await keep_state(work, folder, state)
    return stopped(state)
