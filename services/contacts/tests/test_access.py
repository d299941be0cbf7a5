"""Whether people's contacts can be read now: asked by the readiness board, answered by Microsoft."""

from typing import Any
from urllib.parse import unquote

import pytest

PATH = "/internal/contact-access"
DENIED = {"status": 403, "code": "ErrorAccessDenied"}


async def tried(house: Any, *people: str, org: str = "acme") -> Any:
    asked = {"json": {"org_id": org, "user_ids": list(people)}}
    bearer = {"Authorization": f"Bearer {house.bearer_of_service('tenant-connector')}"}
    answer = await house.http.post(PATH, headers=bearer, **asked)
    assert answer.status_code == 200, answer.text
    return answer.json()["tried"]


async def test_one_person_who_is_answered_is_enough_and_no_contact_is_read(house: Any) -> None:
    await house.connect()
    (one,) = await tried(house, "anna", "ben")
    assert (one["outcome"], one["path"], one["status"]) == ("read", "/me/contactFolders", 200)
    assert one["request_id"]
    (asked,) = [row for row in house.simulator.calls.rows if row["path"].startswith("/v1.0/")]
    assert (asked["path"], unquote(asked["query"])) == ("/v1.0/me/contactFolders", "$top=1&$select=id")


@pytest.mark.parametrize(
    ("refusal", "outcome"),
    [
        (DENIED, "refused"),
        ({"status": 404, "code": "MailboxNotEnabledForRESTAPI"}, "refused"),
        ({"status": 503, "code": "ServiceUnavailable"}, "no_answer"),
    ],
)
async def test_what_microsoft_refuses_is_told_in_its_words(house: Any, refusal: Any, outcome: str) -> None:
    await house.connect()
    await house.microsoft.fault("refused", **refusal, times=None, match={"path": "/me/contactFolders*"})
    found = await tried(house, "anna", "ben")
    assert [one["outcome"] for one in found] == [outcome] * 2
    assert {(one["status"], one["code"], bool(one["message"])) for one in found} == {(*refusal.values(), True)}


async def test_another_person_is_asked_when_one_is_refused(house: Any) -> None:
    await house.connect()
    await house.microsoft.fault("refused", **DENIED, times=1, match={"path": "/me/contactFolders*"})
    assert [one["outcome"] for one in await tried(house, "anna", "ben")] == ["refused", "read"]


async def test_nobody_is_asked_for_whom_microsoft_must_not_be_asked(house: Any) -> None:
    await house.connect(on=False)
    assert [one["outcome"] for one in await tried(house, "anna")] == ["not_asked"], "the switch is off"
    await house.connect(version=2)
    await house.hear(house.person(3, connected=False))
    assert [one["outcome"] for one in await tried(house, "anna", "nobody")] == ["not_asked"] * 2
    assert [one["outcome"] for one in await tried(house, "ben", org="globex")] == ["not_asked"], "not theirs"
    assert not [row for row in house.simulator.calls.rows if "contactFolders" in row["path"]]
