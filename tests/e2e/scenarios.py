"""What the orchestrator is for, as stories that end in one certain way.

Each runs against a cloud with the sample system in it, under IAM enforcement, and needs nothing of another. The
end-to-end tests run each once; `make iam` runs them again and again, each time with one permission less.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tidegate.domain.deployment import Deployment
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_local import sample

from tests.e2e.support import SampleCloud
from tests.support.waiting import wait_until

Scenario = Callable[[SampleCloud], None]
SCENARIOS: dict[str, Scenario] = {}
PATIENCE = 60.0


def scenario(function: Scenario) -> Scenario:
    SCENARIOS[function.__name__] = function
    return function


def run(name: str, cloud: SampleCloud) -> None:
    """Play one story; raises AssertionError when it ends in another way, or not in time."""
    SCENARIOS[name](cloud)


@scenario
def a_good_release(cloud: SampleCloud) -> None:
    build = cloud.push("a good release")
    done = _released(cloud, build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    assert set(cloud.digests().values()) == {build.digest}
    parameter = f"/tidegate/{sample.SYSTEM}/{sample.ENVIRONMENT}/image/app"
    published = cloud.client("ssm").get_parameter(Name=parameter)["Parameter"]["Value"]
    assert published.endswith(f"@{build.digest}")
    assert _log_lines(cloud, "plan_release", done), "the functions' own log lines arrive"


@scenario
def a_crash_brings_every_service_back(cloud: SampleCloud) -> None:
    _settle(cloud)
    before = cloud.digests()
    with _fault(cloud, "sample-worker", "crash"):
        done = _released(cloud, cloud.push("its worker crashes"))
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert cloud.digests() == before
    (report,) = cloud.ledger.reports(done.id)
    task = report.tasks[0]
    assert (task["container"], task["exit_code"]) == ("worker", 1)
    assert task["logs"], "the last log lines are in the report"
    assert report.events, "and what the service said"
    assert "a task stopped" in cloud.timeline(done)


@scenario
def the_next_base_is_not_a_failed_releases(cloud: SampleCloud) -> None:
    """The newest revision belongs to a release that failed: an older one is looked for."""
    a_crash_brings_every_service_back(cloud)
    build = cloud.push("after a crash")
    done = _released(cloud, build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation


@scenario
def a_rollback_goes_to_the_release_before(cloud: SampleCloud) -> None:
    first, second = cloud.push("to go back to"), cloud.push("to leave")
    for build in (first, second):
        assert _released(cloud, build).outcome is Outcome.SUCCEEDED
    document = _machine(cloud, "rollback", {"to": "previous", "reason": "slow", "actor": "ada"})
    assert document["outcome"] == "Succeeded", document
    assert set(cloud.digests().values()) == {first.digest}


@scenario
def the_second_of_two_waits_for_the_first(cloud: SampleCloud) -> None:
    one, two = cloud.push("first in the queue"), cloud.push("second in the queue")
    with _fault(cloud, "sample-api", "hang"):
        cloud.announce(one)
        first = _rolling(cloud, cloud.arrived(one))
        cloud.announce(two)
        second = queued(cloud, cloud.arrived(two))
    _unstick(cloud, first)
    assert _ended(cloud, first).outcome is Outcome.FAILED_CLEAN
    assert _ended(cloud, second).outcome is Outcome.SUCCEEDED
    cloud.wait_for_free_lock()
    assert set(cloud.digests().values()) == {two.digest}
    heard(cloud, "Deployment Queued", second.id)
    heard(cloud, "Deployment Started", second.id)


@scenario
def a_waiter_that_died_is_passed_over(cloud: SampleCloud) -> None:
    builds = [cloud.push(f"number {number}") for number in (1, 2, 3)]
    with _one_after_another(cloud), _fault(cloud, "sample-api", "hang"):
        cloud.announce(builds[0])
        first = _rolling(cloud, cloud.arrived(builds[0]))
        waiting = []
        for build in builds[1:]:
            cloud.announce(build)
            waiting.append(queued(cloud, cloud.arrived(build)))
    cloud.client("stepfunctions").stop_execution(executionArn=waiting[0].execution)
    _unstick(cloud, first)
    assert _ended(cloud, waiting[1]).outcome is Outcome.SUCCEEDED
    sweep(cloud)
    assert _ended(cloud, waiting[0]).outcome is Outcome.FAILED_CLEAN


@scenario
def a_stopped_run_is_reverted(cloud: SampleCloud) -> None:
    _settle(cloud)
    before = cloud.digests()
    with _fault(cloud, "sample-worker", "hang"):
        build = cloud.push("stopped by hand")
        cloud.announce(build)
        deployment = _rolling(cloud, cloud.arrived(build), "worker")
        cloud.client("stepfunctions").stop_execution(executionArn=deployment.execution)
        sweep(cloud)
        done = cloud.ended(deployment, seconds=90)
    assert done.outcome is Outcome.FAILED_CLEAN, done.explanation
    assert cloud.digests() == before
    cloud.wait_for_free_lock()
    assert "recovery started" in cloud.timeline(done)


@scenario
def a_lost_event_is_made_good_by_the_sweep(cloud: SampleCloud) -> None:
    rule = "tidegate-ecs-deployment"
    cloud.client("events").disable_rule(Name=rule)
    try:
        build = cloud.push("nobody heard of it")
        cloud.announce(build)
        deployment = cloud.arrived(build)

        def swept() -> Deployment | None:
            sweep(cloud)
            found = cloud.ledger.find(deployment.id)
            return found if found is not None and found.outcome is not None else None

        done = wait_until(swept, what="the sweep to finish it", seconds=PATIENCE, pause=1)
    finally:
        cloud.client("events").enable_rule(Name=rule)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation


@scenario
def the_same_event_ten_times_is_one_release(cloud: SampleCloud) -> None:
    build = cloud.push("ten times")
    for _ in range(10):
        cloud.announce(build)
    done = _ended(cloud, cloud.arrived(build))
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    cloud.announce(build)
    wait_until(
        lambda: "the same event came again" in cloud.timeline(done),
        what="the duplicate's line",
        seconds=PATIENCE,
    )
    assert [entry.commit for entry in cloud.history()].count(build.commit) == 1


@scenario
def an_event_may_leave_the_environment_out(cloud: SampleCloud) -> None:
    build = cloud.push("without environment")
    event = build.event("ci")
    del event["detail"]["environment"]
    cloud.put_event(event)
    assert _ended(cloud, cloud.arrived(build)).outcome is Outcome.SUCCEEDED


@scenario
def an_event_for_nobody_is_refused(cloud: SampleCloud) -> None:
    event = cloud.push("for nobody").event("ci")
    event["detail"]["system"] = "nobody"
    cloud.put_event(event)
    heard(cloud, "Deployment Refused", "system: system nobody is not registered")


@scenario
def an_event_that_breaks_wake_is_kept(cloud: SampleCloud) -> None:
    """It is no event that AWS sends: what matters is that nothing is lost without a trace."""
    detail = {"lastStatus": "STOPPED", "startedBy": "ecs-svc/1", "containers": ["broken"]}
    cloud.control.put_events(
        [{"source": "aws.ecs", "detail-type": "ECS Task State Change", "detail": detail}]
    )
    message = _message(cloud, "tidegate-wake-failures")
    assert message["requestPayload"]["detail"] == detail


@scenario
def a_commit_is_found_by_its_tag(cloud: SampleCloud) -> None:
    build = cloud.push("by its tag")
    document = _machine(cloud, "deploy", {"commit": build.commit})
    assert document["outcome"] == "Succeeded", document
    assert set(cloud.digests().values()) == {build.digest}


@scenario
def what_runs_already_is_no_change(cloud: SampleCloud) -> None:
    a_commit_is_found_by_its_tag(cloud)
    current = cloud.ledger.current(sample.SYSTEM, sample.ENVIRONMENT)
    assert current is not None
    document = _machine(cloud, "deploy", {"release": f"r{current.release}"})
    assert document["outcome"] == "NoChange", document


@scenario
def a_missing_digest_is_refused(cloud: SampleCloud) -> None:
    document = _machine(cloud, "deploy", {"images": {"app": {"digest": f"sha256:{'0' * 64}"}}})
    assert document["outcome"] == "Refused", document
    assert document["reason"].startswith("images.app.digest: "), document
    heard(cloud, "Deployment Refused", document["deployment"])


@scenario
def a_secret_and_a_parameter_must_exist(cloud: SampleCloud) -> None:
    secret = cloud.client("secretsmanager").create_secret(Name=_fresh("sample/password"), SecretString="x")[
        "ARN"
    ]
    parameter = _fresh("/sample/level")
    cloud.client("ssm").put_parameter(Name=parameter, Value="info", Type="String")
    base = _revision(cloud, {"A": secret, "B": parameter})
    build = cloud.push("with secrets")
    done = _released(cloud, build)
    assert done.outcome is Outcome.SUCCEEDED, done.explanation
    _revision(cloud, {"A": secret + "gone"}, base)
    document = _machine(cloud, "deploy", {"commit": cloud.push("without secret").commit})
    _revision(cloud, {}, base)
    assert document["outcome"] == "Refused", document
    assert "does not exist" in document["reason"]


@scenario
def an_alarm_that_rings_already_is_refused(cloud: SampleCloud) -> None:
    name = _fresh("sample-5xx")
    alarm = {
        "AlarmName": name,
        "MetricName": "5xx",
        "Namespace": "sample",
        "Period": 60,
        "EvaluationPeriods": 1,
    }
    cloudwatch, ecs = cloud.client("cloudwatch"), cloud.client("ecs")
    cloudwatch.put_metric_alarm(
        **alarm, Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum"
    )
    cloudwatch.set_alarm_state(AlarmName=name, StateValue="ALARM", StateReason="test")
    service = {"cluster": sample.CLUSTER, "service": "sample-api"}
    breaker = {"deploymentCircuitBreaker": {"enable": True, "rollback": True}}
    watched = {**breaker, "alarms": {"alarmNames": [name], "enable": True, "rollback": True}}
    ecs.update_service(**service, deploymentConfiguration=watched)
    try:
        document = _machine(cloud, "deploy", {"commit": cloud.push("under alarm").commit})
    finally:
        unwatched = {**breaker, "alarms": {"alarmNames": [], "enable": False, "rollback": False}}
        ecs.update_service(**service, deploymentConfiguration=unwatched)
    assert document["outcome"] == "Refused", document
    assert name in document["reason"]


@scenario
def somebody_elses_rollout_is_awaited(cloud: SampleCloud) -> None:
    ecs = cloud.client("ecs")
    with _fault(cloud, "sample-api", "hang"):
        arn = _revision(cloud, {})
        ecs.update_service(cluster=sample.CLUSTER, service="sample-api", taskDefinition=arn)
        build = cloud.push("after somebody else")
        cloud.announce(build)
        deployment = cloud.arrived(build)
        said = "waiting for an ECS deployment that is not ours"
        wait_until(lambda: said in cloud.timeline(deployment), what=said, seconds=PATIENCE)
    ecs.update_service(
        cluster=sample.CLUSTER, service="sample-api", taskDefinition=arn, forceNewDeployment=True
    )
    assert _ended(cloud, deployment).outcome is Outcome.SUCCEEDED


# --- how they are told


def sweep(cloud: SampleCloud) -> dict[str, Any]:
    """What the schedule does every minute, now."""
    answer = cloud.client("lambda").invoke(FunctionName="tidegate-sweep", Payload=b"{}")
    body = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, body
    return dict(body)


def _released(cloud: SampleCloud, build: sample.Build) -> Deployment:
    cloud.announce(build)
    done = _ended(cloud, cloud.arrived(build))
    if done.outcome is not Outcome.FAILED_DIRTY:
        cloud.wait_for_free_lock()
    return done


def _ended(cloud: SampleCloud, deployment: Deployment) -> Deployment:
    return cloud.ended(deployment, seconds=PATIENCE)


def _settle(cloud: SampleCloud) -> None:
    """Something of ours runs, so there is a release to come back to."""
    if cloud.ledger.current(sample.SYSTEM, sample.ENVIRONMENT) is None:
        assert _released(cloud, cloud.push("the first")).outcome is Outcome.SUCCEEDED


def _machine(cloud: SampleCloud, machine: str, request: dict[str, Any]) -> dict[str, Any]:
    """Start a machine as a script would, and give its outcome document."""
    sfn = cloud.client("stepfunctions")
    arn = f"arn:aws:states:{sample.REGION}:000000000000:stateMachine:tidegate-{machine}"
    document = {"system": sample.SYSTEM, "environment": sample.ENVIRONMENT, **request}
    execution = sfn.start_execution(stateMachineArn=arn, input=json.dumps(document))["executionArn"]

    def over() -> dict[str, Any] | None:
        described = sfn.describe_execution(executionArn=execution)
        return dict(described) if described["status"] != "RUNNING" else None

    described = wait_until(over, what=f"{machine} to end", seconds=PATIENCE, pause=0.2)
    return dict(json.loads(described.get("output") or described.get("cause") or "{}"))


def _rolling(cloud: SampleCloud, deployment: Deployment, service: str = "api") -> Deployment:
    """The deployment once it waits for ECS to roll a service."""

    def waits() -> bool:
        rollouts = cloud.ledger.rollouts(deployment.id)
        started = [
            entry.ecs_deployment for entry in rollouts if entry.service == service and entry.ecs_deployment
        ]
        return bool(started) and bool(cloud.ledger.waiting_for(started[0]))

    wait_until(waits, what=f"{service} to roll", seconds=PATIENCE)
    return deployment


def queued(cloud: SampleCloud, deployment: Deployment) -> Deployment:
    locks = Locks(cloud.ports.store, cloud.ports.clock)
    wait_until(
        lambda: deployment.id in [w.deployment for w in locks.waiters(sample.SYSTEM, sample.ENVIRONMENT)],
        what=f"{deployment.id} to join the queue",
        seconds=PATIENCE,
    )
    return deployment


def _unstick(cloud: SampleCloud, deployment: Deployment) -> None:
    """Somebody gives up on a rollout that hangs, in ECS itself; its release is taken back."""
    (hanging,) = [entry for entry in cloud.ledger.rollouts(deployment.id) if entry.outcome is None]
    service = deployment.plan.service(hanging.service) if deployment.plan else None
    assert service is not None
    cloud.client("ecs").update_service(
        cluster=sample.CLUSTER, service=service.service, taskDefinition=service.previous
    )

    def swept() -> bool:
        # Of a deployment that another one overtook, ECS says nothing: the sweep finds it gone.
        sweep(cloud)
        return not cloud.ledger.waiting_for(hanging.ecs_deployment or "")

    wait_until(swept, what="the run to hear of it", seconds=PATIENCE, pause=1)


@contextmanager
def _one_after_another(cloud: SampleCloud) -> Iterator[None]:
    """What waits is not superseded by newer releases."""
    place, registry = (sample.SYSTEM, sample.ENVIRONMENT), cloud.ports.registry
    known = registry.manifest(*place)
    assert known is not None
    settings = {**known["environments"][sample.ENVIRONMENT], "queue": "fifo"}
    registry.put_manifest(*place, {**known, "environments": {sample.ENVIRONMENT: settings}})
    try:
        yield
    finally:
        registry.put_manifest(*place, known)


@contextmanager
def _fault(cloud: SampleCloud, service: str, mode: str) -> Iterator[None]:
    cloud.control.set_fault(service, mode)
    try:
        yield
    finally:
        cloud.control.clear_fault(service)


def _revision(cloud: SampleCloud, secrets: dict[str, str], base: str = "sample-api") -> str:
    """A new revision of the API's family, as IaC would register it; its ARN."""
    ecs = cloud.client("ecs")
    old = ecs.describe_task_definition(taskDefinition=base)["taskDefinition"]
    containers = [
        {**entry, "secrets": [{"name": name, "valueFrom": value} for name, value in secrets.items()]}
        for entry in old["containerDefinitions"]
    ]
    kept = (
        "family",
        "networkMode",
        "requiresCompatibilities",
        "cpu",
        "memory",
        "executionRoleArn",
        "taskRoleArn",
    )
    fields = {name: old[name] for name in kept if old.get(name)}
    made = ecs.register_task_definition(**fields, containerDefinitions=containers)
    return str(made["taskDefinition"]["taskDefinitionArn"])


