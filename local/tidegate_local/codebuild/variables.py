"""What a build's commands find in their environment.

CodeBuild's own: user guide, "Environment variables in build environments". Of several values for a name the one of
StartBuild counts, then the project's, then the buildspec's (user guide, "Build specification reference", env).
"""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from tidegate_local.codebuild.buildspec import Environment
from tidegate_local.codebuild.identity import Session
from tidegate_local.codebuild.orders import Order
from tidegate_local.codebuild.records import Context
from tidegate_local.codebuild.sources import Source

# Of this process's environment: what a build needs of the machine, and nothing that is about a person, AWS or Tidegate.
_OF_THE_MACHINE = frozenset(
    {"PATH", "LANG", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"}
    | {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}
)
_PREFIXES = ("LC_", "PIP_", "UV_", "NPM_CONFIG_", "npm_config_")


class VariableError(Exception):
    """A parameter or a secret cannot be read; `context` is what DOWNLOAD_SOURCE shows."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.context = Context(code, message)


@dataclass(frozen=True, slots=True)
class Variables:
    """The environment of the commands; `hidden` are the values that must not be seen in the log."""

    values: dict[str, str]
    hidden: tuple[str, ...]


def of_the_machine(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """What of the server's environment reaches a build."""
    given = os.environ if environ is None else environ
    return {
        name: value for name, value in given.items() if name in _OF_THE_MACHINE or name.startswith(_PREFIXES)
    }


def of_codebuild(build: Mapping[str, Any], order: Order, source: Source) -> dict[str, str]:
    """`CODEBUILD_*` of a build as BatchGetBuilds shows it; CODEBUILD_BUILD_SUCCEEDING changes and is not among them."""
    project = build["arn"].replace(":build/", ":project/").rpartition(":")[0]
    shown = {
        "CODEBUILD_BUILD_ARN": build["arn"],
        "CODEBUILD_BUILD_ID": build["id"],
        "CODEBUILD_BUILD_IMAGE": build["environment"].get("image", ""),
        "CODEBUILD_BUILD_NUMBER": str(build["buildNumber"]),
        "CODEBUILD_INITIATOR": build["initiator"],
        "CODEBUILD_KMS_KEY_ID": build["encryptionKey"],
        "CODEBUILD_LOG_PATH": build["logs"].get("streamName", ""),
        "CODEBUILD_PROJECT_ARN": project,
        "CODEBUILD_RESOLVED_SOURCE_VERSION": source.commit,
        "CODEBUILD_SOURCE_REPO_URL": source.url,
        "CODEBUILD_SOURCE_VERSION": order.version,
        "CODEBUILD_SRC_DIR": str(source.folder),
        "CODEBUILD_START_TIME": str(int(build["startTime"] * 1000)),
    }
    return {name: value for name, value in shown.items() if value}


def of_the_user(order: Order, environment: Environment, session: Session) -> Variables:
    """Those of the buildspec, the project and StartBuild, parameters and secrets read. Raises `VariableError`."""
    references: dict[str, tuple[str, str]] = {
        **{name: ("PLAINTEXT", value) for name, value in environment.variables.items()},
        **{name: ("PARAMETER_STORE", value) for name, value in environment.parameter_store.items()},
        **{name: ("SECRETS_MANAGER", value) for name, value in environment.secrets_manager.items()},
        **{one["name"]: (one["type"], str(one.get("value", ""))) for one in order.variables},
    }
    values, hidden = {}, []
    for name, (kind, value) in references.items():
        if kind == "PLAINTEXT":
            values[name] = value
            continue
        values[name] = _parameter(session, value) if kind == "PARAMETER_STORE" else _secret(session, value)
        hidden.append(values[name])
    return Variables(values, tuple(hidden))


def _parameter(session: Session, name: str) -> str:
    try:
        found = session.client("ssm").get_parameters(Names=[name], WithDecryption=True)["Parameters"]
    except (BotoCoreError, ClientError) as error:
        raise VariableError("Decrypted Variables Error", str(error)) from error
    if not found:
        raise VariableError("Decrypted Variables Error", f"parameter does not exist: {name}")
    return str(found[0]["Value"])


def _secret(session: Session, reference: str) -> str:
    """`secret-id:json-key:version-stage:version-id`; an ARN has six colons of its own."""
    parts = reference.split(":")
    size = 7 if reference.startswith("arn:") else 1
    secret, rest = ":".join(parts[:size]), [*parts[size:], "", "", ""]
    wanted = {"SecretId": secret}
    if rest[1]:
        wanted["VersionStage"] = rest[1]
    if rest[2]:
        wanted["VersionId"] = rest[2]
    try:
        value = str(session.client("secretsmanager").get_secret_value(**wanted).get("SecretString", ""))
        return str(json.loads(value)[rest[0]]) if rest[0] else value
    except (BotoCoreError, ClientError) as error:
        raise VariableError("Secrets Manager Error Message", str(error)) from error
    except (ValueError, KeyError, TypeError) as error:
        raise VariableError("Secrets Manager Error Message", f"{secret} has no key {rest[0]}") from error
