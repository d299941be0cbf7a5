"""Places in SharePoint: found by their address, and tried step by step before anything depends on them."""

import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args
from urllib.parse import quote, unquote, urlsplit

from shared.graph import GraphCaller
from shared.graph.errors import GraphError, GraphFull, GraphGiveUp, GraphNotFound, GraphRetry, GraphTellAdmin
from shared.graph.quickxor import QuickXor
from shared.graph.upload import MULTIPLE
from shared.problems import BadInput
from storage import names
from storage.addresses import Address
from storage.automaton import STAGING, Folder

StepName = Literal[
    "find", "small_file", "large_file", "rename", "versions", "columns", "check_out", "approval", "delete"
]
StepVerdict = Literal["ok", "refused", "not_tried"]
_FAIL = "@microsoft.graph.conflictBehavior"
_CONTENT = b"Prospo writes and deletes this file to see whether it may store files here.\n"
_LARGE = bytes(MULTIPLE + 1)
DEEPEST = 400 - len("/2026/11/") - names.LONGEST
"""So many characters may a chosen folder's path have, for SharePoint takes 400 with the folders and name of a file."""
LIBRARY_SETTING = "library_setting"
"""A refusal that follows from how the library is set up, in words of ours."""


@dataclass(frozen=True, slots=True)
class Place:
    """A folder of a library; ``name`` is how people know it, such as ``Sales › Documents › Recordings``."""

    site_id: str
    drive_id: str
    folder_id: str
    name: str
    web_url: str

    @property
    def folder(self) -> Folder:
        return Folder(self.drive_id, self.folder_id)


@dataclass(frozen=True, slots=True)
class Step:
    """What was tried and how it went; ``says`` is the reason and the remedy where it was not ok."""

    name: StepName
    verdict: StepVerdict
    says: str = ""


class NotShown(Exception):
    """SharePoint does not show what the step would judge by, which keeps no file from being stored."""


NEVER_TRIED = tuple(Step(name, "not_tried") for name in get_args(StepName)[1:])


async def find(caller: GraphCaller, address: Address) -> Place:
    """The folder at an address. Raises ``GraphError`` as Graph says it, ``BadInput`` for what is no folder there."""
    site = await caller.get(address.graph, {"$select": "id,displayName,webUrl"})
    drive, below = await _library(caller, str(site["id"]), address)
    path = f"/drives/{quote(drive['id'])}/root" + (f":/{quote('/'.join(below))}" if below else "")
    try:
        folder = await caller.get(path, {"$select": "id,name,folder,webUrl"})
    except GraphNotFound as error:
        raise BadInput("folder_not_found", f"The library {drive['name']} has no folder {'/'.join(below)}.") from error
    if below and "folder" not in folder:
        raise BadInput("not_a_folder", f"{below[-1]} is a file. Choose the folder that it is in.")
    if len(path := unquote(urlsplit(str(folder["webUrl"])).path)) > DEEPEST:
        raise BadInput(
            "folder_too_deep",
            f"The path of this folder has {len(path)} characters. SharePoint takes 400 with the names of files. Choose "
            f"a folder whose path has {DEEPEST} at most.",
        )
    name = " › ".join([str(site["displayName"]), str(drive["name"]), *below])
    return Place(str(site["id"]), str(drive["id"]), str(folder["id"]), name, str(folder["webUrl"]))


async def _library(caller: GraphCaller, site_id: str, address: Address) -> tuple[dict[str, Any], list[str]]:
    """The library that the address names, and the folders below it."""
    fields = {"$select": "id,name,webUrl"}
    if not address.path:
        return await caller.get(f"/sites/{quote(site_id)}/drive", fields), []
    wanted = [*address.site.split("/")[1:], *address.path]
    drives = [drive async for drive in caller.pages(f"/sites/{quote(site_id)}/drives", fields)]
    for drive in drives:
        own = [part for part in unquote(urlsplit(str(drive["webUrl"])).path).split("/") if part]
        if [part.casefold() for part in wanted[: len(own)]] == [part.casefold() for part in own]:
            return drive, wanted[len(own) :]
    there = ", ".join(str(drive["name"]) for drive in drives) or "none that Prospo sees"
    raise BadInput("library_not_found", f"The site has no library at this address. Its libraries: {there}.")


async def probe(caller: GraphCaller, place: Place) -> tuple[Step, ...]:
    """Write as storage will: a small file, an upload session of two ranges, a rename; see how many versions that made
    and who can see it; delete both.

    The first refusal ends it, and what was written is deleted all the same. Nothing is raised but a fault of ours.
    """
    trial = _Trial(caller, place.folder)
    steps: list[Step] = []
    for name, act in trial.steps.items():
        if any(step.verdict == "refused" for step in steps):
            steps.append(Step(name, "not_tried"))
            continue
        steps.append(await attempt(name, act))
    await trial.tidy()
    return tuple(steps)


async def attempt(name: StepName, act: Callable[[], Awaitable[None]]) -> Step:
    try:
        await act()
    except NotShown as error:
        return Step(name, "not_tried", str(error))
    except GraphError as error:
        return Step(name, "refused", sentence(error))
    return Step(name, "ok")


async def writes(caller: GraphCaller, folder: Folder) -> None:
    """Write and delete a small file. Raises ``GraphError``."""
    trial = _Trial(caller, folder)
    try:
        await trial.small()
    finally:
        await trial.tidy()


