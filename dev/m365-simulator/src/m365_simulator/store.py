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
        self._indexes: dict[str, dict[str, _Index]] = {}
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
        for index in self._indexes.get(kind, {}).values():
            index.put(key, row)
        return row

    def get(self, kind: str, key: str) -> Row | None:
        return self._rows.get(kind, {}).get(key)

    def all(self, kind: str) -> list[Row]:
        return list(self._rows.get(kind, {}).values())

    def where(self, kind: str, field: str, value: Any) -> list[Row]:
        """Rows whose ``field`` had this value when they were put last, by an index that is kept from now on."""
        indexes = self._indexes.setdefault(kind, {})
        if field not in indexes:
            indexes[field] = _Index(field)
            for key, row in self._rows.get(kind, {}).items():
                indexes[field].put(key, row)
        return indexes[field].of(value)

    def keys(self, kind: str) -> list[str]:
        return list(self._rows.get(kind, {}))

    def delete(self, kind: str, key: str) -> Row | None:
        self._db.execute("DELETE FROM rows WHERE kind = ? AND id = ?", (kind, key))
        for index in self._indexes.get(kind, {}).values():
            index.delete(key)
        return self._rows.get(kind, {}).pop(key, None)

    def flush_nothing(self) -> None:
        """Leave it to the machine when what is put reaches the disk: for tests, which ask for it hundreds of times."""
        self._db.execute("PRAGMA synchronous=OFF")

    def close(self) -> None:
        self._db.close()


class _Index:
    """Rows of one kind by the value of a field, in the order in which they got it."""

    def __init__(self, field: str) -> None:
        self._field = field
        self._value_of: dict[str, Any] = {}
        self._rows: dict[Any, dict[str, Row]] = {}

    def of(self, value: Any) -> list[Row]:
        return list(self._rows.get(value, {}).values())

    def put(self, key: str, row: Row) -> None:
        value = row.get(self._field)
        if self._value_of.get(key, value) != value:
            self.delete(key)
        self._value_of[key] = value
        self._rows.setdefault(value, {})[key] = row

    def delete(self, key: str) -> None:
        if key in self._value_of:
            rows = self._rows[value := self._value_of.pop(key)]
            del rows[key]
            if not rows:
                del self._rows[value]
