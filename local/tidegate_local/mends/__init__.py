"""Every difference between MiniStack and AWS that Tidegate would notice, mended one by one.

Each module says what AWS does and where that is written, what MiniStack does, and how it is mended.
"""

import functools
from collections.abc import Callable
from dataclasses import dataclass

from tidegate_local import events
from tidegate_local.codebuild.api import Builds
from tidegate_local.codecommit import api as codecommit
from tidegate_local.codecommit import pushes
from tidegate_local.codecommit.repositories import Repositories
from tidegate_local.databases.servers import Servers
from tidegate_local.ecs import api as ecs_api
from tidegate_local.ecs.announcements import Outbox
from tidegate_local.ecs.runtime import Simulated, TaskRuntime
from tidegate_local.ecs.scheduler import Scheduler
from tidegate_local.faults import FaultBoard
from tidegate_local.mends import (
    alarm_events,
    application_scaling,
    async_invocation,
    database_servers,
    database_snapshots,
    database_states,
    error_names,
    function_url_identity,
    iam_resources,
    image_scans,
    layer_blobs,
    layers_once,
    load_balancers,
    missing_images,
    registry_address,
    rule_dead_letters,
    schedules,
    secret_events,
    secret_versions,
    secure_transport,
    stack_alarms,
    stack_attributes,
    stack_buckets,
    stack_conditions,
    stack_nested,
    stack_parameters,
    stack_rules,
    stack_secrets,
    stack_tasks,
    stack_types,
    table_settings,
    task_definitions,
    warm_functions,
)
from tidegate_local.settings import Settings
from tidegate_local.silence import Deliver, Silence
from tidegate_local.states import engine as states

REGISTRY: dict[str, Callable[[], None]] = {
    "application_scaling": application_scaling.install,
    "async_invocation": async_invocation.install,
    "database_states": database_states.install,
    "error_names": error_names.install,
    "function_url_identity": function_url_identity.install,
    "iam_resources": iam_resources.install,
    "image_scans": image_scans.install,
    "layers_once": layers_once.install,
    "load_balancers": load_balancers.install,
    "missing_images": missing_images.install,
    "rule_dead_letters": rule_dead_letters.install,
    "schedules": schedules.install,
    "secret_versions": secret_versions.install,
    "secure_transport": secure_transport.install,
    "stack_alarms": stack_alarms.install,
    "stack_attributes": stack_attributes.install,
    "stack_buckets": stack_buckets.install,
    "stack_conditions": stack_conditions.install,
    "stack_nested": stack_nested.install,
    "stack_parameters": stack_parameters.install,
    "stack_rules": stack_rules.install,
    "stack_secrets": stack_secrets.install,
    "stack_tasks": stack_tasks.install,
    "stack_types": stack_types.install,
    "table_settings": table_settings.install,
    "task_definitions": task_definitions.install,
    "warm_functions": warm_functions.install,
}
ANNOUNCING: dict[str, Callable[[Deliver], None]] = {
    "alarm_events": alarm_events.install,
    "database_snapshots": database_snapshots.install,
    "secret_events": secret_events.install,
}
"""Those that put events on the bus, each unless its source is silent."""
ECS, REGISTRY_ADDRESS, LAYER_BLOBS = "ecs", "registry_address", "layer_blobs"
DATABASE_SERVERS = "database_servers"
NAMES = (ECS, REGISTRY_ADDRESS, LAYER_BLOBS, DATABASE_SERVERS, *REGISTRY, *ANNOUNCING, *states.PARTS)


@dataclass(frozen=True, slots=True)
class Installed:
    """The part of the mends that runs beside MiniStack."""

    scheduler: Scheduler
    engine: states.Engine
    builds: Builds
    silence: Silence
    report_push: Callable[[pushes.Push], list[str]]

    def start(self) -> None:
        """Begin; MiniStack is about to serve."""
        self.scheduler.start()

    def wake(self) -> None:
        """A fault was set or cleared."""
        self.scheduler.wake()

    def stop(self) -> None:
        """End; returns when nothing runs any more."""
        self.scheduler.stop()
        self.engine.running.abandon()
        self.builds.stop()


def install(settings: Settings, board: FaultBoard, servers: Servers | None = None) -> Installed:
    """Install all mends but those left out; `servers` are for databases of RDS.

    Raises `MendDoesNotFitError`, `ValueError` for unknown names.
    """
    unknown = settings.without - {*NAMES}
    if unknown:
        raise ValueError(f"no such mend: {', '.join(sorted(unknown))}; there are: {', '.join(NAMES)}")
    events.check_fit()
    for name, mend in REGISTRY.items():
        if name not in settings.without:
            mend()
    if settings.docker and REGISTRY_ADDRESS not in settings.without:
        registry_address.install(settings.registry)
    if LAYER_BLOBS not in settings.without:
        layer_blobs.install(settings.registry)
    if DATABASE_SERVERS not in settings.without:
        database_servers.install(servers)
    silence = Silence()
    deliver = silence.over(events.deliver)
    for name, announcing in ANNOUNCING.items():
        if name not in settings.without:
            announcing(deliver)
    announce = functools.partial(deliver, account=settings.account, region=settings.region)
    outbox = Outbox(deliver, silent=not settings.ecs_events)
    scheduler = Scheduler(board, settings.pace, outbox, _runtime(settings))
    if ECS not in settings.without:
        ecs_api.install(scheduler)
    engine = states.Engine()
    states.install(engine, settings.without)
    repositories = Repositories(settings)
    codecommit.install(repositories)
    builds = Builds(settings, repositories, announce)
    builds.install()
    report_push = functools.partial(pushes.receive, repositories, announce=announce)
    return Installed(scheduler, engine, builds, silence, report_push)


def _runtime(settings: Settings) -> TaskRuntime:
    if not settings.docker:
        return Simulated()
    # The SDK is loaded only where there is an engine.
    from tidegate_local.ecs.containers import Containers  # noqa: PLC0415

    return Containers(settings)
