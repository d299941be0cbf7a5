"""The default store as a folder, and as an S3 that somebody else made."""

import asyncio
import os
import socket
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from subprocess import DEVNULL

import httpx
import pytest

from shared.problems import Unavailable
from shared.testing.scripted import Reply, scripted_server
from shared.testing.serving import NO_TLS
from storage.objects import Objects
from storage.settings import Settings
from storage.stores import NotThere, Taken

MIB = 1024 * 1024
LARGE = 5 * MIB + 17
PATTERN = bytes(range(251))
MOTO = Path(__file__).parents[3] / ".venv/s3/bin/moto_server"
SECRETS = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_REGION": "us-east-1"}


@asynccontextmanager
async def s3() -> AsyncIterator[str]:
    """moto in server mode with an empty bucket; its address."""
    if not MOTO.exists():
        pytest.skip("needs an S3 of others: make test fetches it")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        MOTO, "-H", "127.0.0.1", "-p", str(port), stdout=DEVNULL, stderr=DEVNULL, env=os.environ | SECRETS
    )
    url = f"http://127.0.0.1:{port}"
    try:
        async with httpx.AsyncClient(verify=NO_TLS, trust_env=False) as http, asyncio.timeout(60):
            while True:
                try:
                    (await http.put(f"{url}/files")).raise_for_status()
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.1)
        yield url
    finally:
        process.kill()
        await process.wait()


@pytest.fixture(params=["folder", "s3"])
async def store(
    request: pytest.FixtureRequest, settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> AsyncIterator[Objects]:
    if request.param == "folder":
        yield Objects(settings.model_copy(update={"object_store_dir": tmp_path / "files"}))
    else:
        async with s3() as url:
            for name, value in SECRETS.items() | {("AWS_ENDPOINT_URL", url), ("AWS_ALLOW_HTTP", "true")}:
                monkeypatch.setenv(name, value)
            yield Objects(settings.model_copy(update={"object_store_url": "s3://files"}))


async def bytes_of(size: int) -> AsyncGenerator[bytes, None]:
    for position in range(0, size, 256 * 1024):
        count, start = min(256 * 1024, size - position), position % len(PATTERN)
        yield (PATTERN * (count // len(PATTERN) + 2))[start : start + count]


async def read(store: Objects, name: str, start: int, end: int) -> bytes:
    return b"".join([piece async for piece in store.get(name, start, end)])


async def names(store: Objects, prefix: str) -> set[str]:
    return {name async for name in store.list(prefix)}


async def test_any_range_of_what_was_put_comes_back(store: Objects) -> None:
    whole = b"".join([piece async for piece in bytes_of(LARGE)])
    for name, size in {"acme/large.mp4": LARGE, "acme/one.vtt": 1, "acme/höhe & %41 #1.txt": 300}.items():
        await store.put(name, bytes_of(size), size)
        for start, end in ((0, size), (size - 1, size), (size // 2, size // 2), (size // 3, size // 3 + 1)):
            assert await read(store, name, start, end) == whole[start:end], (name, start, end)
    for name in ("acme/none", "none/at/all"):
        with pytest.raises(NotThere):
            await read(store, name, 0, 1)


@pytest.mark.parametrize("size", [3, LARGE])
async def test_what_stands_under_a_name_is_never_replaced(store: Objects, size: int) -> None:
    await store.put("acme/a", bytes_of(size), size)
    with pytest.raises(Taken):
        await store.put("acme/a", bytes_of(size - 1), size - 1)
    assert len(await read(store, "acme/a", 0, size)) == size


async def test_a_put_that_breaks_leaves_nothing_under_the_name(store: Objects) -> None:
    async def breaking() -> AsyncGenerator[bytes, None]:
        yield b"x" * (2 * MIB)
        raise OSError("the source ended early")

    with pytest.raises(OSError, match="ended early"):
        await store.put("acme/a", breaking(), LARGE)
    assert await names(store, "acme") == set()


async def test_a_list_has_what_is_below_a_folder_and_nothing_beside_it(store: Objects) -> None:
    kept = ["acme/f/parts/1", "acme/f/parts/2", "acme/f.txt", "acme-2/f/parts/1"]
    for name in kept:
        await store.put(name, bytes_of(3), 3)
    assert await names(store, "acme/f") == set(kept[:2])
    assert await names(store, "acme") == set(kept[:3])
    assert await names(store, "globex") == set()
    for name in ["acme/f/parts/1", "acme/f/parts/1", "acme/none"]:
        await store.delete(name)
    assert await names(store, "acme") == {"acme/f/parts/2", "acme/f.txt"}


@pytest.mark.parametrize(
    ("status", "code"),
    [(403, "AccessDenied"), (403, "InvalidAccessKeyId"), (401, "Unauthorized"), (404, "NoSuchBucket")],
)
@pytest.mark.parametrize("act", ["put small", "put large", "get", "list", "delete"])
async def test_a_bucket_that_denies_is_said(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, status: int, code: str, act: str
) -> None:
    """No object is taken for gone, or deleted, because its bucket is not there."""
    said = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>No.</Message></Error>".encode()
    async with scripted_server() as bucket:
        bucket.otherwise = Reply(status, body=said, headers={"content-type": "application/xml"})
        for name, value in SECRETS.items() | {("AWS_ENDPOINT_URL", bucket.url), ("AWS_ALLOW_HTTP", "true")}:
            monkeypatch.setenv(name, value)
        store = Objects(settings.model_copy(update={"object_store_url": "s3://files"}))
        acts = {
            "put small": lambda: store.put("acme/a", bytes_of(3), 3),
            "put large": lambda: store.put("acme/a", bytes_of(LARGE), LARGE),
            "get": lambda: read(store, "acme/a", 0, 3),
            "list": lambda: names(store, "acme"),
            "delete": lambda: store.delete("acme/a"),
        }
        with pytest.raises(Unavailable, match="does not take or give files") as refused:
            await acts[act]()
    assert refused.value.code == "store_refuses"
