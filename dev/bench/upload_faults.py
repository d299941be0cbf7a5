"""``python -m dev.bench.upload_faults``: what rclone does in the cells of the fault matrix of uploads, as a table.

Each cell: one fault strikes one request of an upload of three fragments; then what the library has is looked at. Our
own cells are tests (``services/storage/tests/test_automaton.py``): each ends with one whole file.
"""

import asyncio
import json
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from dev.bench.into_library import RCLONE, rclone_config, token_of
from dev.bench.town import microsoft
from m365_simulator.client import SimulatorClient

UNIT = 327_680
SIZE = 2 * UNIT + 5
PATIENCE_S = 90
RANGE = {"path": "/up/*", "method": "PUT"}
PHASES: dict[str, tuple[dict[str, str], int]] = {
    "session": ({"path": "*:/createUploadSession", "method": "POST"}, 0),
    "first range": (RANGE, 0),
    "middle range": (RANGE, 1),
    "last range": (RANGE, 2),
}
FAULTS: dict[str, tuple[str, dict[str, Any]]] = {
    **{str(status): ("refused", {"status": status}) for status in (401, 403, 404, 409, 410, 412, 423, 507)},
    "429": ("throttle", {"retry_after": 0}),
    **{str(status): ("server_error", {"status": status}) for status in (500, 502, 503, 504)},
    "no answer": ("reset", {}),
    "done, then 504": ("done_but_error", {"status": 504}),
    "done, no answer": ("done_but_reset", {}),
}
OF_RANGES: dict[str, tuple[str, dict[str, Any]]] = {
    "413": ("refused", {"status": 413, "code": "requestEntityTooLarge"}),
    "416": ("refused", {"status": 416, "code": "invalidRange"}),
    "bytes lost": ("upload_loses_part", {"bytes": UNIT}),
}
LASTING: dict[str, dict[str, Any]] = {
    "423": {"status": 423, "code": "resourceLocked"},
    "507": {"status": 507, "code": "quotaLimitReached"},
    "access withdrawn": {"status": 403, "code": "accessDenied"},
}
"""Refused from this request on, in a new session too, until somebody lifts it."""


@dataclass
class Trial:
    """One library, one file, one configuration of rclone."""

    client: SimulatorClient
    graph: httpx.AsyncClient
    drive: str
    config: Path
    file: Path

    async def cell(self, name: str, fault: str, options: dict[str, Any], match: dict[str, str], skip: int) -> str:
        """``whole``, ``lost`` or ``wrong``; ``hangs`` after a minute and a half."""
        await self.client.fault(fault, **options, match=match, skip=skip)
        code = await self._copy(name)
        await self.client.clear_faults()
        answer = await self.graph.get(f"/v1.0/drives/{self.drive}/root:/{name}")
        if answer.status_code == httpx.codes.NOT_FOUND:
            return "hangs" if code is None else "lost"
        if answer.json()["size"] != SIZE:
            return "wrong"
        return "whole" if code == 0 else "whole, said to have failed"

    async def lasting(self, name: str, options: dict[str, Any], match: dict[str, str], skip: int) -> str:
        """What is there when rclone ends, and when a person starts it again after the fault was lifted."""
        await self.client.fault("refused", **options, times=None, match=match, skip=skip)
        if match is RANGE and options["status"] == httpx.codes.FORBIDDEN:
            await self.client.fault("refused", **options, times=None, match=PHASES["session"][0], skip=1)
        begun = time.monotonic()
        code = await self._copy(name)
        spent = time.monotonic() - begun
        await self.client.clear_faults()
        ends = "still tries" if code is None else "gave up" if code else "ended well"
        there = (await self.graph.get(f"/v1.0/drives/{self.drive}/root:/{name}")).status_code == httpx.codes.OK
        if code == 0:
            return f"{ends}, {'whole' if there else 'lost'}"
        again = "whole" if await self._copy(name) == 0 else "refused"
        return f"{ends} after {spent:.0f} s, {'something there' if there else 'lost'}; started again: {again}"

    async def _copy(self, name: str) -> int | None:
        words = ["copyto", str(self.file), f"sp:{name}", "--onedrive-chunk-size", "320Ki", "--retries", "3"]
        words += ["--onedrive-upload-cutoff", "320Ki", "--config", str(self.config), "--low-level-retries", "10"]
        environment = {"HOME": str(self.config.parent), "PATH": os.environ["PATH"]}
        null = asyncio.subprocess.DEVNULL
        made = await asyncio.create_subprocess_exec(str(RCLONE), *words, env=environment, stdout=null, stderr=null)
        try:
            async with asyncio.timeout(PATIENCE_S):
                return await made.wait()
        except TimeoutError:
            made.kill()
            await made.wait()
            return None


async def table() -> list[str]:
    """Rows of Markdown: fault, then what came of it in each phase."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        at = Path(folder)
        async with microsoft(at / "microsoft") as simulated, SimulatorClient(simulated.http_base_url) as client:
            site = await client.do("site_add", tenant="contoso.example", name="Sales")
            await client.do("site_grant", site="/sites/Sales", role="write")
            token = token_of(at / "microsoft", simulated.client_id)
            config, file = at / "rclone.conf", at / "film.bin"
            text = rclone_config(simulated.http_base_url, site["drive"], token)
            await asyncio.to_thread(config.write_text, text)
            await asyncio.to_thread(file.write_bytes, bytes(range(256)) * (SIZE // 256 + 1))
            await asyncio.to_thread(os.truncate, file, SIZE)
            headers = {"Authorization": f"Bearer {token}"}
            async with httpx.AsyncClient(base_url=simulated.http_base_url, headers=headers, trust_env=False) as graph:
                return await _rows(Trial(client, graph, site["drive"], config, file))


async def _rows(trial: Trial) -> list[str]:
    rows = _head("fault")
    for fault, (kind, options) in {**FAULTS, **OF_RANGES}.items():
        cells = []
        for number, (match, skip) in enumerate(PHASES.values()):
            applies = match is RANGE or fault in FAULTS
            name = f"{fault} {number}.bin".replace(",", "")
            cells.append(await trial.cell(name, kind, options, match, skip) if applies else "–")
        rows.append(_row(fault, cells))
    rows += ["", *_head("until it is lifted")]
    for fault, options in LASTING.items():
        names = [f"lasting {fault} {number}.bin" for number in range(len(PHASES))]
        each = zip(names, PHASES.values(), strict=True)
        rows.append(_row(fault, [await trial.lasting(name, options, *phase) for name, phase in each]))
    return rows


def _head(first: str) -> list[str]:
    return [f"| {first} | {' | '.join(PHASES)} |", f"|---|{'---|' * len(PHASES)}"]


def _row(fault: str, cells: list[str]) -> str:
    row = f"| {fault} | {' | '.join(cells)} |"
    print(json.dumps(row), file=sys.stderr, flush=True)
    return row


if __name__ == "__main__":
    print("\n".join(asyncio.run(table())))
