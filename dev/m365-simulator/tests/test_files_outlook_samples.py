"""What Microsoft's pages show of contacts, mail and files, asked of the simulator.

The world is prepared from the request alone: what its path and body name is put there, placeholders are filled in,
upload URLs get a session that stands where the fragment begins.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import httpx
import pytest

from m365_simulator import changelog
from m365_simulator.directory import CONTOSO, find_user
from m365_simulator.elsewhere import other_url
from m365_simulator.files import drives, site_rows, teams, uploads
from m365_simulator.files.tree import Tree
from m365_simulator.outlook import attachment_files, attachment_sessions, contact_items, folders, mail_items
from shared.testing.samples import Sample, samples

TOPICS = (
    "contact", "photo", "message", "attachment", "drives", "small upload", "upload", "createLink", "filesFolder",
    "sites search", "site permissions", "delta 410",
)  # fmt: skip
PERMISSIONS = (
    "Contacts.ReadWrite Mail.ReadWrite Mail.Send Files.ReadWrite.All Sites.FullControl.All Team.ReadBasic.All "
    "Channel.ReadBasic.All User.Read User.ReadWrite"
)
PLACEHOLDER = re.compile(r"\{[^{}]*\}|<<[^<>]*>>|<[\w -]+>")
OTHERS = re.compile(r"/(events|calendar|calendarView|groups)\b", re.IGNORECASE)
KEY = re.compile(r"/([\w$.]+)\('([^']*)'\)(?=/|$)")
PNG = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\rIHDR" + (240).to_bytes(4, "big") * 2


def filled(text: str) -> str:
    """``{item-id}`` as ``item-id``."""
    return PLACEHOLDER.sub(lambda found: re.sub(r"[^\w.-]", "", found.group()) or "x", text)


def filled_body(body: Any) -> Any:
    """Strings that are a placeholder as a whole; what else stands in braces or brackets is content. Empty ones go."""
    if isinstance(body, dict):
        return {key: filled_body(value) for key, value in body.items() if value != ""}
    if isinstance(body, list):
        return [filled_body(one) for one in body]
    return filled(body) if isinstance(body, str) and PLACEHOLDER.fullmatch(body) else body


class Prepared:
    """The world in which a sample's request finds what it names."""

    def __init__(self, world: Any, sample: Sample) -> None:
        self.world, self.simulator, self.sample = world, world.simulator, sample
        self.method = sample.request["method"]
        parts = urlsplit(filled(sample.request["url"]))
        self.host, self.query = parts.netloc, parts.query
        self.asked = unquote(re.sub(r"^/(v1\.0|v1|beta)(?=/)", "", parts.path))
        self.path = self.asked if "/api/" in self.asked else KEY.sub(r"/\1/\2", self.asked)
        self.body = filled_body(sample.request.get("body"))
        self.user = self._me()
        self.wanted = sample.response.get("status") or 200

    def _me(self) -> dict[str, Any]:
        named = re.search(r"^/users/([^/@]+)", self.path, re.IGNORECASE)
        me = find_user(self.simulator.store, "anna@contoso.example") or {}
        if named:
            key = named[1].lower()
            me = {**me, "id": key, "address": f"{key}@contoso.example"}
            self.simulator.store.put("users", me["id"], me)
        return me

    def prepare(self) -> None:
        for pattern, place in PLACES.items():
            found = re.search(pattern, self.path, re.IGNORECASE)
            if found:
                place(self, *found.groups())
        self.tokens()
        goal = (self.body or {}).get("destinationId") if isinstance(self.body, dict) else None
        if goal:
            self.folder("mailFolders", goal)
        parent = self.body.get("parentReference") if isinstance(self.body, dict) else None
        if parent and parent.get("id"):
            self.drive_item(parent.get("driveId"), parent["id"], folder=True)
        source = "@microsoft.graph.sourceUrl"
        if isinstance(self.body, dict) and source in self.body:
            self.upload("sample", whole=True)
            self.body[source] = f"{other_url(self.simulator)}/up/sample"

    def folder(self, family: str, key: str) -> str:
        """The id of the folder, made unless it is there; with a child."""
        rows = folders.tree(self.simulator, family, self.user["id"])
        known = next((row for row in rows if key in (row["id"], row["well_known"])), None)
        if known is None:
            known = folders.kept(self.simulator, {**folders.add(self.simulator, rows[0], f"Named {key}"), "id": key})
            folders.add(self.simulator, known, "Child")
        return str(known["id"])

    def contact_folder(self, key: str) -> None:
        place = {"id": self.folder("contactFolders", key), "user": self.user["id"]}
        contact_items.create(self.simulator, place, {"givenName": "Garth", "surname": "Fort"})

    def contact_list(self) -> None:
        place = folders.well_known(self.simulator, "contactFolders", self.user["id"], "contacts")
        contact_items.create(self.simulator, place, {"givenName": "Garth", "surname": "Fort"})

    def contact(self, key: str) -> None:
        self.contact_list()
        row = self.simulator.store.all(f"contacts/{self.user['id']}")[-1]
        self.alias(key, row)

    def alias(self, key: str, row: dict[str, Any]) -> None:
        kind = f"mutable/{self.user['id']}"
        self.simulator.store.put(kind, key, {"id": row["id"], "kind": row["kind"]})

    def photo(self) -> None:
        if self.wanted == 404:
            return
        owner = self.user["id"]
        if (contact := re.search(r"/contacts/([^/]+)/", self.path)) is not None:
            owner = self.simulator.store.get(f"mutable/{owner}", contact[1])["id"]
        row = {"type": "image/png", "width": 240, "height": 240, "etag": '"1"', "bytes": PNG.hex()}
        self.simulator.store.put("photos", owner, row)

    def mail_folder(self, key: str) -> None:
        place = self.folder("mailFolders", key)
        people = {"toRecipients": [mail_items.person(self.user)], "subject": "Holiday"}
        made = mail_items.filled(self.simulator, self.user, people)
        for _ in range(3):
            mail_items.stand(self.simulator, self.user["id"], place, made, "thread", [])

    def message(self, key: str) -> None:
        self.mail_folder("drafts")
        row = self.simulator.store.all(f"messages/{self.user['id']}")[-1]
        if self.path.lower().endswith(("reply", "replyall", "forward")):
            row["body"] |= {"isDraft": False, "from": {"emailAddress": {"name": "B", "address": "b@example.com"}}}
        self.alias(key, row)

    def attachment(self, message: str, key: str) -> None:
        if key.lower() == "createuploadsession":
            return
        row = self.simulator.store.all(f"messages/{self.user['id']}")[-1]
        made = attachment_files.stored(self.simulator, {"name": "smile.gif"}, b"GIF89a")
        row["attachments"].append(made | {"id": key})

    def drive(self, key: str | None = None) -> Tree:
        row = drives.personal(self.simulator, self.user)
        if key and key.lower() not in ("root", "items"):
            row = {**drives.make(self.simulator, CONTOSO, "Named", owner=self.user["id"]), "id": key}
            self.simulator.store.put("drives", key, row)
        place = Tree(self.simulator, row)
        if not place.children(place.root()):
            place.add(place.root(), "Documents", None)
        return place

    def drive_item(self, drive: str | None, key: str, *, folder: bool = False) -> None:
        place, stored = self.drive(drive), {"content": {"generated": True}, "size": 9, "hash": "x"}
        inside = folder or re.search(r"items/[^/]+(:/|/children|/delta)", self.path)
        row = place.add(place.root(), "Named", None if inside else stored, behaviour="rename")
        self.simulator.store.put(f"items/{place.drive['id']}", key, {**row, "id": key})
        if inside:
            place.add({**row, "id": key}, "myfile.jpg", stored)

    def drive_path(self, drive: str | None, path: str) -> None:
        if self.method == "PUT" or "createUploadSession" in self.path:
            return
        place, parts = self.drive(drive), tuple(part for part in path.split("/") if part)
        folder = place.walk(place.root(), parts[:-1], make=True) or place.root()
        file = {"content": {"generated": True}, "size": 9, "hash": "x"}
        place.add(folder, parts[-1], None if "children" in self.path else file)

    def site(self, key: str) -> None:
        if key == "root" or ":" in key:
            return
        row = {**site_rows.add(self.simulator, CONTOSO, "Team A", "/sites/siteA"), "id": key}
        self.simulator.store.put("sites", key, row)
        drives.make(self.simulator, CONTOSO, "Shared Documents", site=key)
        if self.method != "POST":
            site_rows.grant(self.simulator, row, "app", "Contoso", ["write"])
            for one in re.findall(r"/permissions/([^/]+)", self.path):
                row["permissions"][-1]["id"] = one

    def site_path(self, host: str, path: str) -> None:
        row = site_rows.add(self.simulator, CONTOSO, "Team A", path.partition(":")[0])
        self.simulator.store.put("sites", row["id"], {**row, "host": host.lower()})

    def site_search(self) -> None:
        wanted = parse_qs(self.query)["search"][0]
        site_rows.add(self.simulator, CONTOSO, wanted, "/sites/siteA")

    def team(self, key: str, channel: str | None) -> None:
        row = {**teams.add_team(self.simulator, CONTOSO, "Named", [self.user["id"]]), "id": key}
        if channel:
            row["channels"][0]["id"] = channel
        self.simulator.store.put("teams", key, row)

    def joined(self) -> None:
        teams.add_team(self.simulator, CONTOSO, "Named", [self.user["id"]])

    def upload(self, key: str, *, whole: bool = False) -> None:
        place = self.drive()
        first, _, total = self.fragment()
        row = {"id": key, "drive": place.drive["id"], "start": place.drive["root"], "path": ["largefile.vhd"]}
        row |= {"behaviour": "fail", "if_match": None, "defer": self.method == "POST", "by": None, "bits": 0}
        row |= {"total": total, "odd": False, "file": "sample", "ranges": [[0, first - 1]] if first else []}
        if self.method == "POST" or whole:
            row |= {"total": 128, "ranges": [[0, 127]]}
        uploads.extended(self.simulator, row)

    def fragment(self) -> tuple[int, int, int | None]:
        found = re.match(r"bytes (\d+)-(\d+)/(\d+)", self.sample.request["headers"].get("Content-Range", ""))
        return (int(found[1]), int(found[2]), int(found[3])) if found else (0, 0, None)

    def attachment_session(self, owner: str, message: str, key: str) -> None:
        self.message(message)
        first, _, total = self.fragment()
        row = {"id": key, "secret": parse_qs(self.query)["authtoken"][0], "user": self.user["id"], "tenant": CONTOSO}
        row |= {"family": "messages", "of": message, "shown_as": message, "at": first, "file": "sample"}
        row["item"] = {"name": "flower", "size": total or 3483322}
        (attachment_files.folder(self.simulator) / "sample").write_bytes(b"x" * first)
        attachment_sessions._extended(self.simulator, row)

    def tokens(self) -> None:
        """Delta tokens in the query lead to a first round that begins now."""
        given = re.search(r"(?:token)=(?!latest)([^&']+)", f"{unquote(self.query)}&{self.path}".replace("'", ""))
        path = re.sub(r"\(.*", "", self.path.strip("/"))
        parts = path.split("/")
        if given is None or parts[-1].lower() != "delta":
            return
        kinds = {"contactfolders": "contactFolders", "mailfolders": "mailFolders"}
        family = next((kinds[part.lower()] for part in parts if part.lower() in kinds), None)
        if family is None:
            log, size = self.drive().log, {}
        elif parts[-2].lower() in ("contacts", "messages"):
            place = self.folder(family, parts[-3])
            log = f"{parts[-2].lower()}/{self.user['id']}/{place}"
        else:
            log = folders.log(family, self.user["id"])
        size = {"select": None, "size": 10, "params": {}, "ranked": False}
        row = changelog.beginning(self.simulator, log, **size)
        self.simulator.store.put("sync_states", given[1].rstrip(")"), {"id": given[1], **row})

    async def ask(self) -> httpx.Response:
        headers = {
            name: value
            for name, value in self.sample.request.get("headers", {}).items()
            if name.lower() in ("content-type", "content-range", "prefer", "if-match", "range")
        }
        query = f"?{self.query}" if self.query else ""
        foreign = self.host and "graph.microsoft.com" not in self.host
        if foreign:
            first, last, total = self.fragment()
            content = b"x" * (last - first + 1) if total else None
            url = f"{other_url(self.simulator)}{self.asked}{query}"
            return await self.world.http.request(self.method, url, content=content, headers=headers)
        client = self.world.graph(self.world.token(self.user["address"], PERMISSIONS))
        content = PNG if self.body and "photo" in self.path else self.body
        body = {"content": content} if isinstance(content, str | bytes) else {"json": content} if content else {}
        return await client.request(self.method, f"{self.asked}{query}", headers=headers, **body)


