"""How Alembic reaches the database, and that it does so alone.

Host, user and password are in the environment (PGHOST, PGPORT, PGUSER, PGPASSWORD, PGDATABASE), where ECS puts them
from the secret. libpq reads them by itself, so that no address with a password in it is ever made. Of Tidegate it reads
PGAPPNAME (who this is, in pg_stat_activity) and PGOPTIONS (lock_timeout, statement_timeout).
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from logging.config import fileConfig

from alembic import context
from sqlalchemy import Connection, create_engine, pool, text

# Any number, the same for everything that migrates this database. Alembic takes no lock itself.
LOCK = 7_201_842_660_153
LOCK_SECONDS = 60.0

fileConfig(context.config.config_file_name, disable_existing_loggers=False)


def as_sql() -> None:
    """`alembic upgrade --sql`: no database is asked, and no BEGIN and COMMIT is written."""
    context.configure(dialect_name="postgresql", literal_binds=True, transactional_ddl=False)
    with context.begin_transaction():
        context.run_migrations()


def in_the_database() -> None:
    engine = create_engine("postgresql+psycopg://", poolclass=pool.NullPool)
    with engine.connect() as connection, alone(connection):
        # One transaction for each migration: what has been applied stays when a later one fails.
        context.configure(connection=connection, transaction_per_migration=True)
        with context.begin_transaction():
            context.run_migrations()


@contextmanager
def alone(connection: Connection) -> Iterator[None]:
    """Asked again and again, not waited for: a session that waits in pg_advisory_lock has a snapshot, for which CREATE
    INDEX CONCURRENTLY of the other one waits in turn. The server frees the lock when this session ends, however it
    ends; one whose client was killed ends after its statement."""
    deadline = time.monotonic() + LOCK_SECONDS
    while True:
        taken = connection.scalar(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK})
        connection.commit()
        if taken:
            break
        if time.monotonic() > deadline:
            raise SystemExit(
                f"another migration of this database has run for {LOCK_SECONDS:g} s; nothing was done"
            )
        time.sleep(0.5)
    try:
        yield
    finally:
        if not connection.closed and not connection.invalidated:
            connection.rollback()
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": LOCK})
            connection.commit()


if context.is_offline_mode():
    as_sql()
else:
    in_the_database()
