"""Reading what was said: pages, words and speakers, and the whole in other forms."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from starlette.responses import Response

from recording_ingest.transcripts import parse

HELLO = "Hello everyone, shall we begin?"


async def transcribed(house: Any, meeting_id: str = "m1", form: str | None = None, *, days: int = 0) -> str:
    """The id of the transcript of a meeting that took place, so many days ahead: Microsoft's clock jumps past each."""
    booked = await house.book(start=datetime.now(UTC) + timedelta(days=days, minutes=30))
    if form:
        await house.microsoft.do("transcript_form", form=form, meeting=booked["link"])
    await house.hear(house.scheduled(booked, meeting_id))
    await house.happen(booked)
    await house.settle()
    told = [one for one in await house.published("transcript.imported") if one["meeting_id"] == meeting_id]
    return str(told[0]["artefact_id"])


async def lines(house: Any, id_: str, **params: Any) -> tuple[list[dict[str, Any]], str | None]:
    answer = (await house.call("GET", f"/v1/transcripts/{id_}", params=params)).raise_for_status().json()
    return answer["lines"], answer["next_cursor"]


async def test_a_transcript_is_read_page_by_page(house: Any) -> None:
    await house.connect()
    id_ = await transcribed(house)
    whole, more = await lines(house, id_)
    assert more is None
    assert [line["number"] for line in whole] == list(range(1, len(whole) + 1))
    pages, cursor = [], "0"
    while cursor is not None:
        page, cursor = await lines(house, id_, limit=2, cursor=cursor)
        assert 0 < len(page) <= 2
        pages += page
    assert pages == whole
    assert len(whole) > 2
    shown = (await house.call("GET", f"/v1/transcripts/{id_}")).json()
    assert (shown["line_count"], shown["attributed"]) == (len(whole), True)


async def test_words_and_speakers_are_found_in_a_record(house: Any) -> None:
    await house.connect()
    id_ = await transcribed(house)
    (line,), _ = await lines(house, id_, q="BEGIN hello")
    assert (line["number"], line["text"]) == (1, HELLO)
    assert await lines(house, id_, q="begin -hello") == ([], None)
    said, _ = await lines(house, id_, speaker="ben berg")
    assert {line["speaker"] for line in said} == {"Ben Berg"}
    assert await lines(house, id_, q="begin", speaker="Ben Berg") == ([], None)


async def test_a_line_of_megabytes_is_kept_and_found_by_its_first_words(house: Any) -> None:
    words = " ".join(f"word{number}" for number in range(200_000))
    said = f"WEBVTT\n\n00:00:01.000 --> 00:00:02.000\n<v Anna>{words}</v>\n"
    content = Response(said, media_type="text/vtt")
    house.graph_wire.instead = lambda _, path: content if path.endswith("/content") and "script" in path else None
    await house.connect()
    id_ = await transcribed(house)
    (line,), _ = await lines(house, id_, q="word7 word42")
    assert line["text"] == words


async def test_words_are_found_over_all_records_of_their_owner_only(house: Any) -> None:
    await house.connect()
    ids = [await transcribed(house, "m1"), await transcribed(house, "m2", days=1)]

    async def found(**who: str) -> list[tuple[str, str, str]]:
        answer = await house.call("GET", "/v1/transcripts", params={"q": "begin"}, **who)
        items = answer.raise_for_status().json()["items"]
        return [(hit["transcript_id"], hit["meeting_id"], hit["text"]) for hit in items]

    assert await found() == [(ids[1], "m2", HELLO), (ids[0], "m1", HELLO)]
    assert await found(user="ben") == await found(org="globex") == []
    hits, cursor = [], ""
    while cursor is not None:
        asked = {"speaker": "Anna Andersson", "limit": 1} | ({"cursor": cursor} if cursor else {})
        page = (await house.call("GET", "/v1/transcripts", params=asked)).json()
        hits += [(hit["transcript_id"], hit["number"]) for hit in page["items"]]
        cursor = page["next_cursor"]
    assert len(hits) == len(set(hits)) > 2
    assert hits == sorted(hits, key=lambda hit: (hit[0] == ids[0], hit[1]))


@pytest.mark.parametrize("asked", [{"q": ""}, {"q": "a\0"}, {"q": "x", "cursor": "a:b"}, {"q": "x" * 201}])
async def test_a_search_that_cannot_be_done_is_refused(house: Any, asked: dict[str, str]) -> None:
    answer = await house.call("GET", "/v1/transcripts", params=asked)
    assert answer.status_code in {400, 422}
    assert answer.json()["detail"]


