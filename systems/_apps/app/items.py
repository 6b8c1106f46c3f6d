"""What the service keeps: things to do, which the worker does."""

from __future__ import annotations

import uuid

from app.database import Database


def add(database: Database, name: str) -> str:
    """Its id."""
    identity = str(uuid.uuid4())
    database.rows("INSERT INTO items (id, name) VALUES (%s, %s)", identity, name)
    return identity


def every(database: Database) -> list[dict[str, object]]:
    rows = database.rows("SELECT id, name, done FROM items ORDER BY name, id")
    return [{"id": str(identity).strip(), "name": name, "done": bool(done)} for identity, name, done in rows]


def take(database: Database) -> str | None:
    """Do one that is not done, which no other worker has; its name."""
    with database.transaction():
        found = database.rows(
            "SELECT id, name FROM items WHERE NOT done ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED"
        )
        if not found:
            return None
        [(identity, name)] = found
        database.rows("UPDATE items SET done = true WHERE id = %s", identity)
    return str(name)
