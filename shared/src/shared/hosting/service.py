"""The composition of a service: its app, its worker, how it starts and stops. No globals; many fit in one process."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import Callable, Coroutine
from functools import cached_property, partial
from typing import Any

import structlog
import uvicorn
from fastapi import APIRouter, FastAPI, Request
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from pydantic import ValidationError
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from shared.bus import Bus
from shared.connections.state import versions_of
from shared.database.housekeeping import keep_house
from shared.database.unit_of_work import Database
from shared.database.watch import Gauging, watch
from shared.database.work import all_work
from shared.entra.tokens import TokenClient
from shared.eventing.handlers import Handlers
from shared.eventing.lanes import LaneRunner
from shared.eventing.relay import Relay
from shared.events import TenantState, UserState
from shared.graph import Graph
from shared.hosting import commands
from shared.hosting.engine_security import database_security, kafka_security
from shared.hosting.serving import Listener
from shared.jobs import Jobs, Work
from shared.jobs.runner import JobRunner
from shared.privacy.erasure import Holdings
from shared.problems import ConfigurationError, describe_problems, install_problem_handlers
from shared.secrets import Envelope, KeyRing
from shared.settings import ServiceSettings
from shared.subscriptions.certificates import Certificates
from shared.subscriptions.notifications import ChangeNotification, LifecycleNotification, receiver
from shared.subscriptions.subscriptions import Subscriptions, gauge_subscriptions
from shared.telemetry import set_up_logs, set_up_metrics, set_up_traces
from shared.web import audit
from shared.web.identity import Identity, ServiceTokens, UserTokens
from shared.web.routes import Edge, install_outage_handler

log = structlog.get_logger(__name__)

EXIT_MISCONFIGURED = 2
EXIT_BROKEN = 3
"""A loop of the service ended by itself."""
USUAL = {"tokens", "graph", "subscriptions"}
"""Objects that every service can provide to handlers, jobs and routes."""
_READY_S = 2
_STOP_S = 10


class Service:
    """One service. Built by its ``main.create_service``; hosted alone by ``run`` or with others by the embedded run."""

    def __init__(
        self,
        name: str,
        package: str,
        settings: ServiceSettings,
        *,
        bus: Bus | None = None,
        unlimited_bodies: tuple[str, ...] = (),
    ) -> None:
        self.name = name
        self.package = package
        self.settings = settings
        self.db = Database(
            settings.database_url,
            request_url=settings.request_database_url,
            owner_url=settings.migration_database_url,
            direct_url=settings.database_direct_url,
            pool_size=settings.database_pool_size,
            source=name,
            security=database_security(settings),
        )
        self._bus = bus
        self._kafka_security = kafka_security(settings)
        self.user_tokens = UserTokens(settings)
        self.service_tokens = ServiceTokens(settings, name)
        self.envelope = Envelope(KeyRing.load(settings.key_ring_dir))
        self.provided: dict[str, Any] = {"db": self.db, "settings": settings, "envelope": self.envelope}
        self.app = self._make_app(unlimited_bodies)
        self.holdings = Holdings()
        self._handlers = Handlers()
        self._jobs = Jobs()
        self._loops: dict[asyncio.Task[None], str] = {}
        self._consumer: LaneRunner | None = None
        self.broken = ""
        """Which loop ended although nobody stopped the service; empty while all run."""
        self.ended = asyncio.Event()
        """Set when a loop ended by itself: whoever hosts the service stops it, and the process says that it failed."""
        self._gauging: list[Gauging] = []
        self._queues: set[type[Work]] = set()

    def _make_app(self, unlimited: tuple[str, ...]) -> FastAPI:
        app = FastAPI(
            title=self.name,
            version="1",
            generate_unique_id_function=lambda route: route.name,
            docs_url=None,  # the descriptions are files in contracts/; a running service serves its API only
            redoc_url=None,
            openapi_url=None,
            telemetry={"operation_spans": False},  # one span for a request; its parts say little and cost a tenth
            redirect_slashes=False,  # the address of such a redirect would be of the caller's Host
        )
        app.state.service = self
        install_problem_handlers(app)
        install_outage_handler(app)
        describe_problems(app)
        most, within_s = self.settings.request_body_limit_bytes, self.settings.request_body_s
        app.add_middleware(Edge, limit_bytes=most, unlimited=unlimited, within_s=within_s)
        _add_health(app)
        return app

    @property
    def bus(self) -> Bus:
        """Kafka, opened when first wanted: an api process wants none."""
        if self._bus is None:
            from shared.bus.kafka import KafkaBus

            self._bus = KafkaBus(self.settings.kafka_bootstrap_servers, self.name, self._kafka_security)
        return self._bus

    @cached_property
    def relay(self) -> Relay:
        return Relay(self.db, self.bus, keep_sent_s=self.settings.outbox_keep_sent_s)

    def include(self, router: APIRouter) -> None:
        """Add its routes as they are: what ``include_router`` makes of them is matched twice for every request."""
        for route in router.routes:
            if isinstance(route, APIRoute):
                route.unique_id = route.name  # the ``operationId``
                route.responses = self.app.router.responses | route.responses
        self.app.router.routes += router.routes

    def hear_graph(self) -> None:
        """Take Graph's notifications at ``/webhooks/graph``; the service does the two jobs that they become."""
        self.include(receiver())
        self.gauge(gauge_subscriptions)
        self._queues |= {ChangeNotification, LifecycleNotification}

    def consume(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def work(self, jobs: Jobs) -> None:
        self._jobs = jobs

    def hold(self, holdings: Holdings) -> None:
        """Declare what the tables hold of people and organisations. An audit trail gets its route and is pruned."""
        self.holdings = holdings
        if holdings.audit_path is not None:
            self.include(audit.router(holdings.audit_path))

    async def note_refused(self, caller: Identity, method: str, route: str, *, needs: str) -> None:
        """A call without the role that it needs: in the log, and in the audit trail where there is one."""
        log.warning("call.refused", needs=needs, org_id=caller.org_id, user_id=caller.user_id, route=route)
        if self.holdings.audit_path is None:
            return
        about = {"needs": needs, "target": f"{method} {route}"}
        figure = self.settings.refusals_noted_per_hour
        await audit.note_refused(self.db, caller.org_id, audit.actor(caller), "authorisation", figure, **about)

    def provide(self, **objects: Any) -> None:
        """Objects for handlers, jobs and routes by name; those with ``aclose`` are closed at the stop."""
        self.provided |= objects

    def gauge(self, gauging: Gauging) -> None:
        """Gauges of the service's own tables, set regularly while metrics are on."""
        self._gauging.append(gauging)

    def guest(self, name: str) -> Any:
        """The object provided under this name. ``tokens``, ``graph``, ``subscriptions`` are made when first wanted."""
        if name not in self.provided:
            made: dict[str, Callable[[], Any]] = {
                "tokens": self._make_tokens,
                "graph": lambda: Graph(self.settings, self.guest("tokens"), self.db),
                "subscriptions": lambda: Subscriptions(
                    self.db, self.settings, self.name, Certificates(self.db, self.envelope)
                ),
            }
            self.provided[name] = made[name]()
        return self.provided[name]

    def _make_tokens(self) -> TokenClient:
        """Kept tokens end with their connection where the service hears of it."""
        hears = {TenantState.topic, UserState.topic} <= set(self._handlers.topics)
        return TokenClient(self.settings, self.service_tokens, partial(versions_of, self.db) if hears else None)

    def _with(self, names: set[str]) -> dict[str, Any]:
        for name in USUAL & names:
            self.guest(name)
        return self.provided

    @property
    def lanes(self) -> LaneRunner:
        return LaneRunner(self.name, self.db, self.bus, self._handlers, self._with(self._handlers.wants))

    @property
    def runner(self) -> JobRunner:
        return JobRunner(self.db, self._jobs, self._with(self._jobs.wants))

    async def start(self, api: bool = True, worker: bool = True) -> None:
        """Open what is needed and start the loops. Raises ``ConfigurationError`` saying what is missing."""
        self.service_tokens.check()
        self._check_jobs()
        if not self.settings.microsoft.artefacts:
            log.warning("cloud.without_recordings", cloud=self.settings.cloud)
        await self.db.open()
        self._with(self._handlers.wants | self._jobs.wants)
        loops: dict[str, Coroutine[Any, Any, None]] = {"wakes": self.db.wakes.listen()} if api or worker else {}
        if worker:
            loops |= self._workers_loops()
        for name, loop in loops.items():
            task = asyncio.create_task(loop, name=self.name)
            self._loops[task] = name
            task.add_done_callback(self._loop_ended)

    def _workers_loops(self) -> dict[str, Coroutine[Any, Any, None]]:
        runner, lanes = self.runner, self.lanes
        days = self.settings.audit_keep_days if self.holdings.audit_path is not None else None
        loops = {
            "relay": self.relay.run(),
            "jobs": runner.run(),
            "housekeeping": keep_house(self.db, self.settings.outbox_keep_sent_s, days),
        }
        if self._handlers.topics:
            self._consumer = lanes
            loops["consumer"] = lanes.run()
        if self.settings.metrics_port is not None or self.settings.otlp_endpoint:
            loops["gauges"] = watch(self.db, self._jobs.kinds, self._gauging)
        return loops

    def _loop_ended(self, task: "asyncio.Task[None]") -> None:
        """No loop ends by itself: what it did would be missing for ever, and nobody would hear of it."""
        name = self._loops.pop(task, None)
        if name is None:
            return  # the service stops
        error = None if task.cancelled() else task.exception()
        self.broken = name
        log.critical("service.loop_ended", service=self.name, loop=name, exc_info=error)
        self.ended.set()

    def _check_jobs(self) -> None:
        """Refuse to start when no function does a job that this service queues: no other service would do it."""
        own = {work for work in all_work() if work.__module__.partition(".")[0] == self.package}
        for work in sorted((own | self._queues), key=lambda work: work.kind):
            if work.kind not in self._jobs.kinds:
                raise ConfigurationError(
                    f"{self.name} queues the job {work.__name__} and has no function that does it."
                )

    def waits_for(self) -> str:
        """What a running service waits for before it can work; empty when it works."""
        return "a handler that can handle its events" if self._consumer and self._consumer.stopped else ""

    async def stop(self) -> None:
        """End the loops and close everything, in the order it was provided, whatever fails on the way."""
        tasks, self._loops = list(self._loops), {}
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=_STOP_S)  # a broker that is gone must not keep us
        closing = [thing.aclose for thing in self.provided.values() if hasattr(thing, "aclose")]
        for close in [*closing, *([self._bus.stop] if self._bus else []), self.db.close]:
            try:
                await close()
            except Exception as error:
                log.exception(
                    "service.close_failed", service=self.name, what=close.__qualname__, error=str(error)[:200]
                )


