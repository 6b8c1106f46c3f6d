"""A running embedded cloud: found again, described, spoken to."""

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from tests.integration.local import small_checkout
from tests.support.command_line import CommandLine
from tests.support.leftovers import files_in, free_port, listens, processes_of

pytestmark = pytest.mark.emulator


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_checkout.make(tmp_path_factory.mktemp("checkout"))


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def tidegate(checkout: Path, home: Path, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    state = tmp_path_factory.mktemp("state") / "cloud"
    variables = {"TIDEGATE_CHECKOUT": str(checkout), "TIDEGATE_STATE_DIR": str(state), "HOME": str(home)}
    variables["DOCKER_HOST"] = "unix:///nonexistent"  # the same on every machine
    return CommandLine(variables, checkout)


@pytest.fixture(scope="module")
def up(tidegate: CommandLine) -> Iterator[dict[str, Any]]:
    """What `local up --json` said; down again, and nothing left, after the last test."""
    port = free_port()
    ended = tidegate.run("local", "up", "--port", str(port), "--json")
    assert ended.exit_code == 0, ended.progress
    yield ended.document
    assert tidegate.run("local", "down").exit_code == 0
    state = Path(tidegate.variables["TIDEGATE_STATE_DIR"])
    assert not state.exists()
    assert not listens(port)
    assert not listens(ended.document["postgres"]["port"])
    assert processes_of(state) == []
    assert {
        path for path in files_in(Path(tidegate.variables["HOME"])) if not path.startswith(".cache/")
    } == set()


def client(up: dict[str, Any], service: str) -> Any:
    return boto3.client(
        service,
        endpoint_url=up["endpoint_url"],
        region_name=up["region"],
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


def queues(up: dict[str, Any]) -> list[str]:
    return [url.rpartition("/")[2] for url in client(up, "sqs").list_queues().get("QueueUrls", [])]


def test_up_says_what_there_is(up: dict[str, Any]) -> None:
    assert set(up) == {"endpoint_url", "account", "region", "registry", "postgres", "docker", "iam"}
    assert up["endpoint_url"].startswith("http://127.0.0.1:")
    assert (up["account"], up["region"]) == ("000000000000", "us-east-1")
    assert (up["docker"], up["iam"]) == (False, True)
    assert set(up["postgres"]) == {"host", "port", "user", "password"}
    assert (up["postgres"]["host"], up["postgres"]["user"]) == ("127.0.0.1", "postgres")
    assert f"http://{up['registry']}" == up["endpoint_url"]


def test_the_stack_is_deployed_and_its_function_runs(up: dict[str, Any]) -> None:
    assert "first" in queues(up)
    answer = client(up, "lambda").invoke(FunctionName="echo", Payload=b'{"a": 1}')
    assert json.load(answer["Payload"]) == {"a": 1}


def test_a_second_up_finds_it_and_deploys_nothing(tidegate: CommandLine, up: dict[str, Any]) -> None:
    before = stack_events(up)
    again = tidegate.run("local", "up", "--json")
    assert (again.exit_code, again.document) == (0, up)
    same = tidegate.run("local", "up", "--port", up["endpoint_url"].rpartition(":")[2], "--iam", "--json")
    assert (same.exit_code, same.document) == (0, up)
    assert stack_events(up) == before


def test_two_at_once_are_one(tidegate: CommandLine, up: dict[str, Any]) -> None:
    both = [tidegate.start("local", "up", "--json") for _ in range(2)]
    assert [json.loads(process.communicate(timeout=60)[0]) for process in both] == [up, up]


def test_up_deploys_again_when_the_template_has_changed(
    tidegate: CommandLine, up: dict[str, Any], checkout: Path
) -> None:
    small_checkout.rewrite(checkout, "second")
    assert tidegate.run("local", "up").exit_code == 0
    assert "second" in queues(up)


@pytest.mark.parametrize(
    ("option", "field"),
    [
        (["--port", "4"], "port"),
        (["--region", "eu-west-1"], "region"),
        (["--no-iam"], "iam"),
        (["--no-ecs-events"], "ecs_events"),
        (["--docker", "require"], "docker"),
    ],
)
def test_other_options_are_refused_while_it_runs(
    tidegate: CommandLine, up: dict[str, Any], option: list[str], field: str
) -> None:
    refused = tidegate.run("local", "up", *option, "--json")
    assert (refused.exit_code, refused.error["field"]) == (2, field)
    assert "tidegate local down" in refused.error["hint"]
    assert up["endpoint_url"] in refused.error["message"]


def test_status_says_that_it_runs(tidegate: CommandLine, up: dict[str, Any]) -> None:
    assert tidegate.run("local", "status", "--json").document == {"state": "running", **up}
    told = tidegate.run("local", "status").output
    assert up["endpoint_url"] in told
    assert f"PostgreSQL at 127.0.0.1:{up['postgres']['port']}, user postgres" in told
    assert up["postgres"]["password"] not in told
    assert "tasks are simulated: no Docker engine answers" in told


def test_env_points_a_shell_at_it_and_nowhere_else(tidegate: CommandLine, up: dict[str, Any]) -> None:
    """Even where the shell had a profile of a real account."""
    person = tidegate.with_variables(
        AWS_PROFILE="production", AWS_SESSION_TOKEN="real", AWS_REGION="eu-west-1", PATH=search_path()
    )
    program = "import boto3; print(boto3.client('sts').get_caller_identity()['Account'])"
    ended = subprocess.run(
        ["bash", "-euc", f'eval "$(tidegate local env)"; python -c "{program}"; env'],
        env=person.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    account, *variables = ended.stdout.splitlines()
    assert account == "000000000000"
    assert f"AWS_ENDPOINT_URL={up['endpoint_url']}" in variables
    assert {"AWS_REGION=us-east-1", "AWS_DEFAULT_REGION=us-east-1"} <= set(variables)
    assert {"AWS_ACCESS_KEY_ID=test", "AWS_SECRET_ACCESS_KEY=test"} <= set(variables)
    assert not [line for line in variables if line.startswith(("AWS_PROFILE", "AWS_SESSION_TOKEN"))]


def test_env_lets_clients_of_postgresql_in(tidegate: CommandLine) -> None:
    """Even where the shell had another server, another database and TLS in mind."""
    person = tidegate.with_variables(
        PGHOSTADDR="192.0.2.1", PGDATABASE="shop", PGSSLMODE="require", PGSERVICE="shop", PATH=search_path()
    )
    program = "import psycopg; print(psycopg.connect('').info.dsn)"
    ended = subprocess.run(
        ["bash", "-euc", f'eval "$(tidegate local env)"; python -c "{program}"'],
        env=person.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "user=postgres" in ended.stdout


def test_env_as_json(tidegate: CommandLine, up: dict[str, Any]) -> None:
    document = tidegate.run("local", "env", "--json").document
    assert document["AWS_ENDPOINT_URL"] == up["endpoint_url"]
    assert document["AWS_ACCESS_KEY_ID"] == "test"
    assert {name: document[name] for name in ("PGHOST", "PGPORT", "PGUSER", "PGPASSWORD")} == {
        "PGHOST": up["postgres"]["host"],
        "PGPORT": str(up["postgres"]["port"]),
        "PGUSER": up["postgres"]["user"],
        "PGPASSWORD": up["postgres"]["password"],
    }


def test_a_file_of_events_reaches_the_rules(
    tidegate: CommandLine, up: dict[str, Any], tmp_path: Path
) -> None:
    sqs, events = client(up, "sqs"), client(up, "events")
    url = sqs.create_queue(QueueName="arrivals")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name="builds", EventPattern='{"source": ["aws.codebuild"]}')
    events.put_targets(Rule="builds", Targets=[{"Id": "queue", "Arn": arn}])
    event = {"source": "aws.codebuild", "detail-type": "CodeBuild Build State Change", "detail": {"n": 1}}
    file = tmp_path / "event.json"
    file.write_text(json.dumps(event))

    by_file = tidegate.run("local", "events", "put", str(file), "--json")
    by_list = tidegate.run("local", "events", "put", "-", "--json", stdin=json.dumps([event, event]))
    assert (by_file.exit_code, by_list.exit_code) == (0, 0)
    sent = {*by_file.document["ids"], *by_list.document["ids"]}
    arrived: set[str] = set()
    while arrived < sent:
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5, MaxNumberOfMessages=10)["Messages"]
        arrived |= {json.loads(message["Body"])["id"] for message in messages}
        for message in messages:
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    assert arrived == sent
    assert len(sent) == 3


@pytest.mark.parametrize(
    ("content", "field"),
    [
        ("{", "file"),
        ('{"source": "aws.ecs", "detail": {}}', "detail-type"),
        ('[{"source": "", "detail-type": "x", "detail": {}}]', "0.source"),
        ('{"source": "aws.ecs", "detail-type": "x", "detail": "text"}', "detail"),
        ("[" * 100_000, "file"),
    ],
    ids=["no JSON", "missing field", "empty field", "wrong type", "deep"],
)
@pytest.mark.usefixtures("up")
def test_a_bad_event_is_refused_with_its_field(tidegate: CommandLine, content: str, field: str) -> None:
    refused = tidegate.run("local", "events", "put", "-", "--json", stdin=content)
    assert (refused.exit_code, refused.error["field"]) == (2, field)
    assert refused.error["hint"]


@pytest.mark.usefixtures("up")
def test_a_missing_event_file_is_named(tidegate: CommandLine) -> None:
    refused = tidegate.run("local", "events", "put", "missing.json", "--json")
    assert refused.exit_code == 2
    assert "missing.json" in refused.error["message"]


@pytest.mark.usefixtures("up")
def test_a_fault_is_set_and_cleared(tidegate: CommandLine) -> None:
    hanging = tidegate.run("local", "fault", "shop-api", "hang", "--all", "--json")
    assert hanging.document == {"shop-api": {"mode": "hang", "all": True, "exit_code": 1}}
    crashing = tidegate.run("local", "fault", "shop-api", "crash")
    assert "tidegate local fault shop-api clear" in crashing.output
    assert tidegate.run("local", "fault", "shop-api", "clear", "--json").document == {}
    job = tidegate.run("local", "fault", "family:migrate", "crash", "--json")
    assert set(job.document) == {"family:migrate"}
    assert tidegate.run("local", "fault", "family:migrate", "clear", "--json").document == {}
    assert tidegate.run("local", "fault", "shop-api", "explode", "--json").exit_code == 2
    assert tidegate.run("local", "fault", "shop-api", "clear", "--all", "--json").error["field"] == "all"


def test_a_fault_with_other_values_of_a_secret(tidegate: CommandLine, up: dict[str, Any]) -> None:
    """Guards `_current`: the version that is spared is the one that is current when the fault is set."""
    secrets = client(up, "secretsmanager")
    secrets.create_secret(Name="shop/database", SecretString="old")
    current = secrets.put_secret_value(SecretId="shop/database", SecretString="new")["VersionId"]
    stale = tidegate.run("local", "fault", "shop-api", "crash", "--secret", "shop/database", "--json")
    assert stale.document["shop-api"]["unless"] == {"secret": "shop/database", "version": current}
    assert tidegate.run("local", "fault", "shop-api", "clear", "--json").document == {}
    missing = tidegate.run("local", "fault", "shop-api", "crash", "--secret", "nothing", "--json")
    assert (missing.exit_code, missing.error["field"]) == (2, "secret")
    both = tidegate.run("local", "fault", "shop-api", "clear", "--secret", "shop/database", "--json")
    assert both.error["field"] == "secret"


def test_an_image_is_published_under_the_digest_of_its_manifest(
    tidegate: CommandLine, up: dict[str, Any]
) -> None:
    ecr = client(up, "ecr")
    ecr.create_repository(repositoryName="shop", imageTagMutability="IMMUTABLE")
    published = tidegate.run("local", "image", "shop", "v1", "--json").document["digest"]
    [image] = ecr.batch_get_image(repositoryName="shop", imageIds=[{"imageTag": "v1"}])["images"]
    assert published == f"sha256:{hashlib.sha256(image['imageManifest'].encode()).hexdigest()}"

    assert tidegate.run("local", "image", "shop", "v1").output == f"{published}\n"
    other = tidegate.run("local", "image", "shop", "v1", "--content", "other", "--json")
    assert (other.exit_code, other.error["field"]) == (2, "tag")
    nowhere = tidegate.run("local", "image", "shoe", "v1", "--json")
    assert (nowhere.exit_code, nowhere.error["field"]) == (2, "repository")


def stack_events(up: dict[str, Any]) -> int:
    return len(client(up, "cloudformation").describe_stack_events(StackName="tidegate")["StackEvents"])


def search_path() -> str:
    return f"{Path(sys.executable).parent}:/usr/bin:/bin"
