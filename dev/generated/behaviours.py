"""``docs/simulator.md``: the behaviours of Microsoft that the simulator has, and the tests that prove each."""

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MARK = "pytest.mark.behaviour"
FOLDERS = ("dev/m365-simulator/tests", "shared/tests", "services", "tests")
BEHAVIOURS = {
    "Entra": [
        "https only, with a certificate of a development CA",
        "OpenID discovery per tenant, with the template for several tenants; an unknown tenant is a 400",
        "at least two signing keys, rotated on demand",
        "instance discovery answers, and a client that asks it is noticed",
        "authorize: exact redirect URI, PKCE S256, state, nonce, response modes, prompts, login hint",
        "codes: once, ten minutes, bound to client, redirect URI and verifier",
        "token replies hold only what was asked and granted",
        "signed v2 id_tokens, and bad ones on demand",
        "access tokens with scopes or roles, checked per permission",
        "refresh tokens rotate, the old one stays good; 90 days; revoked at a moment",
        "AADSTS error bodies, throttling and outages of the token endpoint, on demand per person or tenant",
        "client credentials by secret or certificate, per tenant, with the roles that were consented to",
        "continuous access evaluation: a claims challenge for clients that said cp1",
        "admin consent v1 and v2 with every way back, and its delay",
        "the policy that lets Microsoft manage user consent",
        "revocation calls, with delay; tokens already given live on",
        "several tenants, guests with an object id per tenant",
    ],
    "Every Graph call": [
        "request ids, the caller's id echoed, the error envelope",
        "401 with a challenge, 403 in the words of the workload",
        "paging, select, top and filter; what is not supported is refused",
        "throttling with and without Retry-After, outages, resets, slow answers, four at a time per mailbox",
        "batches of twenty, in any order, with dependencies and single refusals",
        "what was just written may not be found for a while",
    ],
    "Meetings": [
        "events with a join link, transactionId, providers, online meetings for good",
        "the filter by join URL, who may look up, application access policy",
        "what a PATCH changes and what it does not",
        "cancelling, series with exceptions, rescheduling outside the platform",
        "standalone meetings have no artefacts",
    ],
    "Artefacts": [
        "the life of a meeting on a clock that can be pushed, with delays up to never",
        "no artefact when nobody eligible joined or a policy forbids it",
        "several calls, recordings and transcripts per meeting, paired",
        "the tenant's switches for transcript access and speaker names",
        "the odd forms of WebVTT, and its JSON cues",
        "content as bytes or by redirect, cut, ranged or not, gigabytes",
        "who may read what; blocked, expired and deleted",
        "the getAll functions with delta and repeats",
    ],
    "Subscriptions and notifications": [
        "the handshake on both URLs",
        "field rules, lifetimes per resource, duplicates, quotas",
        "silent expiry, 404 for what is gone, lists of one's own only",
        "delivery within 3 s, retries to 4 h, slow and drop states",
        "duplicates, disorder, mixed batches, before the answer and after the end",
        "forged, unknown and hostile",
        "rich notifications encrypted as documented, and bad ones",
        "lifecycle events",
        "meeting call events",
        "a notification before its artefact can be read",
    ],
    "Contacts, mail, files": [
        "contacts delta with all its ways to surprise, ids that change",
        "folders in folders, contacts without names, photos that are not there",
        "drafts, sending, attachments, mailboxes that are not there",
        "upload sessions with every status; a session keeps its name, and its address ages out",
        "conflicts, names, paths, tags and hashes; files that are locked, rewritten or infected",
        "selected sites and grants that are taken back, channels without folders",
        "downloads that expire, sharing links",
    ],
    "Watching": ["every call is recorded, careless clients are found out"],
    "Address books": [
        "a move between folders, seen in the new folder or not; there and back between two rounds",
        "a full mailbox: delta is refused, lists still work",
        "`$top` on contacts as the size of a page or as the most in all",
        "folders at any depth; contacts without an address, with one of Exchange, and what else is odd",
    ],
    "Sending mail": [
        "after sending, the draft's id is the sent copy's, or leads nowhere, for a while or for good",
        "a copy that never comes to Sent Items; a 504 that sends later, and a second send meanwhile",
        "drafts and sent copies are found by extended property and by message id",
        "answers have the headers of their thread, and nobody sets these by hand",
    ],
    "Calendars": [
        "attendees get one invitation, one mail per change that concerns them, one cancellation",
        "occurrences as stubs, what left the window as removed, a deleted occurrence told as its series",
        "answers stand on the organizer's copy only; a silent one leaves no trace",
        "who may only write events may subscribe to them or not, while reads work",
    ],
    "Libraries": [
        "versions of a file: when it is replaced or its times are set later, by a rename if so set; each takes room",
    ],
}
HEAD = """# The simulator's behaviours

Generated by `make generate` from the tests' `behaviour` marks. What Microsoft's documentation does not settle is
configurable and listed in [the live tenant check](how-to/live-tenant.md); nothing here was measured at Microsoft.
The simulator itself is described in [its README](../dev/m365-simulator/README.md).
"""


@cache
def proofs() -> dict[int, list[str]]:
    """Behaviour → tests that carry its mark, as ``file::test``."""
    found: dict[int, list[str]] = defaultdict(list)
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("test_*.py")):
            source = path.read_text()
            for name, number in _marks(ast.parse(source)) if MARK in source else ():
                found[number].append(f"{path.relative_to(ROOT)}::{name}")
    return found


def _marks(tree: ast.Module) -> Iterator[tuple[str, int]]:
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for mark in node.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == MARK:
                yield from ((node.name, int(ast.literal_eval(argument))) for argument in mark.args)


def numbered() -> dict[int, str]:
    return dict(enumerate((says for group in BEHAVIOURS.values() for says in group), 1))


def behaviours_page() -> str:
    known, lines, number = proofs(), [HEAD], 0
    for group, behaviours in BEHAVIOURS.items():
        lines += [f"## {group}", "", "| | behaviour | proved by |", "|---|---|---|"]
        for says in behaviours:
            number += 1
            tests = "<br>".join(f"`{_short(test)}`" for test in known.get(number, []))
            lines.append(f"| {number} | {says} | {tests} |")
        lines.append("")
    return "\n".join(lines)


def _short(test: str) -> str:
    path, _, name = test.partition("::")
    return f"{Path(path).name}::{name}"
