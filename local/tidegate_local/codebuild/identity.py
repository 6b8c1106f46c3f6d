"""The credentials of a build: a session of the project's service role."""

import secrets
from typing import Any

import botocore.session
from botocore.config import Config
from ministack.core import iam_evaluator
from ministack.services import iam, sts

from tidegate_local.codebuild.records import Context
from tidegate_local.seam import expect, expect_attributes
from tidegate_local.settings import Settings

TRUSTED = "codebuild.amazonaws.com"


class IdentityError(Exception):
    """The build may not do it; `context` is what its phase shows."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.context = Context(code, message)


class Session:
    """One build's credentials and clients. Where IAM is not enforced, the administrator's."""

    def __init__(self, settings: Settings, credentials: dict[str, str]) -> None:
        self.settings = settings
        self.variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{settings.port}",
            "AWS_REGION": settings.region,
            "AWS_DEFAULT_REGION": settings.region,
            **credentials,
        }
        # A session of its own for each build: creating clients in a shared one is not safe from threads.
        self._session: Any = botocore.session.get_session()

    def client(self, service: str) -> Any:
        """A botocore client of the embedded cloud with these credentials."""
        return self._session.create_client(
            service,
            region_name=self.settings.region,
            endpoint_url=self.variables["AWS_ENDPOINT_URL"],
            aws_access_key_id=self.variables["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.variables["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.variables.get("AWS_SESSION_TOKEN"),
            # A server that is ending does not answer any more; the end of a build is not to wait for it.
            config=Config(retries={"total_max_attempts": 2}),
        )

    def require(self, action: str, resource: str) -> None:
        """Raises `IdentityError` where the role may not do what no call of the embedded cloud stands for."""
        if not self.settings.iam:
            return
        key = self.variables["AWS_ACCESS_KEY_ID"]
        denied = iam_evaluator.enforce(key, action, action.partition(":")[0], self.settings.region, resource)
        if denied:
            raise IdentityError(
                "CLIENT_ERROR", f"not authorized to perform: {action} on resource: {resource}"
            )


def check_fit() -> None:
    """Raises `MendDoesNotFitError` where MiniStack keeps roles and sessions otherwise."""
    expect_attributes(iam, "_roles")
    expect(sts, "register_session", signature="(access_key: str, session: dict) -> None")


def assume(settings: Settings, role_arn: str, build_uuid: str) -> Session:
    """A session of the role, as `AWSCodeBuild-<uuid>`. In the build's request scope. Raises `IdentityError`."""
    if not settings.iam:
        return Session(settings, {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"})
    name = role_arn.rpartition("/")[2]
    role = iam._roles.get(name)
    if role is None or TRUSTED not in str(role.get("AssumeRolePolicyDocument", "")):
        raise IdentityError(
            "CLIENT_ERROR",
            "CodeBuild is not authorized to perform: sts:AssumeRole on service role. Please verify that: 1) The "
            "provided service role exists, 2) The role name is case-sensitive and matches exactly, and 3) The role "
            f"has the necessary trust policy configured: {role_arn}",
        )
    session_name = f"AWSCodeBuild-{build_uuid}"
    session = {
        "Arn": f"arn:aws:sts::{settings.account}:assumed-role/{name}/{session_name}",
        "UserId": f"{name}:{session_name}",
        "SecretAccessKey": secrets.token_hex(20),
        "SessionToken": secrets.token_hex(40),
    }
    key = f"ASIA{secrets.token_hex(8).upper()}"
    sts.register_session(key, session)
    return Session(
        settings,
        {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": session["SecretAccessKey"],
            "AWS_SESSION_TOKEN": session["SessionToken"],
        },
    )
