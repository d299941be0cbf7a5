"""HTTP in: where the organisation's files go, and which files it has. For Org Admins."""

from datetime import datetime
from typing import Annotated, Any, Literal, Self

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel, Field

from shared.connections import tenant_of
from shared.problems import NotFound
from shared.web.dependencies import Db, Graph_
from shared.web.routes import AdminCaller, Cursor, Page, StrictModel, Work, provided
from shared.web.words import ONE_LINE
from storage import locations, queries
from storage.addresses import Address
from storage.locations import SWITCH, State, Tried
from storage.places import StepName, StepVerdict
from storage.settings import Settings
from storage.work import LookAtLocation

router = APIRouter(tags=["location"])
Knobs = Annotated[Settings, Depends(provided("settings"))]
Searched = Annotated[str | None, Query(min_length=1, max_length=200), ONE_LINE]


class LocationWanted(StrictModel):
    """The address of a SharePoint site, library or folder, as a browser shows it."""

    address: Annotated[
        str, Field(min_length=1, max_length=2000, examples=["https://contoso.sharepoint.com/sites/Sales"]), ONE_LINE
    ]


class Location(BaseModel):
    """The chosen place. ``state`` is what the last file or check met there, ``says`` the sentence for people."""

    name: str
    web_url: str
    site_url: str
    state: State
    says: str
    nearly_full: bool
    state_since: datetime
    looked_at: datetime
    chosen_at: datetime
    chosen_by: str


class LocationShown(BaseModel):
    """``location`` is null before one is chosen. ``in_use``: new files go there; otherwise to Prospo's own storage.

    ``waiting`` counts files that are not whole yet.
    """

    location: Location | None
    switched_on: bool
    in_use: bool
    files: int
    waiting: int


class StepShown(BaseModel):
    """``says`` is why it was refused and who mends it."""

    name: StepName
    verdict: StepVerdict
    says: str


class Grant(BaseModel):
    """What gives the application the role write on the site; either of the two, by whoever may."""

    site_url: str
    client_id: str
    powershell: str
    graph: str

    @classmethod
    def on(cls, address: Address, settings: Settings) -> Self:
        url, client_id, graph = address.url, settings.client_id, settings.graph_base_url
        body = (
            '{"roles": ["write"], "grantedToIdentities": [{"application": '
            f'{{"id": "{client_id}", "displayName": "Prospo"}}}}]}}'
        )
        return cls(
            site_url=url,
            client_id=client_id,
            powershell=f"Connect-PnPOnline -Url '{url}' -Interactive\n"
            f"Grant-PnPEntraIDAppSitePermission -AppId '{client_id}' -DisplayName 'Prospo' -Site '{url}' "
            "-Permissions Write",
            graph=f"GET {graph}{address.graph}?$select=id\nPOST {graph}/sites/<that id>/permissions\n{body}",
        )


class LocationAnswer(BaseModel):
    """Whether the place was chosen, how each step went, and the grant to give when one was refused."""

    chosen: bool
    name: str | None
    steps: list[StepShown]
    grant: Grant | None


class FileListed(BaseModel):
    """``place``: where the bytes are. ``name`` is what people see in SharePoint, which does not take every name; a file
    of Prospo's own storage has its path, which names nobody."""

    id: str
    name: str
    size_bytes: int
    received_bytes: int | None
    place: Literal["prospo", "sharepoint"]
    state: Literal["stored", "coming"]
    sha256: str | None
    created_at: datetime


@router.get("/v1/storage/location")
async def storage_location(_caller: AdminCaller, work: Work) -> LocationShown:
    """Where new files go."""
    row = await locations.chosen(work)
    tenant = await tenant_of(work.session, work.org_id)
    counts = (await work.session.execute(queries.COUNTS, {"org_id": work.org_id})).one()
    on = tenant.has_on(SWITCH)
    in_use = row is not None and on and tenant.connected
    shown = None if row is None else _location(row)
    return LocationShown(location=shown, switched_on=on, in_use=in_use, files=counts.files, waiting=counts.waiting)


def _location(row: Any) -> Location:
    values = {name: getattr(row, name) for name in Location.model_fields if name != "says"}
    return Location(**values, says=locations.says(row.state))


@router.put("/v1/storage/location")
async def choose_location(
    wanted: LocationWanted, caller: AdminCaller, db: Db, graph: Graph_, knobs: Knobs
) -> LocationAnswer:
    """Find the place, write to it as storage will, and choose it when every step worked.

    What is stored already stays where it is.
    """
    tenant = await locations.connected(db, caller.org_id)
    tried = await locations.attempt(graph, caller.org_id, wanted.address)
    if tried.works:
        async with db.unit_of_work(caller.org_id) as work:
            await locations.choose(work, tenant, tried, caller.user_id)
    return _answer(tried, knobs)


def _answer(tried: Tried, knobs: Settings) -> LocationAnswer:
    steps = [StepShown(name=step.name, verdict=step.verdict, says=step.says) for step in tried.steps]
    grant = None if tried.works else Grant.on(tried.address, knobs)
    return LocationAnswer(chosen=tried.works, name=tried.place and tried.place.name, steps=steps, grant=grant)


@router.post("/v1/storage/location/check", status_code=202)
async def check_location(_caller: AdminCaller, work: Work) -> LocationShown:
    """Look at the place again, soon; the answer is the state before."""
    if await locations.chosen(work) is None:
        raise NotFound("no_location", f"No place is chosen. Choose one under {locations.CHOOSE_PLACE}.")
    work.queue(LookAtLocation())
    return await storage_location(_caller, work)


@router.get("/v1/storage/files")
async def organisation_files(
    _caller: AdminCaller,
    work: Work,
    named: Searched = None,
    placed: Literal["prospo", "sharepoint"] | None = None,
    cursor: Cursor = None,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Page[FileListed]:
    """All files of the organisation, newest first, without their content; of one place, or of some name, when asked."""
    values = {"org_id": work.org_id, "cursor": cursor, "limit": limit + 1, "named": named, "placed": placed}
    rows = (await work.session.execute(queries.FILES, values)).all()
    return Page[FileListed](
        items=[_listed(row) for row in rows[:limit]], next_cursor=rows[limit - 1].at if len(rows) > limit else None
    )


def _listed(row: Any) -> FileListed:
    whole, in_sharepoint = row.completed_at is not None, row.drive_id is not None
    return FileListed(
        id=row.id,
        name=(row.item_name or row.file_name or row.path) if in_sharepoint else row.path,
        size_bytes=row.size_bytes,
        received_bytes=None if in_sharepoint or whole else row.received_bytes,
        place="sharepoint" if in_sharepoint else "prospo",
        state="stored" if whole else "coming",
        sha256=row.sha256,
        created_at=row.created_at,
    )
