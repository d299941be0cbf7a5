"""Every regular expression that reads foreign text costs in proportion to it, whatever was written to cost more."""

import functools
import importlib
import pkgutil
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

PACKAGES = [
    "shared", "console", "contacts", "mail", "meetings", "recording_ingest", "storage", "tenant_connector", "user_auth"
]  # fmt: skip
GUID = "c0a70500-0000-4000-8000-0123456789ab"
EXAMPLES = {
    "console.protection": ["/mail/messages/x/body"],
    "console.recipients": ["Anna A <anna@contoso.example>", "anna@contoso.example", "a, b;c\nd"],
    "console.scheduling": [GUID],
    "console.writing": [GUID, "application/pdf"],
    "contacts.names": ['Anna & Bernd (x) [y] <z> "q" family', "O'Brien-Smith 2"],
    "contacts.normalising": [
        "anna.a+b@x.example",
        "mailto:anna@x.example",
        "Anna <anna@x.example>",
        "<b>Anna</b>",
        "1974-07-22T00:00:00Z",
        "a\x07\u202eb\ud800",
        "EX:/o=ExchangeLabs/cn=x",
    ],
    "contacts.roles": ["sales.emea+x-2_@x.example"],
    "mail.display": [
        "https://x.example/a b",
        "mailto:a@x.example",
        "//x",
        "data:image/png;base64,iVBO Rw0=",
        "border:none;  border-top:solid #E1E1E1 1.0pt",
        "<html><body>",
    ],
    "mail.markup": ["<a b=c d='e'", "a / b = c", "x >"],
    "mail.quotes": [
        "12:30 1.2.26 2026-05-04",
        "anna.berg@contoso.example",
        "> **From your friend :** Anna",
        "--- Original Message ---",
        "---------- Forwarded message ---------",
        "Anna wrote:",
        "napisał(a):",
        "______________",
    ],
    "meetings.agenda": ['<div class="prospo-agenda">x</div>', "</DIV >", "<div <div"],
    "mail.styling": [
        "rgb(1, 2, 3) rgba(1%) hsl(1)",
        "\\75 rl(",
        "url( 'https:",
        "@import 'x'",
        "image-set( 'x'",
    ],
    "recording_ingest.graph": [
        "users/a/onlineMeetings('MSo1')/recordings('x')",
        "communications/onlineMeetings/MSo1/transcripts/x",
    ],
    "recording_ingest.transcripts": [
        " -0:1:2.5 --> 0:1:3.5 align:start",
        "NOTE x y",
        "<v.loud Anna A>",
        "</v >",
        "<lang en>",
        "<00:01.5>",
        "\n \t\n \n",
        "&#65;&amp;",
    ],
    "shared.entra.aadsts": ["invalid_grant", "AADSTS700016: x", f"Trace ID: {GUID}"],
    "shared.bus.port": ["user.state"],
    "shared.database.driver": ["invalid input for query argument $1: 'x' (value out of range)"],
    "shared.entra.client": [GUID],
    "shared.subscriptions.lifetimes": [
        "users('a')/mailfolders('b')/messages",
        "communications/callrecords",
        "teams/a/channels/b",
        "me/onlinemeetings/x",
        "sites/a/lists/b",
        "drives/a/root",
        "groups/a",
        "can only be 4230 minutes in the future",
        "allowed max '7.00:00:00'",
    ],
    "shared.graph.links": ["https://graph.example/v1.0/x(a=1, b=2)"],
    "shared.graph.paths": ["/users/a/mailFolders('b')/messages", "/me/calendarView?x"],
    "shared.graph.refusals": ['Bearer realm="", claims = " eyJ9", error="x"', " 2.128 "],
    "shared.subscriptions.subscriptions": [GUID],
    "shared.graph.upload": [" 12 - 34 ", "12-"],
    "shared.telemetry": ["access_token", "eyJhbGciOiJI.eyJzdWIi.c2ln"],
    "shared.web.words": ["a\x00b\u2028"],
    "storage.addresses": ["contoso.sharepoint.com", ":f:"],
    "storage.names": ["a: b?.mp4", "COM1.txt", "~$x", "a_vti_b", "\ud800"],
    "storage.uploads": ["bytes 0-1/2"],
    "tenant_connector.answers": [GUID],
    "tenant_connector.links": ["sub-1.contoso.example"],
    "user_auth.models": ["/meetings?x=1"],
}
"""What each module's patterns are meant for. Every beginning of it is gone on with for long, and does not end well."""

LONG, SOON_S = 1_500, 0.002
MORE = 8
"""So many times longer is the second text. In proportion it costs 8 times as much, by its square 64 times: a busy
machine that makes either cost thrice as much leaves them apart."""
SURE = 2


@dataclass(frozen=True, slots=True)
class Read:
    """A pattern, and whether its module looks for it anywhere in a text or only at the beginning."""

    module: str
    pattern: re.Pattern[Any]
    anywhere: bool


@functools.cache
def patterns() -> list[Read]:
    return [read for package in PACKAGES for name in _modules(package) for read in _in(importlib.import_module(name))]


def _modules(package: str) -> Iterator[str]:
    for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
        if not any(part in found.name for part in (".testing", ".migrations", "__main__")):
            yield found.name


def _in(module: ModuleType) -> Iterator[Read]:
    source = Path(module.__file__ or "").read_text()
    for name, value in vars(module).items():
        if isinstance(value, re.Pattern):
            yield Read(module.__name__, value, re.search(rf"\b{name}\.(?!match|fullmatch)\w+\(", source) is not None)
        elif isinstance(value, list | tuple):
            rows = [row if isinstance(row, tuple) else (row,) for row in value]
            yield from (
                Read(module.__name__, cell, True) for row in rows for cell in row if isinstance(cell, re.Pattern)
            )


def hostile(example: str) -> Iterator[tuple[str, str]]:
    """Beginnings, and what each is gone on with."""
    pumps = {" ", *example, example[:3], example}
    for end in range(len(example) + 1):
        for pump in pumps:
            yield example[:end], pump


def cost_s(read: Read, text: str) -> float:
    """Processor time of this thread alone; what else the machine does is not counted."""
    before = time.thread_time()
    read.pattern.match(text)
    read.pattern.fullmatch(text)
    for _ in read.pattern.finditer(text) if read.anywhere else ():
        pass
    return time.thread_time() - before


def grows(read: Read, start: str, pump: str) -> bool:
    """Whether eight times the text costs 24 times as much or more, for an end that fits and one that does not."""
    for end in ("", "\x01"):
        once, longer = (start + pump * (size // len(pump)) + end for size in (LONG, MORE * LONG))
        if cost_s(read, once) > SOON_S and all(_best(read, longer) > 3 * MORE * _best(read, once) for _ in range(SURE)):
            return True
    return False


def _best(read: Read, text: str) -> float:
    return min(cost_s(read, text) for _ in range(3))


def test_every_module_with_a_pattern_has_an_example() -> None:
    assert {read.module for read in patterns()} == set(EXAMPLES)


@pytest.mark.parametrize("module", EXAMPLES)
def test_a_hostile_text_costs_no_more_than_its_length(module: str) -> None:
    tried = [text for example in EXAMPLES[module] for text in hostile(example)]
    mine = [read for read in patterns() if read.module == module]
    slow = {read.pattern.pattern: next((text for text in tried if grows(read, *text)), None) for read in mine}
    assert {pattern: text for pattern, text in slow.items() if text} == {}
