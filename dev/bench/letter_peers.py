"""``python -m dev.bench.letter_peers o365 | floor``: reads a mailbox as somebody's script would.

Asked as ``address_peers`` are. ``floor`` asks for what ours asks for, decodes it and copies it into a table, and that
is all.
"""

import asyncio
import json
import sys
from typing import Any

import asyncpg
import httpx

from dev.bench.address_peers import Asked, o365_account, rounds

PAGE, BATCH = 100, 20
_LOOKED_AT = (
    "id,subject,from,sender,toRecipients,ccRecipients,bccRecipients,receivedDateTime,sentDateTime,internetMessageId,"
    "conversationId,hasAttachments,isDraft,parentFolderId"
)
_TEXT = "id,body,uniqueBody,bodyPreview,internetMessageHeaders"
_TABLE = "CREATE TEMPORARY TABLE floor (id text PRIMARY KEY, subject text, payload jsonb, content jsonb)"


async def o365(asked: Asked) -> int:
    account = o365_account(asked)

    def work() -> int:
        found = account.mailbox().inbox_folder().get_messages(limit=asked["many"], batch=PAGE)
        return sum(bool(one.object_id) for one in found)

    return await asyncio.to_thread(work)


async def floor(asked: Asked) -> int:
    count, url = 0, f"{asked['url']}/me/mailFolders/inbox/messages/delta?$select={_LOOKED_AT}"
    headers = {"Authorization": f"Bearer {asked['token']}"}
    prefer = f'odata.maxpagesize={PAGE}, IdType="ImmutableId"'
    connection: Any = await asyncpg.connect(asked["dsn"])
    async with httpx.AsyncClient(headers=headers, trust_env=False, timeout=60) as http:
        await connection.execute(_TABLE)
        while url:
            page = (await http.get(url, headers={"Prefer": prefer})).raise_for_status().json()
            found = page["value"]
            texts: dict[str, Any] = {}
            for at in range(0, len(found), BATCH):
                texts |= await _texts(http, asked["url"], [one["id"] for one in found[at : at + BATCH]])
            rows = [(one["id"], one["subject"], json.dumps(one), json.dumps(texts[one["id"]])) for one in found]
            await connection.copy_records_to_table("floor", records=rows)
            count += len(rows)
            url = page.get("@odata.nextLink", "")
    await connection.close()
    return count


async def _texts(http: httpx.AsyncClient, url: str, ids: list[str]) -> dict[str, Any]:
    prefer = {"Prefer": 'IdType="ImmutableId"'}
    asked = [
        {"id": str(n), "method": "GET", "url": f"/me/messages/{one}?$select={_TEXT}", "headers": prefer}
        for n, one in enumerate(ids)
    ]
    answer = (await http.post(f"{url}/$batch", json={"requests": asked})).raise_for_status().json()
    return {ids[int(one["id"])]: one["body"] for one in answer["responses"]}


if __name__ == "__main__":
    asyncio.run(rounds({"o365": o365, "floor": floor}[sys.argv[1]]))
