"""The manifest's field types: names as AWS accepts them, durations, moments of the week, and their refusals.

A refusal here is half a sentence, "is not …": the reader of the errors (`reading.py`) puts the key before it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated, Any, Final, NoReturn
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    BaseModel,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError, core_schema

from tidegate.domain import durations
from tidegate.domain.manifest.problems import one_of, shown, suggestion
from tidegate.domain.regions import REGIONS
from tidegate.domain.smoke import LONGEST_LATENCY, LONGEST_TEXT, LONGEST_URL, URL_PATTERN, is_address
from tidegate.domain.tags import template_fault

# The type of the pydantic errors made here; their context holds `said` and `hint`.
REFUSAL: Final = "tidegate"


def refuse(said: str, hint: str) -> NoReturn:
    raise PydanticCustomError(REFUSAL, "{said}", {"said": said, "hint": hint})


@dataclass(frozen=True, slots=True)
class Matches:
    """Annotates a `str` that must match `pattern` as a whole and be at most `longest` characters."""

    pattern: str
    what: str
    hint: str
    longest: int

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        return core_schema.no_info_after_validator_function(self.check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$", "maxLength": self.longest}

    def check(self, value: str) -> str:
        if len(value) > self.longest:
            refuse(f"is longer than the {self.longest} characters of {self.what}", self.hint)
        if not re.fullmatch(self.pattern, value):
            refuse(f"is not {self.what}: {shown(value)}", self.hint)
        return value


_LOWER_NAME: Final = r"[a-z][a-z0-9-]{0,29}"
_LOWER_HINT: Final = (
    "use a lowercase letter, then lowercase letters, digits and hyphens, 30 characters at most"
)
SystemName = Annotated[str, Matches(_LOWER_NAME, "a system name", _LOWER_HINT, 30)]
# Part of a parameter's path and of the table's keys, like the system's.
EnvironmentName = Annotated[str, Matches(_LOWER_NAME, "an environment name", _LOWER_HINT, 30)]

_KEY: Final = r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}"
_KEY_HINT: Final = "use letters, digits, '_' and '-', 63 characters at most"
ImageKey = Annotated[str, Matches(_KEY, "a name for an image", _KEY_HINT, 63)]
ServiceKey = Annotated[str, Matches(_KEY, "a name for a service", _KEY_HINT, 63)]

# ECR API reference, RepositoryName (the pattern and the lengths of botocore's model, compared by a test).
REPOSITORY_PATTERN: Final = r"[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(\/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*"
RepositoryName = Annotated[
    str,
    Matches(
        rf"(?=..){REPOSITORY_PATTERN}",
        "a name that ECR accepts for a repository",
        "use 2 to 256 lowercase letters and digits, with single '.', '_', '-' or '/' between them;"
        " the name only, no registry and no tag",
        256,
    ),
]

# ECS API reference, CreateService, CreateCluster and ContainerDefinition: "Up to 255 letters (uppercase and
# lowercase), numbers, underscores, and hyphens are allowed."
_ECS: Final = r"[A-Za-z0-9_-]+"
_ECS_HINT: Final = "use letters, digits, '_' and '-', 255 characters at most; the name, not the ARN"
EcsServiceName = Annotated[str, Matches(_ECS, "an ECS service name", _ECS_HINT, 255)]
ClusterName = Annotated[str, Matches(_ECS, "an ECS cluster name", _ECS_HINT, 255)]
ContainerName = Annotated[str, Matches(_ECS, "a container name", _ECS_HINT, 255)]

# CodeBuild API reference, ProjectName.
ProjectName = Annotated[
    str,
    Matches(
        r"[A-Za-z0-9][A-Za-z0-9_-]{1,149}",
        "a CodeBuild project name",
        "use 2 to 150 letters, digits, '_' and '-', a letter or digit first",
        150,
    ),
]

# RDS API reference, DBInstanceIdentifier and DBClusterIdentifier: letters, digits and hyphens, a letter first,
# no two hyphens in a row and none at the end.
DatabaseIdentifier = Annotated[
    str,
    Matches(
        r"[A-Za-z](-?[A-Za-z0-9])*",
        "an RDS identifier",
        "use letters, digits and single hyphens, a letter first, 63 characters at most",
        63,
    ),
]

ENVIRONMENT: Final = "{environment}"


def in_environment(template: str, environment: str) -> str:
    """The name of a secret, as an environment has it."""
    return template.replace(ENVIRONMENT, environment)


# Secrets Manager API reference, CreateSecret Name; in it `{environment}` stands for the environment's name.
SecretTemplate = Annotated[
    str,
    Matches(
        r"([A-Za-z0-9/_+=.@-]|\{environment\})+",
        "a Secrets Manager name",
        "use letters, digits and /_+=.@-, and {environment} for the environment's name, 512 characters at most;"
        " the name, not the ARN",
        512,
    ),
]

# RDS calls the secrets that it manages itself `rds!cluster-…` and `rds!db-…` (RDS user guide, "Password management with
# Amazon RDS and AWS Secrets Manager").
AdminTemplate = Annotated[
    str,
    Matches(
        r"([A-Za-z0-9/_+=.@!-]|\{environment\})+",
        "a Secrets Manager name",
        "use letters, digits and /_+=.@-!, and {environment} for the environment's name, 512 characters at most;"
        " the name, not the ARN",
        512,
    ),
]

# CloudFormation API reference, StackName.
StackName = Annotated[
    str,
    Matches(
        r"[A-Za-z][A-Za-z0-9-]*",
        "a CloudFormation stack name",
        "use letters, digits and hyphens, a letter first, 128 characters at most",
        128,
    ),
]

# CloudWatch API reference, AlarmName: 1 to 255 characters.
AlarmName = Annotated[
    str,
    Matches(
        r"[^\s\x00-\x1f\x7f]([^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f])?",
        "a CloudWatch alarm name",
        "name the alarm, 1 to 255 characters, not its ARN",
        255,
    ),
]

# git check-ref-format(1).
_NOT_IN_REFS: Final = r"\x00-\x20\x7f~^:?*\[\\"
BranchName = Annotated[
    str,
    Matches(
        rf"(?!refs/)(?!.*(\.\.|//|@\{{|/\.|\.lock(/|$)))(?!.*[./]$)[^-./{_NOT_IN_REFS}][^{_NOT_IN_REFS}]*",
        "a branch name",
        "name the branch as git does, without refs/heads/, for example main",
        255,
    ),
]

# PostgreSQL's NAMEDATALEN; MySQL allows 32, which its own server checks.
DatabaseUser = Annotated[
    str,
    Matches(
        r"[A-Za-z_][A-Za-z0-9_$.@-]*",
        "a database user name",
        "use the plain user name, 63 characters at most",
        63,
    ),
]

JsonKey = Annotated[str, Matches(r"[^\x00-\x1f\x7f]+", "a key of the secret's JSON", "name one key", 255)]

# Relative to the root of the source; a build must not reach outside of it.
RelativePath = Annotated[
    str,
    Matches(
        r"(?!/)(?!(.*/)?\.\.(/|$))[^\x00-\x1f\x7f]+",
        "a path inside the repository",
        "write it relative to the repository's root, without '..'",
        1024,
    ),
]

# Inside an image.
AbsolutePath = Annotated[
    str,
    Matches(
        r"/(?!(.*/)?\.\.?(/|$))(?!.*//)([^\x00-\x1f\x7f]*[^\x00-\x1f\x7f/])?",
        "a folder inside an image",
        "write it from the root on, without '..' and without a slash at its end, for example /migrations",
        1024,
    ),
]

_ADDRESS: Final = "an http or https address"
_ADDRESS_HINT: Final = "write it whole, for example https://api.example.com/health"


def _asked(value: str) -> str:
    # What looks like an address, but has no host or no port that can be.
    if not is_address(value):
        refuse(f"is not {_ADDRESS}: {shown(value)}", _ADDRESS_HINT)
    return value


HttpUrl = Annotated[str, Matches(URL_PATTERN, _ADDRESS, _ADDRESS_HINT, LONGEST_URL), AfterValidator(_asked)]

BodyText = Annotated[
    str,
    Matches(
        r"[^\ud800-\udfff]+",
        "a text to look for in an answer",
        f"use 1 to {LONGEST_TEXT} characters that the answer contains as they are",
        LONGEST_TEXT,
    ),
]
Word = Annotated[str, Matches(r"[^\x00]+", "a word", "write at least one character", 4096)]
CommandLine = Annotated[
    str,
    Matches(
        r"[\s\S]*\S[\s\S]*", "a command", "write the command as for a shell, for example make test", 4096
    ),
]


def _region(value: str) -> str:
    if value not in REGIONS:
        refuse(
            f"is not a region that AWS has: {shown(value)}",
            suggestion(value, REGIONS, otherwise="use a region's code, for example us-east-1"),
        )
    return value


Region = Annotated[str, AfterValidator(_region), WithJsonSchema({"type": "string", "enum": list(REGIONS)})]


def _tag_template(value: str) -> str:
    fault = template_fault(value)
    if fault:
        refuse(f"{fault[0]}: {shown(value)}", fault[1])
    return value


TagTemplate = Annotated[str, AfterValidator(_tag_template)]


def _timezone(value: str) -> str:
    hint = "use a name of the IANA time zone database, for example Europe/London or UTC"
    # The folders posix/ and right/ of some machines hold second copies that others do not have.
    if not re.fullmatch(r"(?!posix/|right/|localtime$)[A-Za-z][A-Za-z0-9_+/-]{0,63}", value):
        refuse(f"is not a time zone: {shown(value)}", hint)
    try:
        ZoneInfo(value)
    except (KeyError, ValueError, OSError):
        refuse(f"is not a time zone: {shown(value)}", hint)
    return value


TimezoneName = Annotated[str, AfterValidator(_timezone)]


def _duration(shortest: timedelta, longest: timedelta) -> Callable[[object], timedelta]:
    hint = (
        "write a whole number and one of s, m, h, d, for example 90s or 5m, from"
        f" {durations.format_duration(shortest)} to {durations.format_duration(longest)}"
    )

    def check(value: object) -> timedelta:
        if isinstance(value, str):
            try:
                value = durations.parse_duration(value)
            except ValueError:
                refuse(f"is not a duration: {shown(value)}", hint)
        if not isinstance(value, timedelta):
            refuse(f"must be a duration, not {shown(value)}", hint)
        if not shortest <= value <= longest:
            bound = f"shorter than {durations.format_duration(shortest)}"
            if value > longest:
                bound = f"longer than {durations.format_duration(longest)}"
            refuse(f"is {bound}: {durations.format_duration(value)}", hint)
        return value

    return check


_WRITTEN_DURATION: Final = (
    PlainSerializer(durations.format_duration, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{durations.PATTERN}$"}),
)
# Something waits meanwhile in one Lambda invocation: its limit is 15 minutes.
WithinInvocation = Annotated[
    timedelta, PlainValidator(_duration(timedelta(seconds=1), timedelta(minutes=15))), *_WRITTEN_DURATION
]
# Of one answer of a service.
WithinMinute = Annotated[
    timedelta,
    PlainValidator(_duration(timedelta(seconds=1), timedelta(seconds=LONGEST_LATENCY))),
    *_WRITTEN_DURATION,
]
# The environment's lock is held meanwhile.
WithinDay = Annotated[
    timedelta, PlainValidator(_duration(timedelta(seconds=1), timedelta(days=1))), *_WRITTEN_DURATION
]
MaybeNoneWithinDay = Annotated[
    timedelta, PlainValidator(_duration(timedelta(0), timedelta(days=1))), *_WRITTEN_DURATION
]
WithinMonth = Annotated[
    timedelta, PlainValidator(_duration(timedelta(seconds=1), timedelta(days=30))), *_WRITTEN_DURATION
]
# EventBridge Scheduler's shortest rate is a minute; Secrets Manager's longest rotation interval 999 days.
Interval = Annotated[
    timedelta, PlainValidator(_duration(timedelta(minutes=1), timedelta(days=999))), *_WRITTEN_DURATION
]

WEEKDAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WEEK_TIME: Final = rf"({'|'.join(WEEKDAYS)}) ([01][0-9]|2[0-3]):([0-5][0-9])"


@dataclass(frozen=True, slots=True, order=True)
class WeekTime:
    """A moment of every week. `weekday` counts from Monday, 0, like `datetime.weekday()`."""

    weekday: int
    hour: int
    minute: int

    def __str__(self) -> str:
        return f"{WEEKDAYS[self.weekday]} {self.hour:02}:{self.minute:02}"


def _week_time(value: object) -> WeekTime:
    if isinstance(value, WeekTime):
        return value
    match = re.fullmatch(_WEEK_TIME, value) if isinstance(value, str) else None
    if match is None:
        refuse(
            f"is not a moment of the week: {shown(value)}",
            f'write a day and a time of 24 hours, for example "Fri 16:00"; days are {one_of(WEEKDAYS)}',
        )
    return WeekTime(WEEKDAYS.index(match[1]), int(match[2]), int(match[3]))


WeekTimeField = Annotated[
    WeekTime,
    PlainValidator(_week_time),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": f"^{_WEEK_TIME}$"}),
]


def word_or(part: type[BaseModel], *words: str, written: str) -> WrapValidator:
    """For a field that is one of a few words or a mapping, so that the errors are those of the form that was meant.

    A plain union would report each form's errors, most of them about what nobody wrote.
    """

    def check(value: object, _: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, dict | part):
            return part.model_validate(value)
        if value not in words:
            forms = one_of((*words, written))
            refuse(f"must be {forms}, not {shown(value)}", suggestion(value, words, otherwise=f"use {forms}"))
        return value

    return WrapValidator(check)
