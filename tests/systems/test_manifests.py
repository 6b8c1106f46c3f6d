"""Each manifest names what its template makes, and the template has the manifest as it is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from samtranslator.yaml_helper import yaml_parse
from tidegate.domain.manifest import EnvironmentView, Manifest, from_json, to_json
from tidegate_cli.manifest_file import load_manifest_file

from tests.systems import manifest_copy
from tests.systems.rendering import NESTED, Json, Rendered, environments, render, settings

SYSTEMS = [folder.name for folder in manifest_copy.systems()]
PLACES = [(system, environment) for system in SYSTEMS for environment in environments(system)]


def manifest(system: str) -> Manifest:
    return load_manifest_file(str(manifest_copy.SYSTEMS / system / "tidegate.yaml"))


def view(system: str, environment: str) -> EnvironmentView:
    return manifest(system).for_environment(environment)


def names(rendered: Rendered, type_: str, key: str) -> set[Any]:
    return {properties.get(key) for properties in rendered.of(type_).values()}


def containers(rendered: Rendered, service: str) -> list[Json]:
    """Of the task definition that an ECS service of this name runs."""
    used = rendered.named("AWS::ECS::Service", ServiceName=service)["TaskDefinition"]
    listed: list[Json] = rendered[str(used).strip("<>")]["ContainerDefinitions"]
    return listed


@pytest.fixture(params=PLACES, ids=" ".join)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("system", ["harvestry", "arive", "core-business-unit"])
def test_the_systems_are_there(system: str) -> None:
    assert system in SYSTEMS


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_template_has_the_manifest_as_it_is(system: str) -> None:
    template = (manifest_copy.SYSTEMS / system / "template.yaml").read_text()
    assert manifest_copy.with_copy(template, manifest(system)) == template, (
        f"python -m tests.systems.manifest_copy {system}"
    )


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_environments_are_those_of_samconfig(system: str) -> None:
    assert sorted(manifest(system).environments) == sorted(environments(system))


def test_the_stack_registers_the_system(place: tuple[str, str]) -> None:
    """As `tidegate apply` would: the same parameter, the same text."""
    system, environment = place
    parameter = render(*place).named("AWS::SSM::Parameter", Name=f"/tidegate/{system}/{environment}")
    assert (parameter["Type"], parameter["Tier"]) == ("String", "Intelligent-Tiering")
    assert parameter["Value"] == to_json(manifest(system))
    assert from_json(parameter["Value"]) == manifest(system)


def test_region_and_runner_are_the_environment_s(place: tuple[str, str]) -> None:
    seen = view(*place)
    assert seen.region == settings(*place)["region"]
    assert seen.settings.runner == f"tidegate-runner-{seen.system}-{seen.name}"


def test_cluster_services_and_containers(place: tuple[str, str]) -> None:
    seen, rendered = view(*place), render(*place)
    assert names(rendered, "AWS::ECS::Cluster", "ClusterName") == {seen.cluster}
    assert names(rendered, "AWS::ECS::Service", "ServiceName") == {
        service.service for service in seen.services.values()
    }
    for service in seen.services.values():
        [named] = [one for one in containers(rendered, service.service) if one["Name"] == service.container]
        parameter = f"/tidegate/{seen.system}/{seen.name}/image/{service.image}"
        assert named["Image"] == f"{{{{resolve:ssm:{parameter}}}}}"
        assert parameter in names(rendered, "AWS::SSM::Parameter", "Name")


def test_how_many_tasks_is_said_in_one_place(place: tuple[str, str]) -> None:
    """By `tidegate scale` where nothing scales by itself, else by auto scaling."""
    seen, rendered = view(*place), render(*place)
    scaled = names(rendered, "AWS::ApplicationAutoScaling::ScalableTarget", "ResourceId")
    for service in seen.services.values():
        written = rendered.named("AWS::ECS::Service", ServiceName=service.service)
        parameter = f"/tidegate/{seen.system}/{seen.name}/count/{service.key}"
        if f"service/{seen.cluster}/{service.service}" in scaled:
            assert "DesiredCount" not in written
            assert parameter not in names(rendered, "AWS::SSM::Parameter", "Name")
        else:
            assert written["DesiredCount"] == f"{{{{resolve:ssm:{parameter}}}}}"
            assert parameter in names(rendered, "AWS::SSM::Parameter", "Name")


def test_repositories_and_projects(place: tuple[str, str]) -> None:
    """One environment of an account may make them for all."""
    seen = view(*place)
    stacks = [render(seen.system, name) for name in environments(seen.system)]
    repositories = set().union(*(names(one, "AWS::ECR::Repository", "RepositoryName") for one in stacks))
    projects = set().union(*(names(one, "AWS::CodeBuild::Project", "Name") for one in stacks))
    for key in {service.image for service in seen.services.values()}:
        image = seen.images[key]
        assert image.repository in repositories
        assert image.build is not None
        assert image.build.project in projects


def test_the_database(place: tuple[str, str]) -> None:
    """Where the manifest names one; it has one name for all environments."""
    seen, rendered = view(*place), render(*place)
    if seen.database is None:
        assert len(environments(seen.system)) > 1
    elif seen.database.cluster is not None:
        assert seen.database.cluster in names(rendered, "AWS::RDS::DBCluster", "DBClusterIdentifier")
    else:
        assert seen.database.instance in names(rendered, "AWS::RDS::DBInstance", "DBInstanceIdentifier")


def test_secrets_their_admins_and_first_users(place: tuple[str, str]) -> None:
    seen, rendered = view(*place), render(*place)
    made = {one["Name"]: one for one in rendered.of("AWS::SecretsManager::Secret").values()}
    migrations = seen.migrations
    assert migrations is not None
    if migrations.secret is not None:
        assert migrations.secret.replace("{environment}", seen.name) in made
    for name, secret in seen.secrets.items():
        assert name in made
        if secret.admin is not None:
            assert secret.admin in made
            # The first of the two is in the secret from the start; the other one gets its password by a rotation.
            text = (
                made[name].get("SecretString") or made[name]["GenerateSecretString"]["SecretStringTemplate"]
            )
            assert len(secret.users) == 2
            assert re.search(rf"\b{secret.users[0]}\b", text)
            if not isinstance(secret.format, str):
                assert secret.format.key in json.loads(text)


def test_alarms_that_undo_a_release(place: tuple[str, str]) -> None:
    seen, rendered = view(*place), render(*place)
    watched = [watch for watch in (seen.settings.bake, seen.settings.guard) if watch is not None]
    for watch in watched:
        assert set(watch.alarms) <= names(rendered, "AWS::CloudWatch::Alarm", "AlarmName")


def test_no_value_of_a_secret_is_in_the_template(place: tuple[str, str]) -> None:
    """Secrets Manager makes each, or another secret's is taken; a parameter never has one."""
    for path, secret in render(*place).of("AWS::SecretsManager::Secret").items():
        if "GenerateSecretString" not in secret:
            assert (
                "{{resolve:secretsmanager:" in secret["SecretString"]
                or ".ClientSecret>" in secret["SecretString"]
            ), path
    template = yaml_parse((manifest_copy.SYSTEMS / place[0] / "template.yaml").read_text())
    secret_like = re.compile("password|secret|token", re.IGNORECASE)
    assert not {
        name: parameter["Default"]
        for name, parameter in template["Parameters"].items()
        if secret_like.search(name) and parameter.get("Default")
    }


