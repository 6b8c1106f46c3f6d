"""CodeCommit in the embedded cloud: the API over what the real git pushed, its events and its permissions."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError
from tidegate_local.codecommit.repositories import path_of
from tidegate_local.control import ControlError

from tests.integration.local.pushing_repository import WorkTree
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


@pytest.fixture
def name() -> str:
    return f"shop-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def client(cloud: Cloud) -> Any:
    return cloud.client("codecommit")


@pytest.fixture
def bare(cloud: Cloud, client: Any, name: str) -> Path:
    client.create_repository(repositoryName=name)
    return path_of(cloud.state_dir, name)


@pytest.fixture
def tree(tmp_path: Path, bare: Path) -> WorkTree:
    made = WorkTree.make(tmp_path / "work")
    made.git("remote", "add", "local", str(bare))
    return made


@pytest.fixture
def heard(cloud: Cloud, name: str, queue: tuple[str, str]) -> str:
    """URL of a queue with the events of the test's repository."""
    url, arn = queue
    cloud.rule({"source": ["aws.codecommit"], "detail": {"repositoryName": [name]}}, arn)
    return url


def code(error: "pytest.ExceptionInfo[ClientError]") -> str:
    return str(error.value.response["Error"]["Code"])


def test_a_repository_is_made_described_listed_and_removed(client: Any, name: str, cloud: Cloud) -> None:
    made = client.create_repository(repositoryName=name, repositoryDescription="goods")["repositoryMetadata"]
    assert made["Arn"] == f"arn:aws:codecommit:us-east-1:000000000000:{name}"
    assert made["cloneUrlHttp"] == f"https://git-codecommit.us-east-1.amazonaws.com/v1/repos/{name}"
    assert "defaultBranch" not in made
    assert client.get_repository(repositoryName=name)["repositoryMetadata"] == made
    listed = client.list_repositories()["repositories"]
    assert {"repositoryName": name, "repositoryId": made["repositoryId"]} in listed

    with pytest.raises(ClientError) as refused:
        client.create_repository(repositoryName=name)
    assert code(refused) == "RepositoryNameExistsException"
    with pytest.raises(ClientError) as refused:
        client.create_repository(repositoryName="../x")
    assert code(refused) == "InvalidRepositoryNameException"

    assert client.delete_repository(repositoryName=name)["repositoryId"] == made["repositoryId"]
    assert "repositoryId" not in client.delete_repository(repositoryName=name)
    assert not path_of(cloud.state_dir, name).exists()
    with pytest.raises(ClientError) as refused:
        client.get_repository(repositoryName=name)
    assert code(refused) == "RepositoryDoesNotExistException"


def test_the_first_pushed_branch_is_the_default_one(client: Any, name: str, tree: WorkTree) -> None:
    first = tree.commit({"a": "1"})
    tree.git("push", "local", "HEAD:refs/heads/trunk")
    tree.commit({"a": "2"})
    tree.git("push", "local", "HEAD:refs/heads/main")
    assert client.get_repository(repositoryName=name)["repositoryMetadata"]["defaultBranch"] == "trunk"
    assert client.get_branch(repositoryName=name, branchName="trunk")["branch"]["commitId"] == first
    assert client.list_branches(repositoryName=name)["branches"] == ["main", "trunk"]


def test_a_commit_is_described(client: Any, name: str, tree: WorkTree) -> None:
    first = tree.commit({"a": "1"}, "First\n\nWhy.")
    second = tree.commit({"a": "2"}, "Second")
    tree.git("push", "local", "main")
    commit = client.get_commit(repositoryName=name, commitId=second)["commit"]
    person = {"name": "Ada", "email": "ada@example.com", "date": "1767319445 +0100"}
    assert (commit["author"], commit["committer"]) == (person, person)
    assert (commit["parents"], commit["message"]) == ([first], "Second\n")
    assert commit["treeId"] == tree.git("rev-parse", "HEAD^{tree}")
    assert client.get_commit(repositoryName=name, commitId=first)["commit"]["message"] == "First\n\nWhy.\n"
    for commit_id, expected in (
        ("0" * 40, "CommitIdDoesNotExistException"),
        (second[:12], "InvalidCommitIdException"),
    ):
        with pytest.raises(ClientError) as refused:
            client.get_commit(repositoryName=name, commitId=commit_id)
        assert code(refused) == expected


