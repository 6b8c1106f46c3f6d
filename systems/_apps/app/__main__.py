"""`python -m app serve|work|migrate|healthy`."""

from __future__ import annotations

import argparse
import os
import sys
import urllib.request

from app import migrating, serving, working
from app.database import DatabaseError, session
from app.settings import Settings, SettingsError, read


def main() -> int:
    parser = argparse.ArgumentParser(prog="app", description=__doc__)
    parser.add_argument("role", choices=["serve", "work", "migrate", "healthy"])
    parser.add_argument(
        "--check", action="store_true", help="of migrate: run nothing, fail if something has to run"
    )
    asked = parser.parse_args()
    try:
        settings = read(os.environ)
        match asked.role:
            case "serve":
                _log_in(settings)
                serving.serve(settings)
            case "work":
                _log_in(settings)
                working.work(settings)
            case "migrate":
                return _migrate(settings, check=asked.check)
            case "healthy":
                return _healthy(settings)
    except (SettingsError, DatabaseError, migrating.MigrationError) as error:
        print(f"{asked.role}: {error}", file=sys.stderr)
        return 1
    return 0


def _log_in(settings: Settings) -> None:
    """A wrong password is known before the load balancer sends anybody."""
    if settings.database is not None:
        with session(settings.database) as database:
            print(f"{settings.service} {settings.version} logged in as {database.user}")


def _migrate(settings: Settings, *, check: bool) -> int:
    if settings.database is None:
        raise SettingsError(
            "there is no database in the environment: DATABASE, DATABASE_URL or DATABASE_HOST"
        )
    files = migrating.read(settings.migrations)
    # The name by which Tidegate finds what a killed task left.
    with session(settings.database, os.environ.get("PGAPPNAME", "app-migrate")) as database:
        if check:
            left = [file.name for file in migrating.pending(database, files)]
            print(f"to run: {', '.join(left)}" if left else f"{len(files)} have run")
            return 1 if left else 0
        done = migrating.migrate(database, files, settings.lock_seconds, settings.statement_seconds)
    print(f"ran {', '.join(done)}" if done else "nothing to run")
    return 0


def _healthy(settings: Settings) -> int:
    """What a container's health check asks, in an image that has no curl."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"http://127.0.0.1:{settings.port}{settings.health}", timeout=4):
            return 0
    except OSError as error:
        print(f"healthy: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    # Not only of this file's folder: `python -m app` is run from the image's.
    sys.exit(main())