_numbers = iter(range(1_000_000))


def _fresh(name: str) -> str:
    return f"{name}-{next(_numbers)}"


def _log_lines(cloud: SampleCloud, function: str, deployment: Deployment) -> list[str]:
    events = cloud.client("logs").filter_log_events(logGroupName=f"/aws/lambda/tidegate-{function}")["events"]
    return [event["message"] for event in events if deployment.id in event["message"]]


def _message(cloud: SampleCloud, queue: str) -> dict[str, Any]:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=queue)["QueueUrl"]

    def receive() -> list[dict[str, Any]]:
        return list(sqs.receive_message(QueueUrl=url).get("Messages", []))

    message = wait_until(receive, what=f"a message in {queue}", seconds=PATIENCE)[0]
    sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return dict(json.loads(message["Body"]))


def heard(cloud: SampleCloud, detail_type: str, part: str) -> dict[str, Any]:
    """The detail of an event of ours that was on the bus, with this text in it, as a queue heard it."""

    def look() -> str | None:
        return next((text for text in _announcements(cloud) if detail_type in text and part in text), None)

    text = wait_until(look, what=f"{detail_type} with {part}", seconds=PATIENCE)
    return dict(json.loads(text)["detail"])


_heard_so_far: dict[str, list[str]] = {}


def _announcements(cloud: SampleCloud) -> list[str]:
    sqs = cloud.client("sqs")
    url = sqs.get_queue_url(QueueName=listen(cloud))["QueueUrl"]
    kept = _heard_so_far.setdefault(cloud.cloud.endpoint_url, [])
    for message in sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", []):
        kept.append(message["Body"])
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return kept


def listen(cloud: SampleCloud) -> str:
    """A queue for every event that the orchestrator puts on the bus; its name."""
    name = "heard-of-tidegate"
    events, sqs = cloud.client("events"), cloud.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    events.put_rule(Name=name, EventPattern=json.dumps({"source": ["tidegate"]}))
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    return name
