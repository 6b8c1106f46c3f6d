"""The secret that the stack's function `webhook` reads, so that a push can be signed and sent here as well."""

from pathlib import Path

from tidegate_local.lifecycle import environment
from tidegate_local.lifecycle.record import Cloud

NAME = "tidegate/github"
PARAMETER = "GitHubSecret"


def parameters(cloud: Cloud, built: Path) -> list[str]:
    """`GitHubSecret=<ARN>` of a secret that knows no repository yet; nothing where the template does not ask."""
    if f"{PARAMETER}:" not in built.read_text():
        return []
    import boto3  # noqa: PLC0415 - half a second, which only a deployment pays

    client = boto3.client(
        "secretsmanager",
        endpoint_url=cloud.endpoint_url,
        region_name=cloud.options.region,
        aws_access_key_id=environment.ACCESS_KEY_ID,
        aws_secret_access_key=environment.SECRET_ACCESS_KEY,
    )
    try:
        arn = client.create_secret(Name=NAME, SecretString="{}")["ARN"]
    except client.exceptions.ResourceExistsException:
        arn = client.describe_secret(SecretId=NAME)["ARN"]
    return [f"{PARAMETER}={arn}"]
