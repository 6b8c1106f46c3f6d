"""What every call has in common: where options may stand, how errors are told, what the help says."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from hypothesis import given
from hypothesis import strategies as st
from tidegate import __version__
from tidegate.domain.errors import BadInputError, LostLockError, OutsideError, RefusalError, TransientError
from tidegate_cli.connection import connect
from tidegate_cli.failures import CommandError, Failure, failure_of
from tidegate_cli.lazy import Entry, LazyCommand
from tidegate_cli.main import COMMANDS, app
from tidegate_cli.options import Given

from tests.unit.cli.conftest import Terminal
from tests.unit.steps.conftest import ENVIRONMENT, SYSTEM

EXIT_CODES = {0, 1, 2, 10, 20, 30, 40, 124}
OURS = [entry.name for entry in COMMANDS if entry.name not in ("local", "demo")]


# options


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json", "--region", "us-east-1", "--stack", "two", "--profile", "p", "--local", "status"],
        ["status", "--json", "--region", "us-east-1", "--stack", "two", "--profile", "p", "--local"],
        ["--json", "--region", "us-east-1", "status", "--stack", "two", "--profile", "p", "--local"],
        [
            "--region",
            "eu-west-1",
            "--stack",
            "one",
            "status",
            "--region",
            "us-east-1",
            "--stack",
            "two",
            "--json",
            "--profile",
            "p",
            "--local",
        ],
    ],
)
def test_global_options_stand_before_or_after_the_command(terminal: Terminal, arguments: list[str]) -> None:
    result = terminal.run(*arguments)
    assert json.loads(result.stdout)
    assert terminal.given == [Given("us-east-1", "p", "two", json=True, local=True)]


def test_the_stack_and_the_region_may_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEGATE_STACK", "two")
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert (connect(Given()).stack, connect(Given()).region) == ("two", "eu-west-2")
    named = connect(Given(region="us-east-1", stack="three"))
    assert (named.stack, named.region) == ("three", "us-east-1")
    monkeypatch.delenv("TIDEGATE_STACK")
    assert connect(Given()).stack == "tidegate"


def test_no_region_and_a_wrong_one_have_a_mend(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    none = refused(Given())
    assert (none.exit_code, none.document["error"]["code"]) == (1, "no_region")
    wrong = refused(Given(region="us-est-1"))
    assert wrong.exit_code == 2
    assert wrong.document["error"]["hint"] == "did you mean us-east-1?"
    profile = refused(Given(region="us-east-1", profile="nope"))
    assert (profile.exit_code, profile.document["error"]["code"]) == (1, "no_profile")


def refused(given: Given) -> Failure:
    with pytest.raises((CommandError, BadInputError)) as caught:
        connect(given)
    return failure_of(caught.value)


def test_a_command_line_for_a_person_reaches_the_same_installation() -> None:
    given = Given("us-east-1", None, "two", local=True)
    assert given.command("show", "a b") == "tidegate --local --region us-east-1 --stack two show 'a b'"


def test_json_as_the_value_of_an_option_is_no_wish_for_json(terminal: Terminal) -> None:
    result = terminal.run("rollback", SYSTEM, ENVIRONMENT, "--to", "yesterday", "--reason", "--json")
    assert (result.exit_code, result.stdout) == (2, "")


def test_the_version_is_told_both_ways(terminal: Terminal) -> None:
    assert terminal.run("--version").stdout == f"tidegate {__version__}\n"
    for arguments in (["--json", "--version"], ["--version", "--json"]):
        assert json.loads(terminal.run(*arguments).stdout) == {"version": __version__}


# errors


@pytest.mark.parametrize(
    "arguments",
    [
        ["--json"],
        ["--json", "nothing"],
        ["status", "--nothing", "--json"],
        ["status", "a", "b", "c", "--json"],
        ["history", "shop", "--json"],
        ["--json", "deploy", "shop", "production", "--image"],
        ["--json", "--region"],
        ["--json", "local"],
        ["--json", "local", "events"],
    ],
)
def test_a_usage_error_is_a_document_too(terminal: Terminal, arguments: list[str]) -> None:
    result = terminal.run(*arguments)
    assert result.exit_code == 2
    error = json.loads(result.stdout)["error"]
    assert error["code"] == "bad_usage"
    assert error["message"]
    assert "--help" in error["hint"]
    assert result.stderr == ""


def test_a_mistyped_command_is_answered_with_the_nearest(terminal: Terminal) -> None:
    result = terminal.run("stauts")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Did you mean 'status'?" in result.stderr


def test_without_arguments_there_is_the_help(terminal: Terminal) -> None:
    result = terminal.run()
    assert result.exit_code == 2
    assert "Usage: tidegate" in result.output


def test_an_unexpected_error_has_no_traceback_unless_it_is_asked_for(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.shop.world.registry.fails("systems", *[RuntimeError("the moon\nis full")] * 3)
    result = terminal.run("status")
    assert (result.exit_code, result.stdout) == (1, "")
    assert "RuntimeError: the moon is full" in result.stderr
    assert "TIDEGATE_DEBUG=1" in result.stderr
    assert "Traceback" not in result.stderr
    error = terminal.json("status", exit_code=1)["error"]
    assert (error["code"], error["message"]) == ("unexpected", "RuntimeError: the moon is full")
    monkeypatch.setenv("TIDEGATE_DEBUG", "1")
    result = terminal.run("--json", "status")
    assert "Traceback" in result.stderr
    assert json.loads(result.stdout)["error"]["code"] == "unexpected"


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (BadInputError("x"), 2),
        (RefusalError("x"), 30),
        (OutsideError("x"), 1),
        (TransientError("x"), 1),
        (LostLockError("x"), 1),
        (ValueError("x"), 1),
    ],
)
def test_exit_codes_of_errors(error: Exception, exit_code: int) -> None:
    assert failure_of(error).exit_code == exit_code


def outside(code: str) -> OutsideError:
    """As an adapter raises it: from botocore's ClientError."""

    error = OutsideError(f"service:Action: {code}: it says no")
    error.__cause__ = ClientError({"Error": {"Code": code, "Message": "no"}}, "Action")
    return error


