"""Everything the simulator remembers: JSON rows in SQLite, written through, so a killed process loses nothing."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

Row = dict[str, Any]


class Store:
    """Rows of ``kind`` by ``id``, read from memory, in the order they were first put."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / "simulator.sqlite").touch(mode=0o600)  # the issuers' private keys are in it
        self._db = sqlite3.connect(folder / "simulator.sqlite", isolation_level=None, check_same_thread=False)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute("CREATE TABLE IF NOT EXISTS rows (kind TEXT, id TEXT, body TEXT, PRIMARY KEY (kind, id))")
        self._rows: dict[str, dict[str, Row]] = {}
        for kind, key, body in self._db.execute("SELECT kind, id, body FROM rows ORDER BY rowid"):
            self._rows.setdefault(kind, {})[key] = json.loads(body)

    @contextmanager
    def together(self) -> Iterator[None]:
        """All that is put inside is kept, or nothing of it when the process dies. Nothing may await inside."""
        self._db.execute("BEGIN")
        try:
            yield
        finally:
            self._db.execute("COMMIT")

    def put(self, kind: str, key: str, row: Row) -> Row:
        """Keep the row; the caller may change it and put it again."""
        self._db.execute(
            "INSERT INTO rows VALUES (?, ?, ?) ON CONFLICT (kind, id) DO UPDATE SET body = excluded.body",
            (kind, key, json.dumps(row)),
        )
        self._rows.setdefault(kind, {})[key] = row
        return row

    def get(self, kind: str, key: str) -> Row | None:
        return self._rows.get(kind, {}).get(key)

    def all(self, kind: str) -> list[Row]:
        return list(self._rows.get(kind, {}).values())

    def keys(self, kind: str) -> list[str]:
        return list(self._rows.get(kind, {}))

    def delete(self, kind: str, key: str) -> Row | None:
        self._db.execute("DELETE FROM rows WHERE kind = ? AND id = ?", (kind, key))
        return self._rows.get(kind, {}).pop(key, None)

    def close(self) -> None:
        self._db.close()