def sentence(error: GraphError) -> str:
    """Why SharePoint did not do it, and who mends it."""
    if error.code == LIBRARY_SETTING:
        return error.message
    said = f"Microsoft says: {error.message}"
    if is_infected(error):
        return f"SharePoint's scanner found malware in this file, so it is given to nobody. {said}"
    if isinstance(error, GraphFull):
        return f"There is no room left in this library. Free some, or have its quota raised. {said}"
    if isinstance(error, GraphRetry) and error.status == 423:
        return f"Somebody has it open or checked out. {said}"
    if isinstance(error, GraphRetry):
        return f"Microsoft did not answer just now. Try again in a minute. {said}"
    if error.status == 403:
        return f"Prospo may not do this there: its grant on the site has to have the role write. {said}"
    return said


def is_infected(error: GraphError) -> bool:
    """The refusal of a file with malware; it says nothing of the place."""
    return error.inner_code.casefold() == "malwaredetected"


class _Trial:
    """Two files of their own names in the staging folder, where files that are still coming are too."""

    def __init__(self, caller: GraphCaller, folder: Folder) -> None:
        self._caller = caller
        self._folder = folder
        self._name = f"prospo-check-{uuid.uuid4().hex}"
        self._made: list[str] = []
        self._level, self._checked_out = "published", False
        self.steps: dict[StepName, Callable[[], Awaitable[None]]] = {
            "small_file": self.small,
            "large_file": self.large,
            "rename": self.rename,
            "versions": self.versions,
            "columns": self.columns,
            "check_out": self.check_out,
            "approval": self.approval,
            "delete": self.delete,
        }

    async def small(self) -> None:
        path = self._folder.at(f"{STAGING}/{self._name}.txt")
        item = await self._caller.put(f"{path}:/content?{_FAIL}=fail", content=_CONTENT)
        self._made.append(str(item["id"]))

    async def large(self) -> None:
        path, about = self._folder.at(f"{STAGING}/{self._name}.bin"), {_FAIL: "fail", "fileSize": len(_LARGE)}
        session = await self._caller.upload_session(f"{path}:/createUploadSession", {"item": about})
        session = replace(session, chunk=MULTIPLE)
        upload = self._caller.upload(session, len(_LARGE))
        try:
            await upload.send(_large, start=0)
        except GraphError:
            with suppress(GraphError):
                await upload.cancel()
            raise
        item = await self._caller.get(path, {"$select": "id,size,file"})
        self._made.append(str(item["id"]))
        hashed = QuickXor()
        hashed.update(_LARGE)
        if ((item.get("file") or {}).get("hashes") or {}).get("quickXorHash") != hashed.digest():
            raise _setting("This library changes files as it takes them in, so Prospo cannot verify them.")

    async def rename(self) -> None:
        change = {"name": f"{self._name} renamed.bin", "parentReference": {"id": self._folder.folder_id}, _FAIL: "fail"}
        await self._caller.patch(self._item, change)

    async def versions(self) -> None:
        """A file is stored once; a library that keeps what it was called before would need its room twice."""
        try:
            found = [one async for one in self._caller.pages(f"{self._item}/versions", {"$select": "id"})]
        except GraphRetry:
            raise
        except GraphError as error:
            raise NotShown(f"SharePoint does not list the versions of a file. {sentence(error)}") from error
        if len(found) > 1:
            raise _setting(
                f"The library made {len(found)} versions of one file, because Prospo moved and renamed it. Each "
                "recording would take its room so many times. Have what makes a version of renamed files switched "
                "off, such as a flow, or choose another library."
            )

    async def columns(self) -> None:
        """A file that is left checked out because of empty columns cannot be checked in either."""
        self._level = await self._published()
        if self._level != "checkout":
            return
        self._checked_out = True
        try:
            await self._caller.post(
                f"{self._item}/checkin", {"comment": "Prospo sees whether it may store files here."}
            )
        except GraphGiveUp as error:
            raise _setting(
                "The library requires columns to be filled in, which Prospo does not. Its files would stay checked "
                "out, and nobody else would see them. Have the columns made optional, or choose another library."
            ) from error
        self._level = await self._published()

    async def check_out(self) -> None:
        if self._checked_out:
            raise _setting(
                "The library requires files to be checked out, so Prospo's files would stay checked out and nobody "
                "else would see them. Have that switched off in the library's versioning settings, or choose another."
            )

    async def approval(self) -> None:
        if self._level == "draft":
            raise _setting(
                "The library requires new files to be approved, so nobody would see a recording until somebody "
                "approved it. Have that switched off in the library's versioning settings, or choose another one."
            )

    async def _published(self) -> str:
        """``published``, ``draft`` or ``checkout``; a library without such rules need not say it."""
        item = await self._caller.get(self._item, {"$select": "id,publication"})
        return str((item.get("publication") or {}).get("level", "published"))

    @property
    def _item(self) -> str:
        return f"{self._folder.items}/{self._made[-1]}"

    async def delete(self) -> None:
        while self._made:
            with suppress(GraphNotFound):
                await self._caller.delete(f"{self._folder.items}/{self._made[-1]}")
            self._made.pop()

    async def tidy(self) -> None:
        with suppress(GraphError):
            await self.delete()


def _setting(says: str) -> GraphTellAdmin:
    return GraphTellAdmin(says, code=LIBRARY_SETTING)


async def _large(position: int) -> AsyncGenerator[bytes, None]:
    yield _LARGE[position:]
