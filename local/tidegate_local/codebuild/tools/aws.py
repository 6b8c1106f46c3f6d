"""`aws <service> <operation> --parameter value`, over botocore: what buildspecs use of the AWS CLI.

Options, output and exit codes are those of the AWS CLI user guide ("Command line options", "Controlling command
output", "Return codes"): 252 for a command that cannot be parsed, 254 for an error of the service, 255 for any other.
`aws s3` and the other commands that are no operation of an API are not there, but for `ecr get-login-password`.
"""

import base64
import json
import sys
from collections.abc import Sequence
from datetime import date
from pathlib import Path
from typing import Any

import botocore.session
import jmespath  # type: ignore[import-untyped]
from botocore import xform_name
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError, UnknownServiceError

USAGE, SERVICE_ERROR, OTHER_ERROR = 252, 254, 255
_GLOBAL = {"--query", "--output", "--region", "--endpoint-url", "--profile", "--color", "--cli-read-timeout"}
_FLAGS = {"--no-cli-pager", "--no-paginate", "--no-verify-ssl", "--debug", "--no-cli-auto-prompt"}


class UsageError(Exception):
    """The command line cannot be understood."""


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    try:
        return _run(list(arguments))
    except UsageError as error:
        print(f"\naws: error: {error}", file=sys.stderr)
        return USAGE
    except ParamValidationError as error:
        print(f"\nParameter validation failed:\n{error.kwargs.get('report', error)}", file=sys.stderr)
        return USAGE
    except ClientError as error:
        print(f"\n{error}", file=sys.stderr)
        return SERVICE_ERROR
    except (BotoCoreError, OSError, ValueError) as error:
        print(f"\n{error}", file=sys.stderr)
        return OTHER_ERROR


def _run(arguments: list[str]) -> int:
    options, words, parameters = _split(arguments)
    if "--version" in arguments:
        print(f"aws-cli/0 (the embedded cloud's) botocore/{botocore.__version__}")
        return 0
    if len(words) < 2:
        raise UsageError("the following arguments are required: <service> <operation>")
    session = botocore.session.get_session()
    client = _client(session, words[0], options)
    if words == ["ecr", "get-login-password"]:
        data = client.get_authorization_token()["authorizationData"][0]
        print(base64.b64decode(data["authorizationToken"]).decode().partition(":")[2])
        return 0
    operation = xform_name(words[1].replace("-", "_"))
    if operation not in client.meta.method_to_api_mapping:
        raise UsageError(f"argument operation: Invalid choice: {words[1]!r} is no operation of {words[0]}")
    model = client.meta.service_model.operation_model(client.meta.method_to_api_mapping[operation])
    request = _request(model.input_shape, parameters)
    if client.can_paginate(operation) and "--no-paginate" not in options:
        answer = client.get_paginator(operation).paginate(**request).build_full_result()
    else:
        answer = getattr(client, operation)(**request)
    answer.pop("ResponseMetadata", None)
    query = options.get("--query")
    _print(jmespath.search(query, answer) if query else answer, options.get("--output", "json"))
    return 0


def _split(arguments: list[str]) -> tuple[dict[str, str], list[str], dict[str, list[str]]]:
    """Options of every command, the words before the parameters, the operation's own parameters."""
    options: dict[str, str] = {}
    words: list[str] = []
    parameters: dict[str, list[str]] = {}
    current: list[str] | None = None
    rest = iter(arguments)
    for argument in rest:
        name, sign, value = argument.partition("=")
        if name in _GLOBAL:
            current = None
            options[name] = value if sign else next(rest, "")
        elif argument in _FLAGS:
            current = None
            options[argument] = ""
        elif argument.startswith("--") and len(words) >= 2:
            current = parameters.setdefault(name[2:], [])
            if sign:
                current.append(value)
        elif current is not None:
            current.append(argument)
        elif argument.startswith("--"):
            options[argument] = ""
        else:
            words.append(argument)
    return options, words, parameters


def _client(session: Any, service: str, options: dict[str, str]) -> Any:
    if options.get("--profile"):
        raise UsageError("--profile: a build has the credentials of its service role and no profiles")
    try:
        return session.create_client(
            service, region_name=options.get("--region"), endpoint_url=options.get("--endpoint-url")
        )
    except UnknownServiceError as error:
        raise UsageError(f"argument command: Invalid choice: {service!r} is no service") from error


