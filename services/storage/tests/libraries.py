"""A granted site's library on a watched wire, and what one process that uploads to it leaves for the next."""

import itertools
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

from m365_simulator import Simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import CONTOSO
from m365_simulator.files.quickxor import QuickXor as TheirHash
from m365_simulator.signing import access_token
from m365_simulator.testing import Wire
from shared.graph import Graph
from shared.graph.errors import GraphError, GraphGiveUp
from shared.graph.quickxor import QuickXor
from storage.automaton import Folder, State, Upload
from storage.stores import Source

UNIT = 320 * 1024
CHUNK = 2 * UNIT
SIZE = 2 * CHUNK + 17
BODY = bytes(n * 7 % 251 for n in range(251)) * (SIZE // 251 + 1)
BODY = BODY[:SIZE]
RUNS = 10


class Killed(BaseException):
    """The process died."""


class AppToken:
    """Stands where tenant-connector gives the application's token."""

    def __init__(self, simulator: Simulator) -> None:
        who = {"tid": CONTOSO, "oid": "sp", "appid": simulator.settings.client_id, "idtyp": "app"}
        roles = {**who, "roles": ["Sites.Selected"]}
        self.value = access_token(simulator.entra, "https://sts.windows.net/", roles)

    async def app_token(self, _org_id: str, *, leaving: bool = False) -> "AppToken":
        return self

    async def user_token(
        self, _org_id: str, _user_id: str, *, claims: str | None = None, leaving: bool = False
    ) -> "AppToken":
        raise AssertionError(claims)

    def forget(self, _org_id: str, _user_id: str | None, refused: str | None = None) -> None:
        """Asked after a 401; the same one is given again."""


@dataclass
class Kept:
    """What one file's processes leave for each other: the row. ``dies_at`` counts saves, before and after each."""

    file_id: str
    state: State = field(default_factory=State)
    hashed: Any = None
    dies_at: int = 0

    async def save(self, before: State, now: State) -> None:
        assert before == self.state
        self._step()
        self.state = now
        self._step()

    async def note(self, hashed: QuickXor, _position: int) -> None:
        self.hashed = hashed.state()

    def _step(self) -> None:
        self.dies_at -= 1
        if self.dies_at == 0:
            raise Killed


class Library:
    """A granted site's library and the folder in it that was chosen, on a wire that is watched."""

    def __init__(self, simulator: Simulator, microsoft: SimulatorClient, graph: Graph, folder: Folder) -> None:
        self.simulator, self.microsoft, self.graph, self.folder = simulator, microsoft, graph, folder
        self.wire = Wire(simulator.app)
        simulator.app = self.wire
        self.read: list[int] = []
        self.dies_at, self.dies_after = 0, False
        self._send = graph.http.send
        graph.http.send = self._counted  # type: ignore[method-assign]

    async def _counted(self, *given: Any, **more: Any) -> Any:
        self.dies_at -= 1
        if self.dies_at == 0 and not self.dies_after:
            raise Killed
        answer = await self._send(*given, **more)
        if self.dies_at == 0:
            raise Killed
        return answer

    def upload(self, kept: Kept, size: int = SIZE, path: str = "2026/11/{}.mp4") -> Upload:
        """A process of its own: it knows nothing but what was kept."""
        where, caller = path.format(kept.file_id), self.graph.as_app("acme")
        return Upload(caller, self.folder, kept.file_id, where, size, kept.state, kept.save, chunk=CHUNK)

    async def run(self, kept: Kept, body: bytes = BODY, **more: Any) -> dict[str, Any]:
        hashed = QuickXor.of_state(kept.hashed) if kept.hashed else None
        return await self.upload(kept, len(body), **more).deliver(self.source(body), hashed, kept.note)

    def source(self, body: bytes) -> Source:
        async def pieces(position: int) -> AsyncGenerator[bytes, None]:
            self.read.append(position)
            for at in range(position, len(body), 100_000):
                yield body[at : at + 100_000]

        return pieces

    async def until_whole(self, kept: Kept, body: bytes = BODY) -> list[Exception]:
        """What ended each process, until one ends well; a refusal that a job does not survive ends the test."""
        errors: list[Exception] = []
        for _ in range(RUNS):
            try:
                await self.run(kept, body)
                return errors
            except (GraphError, Killed) as error:
                errors.append(error)  # type: ignore[arg-type]
                if isinstance(error, GraphGiveUp):
                    break
        raise AssertionError(errors)

    def items(self) -> list[dict[str, Any]]:
        return self.simulator.store.all(f"items/{self.folder.drive_id}")

    def files(self, file_id: str) -> list[str]:
        """Names of all files that were made of this one, with a mark where one is not whole."""
        hashed = TheirHash()
        hashed.update(BODY)
        folders = {row["id"]: row["name"] for row in self.items() if row["content"] is None}
        mine = [row for row in self.items() if row["content"] is not None and file_id[:8] in row["name"]]
        whole = (SIZE, hashed.digest())
        return [
            f"{folders.get(row['parent'])}/{row['name']}{'' if (row['size'], row['hash']) == whole else ' BROKEN'}"
            for row in mine
        ]


_numbers = itertools.count(1)


def fresh() -> Kept:
    return Kept(f"{next(_numbers):08x}-0000-4000-8000-000000000000")
