"""Contacts of Prospo, the mailboxes of Anna and Ben, and the conversations that mail makes of both."""

from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from shared.events import ContactsChanged

ANNA = "anna@contoso.example"
ADA, BO = "ada@litware.example", "bo@fourth.example"
READS = "Mail.Send Mail.ReadWrite Mail.Read"


class Contacts:
    """Stands where contacts answers: pages of addresses that changed. ``asked`` counts."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self.asked = 0
        self.app = Starlette(routes=[Route("/internal/addresses", self._page, methods=["POST"])])

    async def _page(self, request: Request) -> JSONResponse:
        self.asked += 1
        wanted = await request.json()
        start = int(wanted["after"] or 0)
        items = self.log[start : start + wanted["limit"]]
        end = start + len(items)
        return JSONResponse({"items": items, "cursor": str(end), "more": end < len(self.log)})


class PostOffice:
    """What tests do to contacts and mailboxes, over ``house``."""

    def __init__(self, house: Any, contacts: Contacts) -> None:
        self.house = house
        self.contacts = contacts
        self.version = 1

    async def knows(self, contact: str, *addresses: str, user: str = "anna", shared: bool = False) -> None:
        """A contact of a person has these addresses from now on; none: it is deleted."""
        row = {"contact_id": contact, "user_id": user, "shared": shared, "addresses": list(addresses)}
        self.contacts.log.append(row)
        self.version += 1
        await self.house.hear(ContactsChanged(org_id="acme", aggregate_version=self.version, user_id=user))
        await self.house.work()

    async def arrives(self, sender: str = ADA, subject: str = "Offer", *, user: str = ANNA, **more: Any) -> Any:
        """A message from anyone; its ids."""
        made = await self.house.microsoft.do("mail_arrives", user=user, sender=sender, subject=subject, **more)
        await self.house.microsoft.advance(10)
        return made

    async def writes(self, *to: str, subject: str = "Hello", user: str = ANNA, **more: Any) -> None:
        """A person writes in Outlook itself."""
        people = [{"emailAddress": {"address": one}} for one in to]
        message = {"subject": subject, "body": {"contentType": "text", "content": "Hi"}, "toRecipients": people, **more}
        answer = await self.house.at(user).post("/me/sendMail", json={"message": message})
        assert answer.status_code == 202, answer.text
        await self.house.microsoft.advance(10)

    async def answers(self, message: Any, text: str = "Yes.", user: str = ANNA) -> None:
        """The same for an answer, in the thread."""
        path = f"/me/messages/{message['immutable']}/reply"
        answer = await self.house.at(user).post(path, json={"comment": text})
        assert answer.status_code == 202, answer.text
        await self.house.microsoft.advance(10)

    async def look(self) -> None:
        """It is time to look at every mailbox."""
        await self.house.sql("UPDATE mailbox_folder SET dirty = true WHERE kept_in_step")
        await self.house.hurry("sync_mailbox")
        await self.house.work()

    async def conversations(self, user: str = "anna", **params: Any) -> list[Any]:
        answer = await self.house.call("GET", "/v1/mail/conversations", user=user, params=params)
        assert answer.status_code == 200, answer.text
        found: list[Any] = answer.json()["items"]
        return found

    async def conversation(self, one: Any, user: str = "anna", **params: Any) -> Any:
        answer = await self.house.call("GET", f"/v1/mail/conversations/{one['id']}", user=user, params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def subjects(self, user: str = "anna", **params: Any) -> list[Any]:
        """Subject and number of mails of each conversation, by subject."""
        return sorted((one["subject"], one["messages"]) for one in await self.conversations(user, **params))

    async def share(self, one: Any, *, on: bool = True, user: str = "anna") -> Any:
        path = f"/v1/mail/conversations/{one['id']}"
        tag = (await self.house.call("GET", path, user=user)).headers["ETag"]
        return await self.house.call("PATCH", path, user=user, json={"shared": on}, headers={"If-Match": tag})

    async def mailbox(self, user: str = "anna") -> Any:
        answer = await self.house.call("GET", "/v1/mail/mailbox", user=user)
        assert answer.status_code == 200, answer.text
        return answer.json()