def _request(shape: Any, parameters: dict[str, list[str]]) -> dict[str, Any]:
    members = (
        {xform_name(name, "-"): (name, member) for name, member in shape.members.items()} if shape else {}
    )
    request: dict[str, Any] = {}
    for option, values in parameters.items():
        if option == "cli-input-json":
            request |= json.loads(_loaded(values[0]))
            continue
        negated = option.startswith("no-") and option not in members
        found = members.get(option.removeprefix("no-") if negated else option)
        if found is None:
            raise UsageError(f"Unknown options: --{option}")
        name, member = found
        if member.type_name == "boolean":
            request[name] = not negated if not values else values[0].lower() == "true"
        elif not values:
            raise UsageError(f"argument --{option}: expected at least one argument")
        else:
            request[name] = _value(member, [_loaded(value) for value in values])
    return request


def _loaded(value: str) -> str:
    return Path(value.removeprefix("file://")).read_text() if value.startswith("file://") else value


def _value(shape: Any, values: list[str]) -> Any:
    """The CLI's shorthand, or JSON."""
    first = values[0].lstrip()
    match shape.type_name:
        case "list":
            if first.startswith("["):
                return json.loads(first)
            inner = shape.member
            if inner.type_name in ("structure", "map"):
                return [_value(inner, [value]) for value in values]
            parts = values if len(values) > 1 else values[0].split(",")
            return [_value(inner, [part]) for part in parts]
        case "structure" | "map":
            return json.loads(first) if first.startswith("{") else _shorthand(shape, values[0])
        case "integer" | "long":
            return int(values[0])
        case "float" | "double":
            return float(values[0])
        case "boolean":
            return values[0].lower() == "true"
        case "blob":
            if values[0].startswith("fileb://"):
                return Path(values[0].removeprefix("fileb://")).read_bytes()
            return values[0].encode()
    return values[0]


def _shorthand(shape: Any, text: str) -> dict[str, Any]:
    """`key=value,other=value` (AWS CLI user guide, "Using shorthand syntax")."""
    found: dict[str, Any] = {}
    last = ""
    for part in text.split(","):
        name, sign, value = part.partition("=")
        if not sign:
            if not last:
                raise UsageError(f"Error parsing parameter: expected '=' in {text!r}")
            # A comma in the value, or the next entry of a list.
            found[last].append(part)
        else:
            last = name.strip()
            found[last] = [value]
    members: dict[str, Any] | None = getattr(shape, "members", None)
    result = {}
    for name, values in found.items():
        inner = shape.value if members is None else members.get(name)
        if inner is None:
            raise UsageError(
                f"Unknown parameter in input: {name!r}, must be one of: {', '.join(members or ())}"
            )
        result[name] = _value(inner, values if inner.type_name == "list" else [",".join(values)])
    return result


def _print(value: Any, output: str) -> None:
    if output == "text":
        for line in _text(value):
            print(line)
    elif output in ("json", "yaml", "table"):
        # JSON for those too: nobody reads a build's log with a program.
        print(json.dumps(value, indent=4, default=_plain, ensure_ascii=False))
    else:
        raise UsageError(f"argument --output: Invalid choice: {output!r}")


def _text(value: Any, heading: str = "") -> list[str]:
    if isinstance(value, dict):
        plain = [_scalar(value[key]) for key in sorted(value) if not isinstance(value[key], (dict, list))]
        lines = ["\t".join(([heading] if heading else []) + plain)] if plain else []
        for key in sorted(value):
            if isinstance(value[key], (dict, list)):
                lines += _text(value[key], key.upper())
        return lines
    if isinstance(value, list):
        if any(isinstance(entry, (dict, list)) for entry in value):
            return [line for entry in value for line in _text(entry, heading)]
        return ["\t".join(([heading] if heading else []) + [_scalar(entry) for entry in value])]
    return [_scalar(value)]


def _scalar(value: Any) -> str:
    return str(_plain(value))


def _plain(value: Any) -> Any:
    """Of what JSON has no form for."""
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
