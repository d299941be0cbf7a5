"""Ben is invited by Anna: he sees the meeting, and her recording while she shares it, on the whole platform."""

import pytest

from dev.demo import Demo, Json, query_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
BEN = "acme-ben"


async def connect_ben(demo: Demo) -> None:
    started = (await demo.call(BEN, "POST", "/v1/connection/sign-in", json={"return_to": "/meetings"})).json()
    back = await demo.microsoft.sign_in(started["authorize_url"], "ben@contoso.example")
    body = query_of(back) | {"browser_key": started["browser_key"]}
    await demo.call(BEN, "POST", "/v1/connection/complete", json=body)


async def status(demo: Demo, path: str) -> int:
    headers = {"Authorization": f"Bearer {await demo.microsoft.prospo_token(BEN)}"}
    return (await demo.http.get(path, headers=headers)).status_code


async def test_an_attendee_reads_what_the_organizer_shares(demo: Demo, held: Json) -> None:
    urls = [held[kind]["content_url"] for kind in ("recording", "transcript")]
    await connect_ben(demo)

    async def invited() -> Json | None:
        path = f"/v1/meetings/attended/{held['id']}"
        return {"seen": True} if await status(demo, path) == 200 else None

    await demo.until(invited, "meetings knows Ben's addresses")
    assert [await status(demo, url) for url in urls] == [404, 404]
    path = f"/v1/meetings/{held['id']}"
    for on, expected in ((True, 200), (False, 404)):
        await demo.call("acme-anna", "PATCH", path, json={"shared_with_attendees": on})
        assert [await status(demo, url) for url in urls] == [expected, expected]
    await demo.call(BEN, "DELETE", "/v1/connection")
