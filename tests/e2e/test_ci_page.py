"""What docs/ci.md tells people to put into their CI: the scripts run, with stand-ins for docker and aws."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from samtranslator.yaml_helper import yaml_parse
from tidegate.domain.request import parse_published

from tests.e2e.support import ROOT
from tests.support.embedded import Cloud, running_cloud

PAGE = (ROOT / "docs/ci.md").read_text()
DIGEST = "sha256:" + "1f" * 32
COMMIT = "6a0f3c1d2b4e5f60718293a4b5c6d7e8f9012345"
GIVEN = {"SYSTEM": "shop", "IMAGE": "app", "REPOSITORY": "shop", "REGISTRY": "registry.example.com"}
AWS = f"""#!/bin/sh
case "$1 $2" in
  "ecr get-login-password") printf token ;;
  "ecr describe-images") printf %s {DIGEST} ;;
  "events put-events")
    while [ "$1" != --entries ]; do shift; done
    printf %s "$2" >"$PUT"
    printf %s "$FAILED" ;;
  *) exit 2 ;;
esac
"""


def blocks(mark: str) -> list[str]:
    found = re.findall(rf"<!-- test: {mark} -->\n```\w+\n(.*?)```", PAGE, re.DOTALL)
    assert found, f"docs/ci.md has no block marked {mark}"
    return found


def workflow() -> dict[str, Any]:
    # `on` is a word for true in YAML 1.1, not to GitHub.
    document: dict[str, Any] = yaml.load(blocks("github")[0], Loader=yaml.BaseLoader)  # noqa: S506 -- strings only
    return document


def pipeline() -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load(blocks("gitlab")[0])
    return document


def of_github() -> tuple[str, dict[str, str]]:
    """The scripts of its steps, and their environment with GitHub's expressions filled in."""
    job = workflow()["jobs"]["release"]
    environment = dict(job["env"]) | {"GITHUB_SHA": COMMIT}
    script = ["set -eo pipefail"]  # how GitHub runs `run` with shell bash
    for step in job["steps"]:
        for name, value in step.get("env", {}).items():
            known = {
                "github.sha": COMMIT,
                "github.actor": "mary-major",
                "github.server_url": "https://github.com",
                "github.repository": "acme/shop",
                "github.run_id": "42",
            }
            environment[name] = re.sub(r"\$\{\{ ([\w.]+) \}\}", lambda m, known=known: known[m[1]], value)  # type: ignore[misc]
        script.append(step.get("run", ""))
    return "\n".join(script), environment


def of_gitlab() -> tuple[str, dict[str, str]]:
    job = pipeline()["release"]
    environment = dict(job["variables"]) | {
        "CI_COMMIT_SHA": COMMIT,
        "CI_JOB_URL": "https://gitlab.com/acme/shop/-/jobs/42",
        "GITLAB_USER_LOGIN": "mary-major",
        "AWS_TOKEN": "token",
    }
    lines = [line for line in job["script"] if not line.startswith("apk ")]
    return "\n".join(["set -e", *lines]), environment


def of_a_shell() -> tuple[str, dict[str, str]]:
    return blocks("shell")[0].replace("$(git rev-parse HEAD)", COMMIT), GIVEN


WAYS = {"github": of_github, "gitlab": of_gitlab, "shell": of_a_shell}


def run(way: str, home: Path, failed: str = "0") -> tuple[int, list[dict[str, str]]]:
    """Exit code, and the entries that were given to PutEvents."""
    script, environment = WAYS[way]()
    binaries = home / "bin"
    binaries.mkdir()
    for name, content in {"aws": AWS, "docker": '#!/bin/sh\n[ "$1" != login ] || cat >/dev/null\n'}.items():
        (binaries / name).write_text(content)
        (binaries / name).chmod(0o755)
    put = home / "put.json"
    given = {**environment, "PATH": f"{binaries}:{os.environ['PATH']}", "PUT": str(put), "FAILED": failed}
    if "AWS_WEB_IDENTITY_TOKEN_FILE" in given:
        given["AWS_WEB_IDENTITY_TOKEN_FILE"] = str(home / "token")
    shell = "sh" if way != "github" else "bash"
    ended = subprocess.run([shell, "-c", script], cwd=home, env=given, timeout=60, check=False)
    return ended.returncode, json.loads(put.read_text())


@pytest.mark.parametrize("way", WAYS)
def test_a_script_puts_an_event_that_is_understood(way: str, tmp_path: Path) -> None:
    code, (entry,) = run(way, tmp_path)
    assert code == 0
    assert (entry["Source"], entry["DetailType"]) == ("tidegate.ci", "Image Published")
    published = parse_published(json.loads(entry["Detail"]))
    assert (published.system, published.commit) == ("shop", COMMIT)
    assert published.images["app"].digest == DIGEST
    assert published.run_url is not None


@pytest.mark.parametrize("way", WAYS)
def test_a_script_fails_if_the_event_was_not_put(way: str, tmp_path: Path) -> None:
    code, _ = run(way, tmp_path, failed="1")
    assert code != 0


