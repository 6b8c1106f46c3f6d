"""Does every environment still run what was released there, and would its infrastructure as code leave it so?

Whoever has an image of its own in a template, a Terraform configuration or a CDK app rolls it out with the next change
of a variable: a bootstrap image, `latest`, or the release of last month. docs/adopt.md says how it takes the image from
where Tidegate keeps it.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import chain

from tidegate.adapters.errors import asking
from tidegate.domain.deployment import Current
from tidegate.domain.errors import OutsideError
from tidegate.domain.manifest import EnvironmentView
from tidegate.domain.plan import DEPLOYMENT_TAG
from tidegate.domain.release import release_name
from tidegate.domain.rollout import ServiceState
from tidegate.ledger.locks import Locks
from tidegate.ports import TaskDefinition

from tidegate_cli.doctor.findings import Finding, carried_out, error, ok, skipped, warning
from tidegate_cli.doctor.inspection import Inspection, Registered

# SSM API reference, GetParameters: "Maximum number of 10 items".
_AT_ONCE = 10
_PAGE = "docs/adopt.md"


def drift(inspection: Inspection) -> Iterator[Finding]:
    for entry in inspection.registered:
        if entry.view is not None and entry.view.services:
            yield from carried_out(_name(entry), partial(_one, entry, entry.view), inspection)


def _name(entry: Registered) -> str:
    return f"what {entry.name} runs"


def _one(entry: Registered, view: EnvironmentView, inspection: Inspection) -> Iterator[Finding]:
    name = _name(entry)
    current = inspection.ledger.current(entry.system, entry.environment)
    if current is None:
        yield skipped(name, "nothing was released there yet")
        return
    if not Locks(inspection.ports.store, inspection.ports.clock).read(entry.system, entry.environment).free:
        yield skipped(name, "a deployment is under way", "ask again when it has ended")
        return
    drift_ = _Drift(inspection, view, current)
    whole = True
    # Where one of them may not look, what those before it found is told all the same.
    for finding in chain(drift_.running(name), drift_.told(name), drift_.counts(name)):
        whole = False
        yield finding
    if whole:
        yield ok(name, f"{release_name(current.release)}, and infrastructure as code is told so")


@dataclass
class _Drift:
    """One environment that nobody is releasing to."""

    inspection: Inspection
    view: EnvironmentView
    current: Current

    @property
    def _place(self) -> str:
        return f"/tidegate/{self.view.system}/{self.view.name}"

    @property
    def _release(self) -> str:
        return release_name(self.current.release)

    @cached_property
    def _states(self) -> Mapping[str, ServiceState]:
        """By the manifest's key, of those that ECS has."""
        names = {key: service.service for key, service in self.view.services.items()}
        known = self.inspection.ports.containers.services(self.view.cluster, sorted(names.values()))
        return {key: known[name] for key, name in names.items() if name in known}

    @cached_property
    def _wanted(self) -> Mapping[str, str]:
        """The digest of each service that was released, by its key."""
        found = {key: self.current.services.get(key, {}).get("digest") for key in self.view.services}
        return {key: digest for key, digest in found.items() if digest}

    @cached_property
    def _parameters(self) -> Mapping[str, str]:
        """What infrastructure as code is told, by the parameter's name."""
        images = {f"{self._place}/image/{service.image}" for service in self.view.services.values()}
        counts = {f"{self._place}/count/{key}" for key in self.view.services}
        names = sorted(images | counts)
        found: dict[str, str] = {}
        for start in range(0, len(names), _AT_ONCE):
            with asking("ssm:GetParameters"):
                answer = self.inspection.client("ssm").get_parameters(Names=names[start : start + _AT_ONCE])
            found |= {parameter["Name"]: parameter["Value"] for parameter in answer["Parameters"]}
        return found

    def running(self, name: str) -> Iterator[Finding]:
        """Services on another image, and newest revisions that somebody else has made with one."""
        containers = self.inspection.ports.containers
        again = self.inspection.given.command(
            "deploy", self.view.system, self.view.name, "--release", self._release
        )
        for key, digest in self._wanted.items():
            state = self._states.get(key)
            running = None if state is None else containers.task_definition(_primary(state))
            if running is None:
                continue
            image = self._image(key, running)
            if not _is(image, digest):
                yield error(
                    name,
                    f"service {key} runs {image} ({_short(running)}{_by(running)}), not {self._release}",
                    f"{again} --wait brings it back; let the stack take the image from"
                    f" {self._place}/image/{self.view.services[key].image} ({_PAGE})",
                )
                continue
            newest = containers.task_definition(running.family)
            if newest is None or newest.arn == running.arn or DEPLOYMENT_TAG in newest.tags:
                continue
            image = self._image(key, newest)
            if not _is(image, digest):
                yield warning(
                    name,
                    f"service {key}: the newest revision of its task definition ({_short(newest)}{_by(newest)}) has"
                    f" {image}, not {self._release}",
                    f"a release puts its own image in, but whoever rolls that revision brings this one back: let the"
                    f" stack take the image from {self._place}/image/{self.view.services[key].image} ({_PAGE})",
                )

    def told(self, name: str) -> Iterator[Finding]:
        """Image parameters that say something else than what was released."""
        seen = set()
        for key, digest in self._wanted.items():
            image = self.view.services[key].image
            parameter = f"{self._place}/image/{image}"
            if image in seen:
                continue
            seen.add(image)
            value = self._parameters.get(parameter)
            if value is not None and _is(value, digest):
                continue
            said = "is not there" if value is None else f"says {value}"
            yield warning(
                name,
                f"{parameter} {said}, not {self._release}: the next update of a stack that takes the image from it"
                f" {'fails' if value is None else 'rolls that'}",
                self._put(parameter, self._uri(image, digest)),
            )

    def counts(self, name: str) -> Iterator[Finding]:
        """Counts that an update of the stack would take back."""
        for key, state in self._states.items():
            parameter = f"{self._place}/count/{key}"
            text = self._parameters.get(parameter)
            if text is None or text.strip() == str(state.desired_count) or self._autoscaled(state):
                continue
            scale = self.inspection.given.command(
                "scale", self.view.system, self.view.name, key, str(state.desired_count)
            )
            yield warning(
                name,
                f"service {key} has a desired count of {state.desired_count}, and {parameter} says {text}: the next"
                " update of its stack may change it",
                f"{scale} --reason … tells it, if the count is meant; {_PAGE}",
            )

    def _autoscaled(self, state: ServiceState) -> bool:
        try:
            return self.inspection.ports.scaling.bounds(self.view.cluster, state.name) is not None
        except OutsideError:
            # Who may not look is told of a difference that may be none.
            return False

    def _image(self, key: str, definition: TaskDefinition) -> str:
        """Of the container that releases replace; of the only one, where the manifest names none."""
        wanted = self.view.services[key].container
        containers = definition.content["containerDefinitions"]
        named = [entry for entry in containers if wanted in (None, entry["name"])]
        return str(named[0].get("image", "")) if named else "no image"

    def _uri(self, image: str, digest: str) -> str:
        uri = self.inspection.ports.images.uri(self.view.images[image].repository)
        return f"{uri or '<repository>'}@{digest}"

    def _put(self, parameter: str, value: str) -> str:
        command = ["aws", "ssm", "put-parameter", "--name", parameter, "--type", "String", "--overwrite"]
        return f"{shlex.join([*command, '--value', value])} ({_PAGE})"


def _primary(state: ServiceState) -> str:
    return state.task_definition if state.primary is None else state.primary.task_definition


def _is(image: str, digest: str) -> bool:
    return image.endswith(f"@{digest}")


def _short(definition: TaskDefinition) -> str:
    return definition.arn.rsplit("/", 1)[-1]


def _by(definition: TaskDefinition) -> str:
    return "" if DEPLOYMENT_TAG in definition.tags else ", which Tidegate did not register"
