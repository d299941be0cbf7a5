"""The jobs of recording-ingest."""

from datetime import timedelta
from functools import partial

from recording_ingest import (
    absences,
    gaps,
    imports,
    ledger,
    leftovers,
    mending,
    moving,
    placing,
    planning,
    queries,
    reading,
    reconciling,
    story,
    transcripts,
    transfers,
    watching,
)
from recording_ingest import graph as teams
from recording_ingest.absences import Absence
from recording_ingest.graph import Artefact, Named
from recording_ingest.leaving import TRACES
from recording_ingest.settings import Settings
from recording_ingest.tables import ArtefactRow, LedgerMeeting, TranscriptRow
from recording_ingest.uploads import StorageClient, Wanted
from recording_ingest.work import (
    AnnounceGap,
    EndSubscriptions,
    FollowPerson,
    ImportTranscript,
    LookAgain,
    PlaceAgain,
    Reconcile,
    SweepLeftovers,
    TransferRecording,
    WatchUser,
)
from shared.connections import Connection, FollowConnections, bring_in_line, connection_of
from shared.graph import Graph, GraphCaller
from shared.graph.errors import GraphError, GraphNotFound, GraphRetry
from shared.jobs import Again, Jobs, Periodic
from shared.jobs.job import Job, JobWork
from shared.subscriptions import hearing
from shared.subscriptions.notifications import ChangeNotification, LifecycleNotification, Notification, discard, load
from shared.subscriptions.subscriptions import Subscriptions

EMPTY_TRANSCRIPT_S = 600
"""Microsoft lists a transcript some time before its words; after this long it really has none."""

does = Jobs()
TRACES.done_by(does)


@does(FollowConnections)
@does(FollowPerson)
async def follow_connections(job: Job, wanted: FollowConnections, *, settings: Settings) -> None:
    """Imports go on or are held back, and subscriptions are made, as connection and switch say by now."""

    async def follow(work: JobWork, person: Connection) -> None:
        await ledger.follow(work, person, settings)
        if wanted.user_id is None:
            await watching.follow(work, person)
        else:  # the account may be another, or allowed more, behind the same subscriptions
            watching.queue(work, person)

    await bring_in_line(job, wanted, follow)


@does(SweepLeftovers)
async def sweep_leftovers(job: Job, wanted: SweepLeftovers, *, graph: Graph, subscriptions: Subscriptions) -> None:
    """Delete what is left of people who are not connected any more."""
    await leftovers.sweep(job, graph, subscriptions)


@does(WatchUser)
async def watch_user(
    job: Job, wanted: WatchUser, *, graph: Graph, subscriptions: Subscriptions, settings: Settings
) -> None:
    """Bring the subscriptions to the connection's state, and look now and then whether Graph still has them."""
    caller = graph.as_user(job.org_id, wanted.user_id, job.priority)
    done = None
    while (person := await _person(job, wanted.user_id)) != done:
        if person.works:
            await watching.bring_about(subscriptions, caller, person, partial(_is_now, job, person))
        elif done is not None:  # one may have been in the making
            leaver = graph.as_leaver(job.org_id, wanted.user_id, job.priority)
            await watching.take_back(job.unit_of_work, subscriptions, leaver)
        done = person  # when it changed meanwhile, the newer state is brought about too
    if person.account.version is None:
        return  # erased
    if watching.state_of(person) != wanted.state:
        async with job.unit_of_work() as work:
            watching.queue(work, person)
    elif person.works:
        await _notice_outage(job, person, settings)
        raise Periodic("looked after again later", after_s=settings.subscription_check_interval_s)


@does(AnnounceGap)
async def announce_gap(job: Job, wanted: AnnounceGap) -> None:
    """Every meeting of the gap was looked at since, or is not looked at yet."""
    async with job.unit_of_work() as work:
        done = await gaps.announce(work, wanted.user_id, wanted.version)
    if not done:
        raise Periodic("meetings of the gap are still to be looked at", after_s=gaps.AGAIN_S)


@does(EndSubscriptions)
async def end_subscriptions(job: Job, wanted: EndSubscriptions, *, graph: Graph) -> None:
    """End the subscriptions of a person whose connection ended while the tenant stays connected."""
    for subscription_id in wanted.ids:
        if (await _person(job, wanted.user_id)).tenant.connected:
            await watching.end(graph.as_app(job.org_id, job.priority), subscription_id)


@does(LifecycleNotification)
async def subscription_lifecycle(
    job: Job, wanted: LifecycleNotification, *, graph: Graph, subscriptions: Subscriptions, settings: Settings
) -> None:
    """Renew or make anew at Graph's word, then look for what it did not tell us meanwhile."""

    async def heard(work: JobWork, notification: Notification) -> None:
        person = await connection_of(work.session, job.org_id, notification.user_id)
        if ledger.obstacle_to(person) is None:
            await ledger.catch_up(work, job.org_id, person, settings)

    await hearing.heed(job, wanted, graph, subscriptions, heard)


