"""``python -m dev.bench.address_peers msgraph | o365 | floor``: reads an address book as somebody's script would.

One line in is one round, as JSON: ``url`` of Graph, ``token``, how ``many`` contacts at most, and ``dsn``. One line out
is its seconds and contacts. ``floor`` reads the pages, decodes them and copies them into a table, and that is all.
"""

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import Awaitable, Callable
from importlib import import_module
from typing import Any

import asyncpg
import httpx

PAGE = 200
_TABLE = "CREATE TEMPORARY TABLE floor (id text PRIMARY KEY, change_key text, payload jsonb)"
Asked = dict[str, Any]


def _from(module: str, *names: str) -> list[Any]:
    """What this environment may not have: ``make test`` fetches it."""
    return [getattr(import_module(module), name) for name in names]


async def msgraph(asked: Asked) -> int:
    """Microsoft's own iterator over the pages of the delta query that we read too."""
    (token,) = _from("azure.core.credentials", "AccessToken")
    (provide,) = _from(
        "kiota_authentication_azure.azure_identity_authentication_provider", "AzureIdentityAuthenticationProvider"
    )
    adapt, connect = _from("msgraph", "GraphRequestAdapter", "GraphServiceClient")
    (iterate,) = _from("msgraph_core.tasks.page_iterator", "PageIterator")

    class Held:
        async def get_token(self, *_scopes: str, **_more: Any) -> Any:
            return token(asked["token"], 2**31)

        async def close(self) -> None:
            return None

    adapter = adapt(provide(Held(), scopes=["any"], allowed_hosts=["localhost"]))
    adapter.base_url = asked["url"]
    folder = connect(request_adapter=adapter).me.contact_folders.by_contact_folder_id("contacts")
    first = await folder.contacts.delta.get()
    count = 0

    def seen(contact: Any) -> bool:
        nonlocal count
        count += 1
        return contact.id is not None and count < int(asked["many"])

    await iterate(first, adapter).iterate(seen)
    return count


def o365_account(asked: Asked) -> Any:
    """An account of O365 that has the token already."""
    account, protocol = _from("O365", "Account", "MSGraphProtocol")
    (backend,) = _from("O365.utils.token", "MemoryTokenBackend")
    here = type("Here", (protocol,), {"_protocol_url": asked["url"].removesuffix("v1.0")})
    made = account(("id", "secret"), protocol=here(timezone="UTC"), token_backend=backend())
    made.con.requests_delay = 0
    made.con.session = made.con.get_session()
    made.con.update_session_auth_header(access_token=asked["token"])
    return made


async def o365(asked: Asked) -> int:
    account = o365_account(asked)

    def work() -> int:
        return sum(bool(one.object_id) for one in account.address_book().get_contacts(limit=asked["many"], batch=PAGE))

    return await asyncio.to_thread(work)


async def floor(asked: Asked) -> int:
    count, url = 0, f"{asked['url']}/me/contactFolders/contacts/contacts/delta"
    headers = {"Authorization": f"Bearer {asked['token']}", "Prefer": f"odata.maxpagesize={PAGE}"}
    connection: Any = await asyncpg.connect(asked["dsn"])
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
        await connection.execute(_TABLE)
        while url:
            page = (await http.get(url)).raise_for_status().json()
            rows = [(one["id"], one.get("changeKey"), json.dumps(one)) for one in page["value"]]
            await connection.copy_records_to_table("floor", records=rows)
            count += len(rows)
            url = page.get("@odata.nextLink", "")
    await connection.close()
    return count


async def rounds(read: Callable[[Asked], Awaitable[int]]) -> None:
    """What such a process does: each line of its input is a round."""
    for line in sys.stdin:
        with contextlib.redirect_stdout(sys.stderr):
            begun = time.perf_counter()
            count = await read(json.loads(line))
            spent = time.perf_counter() - begun
        print(json.dumps([spent, count]), flush=True)


def main() -> None:
    asyncio.run(rounds({"msgraph": msgraph, "o365": o365, "floor": floor}[sys.argv[1]]))


if __name__ == "__main__":
    main()
