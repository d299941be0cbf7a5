"""The embedded Kafka's fixed address: librdkafka's mock cluster chooses its own port, so a forwarder stands before it.

It passes Kafka's frames on as they are, but for two things. In answers that name brokers, the mock's port becomes the
fixed one; a port has four bytes in every version, so no frame changes its size. And a group's leader sends the
assignment after the other members have asked for theirs: the mock refuses a member that asks later, where a broker
answers it.
"""

import asyncio
import contextlib
import struct
from collections import Counter
from pathlib import Path
from typing import NamedTuple

PORT = 9092
_TRIED = 100
_NAMES_BROKERS = {3, 10, 60}
"""Metadata, FindCoordinator, DescribeCluster: in every version of them a host is followed by its port."""
_SYNC_GROUP = 14
_FLEXIBLE_SYNC_GROUP = 4
_LARGEST_FRAME = 64 * 1024 * 1024
_FOLLOWERS_S = 5.0
"""A member that asks for no assignment in this time has left."""
_AFTER_FOLLOWERS_S = 0.05
"""The mock reads its connections in an order of its own."""


class FixedAddress:
    """Listens on a loopback port and forwards to the mock at ``inner`` (``127.0.0.1:port``).

    The file ``kept`` holds the port of the last run.
    """

    def __init__(self, inner: str, kept: Path) -> None:
        host, _, port = inner.rpartition(":")
        self._inner = host, int(port)
        self._kept = kept
        self._ports = b"", b""
        self._listening: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._synced = asyncio.Condition()
        self._followers: Counter[tuple[bytes, int]] = Counter()
        self.bootstrap_servers = ""

    async def open(self, port: int | None) -> None:
        """Listen on ``port``; without one on that of the last run, or the next that is free from 9092 on.

        Raises ``OSError`` when the port that was asked for is taken.
        """
        wanted = self._wanted(port)
        for one in wanted:
            with contextlib.suppress(OSError):
                self._listening = await asyncio.start_server(self._accept, "127.0.0.1", one)
                self._keep(one)
                return
        raise OSError(f"Port {wanted[-1]} on 127.0.0.1 is taken. Stop what listens there or choose a --kafka-port.")

    def _wanted(self, port: int | None) -> list[int]:
        last = [int(self._kept.read_text())] if self._kept.exists() else []
        return [*last, *range(PORT, PORT + _TRIED)] if port is None else [port]

    def _keep(self, port: int) -> None:
        self._kept.write_text(str(port))
        host = self._inner[0].encode()
        self._ports = host + struct.pack(">i", self._inner[1]), host + struct.pack(">i", port)
        self.bootstrap_servers = f"127.0.0.1:{port}"

    async def close(self) -> None:
        """Stop listening and end every connection."""
        if self._listening is not None:
            self._listening.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving = asyncio.current_task()
        assert serving is not None
        self._connections.add(serving)
        try:
            await self._serve(reader, writer)
        except (asyncio.CancelledError, OSError):
            pass  # we stop, or the mock is gone; asyncio's own callback would report it as an error of the loop
        finally:
            self._connections.discard(serving)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until one of both sides ends the connection, or the client says what is not Kafka's protocol."""
        inner_reader, inner_writer = await asyncio.open_connection(*self._inner)
        asked: set[bytes] = set()
        ways = [
            asyncio.create_task(self._pass_requests(reader, inner_writer, asked)),
            asyncio.create_task(self._pass_answers(inner_reader, writer, asked)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            inner_writer.close()
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_requests(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: set[bytes]
    ) -> None:
        """``asked`` gets the correlation ids of requests whose answers name brokers."""
        while frame := await _frame(reader):
            kind, version, correlation_id = struct.unpack(">hh4s", frame[:8])
            if kind in _NAMES_BROKERS:
                asked.add(correlation_id)
            if kind == _SYNC_GROUP:
                await self._send_in_turn(_SyncGroup.read(frame, version), writer, frame)
            else:
                await _send(writer, frame)

    async def _pass_answers(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, asked: set[bytes]
    ) -> None:
        while frame := await _frame(reader):
            if frame[:4] in asked:
                asked.discard(frame[:4])
                frame = frame.replace(*self._ports)
            await _send(writer, frame)

    async def _send_in_turn(self, sync: "_SyncGroup", writer: asyncio.StreamWriter, frame: bytes) -> None:
        place = sync.group, sync.generation
        async with self._synced:
            if sync.assignments == 0:
                await _send(writer, frame)
                self._followers[place] += 1
                self._synced.notify_all()
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(_FOLLOWERS_S):
                    await self._synced.wait_for(lambda: self._followers[place] >= sync.assignments - 1)
            del self._followers[place]
        if sync.assignments > 1:
            await asyncio.sleep(_AFTER_FOLLOWERS_S)
        await _send(writer, frame)


class _SyncGroup(NamedTuple):
    """What a member says after it joined; only the leader's has assignments, one for each member."""

    group: bytes
    generation: int
    assignments: int

    @classmethod
    def read(cls, frame: bytes, version: int) -> "_SyncGroup":
        fields = _Fields(frame, 8, flexible=version >= _FLEXIBLE_SYNC_GROUP)
        fields.header()
        group = fields.text()
        (generation,) = struct.unpack(">i", fields.take(4))
        fields.text()  # member
        for _ in range((version >= 3) + 2 * (version >= 5)):  # instance; type and name of the protocol
            fields.text()
        return cls(group, generation, fields.count())


class _Fields:
    """Kafka's encoding of texts and lengths, in its older and its flexible form."""

    def __init__(self, frame: bytes, at: int, *, flexible: bool) -> None:
        self._frame = frame
        self._at = at
        self._flexible = flexible

    def take(self, length: int) -> bytes:
        self._at += length
        return self._frame[self._at - length : self._at]

    def header(self) -> None:
        """The client's id, always in the older form, and tagged fields in the flexible one."""
        self.take(max(0, struct.unpack(">h", self.take(2))[0]))
        if self._flexible:
            for _ in range(self._varint()):
                self._varint()
                self.take(self._varint())

    def text(self) -> bytes:
        """Null is empty."""
        length = self._varint() - 1 if self._flexible else struct.unpack(">h", self.take(2))[0]
        return self.take(max(0, length))

    def count(self) -> int:
        """Read the length of an array."""
        return self._varint() - 1 if self._flexible else int(struct.unpack(">i", self.take(4))[0])

    def _varint(self) -> int:
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """The next one without its length; empty at the connection's end, or where the length is none."""
    try:
        (length,) = struct.unpack(">i", await reader.readexactly(4))
        return await reader.readexactly(length) if 4 <= length <= _LARGEST_FRAME else b""
    except (asyncio.IncompleteReadError, OSError):
        return b""


async def _send(writer: asyncio.StreamWriter, frame: bytes) -> None:
    writer.write(struct.pack(">i", len(frame)) + frame)
    await writer.drain()
