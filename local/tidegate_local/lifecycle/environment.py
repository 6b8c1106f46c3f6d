"""What child processes, and the caller's shell, get to see of AWS: the embedded cloud and nothing else."""

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError

ACCESS_KEY_ID = "test"
SECRET_ACCESS_KEY = "test"  # noqa: S105 -- the documented key pair of the embedded cloud
LOOPBACK = "127.0.0.1"

# A caller's profile, role, session, region, endpoint or SAM settings must not reach what we start.
_PRIVATE = ("AWS_", "SAM_", "__SAM_", "BOTO", "MINISTACK_", "TIDEGATE_")


def clean(checkout: Checkout, environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without anything about AWS; temporary files go into the state folder."""
    given = os.environ if environ is None else environ
    kept = {name: value for name, value in given.items() if not name.upper().startswith(_PRIVATE)}
    # sam build looks for python3.X and pip on the path; this interpreter's folder comes first.
    kept["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), given.get("PATH", os.defpath)])
    kept.update(
        TMPDIR=str(checkout.temporary),
        PYTHONUNBUFFERED="1",
        SAM_CLI_TELEMETRY="0",
        __SAM_CLI_APP_DIR=str(checkout.cache / "sam"),
    )
    return kept | _reaching_loopback(kept)


def embedded(checkout: Checkout, endpoint_url: str, region: str) -> dict[str, str]:
    """`clean`, pointing every AWS client at the embedded cloud. No file of ~/.aws is read."""
    nothing = str(checkout.state / "no-aws-config")
    wanted = clean(checkout) | exports(endpoint_url, region)
    wanted |= {
        "AWS_CONFIG_FILE": nothing,
        "AWS_SHARED_CREDENTIALS_FILE": nothing,
        "AWS_EC2_METADATA_DISABLED": "true",
    }
    require_embedded(wanted)
    return wanted


def require_embedded(environ: Mapping[str, str]) -> None:
    """Raises `LocalError` if an AWS client with this environment could reach anything but loopback."""
    address = urlsplit(environ.get("AWS_ENDPOINT_URL", ""))
    keys = (environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY"))
    others = [
        name
        for name in environ
        if name in {"AWS_PROFILE", "AWS_SESSION_TOKEN"} or name.startswith("AWS_ENDPOINT_URL_")
    ]
    if address.hostname != LOOPBACK or keys != (ACCESS_KEY_ID, SECRET_ACCESS_KEY) or others:
        raise LocalError("refused to call AWS: the environment does not point at the embedded cloud")


def exports(endpoint_url: str, region: str) -> dict[str, str]:
    """The variables with which the AWS CLI, boto3, SAM and Tidegate talk to the embedded cloud."""
    return {
        "AWS_ENDPOINT_URL": endpoint_url,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        "AWS_ACCESS_KEY_ID": ACCESS_KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET_ACCESS_KEY,
    }


UNSET = ("AWS_PROFILE", "AWS_SESSION_TOKEN")
"""What would take precedence over the key pair, or be sent along with it."""

UNSET_POSTGRES = ("PGHOSTADDR", "PGSERVICE", "PGDATABASE", "PGSSLMODE", "PGPASSFILE")
"""What would take precedence over PGHOST, or ask for another database or for a certificate that psql does not trust."""


def architecture() -> str:
    """Lambda's word for this machine's processor: x86_64 or arm64."""
    return "arm64" if platform.machine().lower() in {"arm64", "aarch64"} else "x86_64"


def runtime() -> str:
    """Lambda's word for this interpreter, e.g. python3.11."""
    return f"python{sys.version_info.major}.{sys.version_info.minor}"


def _reaching_loopback(given: Mapping[str, str]) -> dict[str, str]:
    """A proxy stays as it is (pip may need it) but is not asked for what is on this machine."""
    wanted = {}
    for name in ("NO_PROXY", "no_proxy"):
        listed = [part for part in given.get(name, "").split(",") if part.strip()]
        wanted[name] = ",".join(dict.fromkeys([*listed, LOOPBACK, "localhost"]))
    return wanted
