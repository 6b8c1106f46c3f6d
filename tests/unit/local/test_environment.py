"""What child processes see of AWS: the embedded cloud and nothing else."""

from pathlib import Path

import pytest
from tidegate_local.lifecycle import environment
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError

ENDPOINT = "http://127.0.0.1:4566"
REAL = {
    "AWS_PROFILE": "production",
    "AWS_ACCESS_KEY_ID": "AKIA",
    "AWS_SESSION_TOKEN": "real",
    "AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com",
    "AWS_CONFIG_FILE": "/home/somebody/.aws/config",
    "SAM_CLI_TELEMETRY": "1",
    "TIDEGATE_STACK": "mine",
    "HOME": "/home/somebody",
    "PATH": "/usr/bin",
    "HTTPS_PROXY": "http://proxy:3128",
    "NO_PROXY": "intranet",
}


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path, tmp_path / "state")


def test_nothing_about_aws_is_handed_on(checkout: Checkout) -> None:
    clean = environment.clean(checkout, REAL)
    assert not [name for name in clean if name.startswith(("AWS_", "TIDEGATE_"))]
    assert clean["SAM_CLI_TELEMETRY"] == "0"
    assert clean["HOME"] == REAL["HOME"]


def test_temporary_files_stay_in_the_state_folder(checkout: Checkout) -> None:
    assert environment.clean(checkout, REAL)["TMPDIR"].startswith(str(checkout.state))


def test_a_proxy_stays_but_is_not_asked_for_loopback(checkout: Checkout) -> None:
    clean = environment.clean(checkout, REAL)
    assert clean["HTTPS_PROXY"] == REAL["HTTPS_PROXY"]
    assert clean["NO_PROXY"].split(",") == ["intranet", "127.0.0.1", "localhost"]


def test_what_is_called_with_points_at_the_embedded_cloud(
    checkout: Checkout, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in REAL.items():
        monkeypatch.setenv(name, value)
    given = environment.embedded(checkout, ENDPOINT, "eu-west-1")
    aws = {name: value for name, value in given.items() if name.startswith("AWS_")}
    assert aws == {
        "AWS_ENDPOINT_URL": ENDPOINT,
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_CONFIG_FILE": str(checkout.state / "no-aws-config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(checkout.state / "no-aws-config"),
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.mark.parametrize(
    "change",
    [
        {"AWS_ENDPOINT_URL": "https://sts.amazonaws.com"},
        {"AWS_ENDPOINT_URL": "http://127.0.0.1.example.com:4566"},
        {"AWS_ENDPOINT_URL": ""},
        {"AWS_ACCESS_KEY_ID": "AKIA"},
        {"AWS_SECRET_ACCESS_KEY": "real"},
        {"AWS_SESSION_TOKEN": "real"},
        {"AWS_PROFILE": "production"},
        {"AWS_ENDPOINT_URL_S3": "https://s3.amazonaws.com"},
    ],
)
def test_what_could_reach_an_account_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(LocalError, match="refused to call AWS"):
        environment.require_embedded(environment.exports(ENDPOINT, "us-east-1") | change)


def test_the_embedded_cloud_is_not_refused() -> None:
    environment.require_embedded(environment.exports(ENDPOINT, "us-east-1"))