def test_the_detail_on_the_page_is_one() -> None:
    found = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    assert parse_published(json.loads(found[1].replace("sha256:…", DIGEST))).system == "shop"


def test_the_workflow_is_one() -> None:
    document = workflow()
    assert document["on"] == {"push": {"branches": ["main"]}}
    assert document["permissions"] == {"contents": "read", "id-token": "write"}
    (job,) = document["jobs"].values()
    assert job.keys() <= {"runs-on", "env", "steps"}
    for step in job["steps"]:
        assert step.keys() <= {"name", "uses", "with", "env", "run"}
        assert ("uses" in step) != ("run" in step)
        assert "${{" not in step.get("run", ""), "an expression in a script is a way to inject a command"
        assert re.fullmatch(r"[\w-]+/[\w-]+@v\d+", step.get("uses", "a/b@v1"))
    assert "id_tokens" in pipeline()["release"]
    assert pipeline()["release"]["rules"] == [{"if": '$CI_COMMIT_BRANCH == "main"'}]


def test_no_key_is_kept_anywhere() -> None:
    assert not re.search(r"AWS_(SECRET_)?ACCESS_KEY|aws-(secret-)?access-key", PAGE)


def test_the_trust_is_one_branch_of_one_repository() -> None:
    for mark, issuer, subject in (
        ("github-trust", "token.actions.githubusercontent.com", "repo:acme/shop:ref:refs/heads/main"),
        ("gitlab-trust", "gitlab.com", "project_path:acme/shop:ref_type:branch:ref:main"),
    ):
        (statement,) = json.loads(blocks(mark)[0])["Statement"]
        assert statement["Principal"]["Federated"].endswith(f":oidc-provider/{issuer}")
        assert statement["Condition"].keys() == {"StringEquals"}
        assert statement["Condition"]["StringEquals"].keys() == {f"{issuer}:aud", f"{issuer}:sub"}
        assert statement["Condition"]["StringEquals"][f"{issuer}:sub"] == subject


@pytest.mark.parametrize("command", blocks("build"))
def test_the_parameters_of_the_build_stack_exist_and_fit(command: str) -> None:
    words = shlex.split(command.replace("\\\n", " "))
    assert (ROOT / words[words.index("--template-file") + 1]).exists()
    known = yaml_parse((ROOT / "infrastructure/build.yaml").read_text())["Parameters"]
    given = dict(word.split("=", 1) for word in words[words.index("--parameter-overrides") + 1 :])
    for name, value in given.items():
        assert value in known[name].get("AllowedValues", [value])
        assert re.fullmatch(known[name].get("AllowedPattern", ".*"), value), name
    assert {name for name, parameter in known.items() if "Default" not in parameter} <= given.keys()


def test_every_parameter_of_the_build_stack_is_explained() -> None:
    known = yaml_parse((ROOT / "infrastructure/build.yaml").read_text())["Parameters"]
    assert [name for name in known if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)]+)\)", PAGE))
def test_its_links_lead_somewhere(link: str) -> None:
    path, _, anchor = link.partition("#")
    text = (ROOT / "docs" / path).read_text() if path else PAGE
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    slugs = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    assert not anchor or anchor in slugs


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    with running_cloud(tmp_path_factory.mktemp("cloud")) as running:
        yield running


def test_the_policy_is_this_event_and_one_repository() -> None:
    login, push, tell = json.loads(blocks("policy")[0])["Statement"]
    assert (login["Action"], login["Resource"]) == ("ecr:GetAuthorizationToken", "*")
    assert push["Resource"].endswith(":repository/shop")
    assert all(action.startswith("ecr:") and "*" not in action for action in push["Action"])
    assert (tell["Action"], tell["Resource"].rpartition(":")[2]) == ("events:PutEvents", "event-bus/default")
    assert tell["Condition"] == {
        "ForAllValues:StringEquals": {"events:source": "tidegate.ci", "events:detail-type": "Image Published"}
    }


@pytest.mark.emulator
def test_what_a_script_puts_arrives_by_the_policy_on_the_page(cloud: Cloud, tmp_path: Path) -> None:
    """From a function with the policy as its role's. (The emulator knows no events:source to deny another by.)"""
    _, entries = run("shell", tmp_path)
    account = cloud.client("sts").get_caller_identity()["Account"]
    policy = blocks("policy")[0].replace("111122223333", account).replace("eu-west-1", cloud.region)
    function = cloud.function(
        """
        import boto3

        def handler(event, context):
            return boto3.client("events").put_events(Entries=event)["FailedEntryCount"]
        """,
        *json.loads(policy)["Statement"],
    )
    url, arn = cloud.queue("published")
    cloud.rule({"source": ["tidegate.ci"], "detail-type": ["Image Published"]}, arn)
    answer = cloud.client("lambda").invoke(FunctionName=function, Payload=json.dumps(entries))
    assert answer["Payload"].read() == b"0"
    assert parse_published(cloud.message(url)["body"]["detail"]).images["app"].digest == DIGEST
