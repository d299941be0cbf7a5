"""What the contacts service does in its own time."""

from contacts import joining, planning, reversing, rounds, running, runs, watching
from contacts.leaving import TRACES
from contacts.settings import Settings
from contacts.work import FindProposals, KeepInStep, ReadImport, RunImport, UndoImport
from shared.connections import Connection, FollowConnections, bring_in_line
from shared.connections.obstacles import ANOTHER_ACCOUNT, Obstructed
from shared.graph import Graph, GraphCaller
from shared.jobs import Jobs, Periodic
from shared.jobs.job import Job, JobWork
from shared.subscriptions import hearing
from shared.subscriptions.subscriptions import Subscriptions

does = Jobs()
hearing.hear(does, watching.heard)
TRACES.done_by(does)


@does(FollowConnections)
async def follow_connections(job: Job, wanted: FollowConnections) -> None:
    """Go on with what a connection or the switch had stopped."""

    async def follow(work: JobWork, person: Connection) -> None:
        await runs.follow(work, person)
        await watching.follow(work, person)

    await bring_in_line(job, wanted, follow)


@does(ReadImport, attempts=runs.ATTEMPTS, patience_s=runs.PATIENCE_S)
async def read_import(job: Job, wanted: ReadImport, *, graph: Graph, settings: Settings) -> None:
    """Read what was not read yet, then make the plan."""
    async with runs.explained(job, wanted.run_id):
        async with job.unit_of_work() as work:
            run = await runs.going_on(work, wanted.run_id, "reading")
        await rounds.read(job, run, await as_importer(job, graph, run.user_id, run.account), settings)
        await planning.plan(job, wanted.run_id, settings)


@does(RunImport, attempts=runs.ATTEMPTS, patience_s=runs.PATIENCE_S)
async def run_import(job: Job, wanted: RunImport, *, settings: Settings) -> None:
    """Carry out the plan."""
    async with runs.explained(job, wanted.run_id):
        await running.run(job, wanted.run_id, settings)


@does(UndoImport, attempts=runs.ATTEMPTS, patience_s=runs.PATIENCE_S)
async def undo_import(job: Job, wanted: UndoImport, *, settings: Settings) -> None:
    """Undo the run."""
    async with runs.explained(job, wanted.run_id):
        await reversing.reverse(job, wanted.run_id, settings)


@does(FindProposals)
async def find_proposals(job: Job, wanted: FindProposals) -> None:
    """Compare the person's contacts with each other."""
    await joining.find(job, wanted.user_id)


@does(KeepInStep)
async def keep_in_step(
    job: Job, wanted: KeepInStep, *, graph: Graph, subscriptions: Subscriptions, settings: Settings
) -> None:
    """Begin a run for what changed, and look again now and then, for a notification may be lost."""
    caller = graph.as_user(job.org_id, wanted.user_id, job.priority)
    if await watching.look(job, wanted.user_id, subscriptions, caller, settings):
        raise Periodic("looked at again later", after_s=settings.keep_in_step_s)


async def as_importer(job: Job, graph: Graph, user_id: str, account: str) -> GraphCaller:
    """Graph as the account whose address book it is. The token tells of another one before any event does."""
    token = await graph.tokens.user_token(job.org_id, user_id)
    if token.oid != account:
        raise Obstructed(ANOTHER_ACCOUNT)
    return graph.as_user(job.org_id, user_id, job.priority)