def test_differences_between_two_commits(client: Any, name: str, tree: WorkTree) -> None:
    before = tree.commit({"api/app.py": "1", "web/ä b.txt": "1", "old": "x"})
    after = tree.commit({"api/app.py": "2", "old": None, "api/new.py": "n"})
    tree.git("push", "local", "main")

    def changes(**given: Any) -> list[tuple[str, str]]:
        found = client.get_differences(repositoryName=name, **given)["differences"]
        return [(d["changeType"], (d.get("afterBlob") or d["beforeBlob"])["path"]) for d in found]

    between = {"beforeCommitSpecifier": before, "afterCommitSpecifier": "main"}
    assert changes(**between) == [("M", "api/app.py"), ("A", "api/new.py"), ("D", "old")]
    assert changes(**between, beforePath="api", afterPath="api") == [("M", "api/app.py"), ("A", "api/new.py")]
    assert changes(afterCommitSpecifier=before) == [("A", "api/app.py"), ("A", "old"), ("A", "web/ä b.txt")]
    modified = client.get_differences(repositoryName=name, **between, MaxResults=1)
    assert modified["differences"][0] == {
        "changeType": "M",
        "beforeBlob": {
            "blobId": tree.git("rev-parse", f"{before}:api/app.py"),
            "path": "api/app.py",
            "mode": "100644",
        },
        "afterBlob": {
            "blobId": tree.git("rev-parse", f"{after}:api/app.py"),
            "path": "api/app.py",
            "mode": "100644",
        },
    }
    rest = client.get_differences(repositoryName=name, **between, NextToken=modified["NextToken"])
    assert [d["changeType"] for d in rest["differences"]] == ["A", "D"]
    assert "NextToken" not in rest


def test_differences_are_refused_as_codecommit_does(client: Any, name: str, tree: WorkTree) -> None:
    tree.commit({"a": "1"})
    tree.git("push", "local", "main")
    for given, expected in (
        ({"afterCommitSpecifier": "0" * 40}, "CommitDoesNotExistException"),
        ({"afterCommitSpecifier": "nobody"}, "CommitDoesNotExistException"),
        ({"afterCommitSpecifier": "--output=x"}, "InvalidCommitException"),
        ({"afterCommitSpecifier": "main~1"}, "InvalidCommitException"),
        ({"afterCommitSpecifier": "main", "afterPath": "b"}, "PathDoesNotExistException"),
        ({"afterCommitSpecifier": "main", "MaxResults": 0}, "InvalidMaxResultsException"),
        ({"afterCommitSpecifier": "main", "NextToken": "x"}, "InvalidContinuationTokenException"),
    ):
        with pytest.raises(ClientError) as refused:
            client.get_differences(repositoryName=name, **given)
        assert code(refused) == expected, given


def test_a_folder_and_a_file(client: Any, name: str, tree: WorkTree) -> None:
    commit = tree.commit({"api/app.py": "code", "api/lib/x": "", "top": ""})
    tree.git("push", "local", "main")
    found = client.get_folder(repositoryName=name, folderPath="/api/", commitSpecifier="main")
    assert (found["commitId"], found["folderPath"]) == (commit, "api")
    assert found["treeId"] == tree.git("rev-parse", "HEAD:api")
    assert [folder["absolutePath"] for folder in found["subFolders"]] == ["api/lib"]
    assert found["files"] == [
        {
            "blobId": tree.git("rev-parse", "HEAD:api/app.py"),
            "absolutePath": "api/app.py",
            "relativePath": "app.py",
            "fileMode": "NORMAL",
        }
    ]
    root = client.get_folder(repositoryName=name, folderPath="/")
    assert root["treeId"] == tree.git("rev-parse", "HEAD^{tree}")
    assert client.get_file(repositoryName=name, filePath="api/app.py")["fileContent"] == b"code"
    for path in ("nowhere", "top"):
        with pytest.raises(ClientError) as refused:
            client.get_folder(repositoryName=name, folderPath=path)
        assert code(refused) == "FolderDoesNotExistException"


def test_each_reference_of_a_push_is_an_event(cloud: Cloud, name: str, tree: WorkTree, heard: str) -> None:
    first = tree.commit({"a": "1"})
    tree.git("tag", "-a", "v1/rc", "-m", "candidate")
    said = tree.git("push", "local", "HEAD:refs/heads/feature/x", "v1/rc")
    received = [cloud.message(heard)["body"] for _ in range(2)]
    event = next(e for e in received if e["detail"]["referenceType"] == "branch")
    repository = cloud.client("codecommit").get_repository(repositoryName=name)["repositoryMetadata"]
    assert event["detail-type"] == "CodeCommit Repository State Change"
    assert event["resources"] == [repository["Arn"]]
    assert event["detail"] == {
        "event": "referenceCreated",
        "repositoryName": name,
        "repositoryId": repository["repositoryId"],
        "referenceType": "branch",
        "referenceName": "feature/x",
        "referenceFullName": "refs/heads/feature/x",
        "commitId": first,
        "callerUserArn": "arn:aws:iam::000000000000:root",
    }
    tag = next(e["detail"] for e in received if e["detail"]["referenceType"] == "tag")
    assert (tag["referenceName"], tag["commitId"]) == ("v1/rc", first)
    assert f"remote: branch feature/x created ({first[:12]}): event {event['id']}" in said
    assert f"remote: follow what comes of it: tidegate --local builds {name}" in said


