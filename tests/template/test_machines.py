"""The state machines: everything resolves, nothing hangs, a failure ends as one, and only after cleaning up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.template.loading import Change, Json, Stack, referred
from tests.template.walking import (
    INVOKE,
    INVOKE_AND_WAIT,
    RUN,
    Flow,
    called,
    flow_of,
    following,
    reachable,
    step_of,
    substitutions,
    tasks,
)

# What a second try may mend; each list is whole, so that a further error is a decision made here.
# https://docs.aws.amazon.com/step-functions/latest/dg/sfn-best-practices.html#bp-lambda-serviceexception
_TRANSIENT_OF_LAMBDA = {
    "TransientError",
    "ConflictError",
    "Lambda.ServiceException",
    "Lambda.AWSLambdaException",
    "Lambda.SdkClientException",
    "Lambda.ClientExecutionTimeoutException",
    "Lambda.TooManyRequestsException",
    "Lambda.Unknown",
    "Sandbox.Timedout",
    # the errorType that Lambda answers for a process that was killed (out of memory, for one)
    "Runtime.ExitError",
}
TRANSIENT = {
    INVOKE: _TRANSIENT_OF_LAMBDA,
    INVOKE_AND_WAIT: _TRANSIENT_OF_LAMBDA,
    RUN: {
        "StepFunctions.ExecutionLimitExceededException",
        "StepFunctions.ThrottlingException",
        "StepFunctions.SdkClientException",
    },
}
# What else a second try mends at one state: a function in a VPC that was idle for long, or has just been deployed,
# has no network for about a minute (Lambda API reference, Invoke, Errors).
_IN_A_VPC = {"Lambda.ResourceNotReadyException", "Lambda.ENINotReadyException"}
TRANSIENT_THERE = {
    "RollMachine/CheckSmoke": _IN_A_VPC,
    "MigrateMachine/CheckDatabase": _IN_A_VPC,
    "MigrateMachine/MigrateSql": _IN_A_VPC,
    "MigrateMachine/VerifyDatabase": _IN_A_VPC,
    "MigrateMachine/TerminateBackends": _IN_A_VPC,
    "RotateMachine/Precheck": _IN_A_VPC,
    "RotateMachine/Stage": _IN_A_VPC,
    "RotateMachine/Set": _IN_A_VPC,
    "RotateMachine/Test": _IN_A_VPC,
    "RotateMachine/Promote": _IN_A_VPC,
    "RotateMachine/Retire": _IN_A_VPC,
    "RotateMachine/RestoreCurrent": _IN_A_VPC,
    "RotateMachine/Abandon": _IN_A_VPC,
    "RotateMachine/PlanAdoption": _IN_A_VPC,
    "RotateMachine/Adopt": _IN_A_VPC,
}
# Machines that hand their outcome on as data instead of failing, and what a good one is called there.
AS_DATA = {"RollMachine": "Rolled", "MigrateMachine": "Migrated"}
# The steps that end a run in the ledger: a failure that comes round them would leave the lock, or the build, behind.
CLEANS_UP = {
    ("RecordArn", step) for step in ("Succeed", "Rotated", "BeginCompensation", "Fail", "Conclude")
} | {("PublishImagesArn", step) for step in ("Publish", "Fail")}
# The steps that say a run went well.
GOES_WELL = {("RecordArn", "Succeed"), ("RecordArn", "Rotated"), ("PublishImagesArn", "Publish")}
# The catchers that lead there: nothing else may go on after an error as if there had been none.
TIME_OUTS_THAT_GO_ON = {
    # Nobody wakes up to find that nothing happened: no alarm rang for as long as the bake lasts, and the step that
    # records the success looks at the alarms once more.
    ("DeployMachine", "Bake", ("States.Timeout",)),
    # The same; here the step that lets the old value be disabled looks at them once more.
    ("RotateMachine", "Bake", ("States.Timeout",)),
    # The step that publishes refuses what is not scanned, and says so.
    ("BuildMachine", "AwaitScans", ("States.Timeout",)),
}
# Nothing is known of the build there; what it may have written has no outcome, and the sweep ends it.
NOTHING_TO_CLEAN_UP = {("BuildMachine", "SelectImages")}

Rule = Callable[[Stack], list[str]]


def flows(stack: Stack) -> Iterator[Flow]:
    for name, definition in stack.machines.items():
        yield from flow_of(name, definition).all()


def all_tasks(stack: Stack) -> Iterator[tuple[str, Json]]:
    for flow in flows(stack):
        for name, state in tasks(flow):
            yield f"{flow.path}/{name}", state


def every_state_can_be_reached(stack: Stack) -> list[str]:
    wrong = []
    for flow in flows(stack):
        wrong += [
            f"{flow.path}: {name} is unreachable"
            for name in flow.states.keys() - reachable(flow.states, flow.start)
        ]
        for name, state in flow.states.items():
            wrong += [f"{flow.path}/{name} leads to {to}" for to in following(state) if to not in flow.states]
    return wrong


def every_task_calls_what_is_there(stack: Stack) -> list[str]:
    wrong = []
    for machine, definition in stack.machines.items():
        defined = stack.resources[machine]["Properties"]["DefinitionSubstitutions"]
        for flow in flow_of(machine, definition).all():
            for name, state in tasks(flow):
                target = stack.target(defined.get(called(state) or ""))
                type_ = stack.resources.get(target or "", {}).get("Type")
                wanted = (
                    "AWS::StepFunctions::StateMachine"
                    if state["Resource"] == RUN
                    else "AWS::Lambda::Function"
                )
                if state["Resource"] not in TRANSIENT or type_ != wanted:
                    wrong.append(
                        f"{flow.path}/{name}: {state['Resource']} of {target or called(state)} ({type_})"
                    )
    return wrong


def every_substitution_is_defined_and_used(stack: Stack) -> list[str]:
    wrong = []
    for machine, definition in stack.machines.items():
        defined = set(stack.resources[machine]["Properties"]["DefinitionSubstitutions"])
        wrong += [f"{machine}: {name}" for name in defined ^ substitutions(definition)]
    return wrong


def every_function_and_machine_is_used(stack: Stack) -> list[str]:
    started: set[str | None] = set()
    for machine in stack.machines:
        defined = stack.resources[machine]["Properties"]["DefinitionSubstitutions"]
        started |= {referred(value) for value in defined.values()}
    for rule in stack.of_type("AWS::Events::Rule").values():
        started |= {referred(target["Arn"]) for target in rule["Targets"]}
    for url in stack.of_type("AWS::Lambda::Url").values():
        started.add(referred(url["TargetFunctionArn"]))
    return sorted(stack.functions().keys() - started)


def every_task_has_a_timeout(stack: Stack) -> list[str]:
    return [name for name, state in all_tasks(stack) if "TimeoutSeconds" not in state]


def only_what_is_transient_is_retried(stack: Stack) -> list[str]:
    wrong = []
    for name, state in all_tasks(stack):
        errors = {error for retrier in state.get("Retry", []) for error in retrier["ErrorEquals"]}
        expected = TRANSIENT.get(state["Resource"], set()) | TRANSIENT_THERE.get(name, set())
        if errors != expected:
            wrong.append(f"{name} retries {sorted(errors)}")
        wrong += [
            f"{name}: a retry without an end, or without jitter"
            for retrier in state.get("Retry", [])
            if not (1 <= retrier.get("MaxAttempts", 0) <= 10 and retrier.get("JitterStrategy") == "FULL")
        ]
    return wrong


def everything_unexpected_is_caught(stack: Stack) -> list[str]:
    """By Tasks and by Maps: nothing else can fail here but for a mistake in an expression."""
    return [
        f"{flow.path}/{name}"
        for flow in flows(stack)
        for name, state in flow.states.items()
        if state["Type"] in ("Task", "Map")
        and [c["ErrorEquals"] for c in state.get("Catch", [])][-1:] != [["States.ALL"]]
    ]


def a_failure_ends_as_one(stack: Stack) -> list[str]:
    """From each catcher a Fail state is reached through clean-up, and no other end without it."""
    wrong = []
    for flow in flows(stack):
        if flow.iteration or flow.path in AS_DATA:
            continue
        cleaning = frozenset(name for name, state in tasks(flow) if call_of(state) in CLEANS_UP)
        for name, target in caught(flow):
            ends = {end: flow.states[end]["Type"] for end in flow.ends(target)}
            around = {flow.states[end]["Type"] for end in flow.ends(target, not_through=cleaning)}
            if "Fail" not in ends.values():
                wrong.append(f"{flow.path}/{name} never fails: {sorted(ends)}")
            excused = name in cleaning or (flow.path, name) in NOTHING_TO_CLEAN_UP
            if around and not (excused and around == {"Fail"}):
                wrong.append(f"{flow.path}/{name} ends without cleaning up: {sorted(around)}")
    return wrong


def no_failure_goes_on_as_if_there_were_none(stack: Stack) -> list[str]:
    """From a catcher, success is recorded only behind a step that found, or left, everything as it should be."""
    wrong, gone_on = [], set()
    for flow in flows(stack):
        well = {name for name, state in tasks(flow) if call_of(state) in GOES_WELL}
        cleaning = {name for name, state in tasks(flow) if call_of(state) in CLEANS_UP - GOES_WELL}
        for name, state in flow.states.items():
            for catcher in state.get("Catch", []):
                if well & reachable(flow.states, catcher["Next"], frozenset(cleaning)):
                    gone_on.add((flow.path, name, tuple(catcher["ErrorEquals"])))
    wrong += [
        f"{path}/{name} goes on after {errors}" for path, name, errors in gone_on - TIME_OUTS_THAT_GO_ON
    ]
    return wrong + [f"{entry} is excused for nothing" for entry in TIME_OUTS_THAT_GO_ON - gone_on]


def a_failure_is_data_where_it_must_not_stop_its_siblings(stack: Stack) -> list[str]:
    """In an iteration of a Map, and in a machine that such an iteration runs: it succeeds with another outcome."""
    wrong = []
    good = set(AS_DATA.values())
    for flow in flows(stack):
        if not (flow.iteration or flow.path in AS_DATA):
            continue
        for name, target in caught(flow):
            ends = flow.ends(target)
            fails = [end for end in ends if flow.states[end]["Type"] == "Fail"]
            if not ends or fails:
                wrong.append(f"{flow.path}/{name} fails the whole: {fails}")
            outputs = [flow.states[end].get("Output") for end in ends]
            if good & {output.get("outcome") for output in outputs if isinstance(output, dict)}:
                wrong.append(f"{flow.path}/{name} may end as if nothing had been: {sorted(ends)}")
        for name, state in flow.states.items():
            for catcher in state.get("Catch", []):
                said = [
                    value.get("outcome")
                    for value in (catcher.get("Output"), catcher.get("Assign"))
                    if isinstance(value, dict)
                ]
                direct = flow.states[catcher["Next"]]["Type"] != "Succeed"
                if good & set(said) or (direct and not any(said)):
                    wrong.append(f"{flow.path}/{name} says {said} of what it could not do")
    return wrong


def a_catcher_keeps_the_input_where_it_is_read(stack: Stack) -> list[str]:
    """Without Output a catcher hands on the error, so `$states.input` behind it has nothing in it."""
    return [
        f"{flow.path}/{name} -> {catcher['Next']}"
        for flow in flows(stack)
        for name, state in flow.states.items()
        for catcher in state.get("Catch", [])
        if "Output" not in catcher and "$states.input" in json.dumps(flow.states[catcher["Next"]])
    ]


def definitions_are_jsonata(stack: Stack) -> list[str]:
    return [name for name, machine in stack.machines.items() if machine.get("QueryLanguage") != "JSONata"]


def call_of(state: Json) -> tuple[str | None, str | None]:
    """The function that a Task calls, and the step of it."""
    return called(state), step_of(state)


def caught(flow: Flow) -> Iterator[tuple[str, str]]:
    for name, state in flow.states.items():
        for catcher in state.get("Catch", []):
            yield name, catcher["Next"]


RULES: list[Rule] = [
    every_state_can_be_reached,
    every_task_calls_what_is_there,
    every_substitution_is_defined_and_used,
    every_function_and_machine_is_used,
    every_task_has_a_timeout,
    only_what_is_transient_is_retried,
    everything_unexpected_is_caught,
    a_failure_ends_as_one,
    no_failure_goes_on_as_if_there_were_none,
    a_failure_is_data_where_it_must_not_stop_its_siblings,
    a_catcher_keeps_the_input_where_it_is_read,
    definitions_are_jsonata,
]


@pytest.mark.parametrize("rule", RULES)
def test_the_rule_holds(rule: Rule, stack: Stack) -> None:
    assert rule(stack) == []


def states(machines: dict[str, Json], machine: str) -> dict[str, Any]:
    found: dict[str, Any] = machines[machine]["States"]
    return found


def deploy(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda _, machines: change(states(machines, "DeployMachine"))


def build(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda _, machines: change(states(machines, "BuildMachine"))


def roll(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda _, machines: change(states(machines, "RollMachine"))


def migrate(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda _, machines: change(states(machines, "MigrateMachine"))


def rotate(change: Callable[[dict[str, Any]], object]) -> Change:
    return lambda _, machines: change(states(machines, "RotateMachine"))


def iteration(states_: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = states_["RollWave"]["ItemProcessor"]["States"]
    return found


def substitutions_of(written: Json) -> dict[str, Any]:
    found: dict[str, Any] = written["Resources"]["DeployMachine"]["Properties"]["DefinitionSubstitutions"]
    return found


@pytest.mark.parametrize(
    ("rule", "change"),
    [
        (every_state_can_be_reached, deploy(lambda s: s.update(Lost={"Type": "Succeed"}))),
        (every_state_can_be_reached, deploy(lambda s: s["RecordSuccess"].update(Next="Nowhere"))),
        (
            every_task_calls_what_is_there,
            deploy(lambda s: s["PlanAgain"]["Arguments"].update(FunctionName="${Other}")),
        ),
        (
            every_task_calls_what_is_there,
            deploy(lambda s: s["PlanAgain"].update(Resource="arn:aws:states:::sqs:send")),
        ),
        (
            every_task_calls_what_is_there,
            lambda t, _: t["Resources"]["MigrateMachine"]["Properties"]["DefinitionSubstitutions"].update(
                DeployMachineArn={"Fn::Sub": "arn:aws:states:::stateMachine:${AWS::StackName}-gone"}
            ),
        ),
        (
            every_task_calls_what_is_there,
            migrate(lambda s: s["MigrateSql"]["Arguments"].update(FunctionName="{% $function %}")),
        ),
        (every_task_calls_what_is_there, lambda t, _: substitutions_of(t).update(LockArn={"Ref": "Table"})),
        (every_substitution_is_defined_and_used, lambda t, _: substitutions_of(t).pop("LockArn")),
        (every_substitution_is_defined_and_used, lambda t, _: substitutions_of(t).update(Unused="1")),
        (
            every_function_and_machine_is_used,
            lambda t, _: t["Resources"]["SweepFunction"]["Properties"].pop("Events"),
        ),
        (every_task_has_a_timeout, deploy(lambda s: s["PlanAgain"].pop("TimeoutSeconds"))),
        (every_task_has_a_timeout, deploy(lambda s: iteration(s)["RollService"].pop("TimeoutSeconds"))),
        (only_what_is_transient_is_retried, deploy(lambda s: s["PlanAgain"].pop("Retry"))),
        (
            only_what_is_transient_is_retried,
            deploy(lambda s: s["PlanAgain"]["Retry"][0]["ErrorEquals"].append("States.ALL")),
        ),
        (
            only_what_is_transient_is_retried,
            deploy(lambda s: s["PlanAgain"]["Retry"][0].pop("JitterStrategy")),
        ),
        (everything_unexpected_is_caught, deploy(lambda s: s["PlanAgain"].pop("Catch"))),
        (everything_unexpected_is_caught, deploy(lambda s: s["RollWave"].pop("Catch"))),
        (everything_unexpected_is_caught, deploy(lambda s: iteration(s)["RollService"].pop("Catch"))),
        (a_failure_ends_as_one, deploy(lambda s: s["PlanAgain"]["Catch"][0].update(Next="Succeeded"))),
        (a_failure_ends_as_one, deploy(lambda s: s["RollWave"]["Catch"][0].update(Next="FailedDirty"))),
        (a_failure_ends_as_one, deploy(lambda s: s["RecordFailure"]["Catch"][0].update(Next="Unchanged"))),
        (a_failure_ends_as_one, build(lambda s: s["SelectImages"]["Catch"][0].update(Next="Ended"))),
        (a_failure_ends_as_one, build(lambda s: s["AwaitScans"]["Catch"][0].update(Next="Ended"))),
        (a_failure_ends_as_one, build(lambda s: s["BuildImages"]["Catch"][0].update(Next="NotSelected"))),
        (
            no_failure_goes_on_as_if_there_were_none,
            deploy(lambda s: s["RollWave"]["Catch"][0].update(Next="RecordSuccess")),
        ),
        (
            no_failure_goes_on_as_if_there_were_none,
            deploy(lambda s: s["PlanAgain"]["Catch"][0].update(Next="AwaitApproval")),
        ),
        (
            no_failure_goes_on_as_if_there_were_none,
            deploy(lambda s: s["Bake"]["Catch"][0]["ErrorEquals"].append("States.TaskFailed")),
        ),
        (
            no_failure_goes_on_as_if_there_were_none,
            deploy(lambda s: s["Bake"]["Catch"][1].update(Next="RecordSuccess")),
        ),
        (
            no_failure_goes_on_as_if_there_were_none,
            deploy(lambda s: s["Bake"]["Catch"][0].update(Next="BeginCompensation")),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            roll(lambda s: s.update(NotRolled={"Type": "Fail", "Error": "NotRolled"})),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            roll(lambda s: s["CheckSmoke"]["Catch"][0].update(Next="Healthy?")),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            roll(lambda s: s["CheckSmoke"]["Catch"][0].update(Next="Rolled")),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            roll(lambda s: s["StartRollout"]["Catch"][0]["Assign"].update(outcome="Rolled")),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            migrate(lambda s: s["RecordMigration"]["Catch"][0].update(Next="Migrated")),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            migrate(lambda s: s["MigrateSql"]["Catch"][0]["Assign"].pop("outcome")),
        ),
        (only_what_is_transient_is_retried, migrate(lambda s: s["CheckDatabase"]["Retry"].pop(0))),
        (only_what_is_transient_is_retried, rotate(lambda s: s["Promote"]["Retry"].pop(0))),
        (a_failure_ends_as_one, rotate(lambda s: s["Retire"]["Catch"][0].update(Next="Succeeded"))),
        (a_failure_ends_as_one, rotate(lambda s: s["Abandon"]["Catch"][0].update(Next="FailedClean"))),
        (
            no_failure_goes_on_as_if_there_were_none,
            rotate(lambda s: s["Promote"]["Catch"][0].update(Next="BeginRetire")),
        ),
        (
            no_failure_goes_on_as_if_there_were_none,
            rotate(lambda s: s["Retire"]["Catch"][0].update(Next="RecordSuccess")),
        ),
        (
            a_failure_is_data_where_it_must_not_stop_its_siblings,
            deploy(lambda s: iteration(s)["RollService"]["Catch"][0]["Output"].pop("outcome")),
        ),
        (
            a_catcher_keeps_the_input_where_it_is_read,
            roll(lambda s: s["StartRollout"]["Catch"][0].pop("Output")),
        ),
        (definitions_are_jsonata, lambda _, m: m["RollMachine"].pop("QueryLanguage")),
    ],
)
def test_the_rule_can_fail(rule: Rule, change: Change, stack: Stack) -> None:
    assert rule(stack.changed(change)) != []
