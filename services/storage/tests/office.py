"""An organisation with a SharePoint site, the service beside it, and who gives the application's token."""

from datetime import UTC, datetime
from typing import Any

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from shared.events import Features, TenantState
from shared.graph.quickxor import QuickXor
from shared.hosting.service import Service
from shared.testing.fixtures import PlatformKeys
from shared.testing.harness import Harness
from shared.testing.serving import NO_TLS
from shared.testing.siblings import Dispatcher, Meetings
from shared.web.identity import ServiceTokens

from .libraries import UNIT, AppToken

SITE = "https://contoso.sharepoint.example/sites/Sales"
FOLDER = f"{SITE}/Shared%20Documents/Recordings"
SIZE = 2 * UNIT + 17
BODY = bytes(n * 7 % 251 for n in range(SIZE))
Json = dict[str, Any]


def tenant_connector(simulator: Simulator) -> Dispatcher:
    """Stands where tenant-connector gives the application's token; meetings beside it shares nothing."""

    async def token(_request: Request) -> JSONResponse:
        made = {"access_token": AppToken(simulator).value, "oid": None, "tid": CONTOSO}
        return JSONResponse(made | {"expires_at": "2099-01-01T00:00:00Z"})

    connector = Starlette(routes=[Route("/internal/app-token", token, methods=["POST"])])
    return Dispatcher({"tenant-connector": connector, "meetings": Meetings().app})


def hash_of(body: bytes) -> str:
    hashed = QuickXor()
    hashed.update(body)
    return hashed.digest()


class Office(Harness):
    """``ada`` is an Org Admin; ``ingest`` is the service that has the files."""

    def __init__(
        self,
        service: Service,
        keys: PlatformKeys,
        ingest: ServiceTokens,
        simulator: Simulator,
        microsoft: SimulatorClient,
    ) -> None:
        super().__init__(service, keys)
        self.ingest, self.simulator, self.microsoft = ingest, simulator, microsoft
        self.version = 0

    async def tenant(self, *, on: bool = False, connected: bool = True, tid: str = CONTOSO) -> None:
        self.version += 1
        about = {"org_id": "acme", "aggregate_version": self.version, "changed_at": datetime.now(UTC)}
        await self.hear(TenantState(**about, tid=tid, connected=connected, features=Features(sharepoint_storage=on)))

    async def admin(self, method: str, path: str, **more: Any) -> httpx.Response:
        return await self.call(method, path, user="ada", roles=("user", "org_admin"), **more)

    async def choose(self, address: str = FOLDER) -> Json:
        answer = await self.admin("PUT", "/v1/storage/location", json={"address": address})
        assert answer.status_code == 200, answer.text
        said: Json = answer.json()
        return said

    async def location(self) -> Json:
        found: Json = (await self.admin("GET", "/v1/storage/location")).json()
        return found

    async def in_use(self) -> None:
        """Granted, chosen, switched on."""
        await self.microsoft.do("site_grant", site="/sites/Sales", role="write")
        await self.tenant(on=True)
        assert (await self.choose())["chosen"]

    async def ask(self, path: str, body: Json) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.ingest.issue('storage')}"}
        return await self.http.post(f"/internal/{path}", json=body, headers=headers)

    async def begin(self, key: str = "r1", **more: Any) -> httpx.Response:
        wanted = {"org_id": "acme", "dedupe_key": key, "path": f"meetings/m1/{key}.mp4", "content_type": "video/mp4"}
        return await self.ask(
            "upload-sessions", wanted | {"size_bytes": SIZE, "owner_id": "anna", "name": f"Review {key}.mp4"} | more
        )

    async def send(self, session: Json, body: bytes = BODY, until: int | None = None) -> Json:
        """Ranges to wherever the session says, as recording-ingest sends them; the last answer."""
        said: Json = {}
        async with httpx.AsyncClient(verify=NO_TLS) as http:
            for start in range(session["received_bytes"], until or len(body), UNIT):
                piece = body[start : start + UNIT]
                headers = {"Content-Range": f"bytes {start}-{start + len(piece) - 1}/{len(body)}"}
                answer = await http.put(session["upload_url"], content=piece, headers=headers)
                said = answer.raise_for_status().json()
        return said

    async def complete(self, session: Json, body: bytes = BODY, **more: Any) -> httpx.Response:
        said = {"org_id": "acme", "file_id": session["file_id"], "quick_xor_hash": hash_of(body)}
        return await self.ask("delivered-files", said | more)

    async def store(self, key: str = "r1") -> Json:
        """A whole file, wherever files go now; its session."""
        session: Json = (await self.begin(key)).json()
        item = await self.send(session)
        assert (await self.complete(session, item_id=item["id"])).status_code == 200
        return session

    async def content(self, file_id: str, ranged: str = "") -> httpx.Response:
        headers = {"Range": ranged} if ranged else {}
        return await self.call("GET", f"/v1/files/{file_id}/content", headers=headers)

    def in_library(self) -> list[str]:
        """Paths of the files in the chosen folder."""
        drives = [row["id"] for row in self.simulator.store.all("drives")]
        rows = {row["id"]: row for drive in drives for row in self.simulator.store.all(f"items/{drive}")}
        paths = [self._path(rows, row) for row in rows.values() if row["content"] is not None]
        return sorted(path for path in paths if not path.endswith("read me.txt"))

    def _path(self, rows: dict[str, Json], row: Json) -> str:
        above = rows.get(row["parent"] or "")
        return row["name"] if above is None or above["parent"] is None else f"{self._path(rows, above)}/{row['name']}"
