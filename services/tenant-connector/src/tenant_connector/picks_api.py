"""HTTP in: an Org Admin browses SharePoint for a place for files, with a sign-in of their own that lasts minutes."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel

from shared.database.unit_of_work import Database
from shared.entra.client import Entra
from shared.entra.tokens import OneToken
from shared.graph import Graph
from shared.graph.errors import GraphError, GraphNotFound, GraphReconnect, GraphRetry
from shared.problems import BadInput, Conflict, NotFound, ProspoError, Unavailable
from shared.web.dependencies import Db
from shared.web.identity import Identity
from shared.web.limits import limited
from shared.web.routes import AdminCaller, StrictModel, provided
from shared.web.words import ONE_LINE
from tenant_connector import access, graph, picks, places
from tenant_connector.models import SignInAnswer
from tenant_connector.picks import Picks
from tenant_connector.places import Kind, Place
from tenant_connector.settings import Settings
from tenant_connector.tokens import AppTokens

router = APIRouter(prefix="/v1/tenant/browse", tags=["browse"])
Picks_ = Annotated[Picks, Depends(provided("picks"))]
Entra_ = Annotated[Entra, Depends(provided("entra"))]
Tokens = Annotated[AppTokens, Depends(provided("app_tokens"))]
Knobs = Annotated[Settings, Depends(provided("settings"))]
STARTS = limited("browse", per_hour="consents_per_hour", of="organisation")
LISTS = limited("browse_places", per_hour="browse_calls_per_hour")
_PART = r"[A-Za-z0-9!,_:@-][A-Za-z0-9!,._:@-]{0,300}"
Of = Annotated[str, Query(max_length=610, pattern=f"^$|^{_PART}(/{_PART})?$")]
Named = Annotated[str, Query(max_length=100), ONE_LINE]
GraphsCursor = Annotated[str | None, Query(max_length=4000, pattern="^[A-Za-z0-9_-]+$")]


class NewPick(StrictModel):
    """Nothing to say: who and for whom is in the token."""


class PickStarted(BaseModel):
    """Send the browser to ``sign_in_url`` and keep ``browser_key`` in it, out of reach of scripts."""

    sign_in_url: str
    browser_key: str


class PickTaken(BaseModel):
    """Until when this person may browse now."""

    expires_at: datetime


class PlaceShown(BaseModel):
    """``address`` chooses it (``PUT /v1/storage/location``), ``inside`` and ``of`` list what is in it; null where that
    is not possible. ``says`` is why it cannot be chosen, or not be written to yet, and who mends it.
    """

    name: str
    address: str | None
    inside: Literal["channels", "libraries", "folders"] | None
    of: str | None
    says: str

    @classmethod
    def shown(cls, place: Place) -> "PlaceShown":
        return cls(name=place.name, address=place.address, inside=place.inside, of=place.of or None, says=place.says)


class Places(BaseModel):
    """One page; ``next_cursor`` asks for the following one. A page may be empty and not the last."""

    items: list[PlaceShown]
    next_cursor: str | None


@router.post("", status_code=201, dependencies=[STARTS])
async def start_browsing(caller: AdminCaller, picks_: Picks_, _wanted: NewPick | None = None) -> PickStarted:
    """Where to send the browser: to a sign-in that asks to see teams and sites, of this person and browser, once."""
    address, browser_key = await picks_.start(caller)
    return PickStarted(sign_in_url=address, browser_key=browser_key)


@router.post("/complete", dependencies=[STARTS])
async def complete_browsing(answer: SignInAnswer, caller: AdminCaller, picks_: Picks_) -> PickTaken:
    """Take what the sign-in sent back. Its token is kept for minutes, for this person alone."""
    said = answer.model_dump(include={"code", "error", "error_description"}, exclude_none=True)
    return PickTaken(expires_at=await picks_.complete(caller, answer.state, answer.browser_key, said))


@router.get("/places", dependencies=[LISTS])
async def browse_places(
    caller: AdminCaller,
    db: Db,
    picks_: Picks_,
    tokens: Tokens,
    entra: Entra_,
    knobs: Knobs,
    kind: Kind = "teams",
    of: Of = "",
    named: Named = "",
    cursor: GraphsCursor = None,
) -> Places:
    """Teams, ``channels`` of a team, sites (``named`` searches), ``libraries`` of a site, ``folders`` of a library.

    As Microsoft shows them to who signed in; 409 ``browse_not_open`` without a sign-in that lasts.
    """
    if not of and kind in {"channels", "libraries", "folders"}:
        raise BadInput("nothing_named", f"Say with of whose {kind} are wanted.")
    own = await picks_.token(caller)
    client = Graph(knobs, OneToken(own))
    try:
        found = await places.listed(client.as_app(caller.org_id, "interactive"), kind, of, named.strip(), cursor)
    except GraphError as error:
        raise await _refused(picks_, caller, error) from error
    finally:
        await client.aclose()
    shown = await _with_access(db, tokens, entra, knobs, caller.org_id, found.places)
    return Places(items=[PlaceShown.shown(place) for place in shown], next_cursor=found.cursor)


@router.delete("", status_code=204)
async def end_browsing(caller: AdminCaller, picks_: Picks_) -> None:
    """Forget the sign-in, as after a choice."""
    await picks_.end(caller)


async def _with_access(
    db: Database, tokens: AppTokens, entra: Entra, knobs: Settings, org_id: str, found: list[Place]
) -> list[Place]:
    """Where that cannot be asked now nothing is said: the choice itself tries to write."""
    if not any(place.root and place.address for place in found):
        return found
    try:
        token = await access.app_token(db, tokens, entra, org_id)
        async with graph.as_application(knobs, org_id, token, priority="interactive") as application:
            return await places.with_access(application, found)
    except (GraphError, ProspoError):
        return found


async def _refused(picks_: Picks, caller: Identity, error: GraphError) -> ProspoError:
    if isinstance(error, GraphReconnect) or error.status == 401:
        await picks_.end(caller)
        return picks.not_open()
    if isinstance(error, GraphRetry):
        return Unavailable(
            "microsoft_busy", f"Microsoft did not answer just now: {error.message}", retry_after_s=error.after_s
        )
    if isinstance(error, GraphNotFound):
        return NotFound("place_not_found", "Microsoft has no such place for you. Go back and look again.")
    if error.status == 400:
        return BadInput("place_unreadable", f"Microsoft does not take this question: {error.message}")
    return Conflict("browse_forbidden", f"Microsoft does not show this to the account that signed in: {error.message}")