OWNER = r"^/(?:me|users/[^/]+)"
PLACES: dict[str, Callable[..., Any]] = {
    rf"{OWNER}/contacts$": Prepared.contact_list,
    r"/contactFolders/(?!delta)([^/]+)": Prepared.contact_folder,
    r"/contacts/(?!delta)([^/]+)": Prepared.contact,
    r"/photo(?:s/[^/]+)?(?:/\$value)?$": Prepared.photo,
    r"/mailFolders/(?!delta)([^/]+)": Prepared.mail_folder,
    rf"{OWNER}/messages$": lambda self: self.mail_folder("inbox"),
    rf"{OWNER}(?:/mailFolders/[^/]+)?/messages/(?!delta)([^/]+)": Prepared.message,
    r"/messages/([^/]+)/attachments/([^/]+)": Prepared.attachment,
    r"^/drives/([^/]+)": Prepared.drive,
    rf"{OWNER}/drive(?:/root(?:/|$)|$)": Prepared.drive,
    r"^/(?:drives/([^/]+)|.*?/drive)/items/([^/:]+)": Prepared.drive_item,
    r"^/(?:drives/([^/]+)|.*?/drive)/root:(/[^:]+)": Prepared.drive_path,
    r"^/sites/([^/:]+)(?!.*:)": Prepared.site,
    r"^/sites/([^/:]+):/(.+)": Prepared.site_path,
    r"^/sites$": Prepared.site_search,
    r"^/teams/([^/]+)(?:/channels/([^/]+))?": Prepared.team,
    r"/joinedTeams$": Prepared.joined,
    r"^/up/([^/]+)": Prepared.upload,
    r"/Users\('([^']+)'\)/Messages\('([^']+)'\)/AttachmentSessions\('([^']+)'\)": Prepared.attachment_session,
}


