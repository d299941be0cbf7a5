"""Commands that an operator runs beside a service: migrate, re-drive, erase, export, keys. Results are JSON."""

import argparse
import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog

from shared.hosting.preflight import LOOKS, look
from shared.privacy import keys
from shared.privacy.erasure import Erasure, Subject
from shared.privacy.exporting import export
from shared.problems import ConfigurationError, ProspoError
from shared.secrets import KeyRing
from shared.web import audit

if TYPE_CHECKING:
    from shared.hosting.service import Service

log = structlog.get_logger(__name__)

REFUSED = 1
SERVES = ("api", "worker")


def parser() -> argparse.ArgumentParser:
    """``api | worker | migrate | redrive | erase | export | keys``."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("api", help="answer requests")
    commands.add_parser("worker", help="handle events and jobs")
    migrate = commands.add_parser("migrate", help="bring the database to the newest revision")
    needed = "change nothing unless these answer as they must"
    migrate.add_argument("--check", nargs="+", choices=sorted(LOOKS), default=[], help=needed)
    redrive = commands.add_parser("redrive", help="let what is parked go on")
    redrive.add_argument("key", nargs="?")
    erase = commands.add_parser("erase", help="erase an organisation, or one person of it")
    erase.add_argument("--org", required=True)
    erase.add_argument("--user")
    erase.add_argument("--force", action="store_true", help="though there is still a connection to Microsoft")
    exporting = commands.add_parser("export", help="write what is stored of an organisation, or of one person of it")
    exporting.add_argument("--org", required=True)
    exporting.add_argument("--user")
    ring = commands.add_parser("keys", help="the key ring: list, rotate, rewrap")
    ring.add_argument("action", choices=["list", "rotate", "rewrap"])
    return parser


async def operate(service: "Service", wanted: argparse.Namespace) -> int:
    """Run one command to its end. Returns the exit status."""
    run = {"migrate": _migrate, "redrive": _redrive, "erase": _erase, "export": _export, "keys": _keys}
    try:
        await service.db.open()
        status = await run[wanted.command](service, wanted)
        about = {"action": vars(wanted).get("action"), "organisation": vars(wanted).get("org")}
        log.info("command.ended", service=service.name, command=wanted.command, **about, status=status)
        return status
    except ProspoError as refused:
        sys.stderr.write(refused.detail + "\n")
        return REFUSED
    finally:
        await service.stop()


async def _migrate(service: "Service", wanted: argparse.Namespace) -> int:
    from shared.hosting.migrate import migrate  # here: nothing else needs Alembic, and it takes a sixth of a start

    await look(service, wanted.check)
    await migrate(service.package, service.settings)
    return 0


async def _redrive(service: "Service", wanted: argparse.Namespace) -> int:
    key = wanted.key
    records, events = await service.lanes.redrive(key), await service.relay.redrive(key)
    log.info("records.redriven", records=records, events=events, jobs=await service.runner.redrive(key))
    return 0


async def _erase(service: "Service", wanted: argparse.Namespace) -> int:
    subject = Subject(wanted.org, wanted.user)
    if service.holdings.audit_path is not None and service.settings.migration_database_url is None:
        raise ConfigurationError("Only the tables' owner rewrites the audit trail: set PROSPO_MIGRATION_DATABASE_URL.")
    erasure = Erasure(service.name, service.db, service.holdings, subject, service.provided)
    report = await erasure.run(force=wanted.force)
    about = {"service": service.name, "organisation": wanted.org, "person": wanted.user}
    done = {"erased": dict(report.erased), "pseudonymised": dict(report.pseudonymised)}
    _say(about | done | {"kept": report.kept})
    return 0


async def _export(service: "Service", wanted: argparse.Namespace) -> int:
    subject = Subject(wanted.org, wanted.user)
    rows = 0
    async for piece in export(service.name, service.db, service.holdings, subject, service.provided):
        sys.stdout.write(piece)
        rows += piece.endswith("}")
    if service.holdings.audit_path is not None:
        async with service.db.unit_of_work(wanted.org) as work:
            action = "organisation.export" if wanted.user is None else "person.export"
            audit.note_command(work.session, wanted.org, service.name, action, rows)
    return 0


async def _keys(service: "Service", wanted: argparse.Namespace) -> int:
    folder = service.settings.key_ring_dir
    if wanted.action == "rotate":
        _say({"current": KeyRing.create(folder).current})
    elif wanted.action == "list":
        _say(await keys.census(service.db, KeyRing.load(folder)))
    else:
        done = await keys.rewrap(service.db, service.envelope)
        _say(asdict(done))
        return REFUSED if done.unreadable else 0
    return 0


def _say(result: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