@does(ChangeNotification)
async def process_notification(job: Job, wanted: ChangeNotification, *, graph: Graph, settings: Settings) -> None:
    """A notification is only a hint: what it names is read from Graph, if it is of a meeting of ours.

    Not by ``hearing.hear``: its ``heard`` is one transaction and ends the notification. Here Graph is read between two,
    and the notification waits for an artefact that cannot be read yet or a meeting that is not known yet.
    """
    async with job.unit_of_work() as work:
        notification = await load(work.session, job.org_id, wanted.notification_id)
        if notification is None:
            return
        named = teams.named_in(notification.body)
        person = await connection_of(work.session, job.org_id, notification.user_id)
        if named is None or ledger.obstacle_to(person) is not None:  # what is missed is looked for when we may again
            await discard(work.session, notification.id)
            return
        if not await _meetings(work, notification, named):  # not read and not stored: it may be none of our business
            await _later_or_never(work, notification, settings)
            return
    caller = graph.as_user(job.org_id, notification.user_id, job.priority)
    try:
        found = await _read(caller, named)
    except GraphNotFound:  # announced before it can be read
        async with job.unit_of_work() as work:
            await _later_or_never(work, notification, settings)
        return
    async with job.unit_of_work() as work:
        await _take_note(work, notification, named, found, caller.answered)
        await discard(work.session, notification.id)


@does(Reconcile)
async def reconcile(job: Job, wanted: Reconcile, *, graph: Graph, settings: Settings) -> None:
    """Compare the ledger with what Microsoft lists; say at the deadline what is absent and why."""
    async with job.unit_of_work() as work:
        meeting = await queries.meeting(work.session, job.org_id, wanted.meeting_id)
        if meeting is None or not meeting.user_id or meeting.revision != wanted.revision:
            return
        halt = await ledger.absence_of(work, meeting)
        by = planning.expected_by(meeting, settings)
        last = by is not None and await queries.now(work.session) >= by
    caller = graph.as_user(job.org_id, meeting.user_id, job.priority)
    looked = await reconciling.look(caller, meeting, halt)
    options = await reconciling.options(caller, meeting, looked) if last else None
    async with job.unit_of_work() as work:
        now = await queries.meeting(work.session, job.org_id, meeting.meeting_id, lock=True)
        if now is None or now.revision != meeting.revision:
            return  # what was seen is older than what it was planned anew for
        await reconciling.tell(work, now, looked, caller.answered)
        wait_s = await reconciling.compare(work, now, looked, settings, options)
    if wait_s is not None:
        raise Periodic("looked at again later", after_s=wait_s)


@does(PlaceAgain)
async def place_again(job: Job, wanted: PlaceAgain, *, settings: Settings) -> None:
    """Place artefacts again after occurrences of their series were moved."""
    async with job.unit_of_work() as work:
        await moving.place_again(work, wanted.meeting_id, settings)


@does(LookAgain)
async def look_again(job: Job, wanted: LookAgain, *, settings: Settings) -> None:
    """Look again for artefacts that could not be fetched before something was mended."""
    await mending.look_again(job, wanted.capability, settings)


@does(TransferRecording, attempts=imports.ATTEMPTS)
async def transfer(
    job: Job, wanted: TransferRecording, *, graph: Graph, storage: StorageClient, settings: Settings
) -> None:
    """Stream the recording from Graph to storage, then say so once."""
    if (begun := await imports.begin(job, wanted.artefact_id, settings)) is None:
        return
    meeting, row = begun
    async with imports.explained(job, meeting, row, settings):
        caller = graph.as_user(job.org_id, meeting.user_id or "", job.priority)
        online_id = meeting.online_meeting_id or ""
        await teams.artefact(caller, online_id, "recording", row.graph_id)  # renews a refused token, unlike a download
        path = teams.content_path(online_id, "recording", row.graph_id)
        save = partial(imports.save, job, meeting)
        stored = await transfers.move(save, dict(job.checkpoint), caller, path, storage, _wanted(meeting, row))
    async with job.unit_of_work() as work:
        meeting, row = await imports.locked(work, row.id)
        if row.status != "imported":
            ledger.recording_imported(work, meeting, row, stored, caller.answered)


@does(ImportTranscript, attempts=imports.ATTEMPTS)
async def import_transcript(job: Job, wanted: ImportTranscript, *, graph: Graph, settings: Settings) -> None:
    """Read, parse and keep the transcript, then say so once."""
    if (begun := await imports.begin(job, wanted.artefact_id, settings)) is None:
        return
    meeting, row = begun
    async with imports.explained(job, meeting, row, settings):
        caller = graph.as_user(job.org_id, meeting.user_id or "", job.priority)
        online_id = meeting.online_meeting_id or ""
        await teams.artefact(caller, online_id, "transcript", row.graph_id)
        await imports.may_go_on(job, meeting)
        text, attributed = await teams.transcript(caller, online_id, row.graph_id, settings.transcript_limit_bytes)
        await imports.may_go_on(job, meeting)
        said = transcripts.Reading(text, settings.transcript_parse_s, settings.transcript_lines_max)
        async with job.unit_of_work() as work:
            await _keep(work, row.id, said, attributed=attributed, request_id=caller.answered)


