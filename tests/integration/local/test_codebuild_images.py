"""The project of infrastructure/build.yaml builds an image of a pushed commit, as a team's pushes do."""

import json
from pathlib import Path

import pytest
from tidegate.adapters.ecr import EcrImages
from tidegate.domain.migration_lint import lint_of, linter_of

from tests.integration.local.building_project import contexts, phases
from tests.integration.local.image_shop import Shop, exported
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

DOCKERFILE = "FROM scratch\nCOPY app /app\nCMD ['/app']\n"


@pytest.fixture
def shop(cloud: Cloud, tmp_path: Path) -> Shop:
    return Shop.make(cloud, tmp_path / "work")


def test_the_template_s_project_is_there_as_it_was_written(shop: Shop) -> None:
    (project,) = shop.cloud.client("codebuild").batch_get_projects(names=[shop.name])["projects"]
    assert project["source"]["location"].endswith(f"/v1/repos/{shop.name}")
    assert project["source"]["buildspec"].lstrip().startswith("#")
    assert project["environment"]["privilegedMode"] is True
    assert project["cache"] == {"type": "LOCAL", "modes": ["LOCAL_DOCKER_LAYER_CACHE", "LOCAL_SOURCE_CACHE"]}
    assert project["logsConfig"] == {
        "cloudWatchLogs": {"status": "ENABLED", "groupName": f"/aws/codebuild/{shop.name}"}
    }
    assert project["timeoutInMinutes"] == 30
    cloudformation = shop.cloud.client("cloudformation")
    described = cloudformation.describe_stacks(StackName=shop.name)["Stacks"][0]["Parameters"]
    given = {one["ParameterKey"]: one["ParameterValue"] for one in described} | {"BuildArguments": "A=1"}
    cloudformation.update_stack(
        StackName=shop.name,
        UsePreviousTemplate=True,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )
    cloudformation.get_waiter("stack_update_complete").wait(StackName=shop.name, WaiterConfig={"Delay": 1})
    (changed,) = shop.cloud.client("codebuild").batch_get_projects(names=[shop.name])["projects"]
    variables = {one["name"]: one["value"] for one in changed["environment"]["environmentVariables"]}
    assert variables["TIDEGATE_BUILD_ARGS"] == "A=1"
    assert (changed["cache"], changed["logsConfig"]) == (project["cache"], project["logsConfig"])
    shop.cloud.client("codebuild").update_project(name=shop.name, cache={"type": "NO_CACHE"})
    (project,) = shop.cloud.client("codebuild").batch_get_projects(names=[shop.name])["projects"]
    assert project["cache"] == {"type": "NO_CACHE"}


def test_a_pushed_commit_becomes_an_image(shop: Shop) -> None:
    commit = shop.push({"Dockerfile": DOCKERFILE, "app": "1", "README.md": "x"})
    build = shop.build(commit)
    assert build["buildStatus"] == "SUCCEEDED", build["phases"]
    assert build["resolvedSourceVersion"] == commit
    assert shop.images(), "\n".join(shop.project.lines(build))
    ((tag, digest),) = shop.images().items()
    assert tag.startswith("tree-")
    assert exported(build) == {"TIDEGATE_IMAGE": "app", "TIDEGATE_DIGEST": digest, "TIDEGATE_COMMIT": commit}
    image = shop.cloud.client("ecr").batch_get_image(repositoryName=shop.name, imageIds=[{"imageTag": tag}])[
        "images"
    ]
    assert json.loads(image[0]["imageManifest"])["layers"]

    again = shop.build("main")  # the same tree: found, not built
    assert exported(again)["TIDEGATE_DIGEST"] == digest
    assert not any("writing image" in line for line in shop.project.output(again))
    changed = shop.build(shop.push({"app": "2"}))
    assert exported(changed)["TIDEGATE_DIGEST"] != digest
    assert len(shop.images()) == 2


def test_an_image_has_the_files_and_labels_that_its_dockerfile_says(shop: Shop) -> None:
    """And the linter's, whose findings are not the build's business."""
    stages = "FROM base AS sql\nCOPY db/*.sql /out/\nFROM scratch\nCOPY --from=sql /out /migrations\n"
    dockerfile = f'{stages}LABEL a="b c"\n'
    files = {"Dockerfile": dockerfile, "db/1_a.sql": "DROP TABLE a;\n", "db/notes.txt": "x"}
    build = shop.build(shop.push(files), TIDEGATE_MIGRATIONS="db")
    assert build["buildStatus"] == "SUCCEEDED", "\n".join(shop.project.lines(build))
    ((_, digest),) = shop.images().items()
    images = EcrImages(lambda: shop.cloud.client("ecr"))
    folder = images.folder(shop.name, digest, "/migrations", ".sql")
    assert folder is not None
    assert folder.files == {"1_a.sql": b"DROP TABLE a;\n"}
    assert folder.labels["a"] == "b c"
    assert folder.labels["org.opencontainers.image.revision"]
    assert (linter_of(folder.labels) or "").startswith("squawk ")
    assert [(one.file, one.rule) for one in lint_of(folder.labels) or ()] == [("1_a.sql", "ban-drop-table")]