def test_who_starts_a_task_reads_its_secrets_and_no_others(place: tuple[str, str]) -> None:
    seen, rendered = view(*place), render(*place)
    for service in seen.services.values():
        used = rendered.named("AWS::ECS::Service", ServiceName=service.service)["TaskDefinition"]
        definition = rendered[str(used).strip("<>")]
        taken = {
            secret["ValueFrom"].split(":")[0]
            for container in definition["ContainerDefinitions"]
            for secret in container.get("Secrets", [])
        }
        role = rendered[str(definition["ExecutionRoleArn"]).strip("<>").removesuffix(".Arn")]
        may = [
            statement
            for policy in role["Policies"]
            for statement in policy["PolicyDocument"]["Statement"]
            if "secretsmanager:GetSecretValue" in statement["Action"]
        ]
        allowed = {arn for statement in may for arn in statement["Resource"]}
        assert allowed == taken


@pytest.mark.parametrize("system", SYSTEMS)
def test_the_readme_asks_for_outputs_that_there_are(system: str) -> None:
    """Its commands are copied on the first day."""
    readme = (manifest_copy.SYSTEMS / system / "README.md").read_text()
    asked = set(re.findall(r"\$\(output (\w+)\)", readme))
    template = yaml_parse((manifest_copy.SYSTEMS / system / "template.yaml").read_text())
    assert {"RunnerSubnetIds", "RunnerSecurityGroupIds", "SecretsKeyArn"} <= asked <= set(template["Outputs"])
    assert f"tidegate-runner-{system}-" in readme
    for name in environments(system):
        for secret, settings_of in view(system, name).secrets.items():
            if settings_of.admin is not None:
                assert f"tidegate secrets adopt {system} " in readme
                assert secret.replace(f"/{name}/", "/$env/") in readme or secret in readme


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_is_passed_between_stacks_exists(system: str) -> None:
    """Also where a condition leaves it out of every environment: what is rendered shows only what is asked for."""
    folder: Path = manifest_copy.SYSTEMS / system
    template = yaml_parse((folder / "template.yaml").read_text())
    modules = {
        name: yaml_parse((folder / resource["Properties"]["TemplateURL"]).read_text())
        for name, resource in template["Resources"].items()
        if resource["Type"] == NESTED
    }
    asked = set(outputs_of([template["Resources"], template["Outputs"]]))
    assert asked, "nothing is passed"
    assert not {f"{name}.{output}" for name, output in asked if output not in modules[name]["Outputs"]}
    for name, module in modules.items():
        given = set(template["Resources"][name]["Properties"]["Parameters"])
        declared = module["Parameters"]
        assert given <= set(declared), name
        assert {key for key, one in declared.items() if "Default" not in one} <= given, name