async def _keep(
    work: JobWork, artefact_id: str, said: transcripts.Reading, *, attributed: bool, request_id: str
) -> None:
    """All lines or none, some thousands in memory at a time."""
    meeting, row = await imports.locked(work, artefact_id)
    if row.status == "imported":
        return
    kept = _transcript_row(meeting, row, attributed=attributed)
    work.session.add(kept)
    await work.session.flush()
    await reading.keep(work.session, row.org_id, row.id, said)
    if not said.count and await queries.now(work.session) < row.tried_since + timedelta(seconds=EMPTY_TRANSCRIPT_S):
        raise Again("the transcript has no words yet", after_s=30, counts=False)
    kept.speakers, kept.line_count = said.speakers, said.count
    ledger.transcript_imported(work, meeting, row, said, request_id)


async def _notice_outage(job: Job, person: Connection, settings: Settings) -> None:
    """This job runs every so often: when it did not for long, Prospo was away and missed notifications."""
    async with job.unit_of_work() as work:
        since = await gaps.outage(work, person, settings) if ledger.obstacle_to(person) is None else None
        if since is not None:
            ids = await ledger.catch_up(work, job.org_id, person, settings)
            await gaps.after_outage(work, person, since, ids)
        await gaps.watched(work, person.user_id)


async def _person(job: Job, user_id: str) -> Connection:
    async with job.reading() as work:
        return await connection_of(work.session, job.org_id, user_id)


async def _is_now(job: Job, person: Connection) -> bool:
    return await _person(job, person.user_id) == person


async def _meetings(work: JobWork, notification: Notification, named: Named) -> list[LedgerMeeting]:
    args = (work.session, work.org_id, notification.user_id, named.online_meeting_id)
    return list(await queries.meetings_online(*args))


async def _read(caller: GraphCaller, named: Named) -> Artefact | Absence:
    """The artefact as Graph has it now, or what its refusal means."""
    try:
        return await teams.artefact(caller, named.online_meeting_id, named.kind, named.graph_id)
    except (GraphRetry, GraphNotFound):
        raise
    except GraphError as error:
        return absences.of_refusal(error)


async def _take_note(
    work: JobWork, notification: Notification, named: Named, found: Artefact | Absence, request_id: str
) -> None:
    """Enter what was found into the ledger. A refusal that is not certain is left to reconciliation."""
    meetings = await _meetings(work, notification, named)
    if isinstance(found, Absence):
        owner = meetings[0] if len(meetings) == 1 and found.at_once else None
        meeting = owner and await queries.meeting(work.session, work.org_id, owner.meeting_id, lock=True)
        if meeting is not None:
            ledger.declare_absent(work, meeting, named.kind, found)
        return
    decision = await placing.decide(work, meetings, found)
    if decision is None:
        return
    if decision.meeting_id is None:
        await placing.leave_unassigned(work, meetings, found, decision)
        return
    meeting = await queries.meeting(work.session, work.org_id, decision.meeting_id, lock=True)
    if meeting is not None:
        received, ids = notification.received_at.isoformat(), {"microsoft_request_id": request_id}
        story.note(work, meeting.meeting_id, "notified", kind=named.kind, received_at=received, **ids)
        await placing.place(work, meeting, found, decision)


async def _later_or_never(work: JobWork, notification: Notification, settings: Settings) -> None:
    """Wait for ``meeting.scheduled``, which may come later; after ``notification_patience_s`` it is not ours."""
    waited = await queries.now(work.session) - notification.received_at
    if waited.total_seconds() < settings.notification_patience_s:
        raise Again("not known yet", after_s=settings.notification_retry_s, counts=False)
    await discard(work.session, notification.id)


def _wanted(meeting: LedgerMeeting, row: ArtefactRow) -> Wanted:
    return Wanted(
        org_id=row.org_id,
        dedupe_key=f"recording:{row.graph_id}",
        path=f"meetings/{row.meeting_id}/{row.id}.mp4",
        content_type=ledger.CONTENT_TYPE,
        owner_id=meeting.user_id or "",
        name=f"{meeting.subject or 'Meeting'} {row.created_at:%Y-%m-%d %H.%M}.mp4",
    )


def _transcript_row(meeting: LedgerMeeting, row: ArtefactRow, *, attributed: bool) -> TranscriptRow:
    return TranscriptRow(
        org_id=row.org_id,
        id=row.id,
        meeting_id=row.meeting_id,
        user_id=meeting.user_id or "",
        speakers=[],
        attributed=attributed,
    )
