"""Transcripts for those who read them: pages of lines, words found, and the whole as WebVTT or text."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Literal

from sqlalchemy import Row, text
from sqlmodel.ext.asyncio.session import AsyncSession

from recording_ingest.transcripts import Reading
from shared.database.unit_of_work import Database
from shared.problems import NotAcceptable

Form = Literal["json", "vtt", "text"]
MEDIA: dict[Form, str] = {"json": "application/json", "vtt": "text/vtt", "text": "text/plain"}
AT_ONCE = 2_000
"""Lines of a whole transcript that are in memory at the same time."""
_ADD = text(
    """INSERT INTO transcript_line (org_id, transcript_id, number, speaker, start_ms, end_ms, text)
       SELECT :org_id, :id, :before + number, speaker, start_ms, end_ms, said
       FROM unnest(CAST(:speakers AS text[]), CAST(:starts AS bigint[]), CAST(:ends AS bigint[]), CAST(:said AS text[]))
            WITH ORDINALITY AS each(speaker, start_ms, end_ms, said, number)"""
)
_FITS = """(CAST(:q AS text) IS NULL OR l.words @@ websearch_to_tsquery('simple', :q))
           AND (CAST(:speaker AS text) IS NULL OR lower(l.speaker) = lower(:speaker))"""
_LINES = text(
    f"""SELECT number, speaker, start_ms, end_ms, text FROM transcript_line l
        WHERE org_id = :org_id AND transcript_id = :id AND number > :after AND {_FITS} ORDER BY number LIMIT :limit"""
)
_FOUND = text(
    f"""SELECT t.meeting_id, l.transcript_id, l.number, l.speaker, l.start_ms, l.end_ms, l.text
        FROM transcript_line l JOIN transcript t ON (t.org_id, t.id) = (l.org_id, l.transcript_id)
        WHERE l.org_id = :org_id AND t.user_id = :user_id AND {_FITS}
            AND (CAST(:before AS text) IS NULL OR (l.transcript_id, -l.number) < (:before, CAST(:after AS int)))
        ORDER BY l.transcript_id DESC, l.number LIMIT :limit"""
)


async def keep(session: AsyncSession, org_id: str, transcript_id: str, said: Reading) -> None:
    """Write the lines as they are parsed. Raises ``TakesTooLong``."""
    before = 0
    async with aclosing(said.batches()) as batches:
        async for lines in batches:
            values: dict[str, Any] = {"org_id": org_id, "id": transcript_id, "before": before}
            values |= {"speakers": [line.speaker for line in lines], "said": [line.text for line in lines]}
            values |= {"starts": [line.start_ms for line in lines], "ends": [line.end_ms for line in lines]}
            await session.execute(_ADD, values)
            before = said.count


async def lines(
    session: AsyncSession,
    org_id: str,
    transcript_id: str,
    *,
    after: int,
    limit: int,
    q: str | None = None,
    speaker: str | None = None,
) -> Sequence[Row[Any]]:
    """The lines after number ``after``; with ``q`` only those with its words, with ``speaker`` only theirs."""
    values = {"org_id": org_id, "id": transcript_id, "after": after, "limit": limit, "q": q, "speaker": speaker}
    return (await session.execute(_LINES, values)).all()


async def found(
    session: AsyncSession,
    org_id: str,
    user_id: str,
    *,
    q: str | None,
    speaker: str | None,
    before: tuple[str, int] | None,
    limit: int,
) -> Sequence[Row[Any]]:
    """Lines of the person's own transcripts, of the newest transcript first; ``before`` is the last one of a page."""
    values: dict[str, Any] = {"org_id": org_id, "user_id": user_id, "q": q, "speaker": speaker, "limit": limit}
    values |= {"before": before[0] if before else None, "after": -before[1] if before else None}
    return (await session.execute(_FOUND, values)).all()


def form_of(accept: str | None, wanted: Form | None) -> Form:
    """The form that ``format`` names, else the best of the ``Accept`` header. Raises ``NotAcceptable``."""
    if wanted is not None:
        return wanted
    asked = [_quality(part) for part in (accept or "*/*").split(",") if part.strip()]
    best = max(MEDIA, key=lambda form: max((weight for kind, weight in asked if _is(kind, MEDIA[form])), default=0.0))
    if not any(weight > 0 and _is(kind, MEDIA[best]) for kind, weight in asked):
        raise NotAcceptable("not_acceptable", f"A transcript comes as {', '.join(MEDIA.values())}. Accept one of them.")
    return best


def _quality(part: str) -> tuple[str, float]:
    kind, _, more = part.strip().partition(";")
    given = [value.strip().removeprefix("q=") for value in more.split(";") if value.strip().startswith("q=")]
    try:
        return kind.strip().lower(), float(given[0]) if given else 1.0
    except ValueError:
        return kind.strip().lower(), 0.0


def _is(asked: str, media: str) -> bool:
    return asked in {"*/*", media, media.split("/")[0] + "/*"}


async def whole(
    db: Database, org_id: str, transcript_id: str, form: Form, *, after: int, q: str | None, speaker: str | None
) -> AsyncIterator[str]:
    """WebVTT that every player reads, or text: a page of lines in a transaction of its own at a time."""
    if form == "vtt":
        yield "WEBVTT\n"
    last: int | None = after
    while last is not None:
        async with db.unit_of_work(org_id) as work:
            rows = await lines(work.session, org_id, transcript_id, after=last, limit=AT_ONCE, q=q, speaker=speaker)
        yield "".join(_cue(row) if form == "vtt" else _text(row) for row in rows)
        last = rows[-1].number if len(rows) == AT_ONCE else None


def _cue(row: Row[Any]) -> str:
    """The name of the speaker is a voice tag."""
    return f"\n{_time(row.start_ms)} --> {_time(row.end_ms)}\n{_voice(row.speaker)}{_escaped(row.text)}\n"


def _text(row: Row[Any]) -> str:
    return f"{row.speaker}: {row.text}\n" if row.speaker else f"{row.text}\n"


def _voice(speaker: str | None) -> str:
    return f"<v {_escaped(speaker)}>" if speaker else ""


def _escaped(words: str) -> str:
    return words.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _time(milliseconds: int) -> str:
    """A time of WebVTT. Words from before the recording get its beginning: WebVTT has no negative times."""
    seconds, rest = divmod(max(0, milliseconds), 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{rest:03}"
