"""One thing has one name everywhere: folder, step, events, tests, logical id, and what AWS calls it."""

from __future__ import annotations

import ast

import pytest
from samcli.lib.config.samconfig import SamConfig

from tests.template.loading import ROOT, Stack

STEPS = ROOT / "layers/core/tidegate/steps"
# Runs in the stack of an environment's runner too, which has none.
WITHOUT_A_TABLE = {"migrate_sql", "rotate_secret", "smoke"}


def pascal(name: str) -> str:
    return "".join(part.capitalize() for part in name.split("_"))


def steps() -> set[str]:
    """Modules with a `run(event, ports)`: the others help them."""
    found = set()
    for path in STEPS.glob("*.py"):
        defined = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)]
        if any(node.name == "run" for node in defined):
            found.add(path.stem)
    return found


def folders(parent: str, holding: str) -> set[str]:
    return {path.parent.name for path in (ROOT / parent).glob(f"*/{holding}")}


def test_there_is_a_function_for_each_step() -> None:
    assert folders("functions", "app.py") == steps()


def test_there_are_events_for_each_function() -> None:
    assert folders("events", "*.json") - {"out"} == steps()


def test_there_are_tests_for_each_step() -> None:
    tested = {path.stem.removeprefix("test_") for path in (ROOT / "tests/unit/steps").glob("test_*.py")}
    assert steps() <= tested


def test_the_template_names_each_function_alike(stack: Stack) -> None:
    assert {pascal(name) + "Function" for name in steps()} == stack.functions().keys()
    for name in steps():
        function = stack.functions()[pascal(name) + "Function"]
        assert function["FunctionName"] == {"Fn::Sub": "${AWS::StackName}-" + name}
        assert function["Code"]["S3Key"] == f"functions/{name}"
        assert function["Role"] == {"Fn::GetAtt": [pascal(name) + "Role", "Arn"]}


@pytest.mark.parametrize("name", sorted(steps()))
def test_a_function_runs_the_step_of_its_name(name: str) -> None:
    text = (ROOT / "functions" / name / "app.py").read_text()
    assert f"from tidegate.steps.{name} import run" in text
    made = "handler(run, table=False)" if name in WITHOUT_A_TABLE else "handler(run)"
    assert f"lambda_handler = {made}\n" in text
    assert len(text.splitlines()) <= 15


def test_the_template_names_each_machine_alike(stack: Stack) -> None:
    files = {path.name.removesuffix(".asl.json") for path in (ROOT / "statemachines").iterdir()}
    assert {pascal(name) + "Machine" for name in files} == stack.machines.keys()
    for name in files:
        machine = stack.resources[pascal(name) + "Machine"]["Properties"]
        assert machine["StateMachineName"] == {"Fn::Sub": "${AWS::StackName}-" + name}
        assert machine["DefinitionS3Location"]["Key"] == f"statemachines/{name}.asl.json"
        assert machine["RoleArn"] == {"Fn::GetAtt": [pascal(name) + "Role", "Arn"]}


def test_states_are_verbs_questions_and_what_is_awaited(stack: Stack) -> None:
    for machine, definition in stack.machines.items():
        for name, state in definition["States"].items():
            assert (state["Type"] == "Choice") == name.endswith("?"), f"{machine}/{name}"
            assert state["Type"] != "Wait" or name.startswith("Await"), f"{machine}/{name}"


@pytest.mark.parametrize("environment", ["default", "local", "dev", "staging", "production"])
def test_the_configuration_names_parameters_that_exist(environment: str, stack: Stack) -> None:
    config = SamConfig(str(ROOT), "samconfig.toml")
    deploy = config.get_all(["deploy"], "parameters", environment)
    given = str(deploy.get("parameter_overrides", "")).split()
    known = stack.written["Parameters"]
    for assignment in given:
        name, value = assignment.split("=", 1)
        assert name in known
        assert value in [str(x) for x in known[name].get("AllowedValues", [value])]
    assert deploy["capabilities"] == "CAPABILITY_IAM"
    assert config.get_all(["global"], "parameters", environment)["stack_name"] == "tidegate"


def test_every_parameter_is_explained(stack: Stack) -> None:
    said = (ROOT / "docs/install.md").read_text()
    grouped = stack.written["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]
    listed = [name for group in grouped for name in group["Parameters"]]
    assert sorted(listed) == sorted(stack.written["Parameters"])
    for name, parameter in stack.written["Parameters"].items():
        assert parameter["Description"]
        assert f"`{name}`" in said, f"docs/install.md does not explain {name}"


def test_every_queue_and_alarm_is_explained(stack: Stack) -> None:
    said = (ROOT / "docs/operations.md").read_text()
    for type_ in ("AWS::SQS::Queue", "AWS::CloudWatch::Alarm"):
        for name, properties in stack.of_type(type_).items():
            full = properties.get("QueueName") or properties.get("AlarmName")
            short = full["Fn::Sub"].removeprefix("${AWS::StackName}-")
            assert f"`{short}`" in said, f"docs/operations.md does not say what to do about {name}"


def test_every_queue_is_looked_into_by_doctor(stack: Stack) -> None:
    looked = (ROOT / "cli/tidegate_cli/doctor/checks_alerts.py").read_text()
    for name in stack.of_type("AWS::SQS::Queue"):
        assert stack.written["Outputs"][f"{name}Url"]["Value"] == {"Ref": name}
        assert f'"{name}Url": ' in looked, f"tidegate doctor does not look into {name}"


def test_every_machine_is_looked_for_by_doctor(stack: Stack) -> None:
    looked = (ROOT / "cli/tidegate_cli/doctor/checks_installation.py").read_text()
    for name in stack.machines:
        assert stack.written["Outputs"][f"{name}Arn"]["Value"] == {"Ref": name}
        assert f'"{name}Arn",' in looked, f"tidegate doctor does not look for {name}"
