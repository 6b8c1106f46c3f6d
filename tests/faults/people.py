"""People who give commands: an IAM user of their own each, who signs requests to the URL of function `control`."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.e2e.support import SampleCloud

FUNCTION = "tidegate-control"
ANSWERS_SECONDS = 60.0


@dataclass(frozen=True)
class Answer:
    """Of a command: HTTP status and the body's document, which has `error` where it was refused."""

    status: int
    document: dict[str, Any]

    @property
    def code(self) -> str | None:
        """`bad_input`, `not_found`, `refused`, `transient`; None when it was done."""
        code = self.document.get("error", {}).get("code")
        return None if code is None else str(code)

    @property
    def message(self) -> str:
        return str(self.document.get("error", {}).get("message", ""))

    def done(self) -> dict[str, Any]:
        """`{"command", "by", "at", "did", …}`; an AssertionError where it was refused."""
        assert self.status == 200, self.document
        return self.document


@dataclass(frozen=True)
class Person:
    """Somebody who may call function `control`; `arn` is who they are in the ledger."""

    cloud: SampleCloud
    arn: str
    credentials: Credentials

    @classmethod
    def named(cls, cloud: SampleCloud, name: str) -> Person:
        """The IAM user of that name, made if need be, with a new access key."""
        iam, function = cloud.client("iam"), cloud.client("lambda")
        try:
            user = iam.get_user(UserName=name)["User"]
        except iam.exceptions.NoSuchEntityException:
            user = iam.create_user(UserName=name)["User"]
        # Both are needed to call a URL of type AWS_IAM: Lambda developer guide, "Control access to function URLs".
        allowed = {
            "Effect": "Allow",
            "Action": ["lambda:InvokeFunctionUrl", "lambda:InvokeFunction"],
            "Resource": function.get_function(FunctionName=FUNCTION)["Configuration"]["FunctionArn"],
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
        iam.put_user_policy(UserName=name, PolicyName="control", PolicyDocument=document)
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return cls(cloud, user["Arn"], Credentials(key["AccessKeyId"], key["SecretAccessKey"]))

    def command(self, command: str, **fields: Any) -> Answer:
        """Give any command, with its fields as they are."""
        return self.post(json.dumps({"command": command, **fields}).encode())

    def abort(self, deployment: str, reason: str) -> Answer:
        return self.command("abort", deployment=deployment, reason=reason)

    def approve(self, deployment: str, plan: str, reason: str | None = None) -> Answer:
        """`plan` is the digest of the plan that they saw."""
        said = {} if reason is None else {"reason": reason}
        return self.command("approve", deployment=deployment, plan=plan, **said)

    def reject(self, deployment: str, reason: str) -> Answer:
        return self.command("reject", deployment=deployment, reason=reason)

    def freeze(self, system: str, environment: str, reason: str, until: str | None = None) -> Answer:
        ends = {} if until is None else {"until": until}
        return self.command("freeze", system=system, environment=environment, reason=reason, **ends)

    def unfreeze(self, system: str, environment: str, reason: str | None = None) -> Answer:
        said = {} if reason is None else {"reason": reason}
        return self.command("unfreeze", system=system, environment=environment, **said)

    def unlock(self, system: str, environment: str, reason: str) -> Answer:
        return self.command("unlock", system=system, environment=environment, reason=reason)

    def post(self, body: bytes) -> Answer:
        """Any body, signed; the endpoint tells function URLs apart by the Host header."""
        url = self.cloud.client("lambda").get_function_url_config(FunctionName=FUNCTION)["FunctionUrl"]
        region = self.cloud.cloud.options.region
        host = f"{str(urlsplit(url).hostname).partition('.')[0]}.lambda-url.{region}.on.aws"
        headers = {"Content-Type": "application/json", "Host": host}
        request = AWSRequest("POST", f"https://{host}/", data=body, headers=headers)
        SigV4Auth(self.credentials, "lambda", region).add_auth(request)
        netloc = urlsplit(self.cloud.cloud.endpoint_url).netloc
        connection = http.client.HTTPConnection(netloc, timeout=ANSWERS_SECONDS)
        try:
            connection.request("POST", "/", body=body, headers=dict(request.headers.items()))
            answer = connection.getresponse()
            return Answer(answer.status, json.loads(answer.read()))
        finally:
            connection.close()