def _add_health(app: FastAPI) -> None:
    app.add_api_route("/health/live", _live, include_in_schema=False)
    app.add_api_route("/health/ready", _ready, include_in_schema=False)


async def _live(request: Request) -> JSONResponse:
    broken = request.app.state.service.broken
    return JSONResponse({"status": "broken", "loop": broken}, 503) if broken else JSONResponse({"status": "ok"})


async def _ready(request: Request) -> JSONResponse:
    service: Service = request.app.state.service
    try:
        async with asyncio.timeout(_READY_S), service.db.engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
    except (OSError, TimeoutError, DBAPIError) as error:
        return JSONResponse({"status": "waiting", "for": "database", "error": type(error).__name__}, 503)
    if waits_for := service.waits_for():
        return JSONResponse({"status": "waiting", "for": waits_for}, 503)
    return JSONResponse({"status": "ok"})


CreateService = Callable[[Any], Service]
GARBAGE_AFTER = 20_000
"""Python looks for reference cycles after so many new objects; its default of 700 is a few rows of a chunk."""


def run(create_service: CreateService, settings_class: type[ServiceSettings]) -> None:
    """``python -m <service> api | worker``, or an operator's command; exits 2 with a sentence when misconfigured."""
    wanted = commands.parser().parse_args()
    serves = wanted.command in commands.SERVES
    try:
        settings = settings_class()
        set_up_logs(settings.log_level, None if serves else sys.stderr)
        service = create_service(settings)
        if serves:
            set_up_traces(service.name, settings.otlp_endpoint)
            set_up_metrics(service.name, settings.metrics_port, settings.otlp_endpoint, settings.metrics_host)
        sys.exit(
            asyncio.run(_serve_until_stopped(service, wanted.command) if serves else commands.operate(service, wanted))
        )
    except ValidationError as error:
        missing = ", ".join(f"PROSPO_{'_'.join(map(str, item['loc'])).upper()}" for item in error.errors())
        _misconfigured(f"These settings are missing or wrong: {missing}.")
    except ConfigurationError as error:
        _misconfigured(str(error))


