"""One refresh per person and expiry over real processes, and what SIGKILL in the middle of one leaves."""

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest

from shared.secrets import digest
from shared.testing.databases import connect
from shared.testing.fixtures import PlatformKeys
from shared.testing.waiting import until

PODS, TASKS = 4, 50
EXPIRED_S = 10  # no caller gets a token with so little time left, nor is it good enough when Microsoft is away


class Pod:
    """A process that ``pod_process.py`` forked."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self.pid = 0

    async def line(self) -> str:
        async with asyncio.timeout(60):
            return (await self._reader.readline()).decode().strip()

    async def write(self, line: str) -> None:
        self._writer.write(line.encode() + b"\n")
        await self._writer.drain()

    async def answers(self) -> list[tuple[int, str]]:
        """Status and digest of the token, of each of its questions."""
        return [(status, digest) for status, digest in json.loads(await self.line())]

    async def kill(self) -> None:
        """Return when it is dead: its end of the connection is closed."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        async with asyncio.timeout(60):
            await self._reader.read()

    def close(self) -> None:
        self._writer.close()


StartPod = Callable[..., AbstractAsyncContextManager[Pod]]


@pytest.fixture(scope="module")
async def pods(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Path]:
    """The socket of the process that forks pods; it takes long to start."""
    place = tmp_path_factory.mktemp("pods") / "socket"
    script = Path(__file__).with_name("pod_process.py")
    server = await asyncio.create_subprocess_exec(
        sys.executable, str(script), str(place), stdout=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    assert await server.stdout.readline() == b"ready\n"
    yield place
    server.kill()
    await server.wait()


@pytest.fixture
def start_pod(house: Any, platform_keys: PlatformKeys, pods: Path) -> StartPod:
    settings = house.service.settings
    values = settings.model_dump(mode="json") | {"client_secret": settings.client_secret.get_secret_value()}
    values["token_answer_within_s"] = 60

    @contextlib.asynccontextmanager
    async def start(tasks: int = 1, **more: str) -> AsyncIterator[Pod]:
        """Ready to ask."""
        pod = Pod(*await asyncio.open_unix_connection(pods))
        pod.pid = int(await pod.line())
        try:
            said = {"settings": values, "caller_key": str(platform_keys.private / "meetings.pem"), "tasks": tasks}
            await pod.write(json.dumps(said | more))
            assert await pod.line() == "ready"
            yield pod
        finally:
            await pod.kill()
            pod.close()

    return start


@pytest.fixture
async def expired(house: Any) -> Any:
    """Anna is connected and her token has run out; Microsoft's next one lasts an hour."""
    house.short_tokens(EXPIRED_S)
    assert (await house.connect()).status_code == 200
    house.short_tokens(3600)
    return house.microsoft.door


async def test_fifty_tasks_in_each_of_four_processes_make_one_refresh(
    house: Any, expired: Any, start_pod: StartPod, postgres_url: Any
) -> None:
    async def all_want_it() -> bool:
        """The others wait for the lock, or asked Microsoft as well."""
        return expired.refreshes > 1 or await transactions(house, postgres_url, "active") == PODS - 1

    async def until_all_want_it() -> None:
        await until(all_want_it, within_s=30)

    expired.before_answer = until_all_want_it
    async with contextlib.AsyncExitStack() as stack:
        starting = [stack.enter_async_context(start_pod(TASKS)) for _ in range(PODS)]
        pods = await asyncio.gather(*starting)
        await asyncio.gather(*(pod.write("go") for pod in pods))
        answers = [answer for pod in pods for answer in await pod.answers()]
    assert len(answers) == PODS * TASKS
    assert len(set(answers)) == 1, "all got one and the same token"
    assert answers[0][0] == 200
    assert expired.refreshes == 1


async def test_sigkill_between_microsofts_answer_and_the_commit_loses_nothing(
    house: Any, expired: Any, start_pod: StartPod, postgres_url: Any
) -> None:
    async with start_pod(hang_at="before the commit") as pod:
        await pod.write("go")
        assert await pod.line() == "hangs"
        assert await transactions(house, postgres_url, "idle in transaction") == 1, "it died holding the lock"
        await pod.kill()
    async with start_pod() as pod:
        await pod.write("go")
        ((status, _),) = await pod.answers()
    assert status == 200
    first, second = expired.sent_refresh_tokens
    assert first == second, "what the killed one was given is lost, so the former token was used again"
    assert await transactions(house, postgres_url, "idle in transaction") == 0
    assert (await house.connection())["status"] == "connected"
    assert await house.published("user.connection_expired") == []


async def test_sigkill_while_microsoft_thinks_lets_the_next_one_refresh(expired: Any, start_pod: StartPod) -> None:
    async with start_pod() as pod:
        expired.before_answer = pod.kill
        await pod.write("go")
        assert await pod.line() == "", "it is dead"
        expired.before_answer = None
    async with start_pod() as pod:
        await pod.write("go")
        ((status, _),) = await pod.answers()
    assert status == 200
    assert expired.refreshes == 2


async def test_a_rotated_token_is_stored_before_anybody_uses_it(house: Any, expired: Any, start_pod: StartPod) -> None:
    async with start_pod(hang_at="after the commit") as pod:
        await pod.write("go")
        assert await pod.line() == "hangs"
        await pod.kill()
    async with start_pod() as pod:
        await pod.write("go")
        (answer,) = await pod.answers()
    assert expired.refreshes == 1, "the stored token was enough"
    assert answer == (200, digest((await house.token()).json()["access_token"]))
    house.short_tokens(EXPIRED_S)
    assert (await house.token(refused=answer[1])).status_code == 200
    first, second = expired.sent_refresh_tokens
    assert first != second, "the rotated refresh token was stored too"


async def transactions(house: Any, postgres_url: Any, state: str) -> int:
    """How many connections to the service's database are ``active``, waiting for a lock, or ``idle in transaction``."""
    admin = await connect(postgres_url.render_as_string(hide_password=False))
    query = """SELECT count(*) FROM pg_stat_activity WHERE datname = $1 AND state = $2
        AND (state <> 'active' OR wait_event_type = 'Lock')"""
    try:
        return int(await admin.fetchval(query, house.service.db.engine.url.database, state))
    finally:
        await admin.close()
