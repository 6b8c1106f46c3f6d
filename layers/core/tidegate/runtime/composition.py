"""The ports on AWS: `compose` for a function, `connect` for the command line.

Making them loads no service model and sends nothing: a client is created when its port is first used.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tidegate.adapters.autoscaling import ApplicationAutoScaling
from tidegate.adapters.clients import Clients
from tidegate.adapters.cloudwatch import CloudWatchAlarms
from tidegate.adapters.codebuild import CodeBuildBuilds
from tidegate.adapters.codecommit import CodeCommitSources
from tidegate.adapters.dynamodb_store import DynamoDbStore
from tidegate.adapters.ecr import EcrImages
from tidegate.adapters.ecs import EcsContainers
from tidegate.adapters.events import EventBridgeBus
from tidegate.adapters.http import HttpWeb
from tidegate.adapters.logins import DatabaseLogins
from tidegate.adapters.logs import CloudWatchLogs
from tidegate.adapters.postgres import PostgresDatabases
from tidegate.adapters.rds import RdsBackups
from tidegate.adapters.references import AwsReferences
from tidegate.adapters.registry import SsmRegistry
from tidegate.adapters.scheduler import SchedulerSchedules, Target, role_of
from tidegate.adapters.secrets import SecretsManagerSecrets
from tidegate.adapters.stepfunctions import StepFunctions
from tidegate.adapters.webhook_secrets import SecretsManagerWebhookSecrets
from tidegate.ports import Metrics, Ports
from tidegate.runtime.settings import STACK, TABLE_HINT, Settings, SettingsError

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_dynamodb import DynamoDBClient


class SystemClock:
    def now(self) -> datetime:
        return datetime.now(UTC)


class NoMetrics:
    """For a person's terminal, where EMF lines would be noise."""

    def count(self, name: str, value: float = 1, unit: str = "Count", **dimensions: str) -> None:  # noqa: ARG002
        return None


def compose(settings: Settings, metrics: Metrics, clients: Clients) -> Ports:
    def machines() -> str:
        return f"arn:{clients.partition}:states:{clients.region}:{clients.account}:stateMachine:{settings.stack}-"

    def database() -> DynamoDBClient:
        if settings.table is None:
            raise SettingsError("this function has no table", field="TIDEGATE_TABLE", hint=TABLE_HINT)
        client: DynamoDBClient = clients.client("dynamodb")
        return client

    clock = SystemClock()
    store = DynamoDbStore(database, settings.table or "")
    return Ports(
        store=store,
        containers=EcsContainers(lambda: clients.client("ecs")),
        images=EcrImages(lambda: clients.client("ecr")),
        builds=CodeBuildBuilds(lambda: clients.client("codebuild")),
        sources=CodeCommitSources(lambda: clients.client("codecommit")),
        references=AwsReferences(
            lambda region: clients.client("secretsmanager", region),
            lambda region: clients.client("ssm", region),
            lambda: clients.account,
        ),
        alarms=CloudWatchAlarms(lambda: clients.client("cloudwatch")),
        logs=CloudWatchLogs(lambda: clients.client("logs")),
        registry=SsmRegistry(lambda: clients.client("ssm"), store),
        executions=StepFunctions(lambda: clients.client("stepfunctions"), machines),
        bus=EventBridgeBus(lambda: clients.client("events")),
        metrics=metrics,
        clock=clock,
        webhook_secrets=SecretsManagerWebhookSecrets(
            lambda: clients.client("secretsmanager"), settings.github_secret, clock, metrics
        ),
        web=HttpWeb(),
        databases=PostgresDatabases(lambda region: clients.client("secretsmanager", region)),
        backups=RdsBackups(lambda: clients.client("rds")),
        logins=DatabaseLogins(),
        secrets=SecretsManagerSecrets(lambda region: clients.client("secretsmanager", region)),
        schedules=SchedulerSchedules(
            lambda: clients.client("scheduler"),
            settings.stack,
            lambda: Target.of(
                settings.stack,
                clients.partition,
                clients.region,
                clients.account,
                role_of(clients.client("cloudformation"), settings.stack),
            ),
        ),
        scaling=ApplicationAutoScaling(lambda: clients.client("application-autoscaling")),
    )


def connect(session: boto3.Session, stack: str = STACK, table: str | None = None) -> Ports:
    """The ports of an installation, with the credentials and the region of a session.

    By convention the table is named like the stack. Raises SettingsError when the session has no region.
    """
    region = session.region_name
    if not region:
        raise SettingsError(
            "no region is chosen", field="AWS_REGION", hint="set AWS_REGION, or name a profile that has one"
        )
    settings = Settings(table=table or stack, region=region, stack=stack)
    return compose(settings, NoMetrics(), Clients(region, session=session))
