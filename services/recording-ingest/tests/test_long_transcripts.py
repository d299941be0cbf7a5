"""A transcript of four hundred thousand lines: kept whole, read in pages and as a file, and nobody waits for it."""

import asyncio
from typing import Any

import pytest
from starlette.responses import Response

LINES = 400_000
SPEAKERS = ("Anna Andersson", "Ben Berg")


def written() -> str:
    """32 bits hold no such number of tenths of milliseconds: the last line is said after nine days."""
    cues = (
        f"{_time(2 * at)} --> {_time(2 * at)}.9\n<v {SPEAKERS[at % 2]}>We agreed on offer {at}</v>"
        for at in range(LINES)
    )
    return "\n\n".join(["WEBVTT", *cues])


def _time(seconds: int) -> str:
    return f"{seconds // 3600}:{seconds // 60 % 60}:{seconds % 60}"


async def imported(house: Any) -> str:
    content = Response(written(), media_type="text/vtt")
    house.graph_wire.instead = lambda _, path: content if path.endswith("/content") and "transcripts" in path else None
    await house.connect()
    booked = await house.book()
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    (told,) = await house.published("transcript.imported")
    assert told["line_count"] == LINES
    assert told["speakers"] == list(SPEAKERS)
    return str(told["artefact_id"])


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_four_hundred_thousand_lines_are_kept_found_and_read(house: Any) -> None:
    importing = asyncio.create_task(imported(house))
    answered = 0
    while not (await asyncio.wait([importing], timeout=0.1))[0]:
        assert (await house.read("/v1/ledger/missing", roles=("user", "org_admin"))).status_code == 200
        answered += 1
    id_ = await importing
    assert answered > 20, "the service answers while it imports"
    assert (await house.ledger())["transcript"]["status"] == "imported"

    async def lines(**params: Any) -> list[dict[str, Any]]:
        page = (await house.call("GET", f"/v1/transcripts/{id_}", params=params)).raise_for_status().json()
        assert page["line_count"] == LINES
        found: list[dict[str, Any]] = page["lines"]
        return found

    assert [line["number"] for line in await lines(cursor=399_990)] == list(range(399_991, LINES + 1))
    (last,) = await lines(q="offer 399999", speaker="ben berg")
    assert (last["text"], last["start_ms"]) == ("We agreed on offer 399999", 799_998_000)
    found = (await house.call("GET", "/v1/transcripts", params={"q": "offer 200000"})).json()
    assert [hit["number"] for hit in found["items"]] == [200_001]
    for form, size in (("vtt", 3), ("text", 1)):
        whole = (await house.call("GET", f"/v1/transcripts/{id_}", params={"format": form})).text.rstrip("\n")
        assert whole.count("\n") >= size * (LINES - 1)
        assert whole.endswith("We agreed on offer 399999")
        assert whole.count("We agreed on offer ") == LINES
