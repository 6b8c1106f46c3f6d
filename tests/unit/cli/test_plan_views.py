"""The documents of `plan` and of what is approved, from what was planned."""

from __future__ import annotations

from dataclasses import replace

from tidegate.domain.deployment import Current
from tidegate.domain.errors import RefusalError, SupersededError
from tidegate.domain.lock import Lock
from tidegate.domain.plan import Plan, ServicePlan, Watch
from tidegate.steps.gates import Gate
from tidegate.steps.proposal import Proposal
from tidegate.steps.services import Busy
from tidegate_cli.outlook import Outlook
from tidegate_cli.plan_views import plan_document, planned_release

from tests.unit.cli.test_views import AT, deployment

FREE = Lock("shop", "production")


def planned(*, changed: bool = True) -> ServicePlan:
    return ServicePlan(
        "api", "shop-api", 1, "app", "sha256:2", "repo@sha256:2", "app", "td:2", "td:1", None, changed
    )


def test_a_plan_says_what_changes_and_which_gates_it_passes() -> None:
    changes = {"api": [{"path": "cpu", "from": "256", "to": "512"}]}
    proposal = Proposal(Plan("c", (planned(),)), "c2", {"app": "sha256:2"}, None, (), changes)
    document = plan_document(Outlook(proposal=proposal, busy=()), FREE)
    assert document.keys() >= {"outcome_if_run", "services", "migrations", "gates"}
    assert document["outcome_if_run"] == "Succeeded"
    service = document["services"]["api"]
    assert service.keys() >= {"changed", "wave", "image", "digest", "from", "to", "base", "differences"}
    assert service["differences"] == changes["api"]
    assert [(gate["gate"], gate["passes"]) for gate in document["gates"]] == [
        ("plan", True),
        ("settled", True),
        ("lock", True),
    ]


def test_a_plan_that_would_wait_says_for_whom() -> None:
    held = FREE.acquired("01Z", "arn", "hotfix", AT)
    busy = Busy("api", "c", "shop-api", "ecs-svc/9")
    proposal = Proposal(Plan("c", (planned(changed=False),)), None, {}, 1, (busy,))
    document = plan_document(Outlook(proposal=proposal, approval="other", busy=(busy,)), held)
    assert document["outcome_if_run"] == "Succeeded"
    waits = {gate["gate"]: gate["reason"] for gate in document["gates"] if gate.get("waits")}
    assert "ecs-svc/9" in waits["settled"]
    assert "behind deployment 01Z (hotfix)" in waits["lock"]
    assert "somebody other than its author" in waits["approval"]
    assert all(not gate["passes"] for gate in document["gates"] if gate.get("waits"))


def test_a_plan_without_changes_is_no_change() -> None:
    proposal = Proposal(Plan("c", (planned(changed=False),)), None, {}, 1)
    assert plan_document(Outlook(proposal=proposal), FREE)["outcome_if_run"] == "NoChange"


def test_a_refused_plan_names_the_reason_and_its_mend() -> None:
    error = RefusalError("the breaker is off", field="services.api", hint="switch it on")
    document = plan_document(Outlook(refusal=error), FREE)
    assert document["outcome_if_run"] == "Refused"
    assert document["gates"][0] == {
        "gate": "plan",
        "passes": False,
        "reason": "the breaker is off (switch it on)",
        "field": "services.api",
    }


def test_a_gate_that_refuses_hides_no_other() -> None:
    late = Gate("order", "…", SupersededError("a later push was released", field="commit"))
    asked = (late, Gate("after", "staging"), Gate("scan", "fail_on HIGH"), Gate("freeze", "Fri to Mon"))
    document = plan_document(Outlook(asked, refusal=RefusalError("the breaker is off")), FREE)
    assert document["outcome_if_run"] == "Superseded"
    gates = {gate["gate"]: gate for gate in document["gates"]}
    assert {name: gate["passes"] for name, gate in gates.items()} == {
        "plan": False,
        "order": False,
        "after": True,
        "scan": True,
        "freeze": True,
        "lock": True,
    }
    assert gates["order"]["field"] == "commit"
    assert gates["after"]["reason"] == "it has succeeded in staging"
    assert "nothing HIGH or worse" in gates["scan"]["reason"]
    assert gates["freeze"]["reason"].endswith("(Fri to Mon)")


def test_a_plan_shows_what_is_checked_after_it() -> None:
    smoke = {"url": "https://me:pw@shop.example/health", "expect": 200, "within": 60}
    plan = Plan("c", (replace(planned(), smoke=smoke),), Watch(300, ("shop-5xx",)))
    document = plan_document(Outlook(proposal=Proposal(plan, None, {}, 1)), FREE)
    assert document["bake"] == {"seconds": 300, "alarms": ["shop-5xx"]}
    shown = document["services"]["api"]["smoke"]
    assert shown["within"] == 60
    assert "me:pw" not in shown["url"]


def test_a_plan_shows_no_password_of_a_plain_environment() -> None:
    change = {
        "path": "containerDefinitions[app].environment[DB_PASSWORD]",
        "from": None,
        "to": {"name": "DB_PASSWORD", "value": "hunter2"},
    }
    url = {
        "path": "containerDefinitions[app].environment[URL].value",
        "from": None,
        "to": "redis://me:pw@host",
    }
    other = {**change, "path": f"{change['path']}.value", "from": "letmein", "to": "sesame"}
    proposal = Proposal(Plan("c", (planned(),)), None, {}, 1, (), {"api": [change, url, other]})
    text = str(plan_document(Outlook(proposal=proposal), FREE))
    assert "hunter2" not in text
    assert "me:pw" not in text
    assert "letmein" not in text
    assert "sesame" not in text


def test_what_is_approved_goes_from_what_runs_to_what_was_planned() -> None:
    waiting = replace(deployment(), plan=Plan("c", (planned(),), Watch(60, ("a",))))
    current = Current(1, "01", AT, 1, {"api": {"digest": "sha256:1"}})
    document = planned_release(waiting, current)
    assert (document["release"], document["commit"], document["actor"]) == ("r2", "c2", "ada")
    service = document["services"]["api"]
    assert (service["from_digest"], service["digest"]) == ("sha256:1", "sha256:2")
    assert (service["from"], service["base"], service["to"]) == ("td:1", "td:2", None)
    assert document["bake"]["seconds"] == 60
    assert planned_release(waiting, None)["services"]["api"]["from_digest"] is None
