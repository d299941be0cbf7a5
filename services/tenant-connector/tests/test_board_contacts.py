"""Contacts on the readiness board: tried live by the service that reads them, with people's own tokens."""

from typing import Any

Json = dict[str, Any]
READ = {"outcome": "read", "status": 200, "request_id": "r1"}
REFUSED = {"outcome": "refused", "status": 403, "code": "ErrorAccessDenied", "message": "Access is denied."}
BUSY = {"outcome": "no_answer", "status": 503, "message": "Microsoft is busy."}
NOT_ASKED = {"outcome": "not_asked"}
# (what contacts says, the verdict from then on, what the board says about the look itself)
ANSWERS: list[tuple[list[Json], str, str]] = [
    ([], "unknown", "could not be asked"),
    ([NOT_ASKED, NOT_ASKED], "unknown", "not connected any more"),
    ([READ], "ready", ""),
    ([REFUSED, BUSY], "ready", "Microsoft is busy"),
    ([REFUSED, REFUSED], "action_needed", ""),
    ([], "action_needed", "could not be asked"),
    ([REFUSED, READ], "ready", ""),
]


async def test_what_contacts_says_is_on_the_board(board: Any) -> None:
    """A look without an answer leaves the verdict that was, and says so."""
    for outcomes, verdict, failure in ANSWERS:
        board.contacts.outcomes = outcomes
        row = (await board.checked())["contacts_access"]
        assert (row["verdict"], row["affects"]) == (verdict, ["contacts"]), outcomes
        assert failure in (row["failure"] or "")
        assert bool(row["failure"]) == bool(failure)
        if not failure:
            shown = [(one["path"], one["status"], one["code"]) for one in row["evidence"]]
            assert shown == [("/me/contactFolders", one["status"], one.get("code")) for one in outcomes]
        if verdict == "action_needed":
            assert "Access is denied" in row["reason"]
            assert row["remedy"]["who"] == "microsoft_admin"
    assert [sorted(asked) for asked in board.contacts.asked] == [["anna", "ben"]] * len(ANSWERS)
    told = [(before, after) for name, before, after in await board.told() if name == "contacts_access"]
    assert told == [("unknown", "ready"), ("ready", "action_needed"), ("action_needed", "ready")]


async def test_contacts_are_not_tried_while_their_switch_is_off(board: Any) -> None:
    await board.switch({"contacts_import": False})
    row = (await board.checked())["contacts_access"]
    assert (row["verdict"], board.contacts.asked) == ("not_needed", [])
    await board.switch({"contacts_import": True})
    await board.work()
    rows = {one["capability"]: one for one in (await board.read_board())["capabilities"]}
    assert (rows["contacts_access"]["verdict"], len(board.contacts.asked)) == ("ready", 1), "by itself, at once"


async def test_contacts_are_not_tried_while_nobody_is_connected(board: Any) -> None:
    await board.know("anna", "ben", version=2, connected=False)
    row = (await board.checked())["contacts_access"]
    assert (row["verdict"], board.contacts.asked) == ("unknown", [])
    assert "Nobody has connected" in row["reason"]
