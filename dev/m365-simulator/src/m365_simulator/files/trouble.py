"""What stands in a file's way in a library: open sessions that keep a name, locks, rewriting, malware, lost grants.

Users of OneDrive clients report each of these; Microsoft documents the statuses, not when they come. ``files_rules``
has the switches, and the verbs below are what people, Office and virus scanners do.
"""

from datetime import timedelta

from m365_simulator.clock import moment_of
from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb
from m365_simulator.wire import GraphError

from . import content, quickxor
from .file_verbs import item_of, site_named
from .rules import rule
from .tree import Tree, taken

REWRITTEN = (".docx", ".xlsx", ".pptx", ".html")
MARK = b"<!-- MSO -->"[:11]
"""What a library adds to a document that it takes in: eleven bytes, as users saw it."""
VIRUS = "X-Virus-Infected"


def refuse_second_session(simulator: Simulator, wanted: Row) -> None:
    """409 while another session for the same place is open, whatever its conflict behaviour."""
    if not rule(simulator, "session_keeps_name"):
        return
    place = [wanted["drive"], wanted["start"], [name.lower() for name in wanted["path"]]]
    for row in simulator.store.all("upload_sessions"):
        same = [row["drive"], row["start"], [name.lower() for name in row["path"]]] == place
        if same and moment_of(row["expires"]) > simulator.clock.service():
            raise taken()


def refuse_aged_address(simulator: Simulator, session: Row) -> None:
    """403 once the token within the upload URL is too old, however far off the session's own end is."""
    life = timedelta(seconds=rule(simulator, "url_token_s"))
    if "born" in session and simulator.clock.service() >= moment_of(session["born"]) + life:
        raise GraphError(403, "accessDenied", "Access denied")


def refuse_locked(simulator: Simulator, row: Row | None) -> None:
    """423 for an item that somebody has open; the body may call it accessDenied, only the status tells."""
    if row is not None and row.get("locked"):
        text = f"The file '{row['name']}' is locked for shared use by i:0#.f|membership|{row['locked']}."
        raise GraphError(423, rule(simulator, "lock_code"), text)


def refuse_infected(row: Row) -> None:
    if row.get("malware"):
        headers = {VIRUS: row["malware"]}
        raise GraphError(403, "accessDenied", "The file is infected.", inner="malwareDetected", headers=headers)


def rewritten(simulator: Simulator, drive: Row, name: str, stored: Row) -> Row:
    """The bytes as a library keeps them: a document gets eleven more, so its size and hash are others than was sent."""
    kept = "file" in stored["content"]
    rewrites = drive["site"] is not None and rule(simulator, "office_rewrites")
    if not (kept and rewrites and name.lower().endswith(REWRITTEN)):
        return stored
    with (content.folder(simulator) / stored["content"]["file"]).open("ab") as out:
        out.write(MARK)
    size = stored["size"]
    bits = quickxor.bits(stored["hash"], size) ^ quickxor.contribution(MARK, size)
    return stored | {"size": size + len(MARK), "hash": quickxor.digest(bits, size + len(MARK))}


@verb
def file_lock(simulator: Simulator, *, drive: str, path: str, by: str) -> None:
    """Somebody (an address) opens a file in Office: writing to it is 423 until `file_unlock`."""
    place, row = item_of(simulator, drive, path)
    _keep(place, row | {"locked": by})


@verb
def file_unlock(simulator: Simulator, *, drive: str, path: str) -> None:
    """Whoever has the file open closes it."""
    place, row = item_of(simulator, drive, path)
    _keep(place, row | {"locked": None})


@verb
def file_infect(simulator: Simulator, *, drive: str, path: str, virus: str = "Test:Virus") -> None:
    """The virus scanner finds something in a file: it is shown with the malware facet, and its content is 403."""
    place, row = item_of(simulator, drive, path)
    _keep(place, row | {"malware": virus})


def _keep(place: Tree, row: Row) -> None:
    place.simulator.store.put(f"items/{place.drive['id']}", row["id"], row)


@verb
def site_revoke(simulator: Simulator, *, site: str, app: str | None = None) -> Row:
    """The administrator of a site takes back what an application (ours unless named) was granted there."""
    row, whose = site_named(simulator, site), app or simulator.settings.client_id
    left = [one for one in row["permissions"] if one["app"] != whose]
    if len(left) == len(row["permissions"]):
        raise Refused(f"'{whose}' has no grant on '{site}'.")
    return simulator.store.put("sites", row["id"], row | {"permissions": left})
