"""Every call that came, and what a careful client would not have done."""

import datetime
import hashlib
import re
from collections import deque
from typing import Any

from .clock import moment_of, real_now
from .store import Row

KEPT = 20_000
TOKEN_IN_URL = re.compile(r"(access_token|refresh_token|client_secret|id_token|assertion)=|eyJ[\w-]{8,}\.eyJ")
EARLY_S = 0.05
"""Clocks of two processes differ a little."""


class Calls:
    """The newest ``KEPT`` calls, and findings: faults of the client that the simulator saw."""

    def __init__(self) -> None:
        self.rows: deque[Row] = deque(maxlen=KEPT)
        self.findings: deque[Row] = deque(maxlen=KEPT)
        self._number = 0
        self._not_before: dict[tuple[Any, ...], datetime.datetime] = {}

    def record(self, row: Row, retry_after: str | None = None, body: bytes = b"") -> Row:
        """``row``: host, method, path, query, range, status, tenant, user, app, app_only, permission, seconds."""
        self._number += 1
        row = {"number": self._number, "at": real_now().isoformat(), **row}
        self.rows.append(row)
        self._look(row, body)
        self._note_wait(row, retry_after, body)
        return row

    def find(self, kind: str, says: str, row: Row) -> None:
        """``kind``: early_retry, token_in_url, authorization_on_foreign_host, or another in snake case."""
        self.findings.append({"kind": kind, "says": says, "call": row})

    def _look(self, row: Row, body: bytes) -> None:
        if TOKEN_IN_URL.search(row.get("query") or ""):
            self.find("token_in_url", "A secret stands in the query of a URL, where logs keep it.", row)
        waits = [self._not_before[scope] for scope in _scopes(row, body) if scope in self._not_before]
        until = max(waits, default=None)
        began = moment_of(row["at"]) - datetime.timedelta(seconds=row.get("seconds") or 0)
        if until is not None and began < until - datetime.timedelta(seconds=EARLY_S):
            early = (until - began).total_seconds()
            self.find("early_retry", f"Asked again {early:.2f} s before Retry-After was over.", row)

    def _note_wait(self, row: Row, retry_after: str | None, body: bytes) -> None:
        if row["status"] in (429, 503) and retry_after and re.fullmatch(r"\d+(\.\d+)?", retry_after):
            until = real_now() + datetime.timedelta(seconds=float(retry_after))
            self._not_before[_scopes(row, body)[row["status"] == 503]] = until
        elif row["status"] < 400:
            for scope in _scopes(row, body):
                self._not_before.pop(scope, None)

    def clear(self) -> None:
        self.rows.clear()
        self.findings.clear()
        self._not_before.clear()


def _scopes(row: Row, body: bytes) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """Whom a Retry-After binds. Of a 429: this caller with this method and path. Of a 503: with this body too.

    Every ``$batch`` has one path, and its requests count against the limits of different services: there a 429 binds
    the same requests only.
    """
    path = (row.get("tenant"), row.get("user"), row["method"], row["path"], row.get("query"))
    same = (*path, hashlib.sha256(body).hexdigest())
    return (same if row["path"].endswith("/$batch") else path), same
