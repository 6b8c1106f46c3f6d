"""How Alembic reaches the database, and that it does so alone.

Of Tidegate it reads TIDEGATE_LOCK_TIMEOUT and TIDEGATE_STATEMENT_TIMEOUT, whole seconds, which MariaDB takes in the
session only, and TIDEGATE_DEPLOYMENT.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from logging.config import fileConfig

from alembic import context
from database import engine
from sqlalchemy import Connection, text

LOCK_SECONDS = 60

fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def as_sql() -> None:
    """`alembic upgrade --sql`: no database is asked, and no BEGIN and COMMIT is written."""
    context.configure(dialect_name="mariadb", literal_binds=True, transactional_ddl=False)
    with context.begin_transaction():
        context.run_migrations()


def in_the_database() -> None:
    with engine().connect() as connection:
        limit(connection)
        with alone(connection):
            # A statement of DDL is a transaction of its own here. The row that says how far it came is written after
            # each migration, not at the end of all.
            context.configure(connection=connection, transaction_per_migration=True)
            with context.begin_transaction():
                context.run_migrations()


def limit(connection: Connection) -> None:
    lock, statement = os.environ.get("TIDEGATE_LOCK_TIMEOUT"), os.environ.get("TIDEGATE_STATEMENT_TIMEOUT")
    if lock:
        # ALTER TABLE waits for open transactions that have read the table, and all that comes later waits behind it.
        # The default is a day.
        connection.execute(text("SET SESSION lock_wait_timeout = :seconds"), {"seconds": int(lock)})
        connection.execute(text("SET SESSION innodb_lock_wait_timeout = :seconds"), {"seconds": int(lock)})
    if statement and connection.dialect.is_mariadb:
        connection.execute(text("SET SESSION max_statement_time = :seconds"), {"seconds": int(statement)})
    connection.commit()


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """The name counts in the whole server, so the database's is in it; the server frees the lock when this session
    ends, however it ends."""
    lock = {"name": f"migrate {connection.engine.url.database}"[:64], "seconds": LOCK_SECONDS}
    if not connection.scalar(text("SELECT GET_LOCK(:name, :seconds)"), lock):
        raise SystemExit(f"another migration of this database has run for {LOCK_SECONDS} s; nothing was done")
    connection.commit()
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.rollback()
            connection.execute(text("SELECT RELEASE_LOCK(:name)"), lock)
            connection.commit()


if context.is_offline_mode():
    as_sql()
else:
    in_the_database()