def kind_of(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return {int: "number", float: "number", str: "text", list: "list", dict: "object"}[type(value)]


def fitting(shown: Any, ours: Any, at: str = "body") -> None:
    """Properties that both have are of the same JSON type."""
    if shown is None or ours is None:
        return
    assert kind_of(shown) == kind_of(ours), f"{at}: Microsoft shows {shown!r}, we answer {ours!r}"
    if isinstance(shown, dict):
        for name in set(shown) & set(ours):
            fitting(shown[name], ours[name], f"{at}.{name}")
    if isinstance(shown, list) and shown and ours:
        fitting(shown[0], ours[0], f"{at}[0]")


@pytest.mark.parametrize("sample", samples(*TOPICS, requests=True))
async def test_the_request_a_page_shows_is_accepted_and_answered_in_its_shape(world: Any, sample: Sample) -> None:
    prepared = Prepared(world, sample)
    if OTHERS.search(prepared.path):
        pytest.skip("published samples: this one is not of contacts, mail or files")
    prepared.prepare()
    got = await prepared.ask()
    assert got.status_code // 100 == prepared.wanted // 100, f"{got.status_code}: {got.text}"
    if got.status_code >= 400:
        assert got.status_code == prepared.wanted
        return
    shown = sample.response.get("body")
    if not isinstance(shown, dict):
        assert shown is None or got.content
        return
    ours = got.json()
    fitting(shown, ours)
    named = {name for name in shown if not name.startswith("@") and name != "fileSystemInfo"}
    assert named & set(ours), f"nothing of {sorted(named)} is in our answer"
    if isinstance(shown.get("value"), list) and shown["value"]:
        assert ours["value"], "the page shows items"