def test_forced_and_deleting_pushes(cloud: Cloud, tree: WorkTree, heard: str) -> None:
    tree.commit({"a": "1"})
    tree.git("push", "local", "main")
    first = tree.commit({"a": "2"})
    tree.git("push", "local", "HEAD:topic")
    tree.git("reset", "--quiet", "--hard", "HEAD~1")
    forced = tree.commit({"a": "3"})
    tree.git("push", "--force", "local", "HEAD:topic")
    tree.git("push", "local", ":topic")
    details = [cloud.message(heard)["body"]["detail"] for _ in range(4)]
    by_event = {d["event"]: d for d in details if d["referenceName"] == "topic"}
    updated, deleted = by_event["referenceUpdated"], by_event["referenceDeleted"]
    assert (updated["oldCommitId"], updated["commitId"]) == (first, forced)
    assert deleted["oldCommitId"] == forced
    assert "commitId" not in deleted


def test_a_person_s_own_hooks_path_does_not_hide_the_hook(tmp_path: Path, tree: WorkTree) -> None:
    settings = tmp_path / "gitconfig"
    settings.write_text(f"[core]\n\thooksPath = {tmp_path}\n")
    tree.commit({"a": "1"})
    said = tree.git("push", "local", "main", GIT_CONFIG_GLOBAL=str(settings))
    assert "remote: branch main created" in said


def test_silence_swallows_the_event_and_gives_it_back(cloud: Cloud, tree: WorkTree, name: str) -> None:
    commit = tree.commit({"a": "1"})
    cloud.control.silence("aws.codecommit")
    try:
        said = tree.git("push", "local", "main")
    finally:
        swallowed = cloud.control.end_silence("aws.codecommit")
    assert "its event is silenced" in said
    assert [e["detail"]["commitId"] for e in swallowed if e["detail"]["repositoryName"] == name] == [commit]
    assert cloud.control.end_silence("aws.codecommit") == []


def test_a_push_that_is_no_push_is_refused(cloud: Cloud) -> None:
    with pytest.raises(ControlError) as refused:
        cloud.control.report_push("nobody", [{"old": "0" * 40, "new": "1" * 40, "reference": "refs/heads/x"}])
    assert (refused.value.status, refused.value.field) == (404, "repository")
    with pytest.raises(ControlError) as refused:
        cloud.control.report_push("nobody", [{"old": "x", "new": "1" * 40, "reference": "refs/heads/x"}])
    assert (refused.value.code, refused.value.field) == ("InvalidPush", "changes.0.old")


def test_permissions_are_those_of_the_repository(cloud: Cloud, tree: WorkTree, name: str) -> None:
    tree.commit({"a": "1"})
    tree.git("push", "local", "main")
    probe = cloud.function(
        """
        import boto3
        def handler(event, context):
            boto3.client("codecommit").get_differences(**event)
            return "done"
        """,
        {
            "Effect": "Allow",
            "Action": "codecommit:GetDifferences",
            "Resource": f"arn:aws:codecommit:us-east-1:000000000000:{name}",
        },
        Timeout=30,
    )

    def call(repository: str) -> str:
        payload = json.dumps({"repositoryName": repository, "afterCommitSpecifier": "main"})
        answer = cloud.client("lambda").invoke(FunctionName=probe, Payload=payload.encode())
        return str(answer["Payload"].read().decode())

    assert call(name) == '"done"'
    assert "not authorized to perform: codecommit:GetDifferences" in call("another")


def test_cloudformation_makes_and_removes_one(cloud: Cloud, client: Any, name: str) -> None:
    template = {
        "Resources": {
            "Source": {
                "Type": "AWS::CodeCommit::Repository",
                "Properties": {"RepositoryName": name, "RepositoryDescription": "goods"},
            }
        },
        "Outputs": {
            "Arn": {"Value": {"Fn::GetAtt": ["Source", "Arn"]}},
            "Id": {"Value": {"Ref": "Source"}},
        },
    }
    cloudformation = cloud.client("cloudformation")
    cloudformation.create_stack(StackName=name, TemplateBody=json.dumps(template))
    cloudformation.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    outputs = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["Outputs"]
    values = {output["OutputKey"]: output["OutputValue"] for output in outputs}
    described = client.get_repository(repositoryName=name)["repositoryMetadata"]
    assert values == {"Arn": described["Arn"], "Id": described["repositoryId"]}
    cloudformation.delete_stack(StackName=name)
    cloudformation.get_waiter("stack_delete_complete").wait(StackName=name, WaiterConfig={"Delay": 1})
    with pytest.raises(ClientError) as refused:
        client.get_repository(repositoryName=name)
    assert code(refused) == "RepositoryDoesNotExistException"
