"""Graph asks an address whether it wants notifications, while its caller waits for the answer to a create."""

import asyncio
from urllib.parse import quote, urlsplit

import httpx

from m365_simulator.faults import fault
from m365_simulator.wire import Caller, GraphError

from .figures import figures
from .striking import strikes

HOSTILE = fault("hostile_validation_token", "the validation token is a page that runs a script, or `token`", "token")
SCRIPT = "<html><script>alert('validated')</script></html>"
MUST_BE_OK = "Notification endpoint must respond with 200 OK to validation request."
MUST_MATCH = "Response must exactly match validationToken query parameter."


def refused(message: str) -> GraphError:
    return GraphError(400, "ValidationError", f"Subscription validation request failed. {message}")


async def validate(caller: Caller, url: str) -> None:
    """Raises ``GraphError`` unless the address echoes the token as plain text, in time."""
    simulator = caller.simulator
    hostile = strikes(simulator, HOSTILE, caller.tenant, url=url)
    token = f"Validation: Testing reachability & <echo>. Request-Id: {simulator.ids.guid('validation')}"
    if hostile is not None:
        token = str(hostile.get("token", SCRIPT))
    join = "&" if urlsplit(url).query else "?"
    address = f"{url}{join}validationToken={quote(token, safe='')}"
    try:
        async with asyncio.timeout(figures(simulator).handshake_s):
            got = await simulator.outbound.post(address, headers={"Content-Type": "text/plain; charset=utf-8"})
    except (httpx.HTTPError, TimeoutError) as error:
        raise refused(MUST_BE_OK) from error
    if got.status_code != 200:
        raise refused(MUST_BE_OK)
    if got.text != token or got.headers.get("content-type", "").partition(";")[0].strip().lower() != "text/plain":
        raise refused(MUST_MATCH)