def outputs_of(written: Any) -> Iterator[tuple[str, str]]:
    """(stack, output) of each `!GetAtt Stack.Outputs.Name` and `${Stack.Outputs.Name}`."""
    if isinstance(written, dict):
        if isinstance(asked := written.get("Fn::GetAtt"), (str, list)):
            path = asked if isinstance(asked, str) else ".".join(asked)
            stack, _, output = path.partition(".Outputs.")
            if output:
                yield stack, output
        written = list(written.values())
    if isinstance(written, str):
        yield from re.findall(r"\$\{(\w+)\.Outputs\.(\w+)\}", written)
    if isinstance(written, list):
        for one in written:
            yield from outputs_of(one)


class TestTheCopy:
    TEMPLATE = f"Resources:\n  Manifest:\n    Properties:\n      {manifest_copy.MARK}\n      Value: '{{}}'\n"

    def test_is_put_after_the_mark(self) -> None:
        copied = manifest_copy.with_copy(self.TEMPLATE, manifest("arive"))
        value = yaml_parse(copied)["Resources"]["Manifest"]["Properties"]["Value"]
        assert from_json(value) == manifest("arive")
        assert manifest_copy.with_copy(copied, manifest("arive")) == copied

    def test_keeps_apostrophes(self) -> None:
        data = json.loads(to_json(manifest("arive")))
        data["images"]["app"]["build"]["test"] = "echo 'well'"
        given = from_json(json.dumps(data))
        value = yaml_parse(manifest_copy.with_copy(self.TEMPLATE, given))["Resources"]["Manifest"][
            "Properties"
        ]
        assert from_json(value["Value"]) == given

    @pytest.mark.parametrize("template", ["", TEMPLATE * 2], ids=["no mark", "two marks"])
    def test_of_another_template_is_refused(self, template: str) -> None:
        with pytest.raises(ValueError, match="places for the manifest, not one"):
            manifest_copy.with_copy(template, manifest("arive"))

    def test_that_no_parameter_holds_is_refused(self) -> None:
        data = json.loads(to_json(manifest("arive")))
        data["images"]["app"]["watch"] = [f"folder-{number}/**" for number in range(700)]
        with pytest.raises(ValueError, match="a parameter holds 8192"):
            manifest_copy.with_copy(self.TEMPLATE, from_json(json.dumps(data)))

    def test_is_looked_at_without_writing(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert manifest_copy.main(["--check", "arive"]) == 0
        assert capsys.readouterr().out == ""
