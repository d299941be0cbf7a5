"""Requests that Microsoft's pages show for batches and for the error envelope, sent to the simulator."""

from typing import Any
from urllib.parse import urlsplit

import pytest

from m365_simulator.directory import CONTOSO
from shared.testing.samples import Sample, samples

ANNA = "anna@contoso.example"


def target(sample: Sample) -> str:
    parts = urlsplit(sample.request["url"])
    return parts.path + (f"?{parts.query}" if parts.query else "")


@pytest.mark.behaviour(22)
@pytest.mark.parametrize("sample", samples("$batch", requests=True))
async def test_a_published_batch_is_taken_and_each_request_answered(world: Any, sample: Sample) -> None:
    headers = {"Authorization": f"Bearer {world.token(ANNA, 'User.Read User.Read.All')}"}
    got = await world.http.post(target(sample), json=sample.request["body"], headers=headers)
    assert got.status_code == sample.response["status"] == 200
    asked = {item["id"] for item in sample.request["body"]["requests"]}
    answers = got.json()["responses"]
    assert {item["id"] for item in answers} == asked
    for item in answers:
        assert 200 <= item["status"] < 600
        assert item["status"] < 400 or item["body"]["error"]["code"]


@pytest.mark.behaviour(18)
@pytest.mark.parametrize("sample", samples("graph error envelope", requests=True))
async def test_a_published_request_that_fails_is_answered_with_the_status_shown(world: Any, sample: Sample) -> None:
    status = sample.response.get("status") or 0
    if status < 400:
        pytest.skip("published samples: this one shows a success")
    url = target(sample).replace("d69179bf-f4a4-41a9-a9de-249c0f2efb1d", CONTOSO)
    token = world.token(ANNA, "User.Read User.Read.All Contacts.Read")
    got = await world.http.request(
        sample.request["method"],
        url,
        json=sample.request.get("body"),
        headers={"Authorization": f"Bearer {token}", **(sample.request.get("headers") or {})},
    )
    assert got.status_code == status
    assert bool(got.content) == bool(sample.response.get("body"))
