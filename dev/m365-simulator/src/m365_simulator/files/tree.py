"""Items of a drive: found by id or path, made, renamed, moved, deleted, and shown."""

import mimetypes
import uuid
from dataclasses import dataclass
from urllib.parse import quote

from m365_simulator import changelog
from m365_simulator.changes import Change
from m365_simulator.clock import moment_of, stamp
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.wire import GraphError

from . import content, drives, names

BEHAVIOURS = ("fail", "replace", "rename")
SYSTEM = {"user": {"displayName": "System Account"}}
"""Who made the root of a drive."""
SPACE = uuid.UUID("7f1f0c55-6d5b-4b0e-8a55-0a0f6d1c0003")


@dataclass(frozen=True, slots=True)
class Tree:
    """One drive. Names are looked up in a row per folder, so a path costs as much as it is deep."""

    simulator: Simulator
    drive: Row

    @property
    def _kind(self) -> str:
        return f"items/{self.drive['id']}"

    @property
    def log(self) -> str:
        return f"drive/{self.drive['id']}"

    def root(self) -> Row:
        found = self.simulator.store.get(self._kind, self.drive["root"])
        return found or self._made(self.drive["root"], None, "root", None)

    def _names(self, folder: str) -> str:
        return f"names/{self.drive['id']}/{folder}"

    def get(self, key: str) -> Row | None:
        return self.root() if key in ("root", self.drive["root"]) else self.simulator.store.get(self._kind, key)

    def child(self, folder: Row, name: str) -> Row | None:
        known = self.simulator.store.get(self._names(folder["id"]), name.lower())
        return self.get(known["id"]) if known else None

    def children(self, folder: Row) -> list[Row]:
        rows = self.simulator.store.all(self._names(folder["id"]))
        return [found for row in rows if (found := self.get(row["id"]))]

    def below(self, row: Row) -> list[Row]:
        """All under it, parents first."""
        return [one for child in self.children(row) for one in (child, *self.below(child))]

    def walk(self, start: Row, parts: tuple[str, ...], *, make: bool = False, by: Row | None = None) -> Row | None:
        """Along a path; ``make`` adds the folders that are missing."""
        at: Row | None = start
        for name in parts:
            found = self.child(at, name) if at else None
            if found is None and make and at is not None:
                found = self.add(at, name, None, by=by)
            at = found
        return at

    def _made(self, key: str, parent: str | None, name: str, stored: Row | None, by: Row | None = None) -> Row:
        now = stamp(self.simulator.now())
        row: Row = {"id": key, "drive": self.drive["id"], "parent": parent, "name": name, "content": stored, "size": 0}
        row |= {"hash": None, "created": now, "modified": now, "by": by, "etag": 0, "ctag": 0, "links": []}
        return self.put(row)

    def put(self, row: Row, *, content_changed: bool = True) -> Row:
        """Keep a change: another eTag, another cTag too when the content changed, and it is told."""
        row["etag"] += 1
        row["ctag"] += content_changed
        row["modified"] = stamp(self.simulator.now())
        self.simulator.store.put(self._kind, row["id"], row)
        if row["parent"] is not None:
            self.simulator.store.put(self._names(row["parent"]), row["name"].lower(), {"id": row["id"]})
        changelog.note(self.simulator, self.log, row["id"])
        self._tell()
        return row

    def _tell(self) -> None:
        root, covered = f"drives/{self.drive['id']}/root", [f"drives/{self.drive['id']}/root"]
        if self.drive["owner"]:
            covered.append(f"users/{self.drive['owner']}/drive/root")
        change = Change(
            "updated", "microsoft.graph.driveItem", self.drive["tenant"], root, self.drive["root"], tuple(covered)
        )
        self.simulator.changes.tell(change)

    def add(self, folder: Row, name: str, stored: Row | None, *, by: Row | None = None, behaviour: str = "fail") -> Row:
        """A folder, or a file of ``stored`` with ``content``, ``size`` and ``hash``. Raises 409 and 400."""
        existing = self.child(folder, names.check_name(name))
        names.check_path(f"{self.path(folder)}/{name}")
        if existing is not None and behaviour == "fail":
            raise taken()
        if existing is not None and behaviour == "replace":
            return self.replaced(existing, stored)
        if existing is not None:
            name = names.free_name(name, (one["name"] for one in self.children(folder)))
        row = self._made(drives.new_item_id(self.simulator), folder["id"], name, (stored or {}).get("content"), by)
        return self._filled(row, stored) if stored else row

    def replaced(self, row: Row, stored: Row | None) -> Row:
        if stored is None or row["content"] is None:
            raise taken()
        row = self.versioned(row, row["content"])
        row["content"] = stored["content"]
        row.pop("times", None)
        return self.put(self._filled(row, stored))

    def versioned(self, row: Row, kept: Row | None = None) -> Row:
        """The file as it is becomes a former version, before it changes; ``kept`` are its bytes when they change.

        A library without versions forgets them.
        """
        if row["content"] is None:
            return row
        if not self.keeps_versions:
            content.forget(self.simulator, kept)
            return row
        former = {"size": row["size"], "modified": row["modified"], "by": row["by"]}
        former["content"] = kept or content.again(self.simulator, row["content"])
        row["former"] = [*row.get("former", []), former]
        self._grow(self.get(row["parent"]) or self.root(), row["size"])
        return self.simulator.store.put(self._kind, row["id"], row)

    @property
    def keeps_versions(self) -> bool:
        return bool((self.drive.get("rules") or {}).get("versions", True))

    def dated(self, row: Row, given: Row | None) -> Row:
        """With the times of ``fileSystemInfo``, to the second; they say when the file changed where it came from."""
        times = {name: stamp(moment_of(text))[:19] + "Z" for name, text in (given or {}).items() if text}
        if not times:
            return row
        row["times"] = {**row.get("times", {}), **times}
        return self.simulator.store.put(self._kind, row["id"], row)

    def _filled(self, row: Row, stored: Row) -> Row:
        self._grow(row, stored["size"] - row["size"])
        row["hash"] = stored["hash"]
        return self.simulator.store.put(self._kind, row["id"], row)

    def _grow(self, row: Row, size: int) -> None:
        """Folders are as large as what is in them; the root is what the drive uses."""
        at: Row | None = row
        while at is not None:
            at["size"] += size
            self.simulator.store.put(self._kind, at["id"], at)
            at = self.get(at["parent"]) if at["parent"] else None

    def move(self, row: Row, folder: Row, name: str, behaviour: str = "fail") -> Row:
        other = self.child(folder, names.check_name(name))
        other = None if other is not None and other["id"] == row["id"] else other
        if other is not None and (behaviour == "fail" or (behaviour == "replace" and other["content"] is None)):
            raise taken()
        if folder["id"] == row["id"] or any(one["id"] == folder["id"] for one in self.below(row)):
            raise GraphError(400, "invalidRequest", "A folder cannot be moved into itself.")
        if other is not None and behaviour == "replace":
            self.delete(other)
        elif other is not None:
            name = names.free_name(name, (one["name"] for one in self.children(folder)))
        size = _weight(row)
        self.simulator.store.delete(self._names(row["parent"]), row["name"].lower())
        self._grow(row, -size)
        row |= {"name": name, "parent": folder["id"]}
        self._grow(row, size)
        return self.put(row, content_changed=False)

    def delete(self, row: Row) -> None:
        self._grow(row, -_weight(row))
        for one in (*self.below(row), row):
            for bytes_ in (one["content"], *(former["content"] for former in one.get("former", []))):
                content.forget(self.simulator, bytes_)
            self.simulator.store.delete(self._names(one["parent"]), one["name"].lower())
            self.simulator.store.delete(self._kind, one["id"])
            changelog.note(self.simulator, self.log, one["id"], "deleted")
        self._tell()

    def room(self) -> int:
        return max(0, int(self.drive["total"]) - int(self.root()["size"]))

    def path(self, row: Row) -> str:
        """From the root, ``""`` for the root itself."""
        parts = []
        while row["parent"] is not None:
            parts.append(row["name"])
            row = self.get(row["parent"]) or self.root()
        return "".join(f"/{name}" for name in reversed(parts))

    def etag(self, row: Row) -> str:
        return f'"{{{str(uuid.uuid5(SPACE, row["id"])).upper()}}},{row["etag"]}"'

    def shown(self, row: Row) -> Row:
        tag = uuid.uuid5(SPACE, row["id"])
        found: Row = {
            "id": row["id"],
            "name": row["name"],
            "size": row["size"],
            "eTag": self.etag(row),
            "cTag": f'"c:{{{str(tag).upper()}}},{row["ctag"]}"',
            "createdDateTime": row["created"],
            "lastModifiedDateTime": row["modified"],
            "webUrl": drives.web_url(self.simulator, self.drive) + quote(self.path(row)),
            "fileSystemInfo": {
                "createdDateTime": row["created"],
                "lastModifiedDateTime": row["modified"],
                **row.get("times", {}),
            },
            "parentReference": self._reference(row),
        }
        by = SYSTEM if row["parent"] is None else row["by"]
        if by:
            found |= {"createdBy": by, "lastModifiedBy": by}
        if row["parent"] is None:
            found["root"] = {}
        if row["content"] is None:
            count = len(self.simulator.store.keys(self._names(row["id"])))
            return found | {"folder": {"childCount": count}}
        kind = mimetypes.guess_type(row["name"])[0] or "application/octet-stream"
        if row.get("malware"):
            found["malware"] = {"description": row["malware"]}
        found["file"] = {"mimeType": kind, "hashes": {"quickXorHash": row["hash"]}}
        if self.drive.get("rules"):
            found["publication"] = self.publication(row, len(row.get("former", [])) + 1)
        return found | {"@microsoft.graph.downloadUrl": content.download_url(self.simulator, row)}

    def publication(self, row: Row, number: int) -> Row:
        """The publication facet of the file's version ``number``, counted from 1."""
        level = self.level(row)
        return {"level": level, "versionId": f"{number}.0" if level == "published" else f"0.{number}"}

    def level(self, row: Row) -> str:
        """Who sees a file, as the library's rules leave it: its uploader, who approves it, or everybody."""
        rules = self.drive.get("rules") or {}
        if not row.get("checked_in") and (rules.get("required_columns") or rules.get("check_out")):
            return "checkout"
        return "draft" if rules.get("approval") else "published"

    def _reference(self, row: Row) -> Row:
        found: Row = {"driveId": self.drive["id"], "driveType": self.drive["kind"]}
        if self.drive["site"]:
            found["siteId"] = self.drive["site"]
        parent = self.get(row["parent"]) if row["parent"] else None
        if parent is not None:
            path = f"/drives/{self.drive['id']}/root:{self.path(parent)}"
            found |= {"id": parent["id"], "name": parent["name"], "path": path}
        return found


def _weight(row: Row) -> int:
    """Bytes that an item takes in its drive, former versions included."""
    return int(row["size"]) + sum(int(former["size"]) for former in row.get("former", []))


def taken() -> GraphError:
    text = "An item with the same name already exists under the parent"
    return GraphError(409, "nameAlreadyExists", text, inner="nameAlreadyExists")


def behaviour_of(text: object, default: str) -> str:
    wanted = str(text or default).lower()
    if wanted not in BEHAVIOURS:
        raise GraphError(400, "invalidRequest", f"conflictBehavior is one of {', '.join(BEHAVIOURS)}.")
    return wanted
