"""B14: 1,000 mails while 5 % of answers are lost and 5 % of the sends answer 504 and go out later. Counts, no times.

Ours sends each once, or says that it does not know; beside it three policies of others, in ``send_peers``. Each side
has a simulated Microsoft of its own with the same seed. Time passes there and in the service's rows; nothing waits.
"""

import logging
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from dev.bench import send_peers
from dev.bench.measuring import Outcome, ours_alone
from dev.bench.schedule import bearer
from dev.bench.stage import Stage
from dev.bench.town import Town, raise_town
from m365_simulator import Simulator, create_simulator
from m365_simulator.client import SimulatorClient
from m365_simulator.directory import find_user
from m365_simulator.signing import access_token
from m365_simulator.testing import loopback_settings, running
from mail.main import create_service
from shared.events import Features, TenantState, UserState
from shared.hosting.service import Service
from shared.testing.harness import consume, publish
from shared.testing.memory_bus import MemoryBus
from shared.testing.serving import serving
from shared.testing.siblings import Dispatcher, UserAuth

MAILS = 1_000
ANNA, BEN = "anna@contoso.example", "ben@contoso.example"
SHARE = 0.05
LATE_S = 400
"""A send that answered 504 happens after so long: within the bound for which ours waits."""
HOUR_S = (31, 90, 480, 310, 2_700)
_EARLIER = """UPDATE outgoing_mail SET attempted_at = attempted_at - make_interval(secs => $1),
    accepted_at = accepted_at - make_interval(secs => $1), queued_at = queued_at - make_interval(secs => $1)"""
_DUE = "UPDATE job SET run_at = run_at - make_interval(secs => $1) WHERE state = 'waiting'"
Json = dict[str, Any]


async def measure(stage: Stage, _count: int) -> list[Outcome]:
    """One run: its seed decides everything, so another round would say the same."""
    wrong, unknown = await _ours(stage)
    outcomes = []
    for name, policy in send_peers.POLICIES.items():
        theirs = await _peers(stage, policy)
        outcome = Outcome(f"B14 {MAILS} sends, wrong", "mails", "ours", 0, ours_alone, lower_is_better=True)
        outcome.add(sum(wrong.values()), sum(theirs.values()))
        outcome.note = f"{name}: {_said(theirs)}; ours: {_said(wrong)}"
        outcomes.append(outcome)
    outcome = Outcome("B14 left unknown", "% of mails", "ours", 1, ours_alone, lower_is_better=True)
    outcome.add(100 * unknown / MAILS, 0)
    return [*outcomes, outcome]


def _said(wrong: Counter[str]) -> str:
    return ", ".join(f"{wrong[name]} {name}" for name in ("doubled", "lost", "falsely failed"))


def judged(told: dict[str, str], simulator: Simulator) -> Counter[str]:
    """What was wrong: ``told`` has of each subject sent, failed or unknown, and the recipient's mailbox the truth."""
    ben = find_user(simulator.store, BEN)
    assert ben is not None
    arrived = Counter(str(row["body"]["subject"]) for row in simulator.store.all(f"messages/{ben['id']}"))
    wrong = Counter({"doubled": sum(count > 1 for count in arrived.values())})
    wrong["lost"] = sum(said == "sent" and not arrived[subject] for subject, said in told.items())
    wrong["falsely failed"] = sum(said == "failed" and arrived[subject] > 0 for subject, said in told.items())
    return wrong


async def strike(client: SimulatorClient, send: str) -> None:
    """Lost answers to whatever is written; sends that answer 504 and happen."""
    always: Json = {"times": None, "probability": SHARE}
    await client.fault("done_but_reset", match={"path": send}, **always)
    await client.fault("done_but_reset", match={"path": "/me/messages", "method": "POST"}, **always)
    if send == "*/send":
        await client.fault("mail_sent_late", seconds=LATE_S, **always)
    else:  # without a draft nothing stands in between: it is as if it had been sent at once
        await client.fault("done_but_error", status=504, match={"path": send}, **always)


