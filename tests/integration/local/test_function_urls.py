"""A function URL with AuthType AWS_IAM lets in who may, and tells the function who that is."""

import http.client
import json
import uuid
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

ECHOES = """
    import json

    def handler(event, context):
        return {"statusCode": 200, "body": json.dumps(event)}
"""


@dataclass(frozen=True)
class Url:
    """A function URL that is reached through the endpoint of the embedded cloud."""

    cloud: Cloud
    function: str
    host: str

    def post(self, credentials: Credentials | None, body: bytes = b'{"hello": 1}') -> tuple[int, Any]:
        """Status and body of an answer; unsigned without credentials."""
        headers = {"Content-Type": "application/json", "Host": self.host}
        request = AWSRequest("POST", f"https://{self.host}/hooks", data=body, headers=headers)
        if credentials:
            SigV4Auth(credentials, "lambda", self.cloud.region).add_auth(request)
        connection = http.client.HTTPConnection(urlsplit(self.cloud.endpoint_url).netloc, timeout=10)
        try:
            connection.request("POST", "/hooks", body=body, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def caller(self, credentials: Credentials) -> dict[str, Any]:
        """Who the function was told called it."""
        status, event = self.post(credentials)
        assert (status, event["rawPath"], event["body"]) == (200, "/hooks", '{"hello": 1}')
        iam: dict[str, Any] = event["requestContext"]["authorizer"]["iam"]
        return iam


@pytest.fixture
def url(cloud: Cloud) -> Url:
    function = cloud.function(ECHOES)
    created = cloud.client("lambda").create_function_url_config(FunctionName=function, AuthType="AWS_IAM")
    url_id = str(urlsplit(created["FunctionUrl"]).hostname).partition(".")[0]
    return Url(cloud, function, f"{url_id}.lambda-url.{cloud.region}.on.aws")


def user(cloud: Cloud, function: str, *actions: str, **condition: Any) -> tuple[dict[str, Any], Credentials]:
    """A new IAM user who may do that with the function, and a key of theirs."""
    iam, name = cloud.client("iam"), f"person-{uuid.uuid4().hex[:8]}"
    created = iam.create_user(UserName=name)["User"]
    if actions:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": function, **condition}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName=name, PolicyName="own", PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return created, Credentials(key["AccessKeyId"], key["SecretAccessKey"])


def test_the_function_is_told_which_user_called(cloud: Cloud, url: Url) -> None:
    created, credentials = user(cloud, url.function, "lambda:InvokeFunctionUrl", "lambda:InvokeFunction")
    assert url.caller(credentials) == {
        "accessKey": credentials.access_key,
        "accountId": "000000000000",
        "callerId": created["UserId"],
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": created["Arn"],
        "userId": created["UserId"],
    }


def test_a_role_is_told_with_its_session(cloud: Cloud, url: Url) -> None:
    allowed = {
        "Effect": "Allow",
        "Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"],
        "Resource": url.function,
    }
    name = f"caller-{uuid.uuid4().hex[:8]}"
    role = cloud.role(name, allowed)
    trust = {"Effect": "Allow", "Principal": {"AWS": "000000000000"}, "Action": "sts:AssumeRole"}
    cloud.client("iam").update_assume_role_policy(
        RoleName=name, PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    )
    given = cloud.client("sts").assume_role(RoleArn=role, RoleSessionName="dora")
    key = given["Credentials"]
    credentials = Credentials(key["AccessKeyId"], key["SecretAccessKey"], key["SessionToken"])
    caller = url.caller(credentials)
    assert caller["userArn"] == given["AssumedRoleUser"]["Arn"]
    assert caller["userArn"].endswith(f":assumed-role/{name}/dora")
    assert caller["userId"] == caller["callerId"] == given["AssumedRoleUser"]["AssumedRoleId"]


def test_the_administrator_is_the_root_of_the_account(url: Url) -> None:
    assert url.caller(Credentials("test", "test"))["userArn"] == "arn:aws:iam::000000000000:root"


@pytest.mark.parametrize("actions", [(), ("lambda:InvokeFunctionUrl",), ("lambda:InvokeFunction",)])
def test_who_lacks_a_permission_is_refused(cloud: Cloud, url: Url, actions: tuple[str, ...]) -> None:
    _, credentials = user(cloud, url.function, *actions)
    assert url.post(credentials)[0] == 403


def test_a_permission_may_be_for_the_url_only(cloud: Cloud, url: Url) -> None:
    """The second permission is asked for with the key that says so."""
    _, credentials = user(
        cloud,
        url.function,
        "lambda:InvokeFunction",
        Condition={"Bool": {"lambda:InvokedViaFunctionUrl": "true"}},
    )
    username = cloud.client("iam").get_access_key_last_used(AccessKeyId=credentials.access_key)["UserName"]
    statement = {"Effect": "Allow", "Action": "lambda:InvokeFunctionUrl", "Resource": url.function}
    cloud.client("iam").put_user_policy(
        UserName=username,
        PolicyName="url",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
    )
    assert url.post(credentials)[0] == 200


def test_an_unsigned_request_is_refused(url: Url) -> None:
    assert url.post(None)[0] == 403


def test_a_signature_with_another_secret_is_refused(cloud: Cloud, url: Url) -> None:
    _, credentials = user(cloud, url.function, "lambda:InvokeFunctionUrl", "lambda:InvokeFunction")
    other = Credentials(credentials.access_key, "not the secret")
    assert url.post(other)[0] == 403


def test_a_url_for_everybody_names_nobody(cloud: Cloud) -> None:
    function = cloud.function(ECHOES)
    client = cloud.client("lambda")
    created = client.create_function_url_config(FunctionName=function, AuthType="NONE")
    client.add_permission(
        FunctionName=function,
        StatementId="everybody",
        Action="lambda:InvokeFunctionUrl",
        Principal="*",
        FunctionUrlAuthType="NONE",
    )
    url_id = str(urlsplit(created["FunctionUrl"]).hostname).partition(".")[0]
    status, event = Url(cloud, function, f"{url_id}.lambda-url.{cloud.region}.on.aws").post(None)
    assert status == 200
    assert "authorizer" not in event["requestContext"]
