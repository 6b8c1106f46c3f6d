"""PostgreSQL beside the cloud: started with it, started again with its data when it dies, gone when the cloud goes."""

import secrets
from collections.abc import Callable

from tidegate_local.databases.fronts import Fronts
from tidegate_local.databases.keeper import Keeper
from tidegate_local.databases.postgresql import PostgreSQL
from tidegate_local.postgres import access
from tidegate_local.postgres.access import USER, Access
from tidegate_local.settings import Settings

PORT_DISTANCE = 10_000
"""From the cloud's port to PostgreSQL's, where that one is free: 4566 and 14566."""


class Server:
    """`failed` is called if there is none to begin with."""

    def __init__(self, settings: Settings, fronts: Fronts, failed: Callable[[], None]) -> None:
        self._settings = settings
        self._fronts = fronts
        self._password = secrets.token_urlsafe(24)
        self._program = PostgreSQL(access.file_of(settings.state_dir).parent, USER, self._password)
        self._keeper = Keeper(self._program, up=self._tell, failed=lambda _: failed())
        self._port: int | None = None

    def start(self) -> None:
        """Begin; returns at once. Where it listens is in the access file when it does. Raises `OSError`."""
        derived = self._settings.port + PORT_DISTANCE
        preferred = derived if derived <= 65535 else None
        self._port = self._fronts.open(lambda: self._program.port, preferred=preferred)
        self._keeper.start()

    def stop(self) -> None:
        """End it and all its connections, and remove its data; returns when that is done."""
        if self._port is not None:
            self._fronts.close(self._port)
        self._keeper.stop()

    def _tell(self) -> None:
        if self._port is not None:
            given = Access(self._fronts.host, self._port, USER, self._password)
            access.write(self._settings.state_dir, given)
