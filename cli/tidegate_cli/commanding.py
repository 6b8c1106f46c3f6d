"""Commands of people, sent to the function `control` over its URL and signed with the caller's own credentials: IAM
says who asked, and who may."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ProxyConnectionError,
)
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies
from tidegate.adapters.errors import asking, code_of
from tidegate.domain.errors import (
    BadInputError,
    NotFoundError,
    OutsideError,
    RefusalError,
    TidegateError,
    TransientError,
)

from tidegate_cli.failures import UNEXPECTED, CommandError

# To connect, and to read: the function's own time-out is 30 s (template.yaml), and Lambda answers a moment later.
_SECONDS = (5, 35)
_ATTEMPTS = 3
_PERMISSIONS = "lambda:InvokeFunctionUrl and lambda:InvokeFunction"
_AWS_HOSTS = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
# The function's fields by the words of the command line.
_OPTIONS = {
    "deployment": "DEPLOYMENT",
    "system": "SYSTEM",
    "environment": "ENV",
    "reason": "--reason",
    "until": "--until",
}
_ERRORS: Mapping[str, type[TidegateError]] = {
    "bad_input": BadInputError,
    "not_found": NotFoundError,
    "transient": TransientError,
}


def control_of(stack: str) -> str:
    """The function's name."""
    return f"{stack}-control"


class Control:
    """`client` makes boto3's Lambda client, `credentials` gives botocore's of the session."""

    def __init__(
        self,
        client: Callable[[], Any],
        credentials: Callable[[], Any],
        region: str,
        stack: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._credentials = credentials
        self._region = region
        self._stack = stack
        self._pause = pause

    def command(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """What `{"command", …}` did: `{"command", "by", "at", "did", …}`. Raises the refusal as the function means it,
        TransientError when there was no answer, and CommandError where the function cannot be called."""
        url, function = self._url()
        body = json.dumps(request).encode()
        problem = TransientError(f"function {control_of(self._stack)} did not answer")
        in_doubt = False
        for attempt in range(_ATTEMPTS):
            if attempt:
                self._pause(float(attempt))
            try:
                status, text = self._post(url, body)
            except TransientError as error:
                problem = error
                never_sent = (EndpointConnectionError, ConnectTimeoutError, ProxyConnectionError)
                in_doubt = in_doubt or not isinstance(error.__cause__, never_sent)
                continue
            if status == 429 or status >= 500:
                problem = _unanswered(self._stack, status, text)
                # Lambda throttles before it calls the function.
                in_doubt = in_doubt or status != 429
                continue
            try:
                return answer_of(status, text, function)
            except RefusalError as refused:
                raise _doubted(refused) if in_doubt else refused from None
        raise problem

    def _url(self) -> tuple[str, str]:
        """The function's URL and ARN."""
        name = control_of(self._stack)
        with asking("lambda:GetFunctionUrlConfig"):
            try:
                found = self._client().get_function_url_config(FunctionName=name)
            except ClientError as error:
                if code_of(error) != "ResourceNotFoundException":
                    raise
                raise CommandError(
                    f"there is no function {name} with a URL here, which carries this command out",
                    code="not_installed",
                    exit_code=UNEXPECTED,
                    hint="check --stack, --region and --profile; an installation that is older than this command"
                    " line is updated by sam build && sam deploy",
                ) from error
        return str(found["FunctionUrl"]), str(found["FunctionArn"])

    def _post(self, url: str, body: bytes) -> tuple[int, bytes]:
        """Status and body. The signature is over the URL's own host, wherever the request is sent."""
        address = self._address(url)
        headers = {"Content-Type": "application/json", "Host": urlsplit(url).netloc}
        request = AWSRequest("POST", url, data=body, headers=headers)
        with asking("lambda:InvokeFunctionUrl"):
            credentials = self._credentials()
            if credentials is None:
                raise NoCredentialsError
            SigV4Auth(credentials.get_frozen_credentials(), "lambda", self._region).add_auth(request)
            prepared = request.prepare()
            prepared.url = address
            # Its stubs know neither the path of a bundle nor two time-outs.
            make: Any = URLLib3Session
            session = make(
                verify=os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or True,
                proxies=get_environ_proxies(address),
                timeout=_SECONDS,
            )
            answer = session.send(prepared)
            return int(answer.status_code), bytes(answer.content)

    def _address(self, url: str) -> str:
        """Where the request is sent: an endpoint that is not AWS's own (AWS_ENDPOINT_URL) stands in for the host."""
        endpoint = str(self._client().meta.endpoint_url)
        if (urlsplit(endpoint).hostname or "").endswith(_AWS_HOSTS):
            return url
        return endpoint.rstrip("/") + (urlsplit(url).path or "/")


def answer_of(status: int, text: bytes, function: str) -> dict[str, Any]:
    """The document of an answer; raises what another one means. `function` is the ARN of who gave it."""
    said = _object(text)
    if status == 200:
        return said
    error = said.get("error")
    if isinstance(error, dict):
        code = str(error.get("code"))
        field = str(error["field"]) if error.get("field") else None
        raise _ERRORS.get(code, RefusalError)(
            str(error.get("message")),
            field=_OPTIONS.get(field or "", field),
            hint=error.get("hint"),
            code=code,
        )
    if status == 403:
        # Lambda's own answer, before the function is called.
        why = said.get("Message") or said.get("message") or "Forbidden"
        raise CommandError(
            f"you may not call {function.rpartition(':')[2]}, which carries this command out: {why}",
            code="access_denied",
            exit_code=UNEXPECTED,
            hint=f"allow {_PERMISSIONS} on {function} to your role",
        )
    raise OutsideError(f"{function.rpartition(':')[2]} answered with status {status}")


def _unanswered(stack: str, status: int, text: bytes) -> TransientError:
    error = _object(text).get("error")
    if isinstance(error, dict) and error.get("message"):
        return TransientError(str(error["message"]), hint=error.get("hint"))
    name = control_of(stack)
    return TransientError(
        f"function {name} answered with status {status}", hint=f"try again; its log is /aws/lambda/{name}"
    )


def _doubted(refused: RefusalError) -> RefusalError:
    """An attempt that got no answer may be what this one was refused for."""
    doubt = "an attempt before got no answer and may have done it already"
    hint = f"{doubt}; {refused.hint}" if refused.hint else doubt
    return type(refused)(refused.message, field=refused.field, hint=hint, code=refused.code)


def _object(text: bytes) -> dict[str, Any]:
    try:
        said = json.loads(text)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}
