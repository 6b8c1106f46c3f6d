"""infrastructure/database.yaml as it is rendered for each engine."""

from __future__ import annotations

from typing import Any

from tests.systems.rendering import ROOT, Rendered, render_file

DATABASE = ROOT / "infrastructure/database.yaml"
ENGINES = {
    "postgres": {"Engine": "postgres", "EngineVersion": "15.8", "ParameterFamily": "postgres15"},
    "mysql": {
        "Engine": "mysql",
        "EngineVersion": "8.0.42",
        "ParameterFamily": "mysql8.0",
        "PerformanceInsights": "false",
    },
    "aurora-postgresql": {
        "Engine": "aurora-postgresql",
        "EngineVersion": "15.8",
        "ParameterFamily": "aurora-postgresql15",
    },
}
NEEDED = {
    "Identifier": "orders",
    "DatabaseName": "orders",
    "MasterUsername": "orders_admin",
    "AdminSecretName": "orders/admin",
    "SecretName": "orders/database",
    "UserName": "orders_a",
    "VpcId": "vpc-1",
    "SubnetIds": "subnet-1,subnet-2",
}
ARN = "arn:aws:kms:eu-west-1:111122223333:key/1a2b"
PASSWORD = "{{resolve:secretsmanager:<AdminSecret>:SecretString:password}}"
DATABASES = ("AWS::RDS::DBInstance", "AWS::RDS::DBCluster")


def database(engine: str = "postgres", **parameters: str) -> Rendered:
    return render_file(DATABASE, **(NEEDED | ENGINES[engine] | parameters))


def server(rendered: Rendered) -> dict[str, Any]:
    """The properties of what holds the data."""
    [found] = [
        own
        for type_ in DATABASES
        for own in rendered.of(type_).values()
        if own.get("DBClusterIdentifier") in {None, "orders"} and "StorageEncrypted" in own
    ]
    return found


def settings(rendered: Rendered) -> dict[str, Any]:
    [found] = [
        *rendered.of("AWS::RDS::DBParameterGroup").values(),
        *rendered.of("AWS::RDS::DBClusterParameterGroup").values(),
    ]
    parameters: dict[str, Any] = found["Parameters"]
    return parameters


def secret(rendered: Rendered, name: str) -> dict[str, Any]:
    return rendered.named("AWS::SecretsManager::Secret", Name=name)
