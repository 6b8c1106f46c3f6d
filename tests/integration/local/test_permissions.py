"""Roles of functions are enforced; the key pair test/test is the administrator."""

import json

import pytest
from botocore.exceptions import ClientError

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

READS = """
    import boto3

    def handler(event, context):
        return boto3.client("ssm").get_parameter(Name=event["name"])["Parameter"]["Value"]
"""


def test_a_function_may_do_what_its_role_allows_and_nothing_else(cloud: Cloud) -> None:
    for name in ("/shop/open", "/shop/closed"):
        cloud.client("ssm").put_parameter(Name=name, Value="seen", Type="String")
    allowed = "arn:aws:ssm:us-east-1:000000000000:parameter/shop/open"
    function = cloud.function(READS, {"Effect": "Allow", "Action": "ssm:GetParameter", "Resource": allowed})
    client = cloud.client("lambda")

    seen = client.invoke(FunctionName=function, Payload=b'{"name": "/shop/open"}')
    assert json.load(seen["Payload"]) == "seen"

    denied = client.invoke(FunctionName=function, Payload=b'{"name": "/shop/closed"}')
    error = json.load(denied["Payload"])
    assert denied["FunctionError"] == "Unhandled"
    assert "AccessDeniedException" in error["errorMessage"]
    assert "ssm:GetParameter" in error["errorMessage"]


def test_a_caller_is_who_its_role_says(cloud: Cloud) -> None:
    function = cloud.function(
        """
        import boto3

        def handler(event, context):
            return boto3.client("sts").get_caller_identity()["Arn"]
        """
    )
    name = function.rsplit(":", 1)[-1]
    answer = cloud.client("lambda").invoke(FunctionName=function)
    assert json.load(answer["Payload"]) == f"arn:aws:sts::000000000000:assumed-role/{name}/{name}"


def test_an_unknown_key_pair_is_refused(cloud: Cloud) -> None:
    assert cloud.client("sts").get_caller_identity()["Account"] == "000000000000"
    stranger = cloud.client("ssm", access_key="AKIAUNKNOWNUNKNOWN00", secret_key="x")
    with pytest.raises(ClientError) as refused:
        stranger.describe_parameters()
    assert refused.value.response["Error"]["Code"] in ("UnrecognizedClientException", "InvalidClientTokenId")
