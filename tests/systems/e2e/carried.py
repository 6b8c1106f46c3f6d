"""One system in one environment of an account, carried by a developer's pushes and by who is on call."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tidegate.domain.build import Build, BuildOutcome
from tidegate.domain.deployment import Deployment, Phase
from tidegate.domain.errors import TransientError
from tidegate.domain.outcome import Outcome
from tidegate.ledger.locks import Locks
from tidegate_local import pushing

from tests.docker import python_image
from tests.docker.shop import Images, address
from tests.e2e.own_system import OwnSystem
from tests.e2e.pushing import Developer
from tests.support.scratch import Scratch
from tests.support.waiting import wait_until
from tests.systems import rendering
from tests.systems.e2e import bootstrap, logins
from tests.systems.e2e.account import ACCOUNT, Account, Machine
from tests.systems.e2e.combinations import Combination
from tests.systems.e2e.sources import APPS, Sources

T = TypeVar("T")
BUILDS_SECONDS = 600.0
ENDS_SECONDS = 600.0
SETTLES_SECONDS = 120.0


class InEnvironment(OwnSystem):
    """The services of a manifest as one of its environments has them."""

    environment = "production"

    @classmethod
    def named(cls, cloud: Account, manifest: Mapping[str, Any], environment: str) -> InEnvironment:
        place = manifest["environments"][environment]
        services = {
            key: {**entry, "service": key, **entry} | place.get("services", {}).get(key, {})
            for key, entry in manifest["services"].items()
        }
        found = cls(cloud, {**manifest, "services": services})
        object.__setattr__(found, "environment", environment)
        return found

    @property
    def name(self) -> str:
        """Of its cluster, which is what `OwnSystem` asks ECS with."""
        return str(self.manifest["environments"][self.environment]["cluster"])


@dataclass
class Carried:
    """`developer` has a clone with a branch for each that the environments follow."""

    account: Account
    combination: Combination
    folder: Path
    outputs: Mapping[str, str] = field(default_factory=dict)
    first: Deployment | None = None

    def __post_init__(self) -> None:
        self.manifest = self.combination.manifest
        self.system, self.environment = self.combination.system, self.combination.environment
        self.developer = Developer(self.account, self.system, Scratch.begin(self.folder / "clone"))
        base = ""
        if self.account.engine is not None:
            base = python_image.build(self.account.engine, self.account.registry, APPS / "requirements.txt")
        self.sources = Sources(self.manifest, base)

    # --- what stands

    def provision(self) -> None:
        """The stack, and that of an environment whose releases have to succeed first."""
        given = {
            **Machine.parameters(),
            "SourceType": "CODECOMMIT",
            "SourceLocation": self.system,
            "CreateRegistry": "true",
            # Commands of the application that stands for the team's own.
            "ApiCommand": "python,-m,app,serve",
            "WorkerCommand": "python,-m,app,work",
            # Its image trusts whom the machine trusts, which has the authority of the embedded databases among it.
            "ConnectionOptions": ";SSL Mode=VerifyFull",
        }
        if self.account.engine is not None:
            given["BootstrapImage"] = bootstrap.push(
                Images(self.account, self.account.engine),
                self.sources.base,
            )
        self.account.client("codecommit").create_repository(repositoryName=self.system)
        for place in self.places:
            domain = rendering.settings(self.system, place)["parameter_overrides"].get("DomainName", "")
            zone = self.account.hosted_zone(domain or f"{self.system}.example.com")
            self.outputs = self.account.deploy_system(self.system, place, {**given, "HostedZoneId": zone})
            given["CreateRegistry"] = "false"

    def run_functions_there(self) -> None:
        """The runner of each environment, and what `tidegate apply` adds to the registration: the schedules."""
        for place in self.places:
            outputs = self.account.outputs(str(rendering.settings(self.system, place)["stack_name"]))
            self.account.deploy_runner(
                str(self.manifest["environments"][place]["runner"]),
                {
                    "SubnetIds": outputs["RunnerSubnetIds"],
                    "SecurityGroupIds": outputs["RunnerSecurityGroupIds"],
                    "SecretsKey": outputs["SecretsKeyArn"],
                    **self._secrets(place),
                },
            )
            path = rendering.SYSTEMS / self.system / "tidegate.yaml"
            self.said("apply", str(path), "--environment", place)

    def adopt(self) -> None:
        """Both users of a database that is new."""
        for place in self.places:
            secret = logins.of(self.account.client("secretsmanager"), self.manifest, place)
            self.said("secrets", "adopt", self.system, place, secret.name, "--yes")

    @property
    def places(self) -> list[str]:
        """The environments that this one needs, itself last."""
        before = self.combination.before
        return [self.environment] if before is None else [before, self.environment]

    @property
    def secret(self) -> logins.Secret:
        return logins.of(self.account.client("secretsmanager"), self.manifest, self.environment)

    def running(self, place: str | None = None) -> InEnvironment:
        """What ECS says of its services."""
        return InEnvironment.named(self.account, self.manifest, place or self.environment)

    def columns(self) -> list[str]:
        """Of the table that the migrations make, as the database tells who the services log in as: it shows nobody what
        is not theirs."""
        found = logins.rows(
            self.secret.credential(),
            "SELECT column_name FROM information_schema.columns WHERE table_name = 'items' ORDER BY ordinal_position",
        )
        return [str(name) for (name,) in found]

    @property
    def migrates(self) -> bool:
        """Whether something runs its migrations: a simulated task runs nothing."""
        return self.account.engine is not None or self.manifest["migrations"].get("runner") == "sql"

    # --- releases

    def release(self, message: str, files: Mapping[str, str]) -> Deployment:
        """Push, and follow it to the outcome of its release in the environment."""
        followed = self.places[0]
        released = self.followed(self.build(message, files))
        if followed == self.environment or released.outcome is not Outcome.SUCCEEDED:
            return released
        return self.promote(released)

    def build(self, message: str, files: Mapping[str, str]) -> Build:
        """Push, and follow it to what was built."""
        branch = str(self.manifest["environments"][self.places[0]]["branch"])
        scratch = self.developer.scratch
        scratch.write(files)
        for tool in scratch.folder.rglob("bin/*"):
            tool.chmod(0o755)
        commit = scratch.commit(message)
        bare = pushing.bare_repository(self.account.checkout, self.system)
        scratch.git("push", "--quiet", str(bare), f"HEAD:refs/heads/{branch}")

        def look() -> Build | None:
            known = self.developer.builds.history(self.system, 20)
            return next((one for one in known if one.commit == commit and one.outcome is not None), None)

        build = wait_until(
            _patient(look), what=f"the build of {message!r}", seconds=BUILDS_SECONDS, pause=0.3
        )
        assert build.outcome is BuildOutcome.BUILT, self.said("show", build.id)
        return build

    def followed(self, build: Build) -> Deployment:
        """Its release in the environment that follows the branch, with its outcome."""
        return self._ended(self.places[0], build.deployments[self.places[0]])

    def succeeded(self, deployment: Deployment, outcome: Outcome = Outcome.SUCCEEDED) -> Deployment:
        """The same, which has to have that outcome; else what it failed with is told."""
        if deployment.outcome is not outcome:
            raise AssertionError(json.dumps(self.said("show", deployment.id), indent=1)[:6000])
        return deployment

    def promote(self, released: Deployment) -> Deployment:
        """What ran there before, here."""
        return self.deployed("deploy", "--release", f"r{released.release}")

    def deployed(self, command: str, *words: str, place: str = "") -> Deployment:
        """A deployment that somebody asks for, with its outcome."""
        place = place or self.environment
        asked = self.account.tidegate(command, self.system, place, *words)
        assert asked.exit_code == 0, asked.output + asked.progress
        identity = str(asked.document["deployment"])
        return self._ended(place, lambda entry: entry.id == identity)

    def _ended(self, place: str, execution: Any) -> Deployment:
        """The deployment of an execution, with its outcome; it is approved where the environment wants that."""
        wanted = execution if callable(execution) else lambda entry: entry.execution == execution
        approved: set[str] = set()

        def look() -> Deployment | None:
            history = self.account.ledger.history(self.system, place, 20)
            found = next((entry for entry in history if wanted(entry)), None)
            if found is None:
                return None
            if found.phase is Phase.AWAITING_APPROVAL and found.id not in approved:
                approved.add(found.id)
                self.said("approve", found.id, "--yes", "--reason", "looked at")
            return found if found.outcome is not None else None

        ended = wait_until(_patient(look), what=f"a release in {place}", seconds=ENDS_SECONDS, pause=0.3)
        if ended.outcome is Outcome.FAILED_DIRTY:
            return ended  # which keeps the lock
        free = _patient(lambda: self._free(place))
        wait_until(free, what="a free lock", seconds=ENDS_SECONDS, pause=0.2)
        return ended

    def _free(self, place: str) -> bool:
        return Locks(self.account.ports.store, self.account.ports.clock).read(self.system, place).free

    def answers(self, path: str) -> dict[str, list[dict[str, Any]]]:
        """What each task of each service that listens answers over HTTP, by the service's key; of containers alone."""
        system, ecs, found = self.running(), self.account.client("ecs"), {}
        for key, arn in system.task_definitions().items():
            [container] = ecs.describe_task_definition(taskDefinition=arn)["taskDefinition"][
                "containerDefinitions"
            ]
            ports = [entry["containerPort"] for entry in container.get("portMappings", [])]
            if ports:
                addresses = [address(task) for task in system.tasks(key)]
                found[key] = [json.loads(ask(f"http://{one}:{ports[0]}{path}")[1]) for one in addresses]
        return found

    def order(self, deployment: Deployment, what: str = "rolling") -> list[str]:
        """Keys of the services, in the order in which they began to roll."""
        lines = self.account.ledger.timeline(deployment.id)
        return list(dict.fromkeys(str(line.service) for line in lines if line.what == what))

    # --- what somebody asks

    def said(self, *words: str) -> Any:
        """The document of a command that has to succeed."""
        ended = self.account.tidegate(*words)
        assert ended.exit_code == 0, ended.output + ended.progress
        return ended.document

    def _secrets(self, place: str) -> dict[str, str]:
        """Which secrets the functions of an environment may read and write."""
        rotated = [name.replace("{environment}", place) for name in self.manifest["secrets"]]
        admins = [
            entry["admin"].replace("{environment}", place)
            for entry in self.manifest["secrets"].values()
            if "admin" in entry
        ]
        migrations = self.manifest.get("migrations", {}).get("secret")
        given = {
            "RotatedSecrets": self._arns(rotated),
            "AdminSecrets": self._arns(admins),
            "MigrationSecrets": self._arns(
                [migrations.replace("{environment}", place)] if migrations else []
            ),
        }
        return {name: value for name, value in given.items() if value}

    def _arns(self, names: Iterable[str]) -> str:
        where = f"arn:aws:secretsmanager:{self.account.region}:{ACCOUNT}:secret"
        return ",".join(f"{where}:{name}-??????" for name in dict.fromkeys(names))


def _patient(look: Callable[[], T | None]) -> Callable[[], T | None]:
    """What is not told in time, on a machine that is busy with five builds, is asked again."""

    def asked() -> T | None:
        try:
            return look()
        except TransientError:
            return None

    return asked


def ask(url: str, host: str = "") -> tuple[int, str]:
    """Status and body; no proxy is asked."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    request = urllib.request.Request(url, headers={"Host": host} if host else {})  # noqa: S310 -- of this machine
    try:
        with opener.open(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as refused:
        return refused.code, refused.read().decode()