@asynccontextmanager
async def outlook(folder: Path) -> AsyncIterator[tuple[Simulator, SimulatorClient, str]]:
    """A new simulated Microsoft, and Anna's token there."""
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        simulator = await stack.enter_async_context(running(create_simulator(loopback_settings(folder))))
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)  # a lost answer is an error to it
        client = await stack.enter_async_context(SimulatorClient(simulator.settings.http_base_url))
        user = find_user(simulator.store, ANNA)
        assert user is not None
        claims = {"tid": user["tenant"], "oid": user["id"], "idtyp": "user", "scp": "Mail.Send Mail.ReadWrite"}
        claims["appid"] = simulator.settings.client_id
        issuer = f"https://sts.windows.net/{user['tenant']}/"
        yield simulator, client, access_token(simulator.entra, issuer, claims)


async def _peers(stage: Stage, policy: send_peers.Policy) -> Counter[str]:
    async with raise_town(stage) as town, outlook(town.folder / "outlook") as (simulator, client, token):
        await strike(client, policy.path)
        base = f"{simulator.settings.http_base_url}/v1.0"
        async with httpx.AsyncClient(base_url=base, headers=bearer(token), trust_env=False) as http:
            told = {f"No. {n}": await policy.send(http, send_peers.message(f"No. {n}", BEN)) for n in range(MAILS)}
        await client.clear_faults()
        await client.advance(3_600)
        return judged(told, simulator)


async def _ours(stage: Stage) -> tuple[Counter[str], int]:
    async with raise_town(stage) as town, outlook(town.folder / "outlook") as (simulator, client, token):
        async with _service(town, simulator, token) as (service, post):
            await strike(client, "*/send")
            told = {f"No. {number}": await post(f"No. {number}") for number in range(MAILS)}
            owner = await stage.connect(town.databases["mail"].owner_url)
            await owner.execute("SET app.scope = 'system'")
            waited = 0.0

            def clock() -> float:
                return time.monotonic() + waited

            service.guest("graph").limits.clock = clock
            await service.runner.drain()
            for seconds in HOUR_S * 3:
                await client.advance(seconds)
                waited += seconds
                await owner.execute(_EARLIER, seconds)
                await owner.execute(_DUE, seconds)
                await service.runner.drain()
            stands = {row["id"]: row["status"] for row in await owner.fetch("SELECT id, status FROM outgoing_mail")}
            await owner.close()
        words = {"accepted": "sent", "seen_in_sent": "sent", "failed": "failed", "unknown": "unknown"}
        said = {subject: words[stands[mail_id]] for subject, mail_id in told.items()}
        return judged(said, simulator), list(said.values()).count("unknown")


@asynccontextmanager
async def _service(
    town: Town, simulator: Simulator, token: str
) -> AsyncIterator[tuple[Service, Callable[[str], Awaitable[str]]]]:
    """The mail service in this process, Anna connected; and a function that posts a mail and gives its id."""
    user = find_user(simulator.store, ANNA)
    assert user is not None
    given = {"access_token": token, "oid": user["id"], "tid": user["tenant"], "expires_at": "2099-01-01T00:00:00Z"}
    siblings = Dispatcher({"user-auth": UserAuth({("acme", "acme-anna"): given}).app})
    base = simulator.settings.http_base_url
    await town.migrated("mail")
    async with serving(siblings) as url:
        reach: Json = {"graph_base_url": f"{base}/v1.0", "graph_hosts": [base.removeprefix("http://")]}
        reach |= {"jwt_issuer": f"{base}/prospo-issuer", "jwt_jwks_url": f"{base}/prospo-issuer/jwks"}
        reach |= {"internal_url": url + "/{service}", "mails_per_hour": 1_000_000}
        bus = MemoryBus()
        service = create_service(town.settings("mail", **reach), bus=bus)
        await service.start(api=False, worker=False)
        about: Json = {"org_id": "acme", "aggregate_version": 1, "tid": user["tenant"], "changed_at": datetime.now(UTC)}
        who = {"user_id": "acme-anna", "oid": user["id"], "name": "Anna", "email": ANNA}
        await publish(
            bus,
            TenantState(**about, connected=True, features=Features(outlook_email=True)),
            UserState(**about, **who, status="connected", connected=True),
        )
        await consume(service)
        async with SimulatorClient(base) as client:
            persona = await client.prospo_token("acme-anna")
        transport = httpx.ASGITransport(service.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://mail", headers=bearer(persona)) as http:

            async def post(subject: str) -> str:
                body = {"to": [{"email": BEN}], "subject": subject, "body": "Text."}
                headers = {"Idempotency-Key": subject}
                answer = await http.post("/v1/mail", json=body, headers=headers)
                return str(answer.raise_for_status().json()["id"])

            yield service, post
        await service.stop()