FORMS = [
    (None, "application/json"),
    ("*/*", "application/json"),
    ("text/vtt", "text/vtt"),
    ("text/plain", "text/plain"),
    ("text/*;q=0.5, application/json;q=0.4", "text/vtt"),
    ("application/json;q=0, text/plain", "text/plain"),
    ("text/html, text/vtt;q=0.1", "text/vtt"),
    ("image/png", None),
    ("text/vtt;q=0", None),
    ("text/vtt;q=much", None),
]


async def test_a_transcript_comes_in_the_form_that_is_accepted(house: Any) -> None:
    await house.connect()
    id_ = await transcribed(house)
    for accept, media in FORMS:
        headers = {"Accept": accept} if accept else {}
        answer = await house.call("GET", f"/v1/transcripts/{id_}", headers=headers)
        assert (answer.status_code, media is None) in {(200, False), (406, True)}, accept
        if media:
            assert answer.headers["content-type"].startswith(media), accept
    spoken, _ = await lines(house, id_)
    vtt = await house.call("GET", f"/v1/transcripts/{id_}", params={"format": "vtt"})
    read = [(line.speaker, line.start_ms, line.end_ms, line.text) for line in parse(vtt.text)]
    assert read == [(line["speaker"], line["start_ms"], line["end_ms"], line["text"]) for line in spoken]
    text = (await house.call("GET", f"/v1/transcripts/{id_}", params={"format": "text"})).text
    assert text.splitlines()[0] == f"Anna Andersson: {HELLO}"
    for who in ({"user": "ben"}, {"org": "globex"}):
        answer = await house.call("GET", f"/v1/transcripts/{id_}", params={"format": "vtt"}, **who)
        assert answer.status_code == 404


async def test_a_transcript_without_a_word_says_so(house: Any) -> None:
    await house.connect()
    booked = await house.book()
    await house.microsoft.do("transcript_form", form="empty", meeting=booked["link"])
    await house.hear(house.scheduled(booked))
    await house.happen(booked)
    await house.settle()
    await house.sql("UPDATE artefact SET detected_at = detected_at - interval '1 hour'")
    await house.hurry("import_transcript")
    await house.settle()
    (told,) = await house.published("transcript.imported")
    assert told["line_count"] == 0
    shown = (await house.call("GET", f"/v1/transcripts/{told['artefact_id']}")).json()
    assert (shown["line_count"], shown["lines"]) == (0, [])


async def test_a_transcript_that_names_nobody_says_so(house: Any) -> None:
    await house.microsoft.do("meeting_policy", whose="anna@contoso.example", speaker_names=False)
    await house.connect()
    id_ = await transcribed(house)
    shown = (await house.call("GET", f"/v1/transcripts/{id_}")).json()
    assert (shown["attributed"], shown["speakers"]) == (False, [])
    assert {line["speaker"] for line in shown["lines"]} == {None}


async def test_forty_thousand_lines_are_kept_and_read_by_pages(house: Any) -> None:
    await house.connect()
    id_ = await transcribed(house, form="huge")
    shown = (await house.call("GET", f"/v1/transcripts/{id_}")).json()
    assert shown["line_count"] > 30_000
    assert len(shown["lines"]) == 1000
    last, more = await lines(house, id_, cursor=shown["line_count"] - 1)
    assert (len(last), more) == (1, None)


async def test_a_transcript_of_the_previous_version_is_read_too(house: Any) -> None:
    """During an upgrade its process writes all lines into one column."""
    await house.connect()
    await house.hear(house.scheduled(await house.book()))
    artefact = """INSERT INTO artefact (org_id, id, meeting_id, kind, graph_id, created_at, status)
                  VALUES ('acme', 'old', 'm1', 'transcript', 'g', now(), 'imported')"""
    said = """INSERT INTO transcript (org_id, id, meeting_id, user_id, speakers, lines)
        VALUES ('acme', 'old', 'm1', 'anna', '["A"]', '[{"speaker": "A", "start_ms": 1, "end_ms": 2, "text": "one"},
                   {"speaker": null, "start_ms": 3, "end_ms": 4, "text": "two"}]')"""
    await house.sql(artefact)
    await house.sql(said)
    shown = (await house.call("GET", "/v1/transcripts/old")).json()
    assert shown["line_count"] == 2
    assert [(line["number"], line["speaker"], line["text"]) for line in shown["lines"]] == [
        (1, "A", "one"),
        (2, None, "two"),
    ]