def _misconfigured(sentence: str) -> None:
    sys.stderr.write(sentence + "\n")
    sys.exit(EXIT_MISCONFIGURED)


async def _serve_until_stopped(service: Service, command: str) -> int:
    """Returns the exit status: ``EXIT_BROKEN`` when a loop ended by itself, after a clean stop all the same."""
    settings = service.settings
    await service.start(api=command == "api", worker=command == "worker")
    gc.collect()
    gc.freeze()  # what the start made stays as long as the process; no collection walks over it again
    gc.set_threshold(GARBAGE_AFTER)
    if command == "api":
        await _serve(service, service.app, settings.http_port)
    else:
        log.info("worker.started", service=service.name)
        health = settings.health_port
        await (_until_stopped(service) if health is None else _serve(service, _health_of(service), health))
    await service.stop()
    return EXIT_BROKEN if service.broken else 0


def _health_of(service: Service) -> FastAPI:
    """A worker's app: it answers nothing but its health."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    app.state.service = service
    _add_health(app)
    return app


async def _serve(service: Service, app: FastAPI, port: int) -> None:
    host, most = service.settings.http_host, service.settings.http_connections
    config = uvicorn.Config(
        app, host=host, port=port, lifespan="off", log_config=None, access_log=False, limit_concurrency=most
    )
    server = Listener(config, service.settings.request_headers_s)
    serving = asyncio.create_task(server.serve(), name=f"{service.name} http")
    stopped = asyncio.create_task(_until_stopped(service))
    await asyncio.wait([serving, stopped], return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    stopped.cancel()
    await serving


async def _until_stopped(service: Service) -> None:
    """A signal, or a loop that ended."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, service.ended.set)
    await service.ended.wait()
