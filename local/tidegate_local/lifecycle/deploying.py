"""`sam deploy`, the real one, into the embedded cloud and nowhere else."""

import shlex
import tomllib
from pathlib import Path
from typing import Any

from tidegate_local.lifecycle import environment, webhook_secret
from tidegate_local.lifecycle.building import overrides, run, sam
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError
from tidegate_local.lifecycle.record import Cloud

SECONDS = 240.0
POLL_SECONDS = "0.2"
"""How often SAM looks whether the stack is there; its 5 s are made for AWS."""

CONFIG_ENVIRONMENT = "local"


def deploy(checkout: Checkout, cloud: Cloud, built: Path) -> None:
    """Create or update the orchestrator's stack. Raises `LocalError` with the log's last lines."""
    command = [*sam(), "deploy", "--template-file", str(built), "--stack-name", cloud.options.stack]
    command += ["--region", cloud.options.region, "--resolve-s3", "--no-progressbar"]
    command += ["--capabilities", "CAPABILITY_IAM", "CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
    command += ["--no-confirm-changeset", "--no-fail-on-empty-changeset"]
    command += ["--parameter-overrides", *parameters(checkout), *webhook_secret.parameters(cloud, built)]
    environ = environment.embedded(checkout, cloud.endpoint_url, cloud.options.region)
    environ["SAM_CLI_POLL_DELAY"] = POLL_SECONDS
    run(command, checkout, environ, log="deploy", folder=checkout.state, seconds=SECONDS)


def parameters(checkout: Checkout) -> list[str]:
    """`Name=value` of the stack's parameters: those of samconfig.toml's `local`, then this machine's."""
    try:
        content: dict[str, Any] = tomllib.loads((checkout.root / "samconfig.toml").read_text())
    except FileNotFoundError:
        content = {}
    except tomllib.TOMLDecodeError as error:
        raise LocalError(f"samconfig.toml cannot be read: {error}") from error
    section = content.get(CONFIG_ENVIRONMENT, {}).get("deploy", {}).get("parameters", {})
    given = section.get("parameter_overrides", [])
    listed = shlex.split(given) if isinstance(given, str) else [str(entry) for entry in given]
    wanted = dict(entry.partition("=")[::2] for entry in [*listed, *overrides()])
    return [f"{name}={value}" for name, value in wanted.items()]
