"""The `aws` that a build finds on its PATH: the AWS CLI's arguments, output and exit codes."""

import os
import subprocess
import sys
import uuid

import pytest

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def aws(cloud: Cloud, *arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-I", "-m", "tidegate_local.codebuild.tools.aws", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": cloud.region,
            "AWS_DEFAULT_REGION": cloud.region,
            "AWS_ENDPOINT_URL": cloud.endpoint_url,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_operation_with_a_query(cloud: Cloud) -> None:
    names = sorted(f"tools-{uuid.uuid4().hex[:8]}" for _ in range(2))
    for name in names:
        made = aws(
            cloud,
            *("ecr", "create-repository", "--repository-name", name, "--image-tag-mutability=IMMUTABLE"),
            *(
                "--image-scanning-configuration",
                "scanOnPush=true",
                "--tags",
                "Key=a,Value=b",
                "Key=c,Value=d",
            ),
        )
        assert made.returncode == 0, made.stderr
    described = aws(
        cloud,
        *("ecr", "describe-repositories", "--repository-names", *names),
        *("--query", "sort_by(repositories,&repositoryName)[].[repositoryName,imageTagMutability]"),
        *("--output", "text"),
    )
    assert described.stdout == "".join(f"{name}\tIMMUTABLE\n" for name in names)
    whole = aws(cloud, "ecr", "describe-repositories", "--repository-names", names[0], "--output", "json")
    assert '"scanOnPush": true' in whole.stdout
    nothing = aws(
        cloud,
        "ecr",
        "describe-images",
        "--repository-name",
        names[0],
        "--query",
        "imageDetails[0].x",
        "--output",
        "text",
    )
    assert (nothing.returncode, nothing.stdout) == (0, "None\n")


def test_errors_are_told_as_the_cli_tells_them(cloud: Cloud) -> None:
    missing = aws(cloud, "ecr", "describe-images", "--repository-name", "no/such")
    assert missing.returncode == 254
    assert missing.stderr.strip().startswith(
        "An error occurred (RepositoryNotFoundException) when calling the DescribeImages operation: "
    )
    for arguments in (
        ("ecr",),
        ("nothing", "at-all"),
        ("ecr", "no-such-operation"),
        ("ecr", "describe-images", "--no-such", "x"),
        ("ecr", "describe-images"),
        ("ecr", "describe-images", "--repository-name", "x", "--profile", "mine"),
    ):
        refused = aws(cloud, *arguments)
        assert refused.returncode == 252, arguments
        assert "Traceback" not in refused.stderr


def test_the_password_of_a_registry(cloud: Cloud) -> None:
    token = cloud.client("ecr").get_authorization_token()["authorizationData"][0]["authorizationToken"]
    password = aws(cloud, "ecr", "get-login-password", "--region", cloud.region)
    assert password.returncode == 0
    assert password.stdout.strip()
    assert password.stdout.strip() != token
    assert aws(cloud, "--version").returncode == 0
