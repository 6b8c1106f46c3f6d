"""A client of the sample's database that logs in all the time."""

import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from tidegate_local import sample_database
from tidegate_local.lifecycle.record import Cloud

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

OVERLAP_SECONDS = 1.0
"""As in the manifest: for that long both users work."""
PAUSE_SECONDS = 0.05


class Logins:
    """Logs in with whatever is current, over and over, from `with` to its end: a client that keeps no value.

    `by_user` counts the logins by who the database says it is; `failed` has why the others did not come to be. The
    first is over before the block begins, the last comes after its end.
    """

    def __init__(self, running: Cloud, secrets: "SecretsManagerClient") -> None:
        self.by_user: dict[str, int] = {}
        self.failed: list[str] = []
        self._access = sample_database.access_of(running)
        self._secrets = secrets
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sample-logins", daemon=True)

    def __enter__(self) -> "Logins":
        self._try()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._try()

    def _run(self) -> None:
        while not self._over.wait(PAUSE_SECONDS):
            self._try()

    def _try(self) -> None:
        began = time.monotonic()
        try:
            self._log_in(sample_database.current(self._secrets))
        except Exception as error:  # noqa: BLE001 -- whatever it is, it is a login that failed
            code = sample_database.code_of(error)
            # A machine that stood still has kept the value for longer than the manifest allows.
            kept = time.monotonic() - began > OVERLAP_SECONDS and code in sample_database.WRONG_LOGIN
            if not kept:
                self.failed.append(f"{type(error).__name__} {code}".strip())

    def _log_in(self, credential: Mapping[str, Any]) -> None:
        connection = sample_database.connected(self._access, credential["username"], credential["password"])
        try:
            [[user]] = connection.run("SELECT session_user::text") or [[""]]
        finally:
            connection.close()
        self.by_user[user] = self.by_user.get(user, 0) + 1
