"""Function `run_migration`: what of a migration ECS and RDS do, and what the ledger keeps of it.

`Prepare` decides what is to be done and records the intention; `AwaitSnapshot` leaves its task token with a snapshot,
`RunTask` with a one-off task of the release's image, `StopTask` with the end of one that is stopped; `GoOn` is asked
between two invocations that run SQL files; `Record` says how it ended. What has to reach the database itself is
`steps.migrate_sql`, in the environment's VPC. Each may run twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from tidegate.domain.credentials import JSON
from tidegate.domain.deployment import Deployment, Line, Phase
from tidegate.domain.errors import NotFoundError, TidegateError, TransientError
from tidegate.domain.ids import content_hash
from tidegate.domain.migration import PART, SQL, MigrationPlan, MigrationRun, Purpose
from tidegate.ledger.records import Ledger
from tidegate.ledger.schemas import Schemas
from tidegate.ports import NO_CAPACITY, OneOff, Ports
from tidegate.steps.fencing import insist_on_lock
from tidegate.steps.migration_ending import record
from tidegate.steps.resuming import MIGRATION_GROUP, awaited_snapshot, awaited_task, resume
from tidegate.steps.revisions import revision_with
from tidegate.steps.stopping import ABORTED, abort_of, aborted

READY, STOP, FAILED, GO_ON = "Ready", "Stop", "Failed", "GoOn"
# A database in one of these answers to nobody, and does not come up by being asked (RDS user guide, "Viewing DB
# instance status"). A paused Aurora says `available` and wakes when somebody connects.
_DOWN = frozenset(
    {"stopped", "stopping", "failed", "storage-full", "deleting", "inaccessible-encryption-credentials"}
)


def run(event: Mapping[str, Any], ports: Ports) -> Mapping[str, Any]:
    """`{"step", "system", "environment", "deployment", "fence", "execution", …}`, with `"token"` for the steps that
    wait, `"purpose"` for `RunTask`, `"outcome"`, `"reason"` and `"head"` for `Record`."""
    ledger = Ledger(ports.store, ports.clock)
    deployment = ledger.deployment(event["system"], event["environment"], event["deployment"])
    if deployment is None or deployment.plan is None or deployment.plan.migration is None:
        raise NotFoundError(
            f"deployment {event['deployment']} has no migration in the ledger", field="deployment"
        )
    migrating = Migrating(event, ports, ledger, deployment, deployment.plan.migration)
    if event["step"] == "Prepare":
        return migrating.prepare()
    if event["step"] == "AwaitSnapshot":
        return migrating.await_snapshot()
    if event["step"] == "GoOn":
        return migrating.go_on()
    if event["step"] == "RunTask":
        return migrating.run_task()
    if event["step"] == "StopTask":
        return migrating.stop_task()
    return record(event, ports, deployment, deployment.plan.migration)


class Migrating:
    """One attempt at one step; every call finds what an attempt before it left."""

    def __init__(
        self,
        event: Mapping[str, Any],
        ports: Ports,
        ledger: Ledger,
        deployment: Deployment,
        plan: MigrationPlan,
    ) -> None:
        self._event = event
        self._ports = ports
        self._ledger = ledger
        self._schemas = Schemas(ports.store, ports.clock)
        self._deployment = deployment
        self._plan = plan
        self._cluster = "" if deployment.plan is None else deployment.plan.cluster
        self._fence = int(event["fence"])

    # --- what is to be done

    def prepare(self) -> Mapping[str, Any]:
        """`{"outcome": "Ready" | "Stop" | "Failed", "reason", …}` and what the machine needs to know of the plan."""
        if self._event.get("stop"):
            return self._prepared(STOP, "its run ended without an outcome")
        abort = abort_of(self._ports, self._deployment.id)
        if abort is not None:
            return self._prepared(FAILED, abort.told)
        run_ = self._schemas.run_of(self._deployment.id)
        if run_ is None:
            run_ = MigrationRun(self._event["execution"], self._ledger.now())
            what = "the SQL files" if self._plan.runner == SQL else " ".join(self._plan.command)
            line = Line(self._ledger.now(), "migrating", detail=f"{what} of image {self._plan.image}"[:300])
            self._schemas.save_run(self._deployment, run_, line, fence=self._fence)
        elif run_.execution != self._event["execution"]:
            self._schemas.save_run(
                self._deployment, replace(run_, execution=self._event["execution"]), fence=self._fence
            )
        if self._deployment.phase is not Phase.MIGRATING:
            self._ledger.save(replace(self._deployment, phase=Phase.MIGRATING), fence=self._fence)
        reason = self._database_is_down()
        if reason is not None:
            return self._prepared(FAILED, reason)
        return self._prepared(READY, "")

    def _prepared(self, outcome: str, reason: str) -> Mapping[str, Any]:
        plan = self._plan
        return {
            "outcome": outcome,
            "reason": reason,
            "runner": plan.runner,
            "snapshot": plan.snapshot,
            "verify": bool(plan.verify),
            "timeout": plan.timeout,
            # Without a credential nobody looks into the database; an old run is ended there all the same.
            "function": plan.function,
            "sql": None
            if plan.secret is None
            else {
                "runner": plan.runner,
                "release": self._deployment.release_name,
                "secret": plan.secret,
                **({} if plan.secret_format == JSON else {"format": plan.secret_format}),
                "tls": plan.tls,
                "lock_timeout": plan.lock_timeout,
                "statement_timeout": plan.statement_timeout,
                "transaction_age": plan.transaction_age,
                "image": None
                if plan.runner != SQL
                else {"repository": plan.repository, "digest": plan.digest, "directory": plan.directory},
            },
        }

    def _database_is_down(self) -> str | None:
        for kind, name in (self._plan.database or {}).items():
            status = self._ports.backups.status(kind, name)
            if status is None:
                return f"RDS has no {kind} {name}, which the manifest names as its database"
            if status in _DOWN:
                start = f"aws rds start-db-{kind} --db-{kind}-identifier {name}"
                return f"the database {name} is {status}" + (f": {start}" if status == "stopped" else "")
        return None

    # --- the snapshot

    def await_snapshot(self) -> Mapping[str, Any]:
        """Begin one under a name of this deployment, leave the task token with it, then look."""
        if self._is_aborted():
            return {"waiting_for": None}
        ((kind, name),) = (self._plan.database or {}).items()
        # RDS identifiers are case-insensitive, and kept in lower case.
        snapshot = (
            f"tidegate-{self._deployment.system}-{self._deployment.environment}-{self._deployment.id}".lower()
        )
        run_ = self._run()
        if run_.snapshot is None:
            insist_on_lock(self._ports, self._deployment, self._fence)
            self._ports.backups.snapshot(kind, name, snapshot)
            line = Line(self._ledger.now(), "snapshot begun", detail=f"{snapshot} of {name}")
            self._schemas.save_run(
                self._deployment, replace(run_, snapshot=snapshot), line, fence=self._fence
            )
        self._wait(awaited_snapshot(kind, snapshot), {"kind_of": kind, "snapshot": snapshot})
        return {"waiting_for": snapshot}

    # --- SQL files

    def go_on(self) -> Mapping[str, Any]:
        """`{"outcome": "GoOn" | "Aborted", "reason"}`: whether the files that are left may run."""
        insist_on_lock(self._ports, self._deployment, self._fence)
        abort = abort_of(self._ports, self._deployment.id)
        if abort is not None:
            return {"outcome": ABORTED, "reason": abort.told}
        return {"outcome": GO_ON, "reason": ""}

    # --- a task

    def run_task(self) -> Mapping[str, Any]:
        """Start the task of this purpose, once, leave the task token with it, then look."""
        if self._is_aborted():
            return {"waiting_for": None}
        purpose = Purpose(self._event["purpose"])
        run_ = self._registered(self._run())
        arn = run_.task if purpose is Purpose.MIGRATE else run_.verify_task
        if arn is None:
            arn = self._started(run_, purpose)
        self._wait_for_task(arn)
        return {"waiting_for": _id(arn)}

    def _started(self, run_: MigrationRun, purpose: Purpose) -> str:
        """ARN of the task: of the one that ECS started before, where its answer was lost."""
        first = run_.asking != purpose.value
        if first:
            run_ = replace(run_, asking=purpose.value)
            self._schemas.save_run(self._deployment, run_, fence=self._fence)
        insist_on_lock(self._ports, self._deployment, self._fence)
        try:
            arn = self._ports.containers.run_task(self._one_off(run_, purpose))
        except TidegateError as error:
            refused = first and not isinstance(error, TransientError)
            if refused or error.code == NO_CAPACITY:
                # ECS said no, which is an answer: there is no task.
                self._schemas.save_run(self._deployment, replace(run_, asking=None), fence=self._fence)
            raise
        run_ = replace(run_, asking=None)
        started = replace(run_, task=arn) if purpose is Purpose.MIGRATE else replace(run_, verify_task=arn)
        what = "migration task started" if purpose is Purpose.MIGRATE else "looking what it made"
        line = Line(self._ledger.now(), what, self._plan.service, f"task {_id(arn)}")
        self._schemas.save_run(self._deployment, started, line, fence=self._fence)
        return arn

    def _registered(self, run_: MigrationRun) -> MigrationRun:
        if run_.task_definition is not None:
            return run_
        plan = self._plan
        revision, new = revision_with(
            self._ports, self._deployment, plan.base, plan.container, plan.image_uri, plan.service or ""
        )
        run_ = replace(run_, task_definition=revision.arn)
        lines = []
        if new:
            name = revision.arn.rsplit("/", 1)[-1]
            lines = [Line(self._ledger.now(), "task definition registered", plan.service, name)]
        self._schemas.save_run(self._deployment, run_, *lines, fence=self._fence)
        return run_

    def _one_off(self, run_: MigrationRun, purpose: Purpose) -> OneOff:
        plan = self._plan
        return OneOff(
            cluster=self._cluster,
            service=plan.ecs_service,
            task_definition=run_.task_definition or plan.base,
            container=plan.container,
            command=plan.command if purpose is Purpose.MIGRATE else plan.verify,
            environment=_environment(self._deployment, plan),
            # ECS keeps a token for a day: a retry whose first answer was lost starts no second task.
            token=content_hash([self._deployment.id, purpose.value])[:32],
            # Both are shown by ECS, and found there by a person: at most 128 characters, which an id has not.
            started_by=f"tidegate/{self._deployment.id}",
            group=f"{MIGRATION_GROUP}{plan.ecs_service}"[:255],
        )

    def stop_task(self) -> Mapping[str, Any]:
        """Stop what still runs, and wait until it has: what it does to the database must not go on behind the back of
        what comes next. ECS is asked again for a task whose ARN was lost: by its token it answers with the one that
        runs, and one that never came about is stopped before it has begun."""
        run_ = self._schemas.run_of(self._deployment.id)
        if run_ is not None and run_.asking is not None:
            self._started(run_, Purpose(run_.asking))
            run_ = self._run()
        alive = None
        for arn in (None, None) if run_ is None else (run_.task, run_.verify_task):
            if arn is not None and not self._has_stopped(arn):
                alive = arn
                self._ports.containers.stop_task(self._cluster, arn, "Tidegate: the migration is given up")
                self._ledger.tell(
                    self._deployment.id, "stopping the migration task", self._plan.service, _id(arn)
                )
        if alive is None:
            self._ports.executions.succeed(self._event["token"], {"outcome": "Exited", "reason": ""})
            return {"waiting_for": None}
        self._wait_for_task(alive)
        return {"waiting_for": _id(alive)}

    def _has_stopped(self, arn: str) -> bool:
        try:
            return self._ports.containers.task(self._cluster, arn) is not None
        except NotFoundError:
            # Forgotten, an hour after its end, or so new that it is not listed yet: `resuming` waits for it to be.
            return False

    # --- waiting

    def _run(self) -> MigrationRun:
        run_ = self._schemas.run_of(self._deployment.id)
        if run_ is None:
            raise NotFoundError(
                f"deployment {self._deployment.id} has begun no migration", field="deployment"
            )
        return run_

    def _is_aborted(self) -> bool:
        abort = abort_of(self._ports, self._deployment.id)
        if abort is not None:
            self._ports.executions.succeed(self._event["token"], aborted(abort))
        return abort is not None

    def _wait_for_task(self, arn: str) -> None:
        what = {"cluster": self._cluster, "task": arn, "container": self._plan.container}
        self._wait(awaited_task(arn), {**what, "stopping": self._stopping})

    @property
    def _stopping(self) -> bool:
        return bool(self._event["step"] == "StopTask")

    def _wait(self, awaited: str, what: Mapping[str, Any]) -> None:
        """Leave the token, then look: the event, or an abort, may have come before it."""
        waiting = {"token": self._event["token"], "deployment": self._deployment.id, "service": PART, **what}
        self._ledger.keep_token(awaited, self._event["execution"], waiting)
        if not self._stopping and self._is_aborted():
            self._ledger.answered(
                awaited, self._event["execution"], self._event["token"], self._deployment.id
            )
            return
        resume(self._ports, self._ledger, self._ledger.waiting_for(awaited))


def _id(arn: str) -> str:
    return arn.rsplit("/", 1)[-1]


def _environment(deployment: Deployment, plan: MigrationPlan) -> dict[str, str]:
    """What the task's process gets beside its own: libpq (psycopg, psql, and what is built on them) reads the PG…
    variables; TIDEGATE_… are for everything else."""
    return {
        "PGAPPNAME": application_name(deployment.id),
        "PGOPTIONS": (
            f"-c lock_timeout={plan.lock_timeout * 1000} -c statement_timeout={plan.statement_timeout * 1000}"
        ),
        "TIDEGATE_DEPLOYMENT": deployment.id,
        "TIDEGATE_RELEASE": deployment.release_name or "",
        "TIDEGATE_LOCK_TIMEOUT": str(plan.lock_timeout),
        "TIDEGATE_STATEMENT_TIMEOUT": str(plan.statement_timeout),
    }


def application_name(deployment_id: str) -> str:
    """How the database shows the connections of a migration: 63 characters at most (PostgreSQL's NAMEDATALEN)."""
    return f"tidegate-migrate-{deployment_id}"