@pytest.mark.parametrize("code", ["ResourceNotFoundException", "StateMachineDoesNotExist"])
def test_an_installation_that_is_not_there_has_a_mend(terminal: Terminal, code: str) -> None:
    terminal.shop.world.store.fails("get", outside(code))
    error = terminal.json("status", exit_code=1)["error"]
    assert error["code"] == "not_installed"
    for mend in ("--stack", "--region", "tidegate local up"):
        assert mend in error["hint"]


@pytest.mark.parametrize(
    ("aws_code", "code"),
    [
        ("AccessDeniedException", "access_denied"),
        ("ExpiredTokenException", "expired_credentials"),
        ("ValidationException", "outside"),
    ],
)
def test_what_aws_says_no_to_has_a_code_of_its_own(terminal: Terminal, aws_code: str, code: str) -> None:
    terminal.shop.world.registry.fails("systems", outside(aws_code))
    error = terminal.json("status", exit_code=1)["error"]
    assert (error["code"], error["message"]) == (code, f"service:Action: {aws_code}: it says no")


def test_missing_credentials_are_said_in_words(terminal: Terminal) -> None:
    error = OutsideError("ssm:GetParametersByPath: NoCredentialsError", hint="sign in")
    error.__cause__ = NoCredentialsError()
    terminal.shop.world.registry.fails("systems", error)
    said = terminal.json("status", exit_code=1)["error"]
    assert (said["code"], said["hint"]) == ("no_credentials", "sign in")
    assert "no AWS credentials were found" in said["message"]


def test_an_endpoint_that_does_not_answer_has_a_mend(terminal: Terminal) -> None:
    error = TransientError("ssm:GetParametersByPath: EndpointConnectionError")
    error.__cause__ = EndpointConnectionError(endpoint_url="http://127.0.0.1:9")
    terminal.shop.world.registry.fails("systems", error)
    said = terminal.json("status", exit_code=1)["error"]
    assert said["code"] == "unreachable"
    assert "tidegate local up" in said["hint"]


def test_a_command_whose_package_is_not_installed_says_so() -> None:
    entry = Entry("local", "x", "x", "tidegate_cli.nowhere", missing="install it")
    with pytest.raises(CommandError) as caught:
        LazyCommand(entry).load()
    failure = failure_of(caught.value)
    assert failure.exit_code == 1
    assert failure.document["error"]["code"] == "not_available"
    assert failure.document["error"]["hint"] == "install it"


# help


def groups() -> list[tuple[str, Any]]:
    root: Any = typer.main.get_command(app)
    return [(name, root.commands[name]) for name in OURS]


@pytest.mark.parametrize("name", OURS)
def test_each_command_explains_itself_with_examples(terminal: Terminal, name: str) -> None:
    result = terminal.run(name, "--help")
    assert result.exit_code == 0
    assert "Examples" in result.stdout
    assert f"tidegate {name}" in result.stdout.split("Examples")[1]
    assert "--json" in result.stdout


@pytest.mark.parametrize(("name", "placeholder"), groups())
def test_the_list_of_commands_says_what_the_commands_say(name: str, placeholder: Any) -> None:
    loaded = placeholder.load()
    assert loaded.help.split("\n")[0].startswith(placeholder.help.rstrip("."))


def test_the_help_loads_neither_boto3_nor_pydantic() -> None:
    """Start-up is what a person waits for: the list of commands must not pay for what they need."""
    script = (
        "import sys; from tidegate_cli.main import app\n"
        "try: app(['--help'])\n"
        "except SystemExit: pass\n"
        "print([name for name in ('boto3', 'pydantic', 'tidegate_local') if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert run.stderr.strip() == "[]"


# whatever is typed


words = st.one_of(
    st.sampled_from(
        [*OURS, SYSTEM, ENVIRONMENT, "--image", "--release", "--commit", "r1", "--limit", "--to"]
    ),
    st.sampled_from(["--wait", "--timeout", "1s", "--reason", "--region", "--stack", "--json", "--", "-"]),
    st.sampled_from(["app=sha256:" + "0" * 64, "-e", "--environment", "--version", "--local", "="]),
    st.text(max_size=12).filter(lambda text: text not in ("-h",)),
)


@given(st.lists(words, max_size=8))
def test_whatever_is_typed_gives_one_document_and_an_exit_code_of_the_contract(arguments: list[str]) -> None:
    terminal = Terminal()
    result = terminal.run("--json", *arguments)
    assert result.exit_code in EXIT_CODES
    assert isinstance(result.exception, SystemExit | None)
    assert "Traceback" not in result.output
    json.loads(result.stdout)


@given(st.lists(words, max_size=8))
def test_whatever_is_typed_is_answered_to_a_person_without_a_traceback(arguments: list[str]) -> None:
    result = Terminal().run(*arguments)
    assert result.exit_code in EXIT_CODES
    assert isinstance(result.exception, SystemExit | None)
    assert "Traceback" not in result.output
    assert result.output
