"""What happens in mailboxes without us: mail arrives, is read, moved, deleted."""

from m365_simulator.core import Simulator
from m365_simulator.store import Row
from m365_simulator.verbs import Refused, verb

from . import items, mail_items
from .contact_verbs import folder_of, mailbox_of

FAMILY = "mailFolders"


def _message(simulator: Simulator, user: Row, key: str) -> Row:
    row = items.find(simulator, mail_items.KIND, user["id"], key)
    if row is None:
        raise Refused(f"{user['address']} has no message '{key}'.")
    return row


def _named(row: Row) -> Row:
    return {"id": row["mutable"], "immutable": row["id"], "subject": row["body"]["subject"], "folder": row["folder"]}


@verb
def mail_arrives(
    simulator: Simulator,
    *,
    user: str,
    sender: str = "someone@elsewhere.example",
    subject: str = "Hello",
    text: str = "",
    folder: str = "inbox",
    count: int = 1,
    reply_to: str | None = None,
) -> Row:
    """Messages from anyone arrive at once, numbered when `count` is over 1; `reply_to` is a message they answer."""
    owner = mailbox_of(simulator, user)
    if not 1 <= count <= 10_000:
        raise Refused("count is from 1 to 10000.")
    thread = _message(simulator, owner, reply_to)["thread"] if reply_to else None
    author = {"emailAddress": {"name": sender.partition("@")[0], "address": sender}}
    with simulator.store.together():
        goal = folder_of(simulator, FAMILY, owner, folder, create=True)
        for number in range(1, count + 1):
            title = subject if count == 1 else f"{subject} {number}"
            given: Row = {"subject": title, "body": {"contentType": "text", "content": text}}
            given["toRecipients"] = [mail_items.person(owner)]
            made = mail_items.filled(simulator, owner, given)
            made |= {"sender": author, "from": author, "isDraft": False, "isRead": False}
            if reply_to:
                made["internetMessageHeaders"] = mail_items.answering(_message(simulator, owner, reply_to)["body"])
            made["internetMessageId"] = f"<{simulator.ids.guid('internet-message')}@{sender.partition('@')[2]}>"
            chain = thread or simulator.ids.guid("thread")
            row = mail_items.stand(simulator, owner["id"], goal["id"], made, chain, [])
    return _named(row)


@verb
def mail_read(simulator: Simulator, *, user: str, message: str, read: bool = True) -> Row:
    """The owner reads a message, or marks it unread."""
    row = _message(simulator, mailbox_of(simulator, user), message)
    with simulator.store.together():
        return _named(mail_items.change(simulator, row, {"isRead": read}))


@verb
def mail_move(simulator: Simulator, *, user: str, message: str, folder: str) -> Row:
    """The owner moves a message: its mutable id changes, the immutable one stays."""
    owner = mailbox_of(simulator, user)
    row = _message(simulator, owner, message)
    with simulator.store.together():
        return _named(mail_items.move(simulator, row, folder_of(simulator, FAMILY, owner, folder, create=True)))


@verb
def mail_delete(simulator: Simulator, *, user: str, message: str) -> None:
    """The owner deletes a message: to Deleted Items first, from there for good."""
    row = _message(simulator, mailbox_of(simulator, user), message)
    with simulator.store.together():
        mail_items.delete(simulator, row)
