"""Where the sources are, and where the state of the embedded cloud is kept."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tidegate_local.lifecycle.errors import UsageError

TEMPLATE = "template.yaml"
STATE_DIR = "TIDEGATE_STATE_DIR"
CHECKOUT = "TIDEGATE_CHECKOUT"


@dataclass(frozen=True, slots=True)
class Checkout:
    """A checkout's root, and the state folder of the embedded cloud that is meant.

    Several embedded clouds can run from one checkout: each has its own state folder (and port).
    """

    root: Path
    state: Path

    @classmethod
    def find(cls, environ: Mapping[str, str] | None = None) -> "Checkout":
        """The checkout that this package is installed from (editable), else the one we are in.

        TIDEGATE_CHECKOUT names another one, TIDEGATE_STATE_DIR another state folder. Raises `UsageError`.
        """
        given = os.environ if environ is None else environ
        root = _root(given)
        state = given.get(STATE_DIR)
        return cls(root, Path(state).resolve() if state else root / ".tidegate")

    @property
    def template(self) -> Path:
        """The orchestrator's SAM template."""
        return self.root / TEMPLATE

    @property
    def cache(self) -> Path:
        """What `sam build` made; shared by all state folders and ignored by git."""
        return self.root / ".aws-sam" / "local"

    @property
    def record(self) -> Path:
        """The record of the running cloud."""
        return self.state / "cloud.json"

    @property
    def server(self) -> Path:
        """The state folder of the server itself: repositories, builds, what its emulators write."""
        return self.state / "server"

    @property
    def temporary(self) -> Path:
        """TMPDIR of everything that is started."""
        return self.state / "tmp"

    def log(self, name: str) -> Path:
        """The log of `server`, `build` or `deploy`."""
        return self.state / f"{name}.log"


def _root(given: Mapping[str, str]) -> Path:
    named = given.get(CHECKOUT)
    if named:
        root = Path(named).resolve()
        if not (root / TEMPLATE).is_file():
            raise UsageError(
                f"{CHECKOUT}={named}: there is no {TEMPLATE} in it", hint="name the root of a checkout"
            )
        return root
    here = Path.cwd()
    for folder in (*Path(__file__).resolve().parents, here, *here.parents):
        if (folder / TEMPLATE).is_file() and (folder / "statemachines").is_dir():
            return folder
    raise UsageError(
        "the embedded cloud deploys template.yaml, and there is no checkout of Tidegate here",
        hint="run it in a checkout, or name one: TIDEGATE_CHECKOUT=path",
    )