def test_a_dockerfile_that_does_not_build_names_its_line(shop: Shop) -> None:
    commit = shop.push({"Dockerfile": "FROM scratch\nCOPY app /app\nCOPY missing /x\n", "app": "1"})
    build = shop.build(commit)
    assert build["buildStatus"] == "FAILED"
    assert phases(build)["BUILD"] == "FAILED"
    output = shop.project.output(build)
    assert "Dockerfile:3" in output
    assert "   3 | >>> COPY missing /x" in output
    assert any(line.endswith('failed to calculate checksum of ref: "/missing": not found') for line in output)
    assert shop.images() == {}


def test_a_failing_test_command_ends_the_build(shop: Shop) -> None:
    commit = shop.push({"api/Dockerfile": DOCKERFILE, "api/app": "1"})
    build = shop.build(commit, TIDEGATE_CONTEXT="api", TIDEGATE_TEST="echo testing; exit 4")
    assert (build["buildStatus"], phases(build)["PRE_BUILD"]) == ("FAILED", "FAILED")
    assert "testing" in shop.project.output(build)
    good = shop.build(commit, TIDEGATE_CONTEXT="api", TIDEGATE_TEST="test -f app")
    assert good["buildStatus"] == "SUCCEEDED", "\n".join(shop.project.lines(good))


@pytest.mark.parametrize(
    ("request_", "message"),
    [
        ({"sourceVersion": "nobody"}, "reference not found for primary source and source version nobody"),
        ({"sourceVersion": "0" * 40}, "reference not found"),
        ({"sourceTypeOverride": "S3", "sourceLocationOverride": "b/k"}, "CODECOMMIT and NO_SOURCE, not S3"),
        ({"sourceLocationOverride": "https://example.com/x"}, "is not of the form https://git-codecommit."),
    ],
)
def test_a_source_that_is_not_there_is_said(shop: Shop, request_: dict[str, str], message: str) -> None:
    shop.push({"Dockerfile": DOCKERFILE, "app": "1"})
    build = shop.project.run(**request_)
    (context,) = contexts(build, "DOWNLOAD_SOURCE")
    assert (build["buildStatus"], context["statusCode"]) == ("FAILED", "CLIENT_ERROR")
    assert message in context["message"]


def test_the_service_role_must_be_allowed_to_pull_and_to_push(shop: Shop) -> None:
    commit = shop.push({"Dockerfile": DOCKERFILE, "app": "1"})
    iam = shop.cloud.client("iam")
    (project,) = shop.cloud.client("codebuild").batch_get_projects(names=[shop.name])["projects"]
    role = project["serviceRole"].rpartition("/")[2]

    def deny(action: str) -> None:
        statement = {"Effect": "Deny", "Action": action, "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_role_policy(RoleName=role, PolicyName="deny", PolicyDocument=document)

    deny("ecr:PutImage")
    build = shop.build(commit)
    assert phases(build)["BUILD"] == "FAILED"
    assert any(line.startswith("denied: ") and "ecr:PutImage" in line for line in shop.project.output(build))
    deny("codecommit:GitPull")
    build = shop.build(commit)
    (context,) = contexts(build, "DOWNLOAD_SOURCE")
    assert "not authorized to perform: codecommit:GitPull" in context["message"]


def test_a_buildspec_in_the_source(shop: Shop) -> None:
    spec = "version: 0.2\nphases: {build: {commands: [echo from the source]}}\n"
    shop.push({"buildspec.yml": spec, "ci/other.yml": spec.replace("the source", "elsewhere")})
    client = shop.cloud.client("codebuild")
    (project,) = client.batch_get_projects(names=[shop.name])["projects"]
    source = {name: value for name, value in project["source"].items() if name != "buildspec"}
    client.update_project(name=shop.name, source=source)
    assert shop.project.output(shop.project.run(sourceVersion="refs/heads/main")) == ["from the source"]
    assert shop.project.output(shop.project.run("ci/other.yml")) == ["from elsewhere"]
    build = shop.project.run("no/such.yml")
    (context,) = contexts(build, "DOWNLOAD_SOURCE")
    assert context["statusCode"] == "YAML_FILE_ERROR"
    assert context["message"].endswith("no/such.yml: no such file or directory")
