"""What a manifest may not say: where, in which words, and with which mend. One row a refusal."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from tidegate.domain.manifest import ManifestError, parse_manifest

BASE: dict[str, Any] = {
    "system": "arive",
    "images": {"app": {"repository": "arive-api"}},
    "services": {"api": {"image": "app"}, "worker": {"image": "app"}},
    "database": {"cluster": "arive-cluster"},
    "migrations": {"service": "api", "command": ["migrate"]},
    "secrets": {"db": {"kind": "postgres", "admin": "db-admin"}},
    "environments": {
        "production": {
            "region": "us-east-1",
            "cluster": "arive-cluster",
            "freeze": [{"from": "Fri 16:00", "to": "Mon 08:00", "timezone": "Europe/London"}],
            "bake": {"for": "5m", "alarms": ["arive-5xx"]},
            "services": {"api": {"wave": 2}},
        },
        "staging": {"region": "us-east-1", "cluster": "staging"},
    },
}
GONE = object()
PRODUCTION = ("environments", "production")
SECRET = ("secrets", "db")
Row = tuple[tuple[str | int, ...], object, str, str, str]

ROWS: list[Row] = [
    # where, what is there instead, the field reported, a part of the message, a part of the hint
    # Keys and shapes
    (("sytem",), 1, "sytem", '"sytem" is not a key of the manifest', 'did you mean "system"?'),
    (
        ("services", "api", "Wave"),
        1,
        "services.api.Wave",
        "is not a key of a service",
        'did you mean "wave"?',
    ),
    (
        ("images", "app", "x"),
        1,
        "images.app.x",
        "is not a key of an image",
        "the keys of an image are repository, tag",
    ),
    ((*PRODUCTION, "regoin"), 1, "environments.production.regoin", "not a key of an environment", '"region"'),
    (
        (*PRODUCTION, "bake", "duration"),
        "5m",
        "environments.production.bake.duration",
        "not a key of a bake",
        "for",
    ),
    (
        (*PRODUCTION, "freeze", 0, "form"),
        1,
        "environments.production.freeze[0].form",
        "a freeze window",
        '"from"',
    ),
    (
        (*PRODUCTION, "services", "api", "tag"),
        "x",
        "environments.production.services.api.tag",
        "not a key",
        "image",
    ),
    (("system",), GONE, "system", '"system" is missing', "add it, for example system: arive"),
    (("images", "app", "repository"), GONE, "images.app.repository", "is missing", "repository: arive-api"),
    (("services", "api", "image"), GONE, "services.api.image", '"image" is missing', "image: app"),
    ((*PRODUCTION, "region"), GONE, "environments.production.region", "is missing", "region: us-east-1"),
    (
        (*PRODUCTION, "cluster"),
        GONE,
        "environments.production.cluster",
        "is missing",
        "cluster: arive-cluster",
    ),
    (("environments",), GONE, "environments", '"environments" is missing', "add it"),
    (("environments",), {}, "environments", '"environments" must not be empty', "name at least one"),
    (
        ("environments",),
        [],
        "environments",
        "must be a mapping of keys to values, not a list",
        "production: {region",
    ),
    (
        ("environments",),
        None,
        "environments",
        '"environments" has no value',
        "give it one, or remove the key",
    ),
    (
        ("images",),
        "app",
        "images",
        'must be a mapping of keys to values, not "app"',
        "images: {app: {repository",
    ),
    (("services", "api"), 5, "services.api", "must be a mapping of keys to values, not 5", "{image: app}"),
    (
        ("services", "api", "container"),
        None,
        "services.api.container",
        '"container" has no value',
        "remove the key",
    ),
    (
        ("services", "api", "service"),
        5,
        "services.api.service",
        '"service" must be text, not 5',
        'quotes: "5"',
    ),
    (
        ("services", "api", "service"),
        True,
        "services.api.service",
        "must be text, not true",
        'quotes: "true"',
    ),
    (
        ("images", "app", "tag"),
        {"commit": None},
        "images.app.tag",
        "must be text, not a mapping",
        'tag: "{commit}"',
    ),
    (
        (*PRODUCTION, "bake", "alarms"),
        "a",
        "environments.production.bake.alarms",
        "must be a list",
        "[arive-5xx]",
    ),
    (
        (*PRODUCTION, "bake", "alarms"),
        [],
        "environments.production.bake.alarms",
        "must not be empty",
        "at least one",
    ),
    (
        (*PRODUCTION, "bake", "alarms"),
        [5],
        "environments.production.bake.alarms[0]",
        "item 1 of",
        "put it in quotes",
    ),
    (
        (*PRODUCTION, "bake", "alarms"),
        [""],
        "environments.production.bake.alarms[0]",
        "alarm name",
        "name the alarm",
    ),
    # Names
    (("system",), "Arive", "system", 'is not a system name: "Arive"', "lowercase"),
    (("system",), "1arive", "system", "is not a system name", "use a lowercase letter"),
    (("system",), "a" * 31, "system", "longer than the 30 characters of a system name", "30 characters"),
    (("system",), "arive\n", "system", "is not a system name", "lowercase"),
    (
        ("environments",),
        {"Prod": BASE["environments"]["staging"]},
        "environments.Prod",
        "an environment name",
        "lower",
    ),
    (
        ("images", "a b"),
        {"repository": "ab"},
        'images."a b"',
        '"a b" is not a name for an image',
        "use letters",
    ),
    (
        ("services", "a.b"),
        {"image": "app"},
        'services."a.b"',
        '"a.b" is not a name for a service',
        "use letters",
    ),
    (
        ("services", "api", "service"),
        "a.b",
        "services.api.service",
        "is not an ECS service name",
        "not the ARN",
    ),
    (
        ("services", "api", "container"),
        "a b",
        "services.api.container",
        "is not a container name",
        "use letters",
    ),
    (
        (*PRODUCTION, "cluster"),
        "a/b",
        "environments.production.cluster",
        "is not an ECS cluster name",
        "not the ARN",
    ),
    (
        (*PRODUCTION, "branch"),
        "refs/heads/main",
        "environments.production.branch",
        "branch name",
        "without refs/heads",
    ),
    (
        (*PRODUCTION, "branch"),
        "a..b",
        "environments.production.branch",
        "is not a branch name",
        "as git does",
    ),
    ((*PRODUCTION, "branch"), "-a", "environments.production.branch", "is not a branch name", "as git does"),
    (
        (*PRODUCTION, "branch"),
        "a.lock",
        "environments.production.branch",
        "is not a branch name",
        "as git does",
    ),
    (
        (*PRODUCTION, "runner"),
        "1x",
        "environments.production.runner",
        "a CloudFormation stack name",
        "a letter first",
    ),
    (
        (*PRODUCTION, "after"),
        "Staging",
        "environments.production.after",
        "is not an environment name",
        "lowercase",
    ),
    (("secrets", "a b"), {"kind": "token"}, 'secrets."a b"', "is not a Secrets Manager name", "not the ARN"),
    (("database", "cluster"), "a--b", "database.cluster", "is not an RDS identifier", "single hyphens"),
    # Residency
    (
        ("residency",),
        ["eu-west-2"],
        "environments.production.region",
        '"region" is outside the system\'s residency: "us-east-1"',
        "use eu-west-2, or let residency name",
    ),
    (("residency",), ["eu-west-22"], "residency[0]", "is not a region that AWS has", '"eu-west-2"'),
    (("residency",), [], "residency", "must not be empty", "at least one"),
    (("residency",), "eu-west-2", "residency", "must be a list", "[eu-west-2]"),
    # Images
    (
        ("images", "app", "repository"),
        "Arive",
        "images.app.repository",
        "ECR accepts for a repository",
        "lowercase",
    ),
    (("images", "app", "repository"), "a", "images.app.repository", "ECR accepts", "2 to 256"),
    (("images", "app", "repository"), "a" * 257, "images.app.repository", "longer than the 256", "2 to 256"),
    (("images", "app", "repository"), "a..b", "images.app.repository", "ECR accepts", "single '.'"),
    (("images", "app", "repository"), "/ab", "images.app.repository", "ECR accepts", "between them"),
    (
        ("images", "app", "repository"),
        "ab:1",
        "images.app.repository",
        "ECR accepts",
        "no registry and no tag",
    ),
    (("images", "app", "tag"), "{branch}", "images.app.tag", "unknown placeholder {branch}", "use {commit}"),
    (("images", "app", "tag"), "{commit", "images.app.tag", "a brace without its partner", "{commit}"),
    (
        ("images", "app", "tag"),
        ".{commit}",
        "images.app.tag",
        "does not make a valid image tag",
        "128 characters",
    ),
    (
        ("images", "app", "build"),
        {},
        "images.app.build.project",
        '"project" is missing',
        "project: arive-build",
    ),
    (
        ("images", "app", "build"),
        {"project": "p"},
        "images.app.build.project",
        "a CodeBuild project name",
        "2 to 150",
    ),
    (
        ("images", "app", "build"),
        {"project": "pp", "context": "../x"},
        "images.app.build.context",
        "a path inside the repository",
        "without '..'",
    ),
    (
        ("images", "app", "build"),
        {"project": "pp", "test": " "},
        "images.app.build.test",
        "is not a command",
        "make test",
    ),
    (
        ("images",),
        {
            "app": {"repository": "rr", "build": {"project": "pp"}},
            "b": {"repository": "rr", "build": {"project": "pp"}},
        },
        "images.b.tag",
        'is the same as that of image "app"',
        'tag: "b-{commit}"',
    ),
    (
        ("images", "app"),
        {"repository": "rr", "tag": "latest", "build": {"project": "pp"}},
        "images.app.tag",
        '"tag" is the same for every commit',
        'tag: "{commit}"',
    ),
    (
        ("images", "app", "watch"),
        ["backend/**", "!"],
        "images.app.watch[1]",
        '"watch" holds no path pattern: "!"',
        "as in a .gitignore, for example backend/**",
    ),
    # Services
    (("services", "api", "wave"), 0, "services.api.wave", '"wave" must be 1 or more, not 0', "use 1 or more"),
    (("services", "api", "wave"), -3, "services.api.wave", "must be 1 or more, not -3", "use 1 or more"),
    (
        ("services", "api", "wave"),
        1001,
        "services.api.wave",
        "must be 1000 or less, not 1001",
        "use 1000 or less",
    ),
    (("services", "api", "wave"), "2", "services.api.wave", 'must be a whole number, not "2"', "wave: 1"),
    (("services", "api", "wave"), True, "services.api.wave", "must be a whole number, not true", "wave: 1"),
    (("services", "api", "wave"), 1.5, "services.api.wave", "must be a whole number, not 1.5", "wave: 1"),
    (
        ("services", "api", "wave"),
        10**5000,
        "services.api.wave",
        "not a very large number",
        "use 1000 or less",
    ),
    (
        (*PRODUCTION, "services", "api", "wave"),
        0,
        "environments.production.services.api.wave",
        "1 or more",
        "use 1",
    ),
    (
        ("services", "api", "image"),
        "ap",
        "services.api.image",
        'names no image of the manifest: "ap"',
        '"app"?',
    ),
    (("services", "api", "image"), "zzz", "services.api.image", "names no image", 'use one of: "app"'),
    (("images",), {}, "services.api.image", "names no image of the manifest", "add it under images"),
    (
        (*PRODUCTION, "services", "api", "image"),
        "zzz",
        "environments.production.services.api.image",
        "names no image of the manifest",
        'use one of: "app"',
    ),
    (
        (*PRODUCTION, "services", "apy"),
        {},
        "environments.production.services.apy",
        '"apy" is no service of the manifest',
        'did you mean "api"?',
    ),
    (
        ("services", "worker", "service"),
        "api",
        "services.worker.service",
        'services "api" and "worker" have one ECS service name, "api", in one cluster, "arive-cluster" of "production"',
        'a name of its own with "service"',
    ),
    (
        ("services", "api", "service"),
        "worker",
        "services.worker",
        'have one ECS service name, "worker"',
        'a name of its own with "service"',
    ),
    (
        ("environments", "staging", "services"),
        {"api": {"service": "worker"}},
        "services.worker",
        '"worker", in one cluster, "staging" of "staging"',
        "a name of its own",
    ),
    (
        ("environments", "staging", "services"),
        {"worker": {"service": "api"}},
        "environments.staging.services.worker.service",
        '"api", in one cluster, "staging" of "staging"',
        "a name of its own",
    ),
    (("services", "api", "smoke"), {}, "services.api.smoke.url", '"url" is missing', "https://"),
    (
        ("services", "api", "smoke"),
        {"url": "ftp://x"},
        "services.api.smoke.url",
        "an http or https address",
        "whole",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "expect": 99},
        "services.api.smoke.expect",
        "must be 100 or more, not 99",
        "use 100 or more",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "within": "16m"},
        "services.api.smoke.within",
        "is longer than 15m: 16m",
        "from 1s to 15m",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x:99999/"},
        "services.api.smoke.url",
        "an http or https address",
        "whole",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://["},
        "services.api.smoke.url",
        "an http or https",
        "whole",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "body": ""},
        "services.api.smoke.body",
        "is not a text to look for in an answer",
        "1 to 1024 characters",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "body": "x" * 1025},
        "services.api.smoke.body",
        "longer than the 1024 characters",
        "1 to 1024 characters",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "body": 200},
        "services.api.smoke.body",
        "must be text",
        "quotes",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "latency": "0s"},
        "services.api.smoke.latency",
        "is shorter than 1s: 0s",
        "from 1s to 1m",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "latency": "61s"},
        "services.api.smoke.latency",
        "is longer than 1m: 61s",
        "from 1s to 1m",
    ),
    (
        ("services", "api", "smoke"),
        {"url": "https://x", "latency": 2},
        "services.api.smoke.latency",
        "must be a duration, not 2",
        "from 1s to 1m",
    ),
    # Database and migrations
    (("database",), {}, "database", "names neither a cluster nor an instance", "name one"),
    (
        ("database",),
        {"cluster": "a", "instance": "b"},
        "database",
        "names both a cluster and an instance",
        "name one",
    ),
    (("migrations", "service"), "apy", "migrations.service", "names no service of the manifest", '"api"?'),
    (("migrations", "service"), GONE, "migrations.service", '"service" is missing', "one of the services"),
    (("migrations", "command"), GONE, "migrations.command", '"command" is missing', "list of words"),
    (("migrations", "command"), "migrate now", "migrations.command", "must be a list", "[litestar, database"),
    (("migrations", "runner"), "sql", "migrations.command", "has no meaning for the runner sql", "remove it"),
    (
        ("migrations", "runner"),
        "taks",
        "migrations.runner",
        'must be task or sql, not "taks"',
        'did you mean "task"?',
    ),
    (("migrations", "timeout"), "2d", "migrations.timeout", "is longer than 1d: 2d", "from 1s to 1d"),
    (
        ("migrations", "lock_timeout"),
        "0s",
        "migrations.lock_timeout",
        "is shorter than 1s: 0s",
        "from 1s to 1d",
    ),
    (
        ("migrations", "snapshot"),
        "after",
        "migrations.snapshot",
        "must be none or before",
        "use none or before",
    ),
    # Secrets
    ((*SECRET, "kind"), GONE, "secrets.db.kind", '"kind" is missing', "kind: postgres"),
    (
        (*SECRET, "kind"),
        "mariadb",
        "secrets.db.kind",
        "must be postgres, mysql, redis or token",
        "use postgres",
    ),
    (
        (*SECRET, "strategy"),
        "two-step",
        "secrets.db.strategy",
        "does not fit a secret of kind postgres",
        "alternating",
    ),
    (
        (*SECRET, "users"),
        ["a"],
        "secrets.db.users",
        "exactly two users for the strategy alternating, not 1",
        "leave",
    ),
    ((*SECRET, "users"), ["a", "b", "c"], "secrets.db.users", "exactly two users", "leave users out"),
    ((*SECRET, "users"), ["a", "a"], "secrets.db.users[1]", "names one user twice", "name two users"),
    (
        (*SECRET, "users"),
        ["a", "b c"],
        "secrets.db.users[1]",
        "is not a database user name",
        "plain user name",
    ),
    (
        SECRET,
        {"kind": "mysql", "users": ["a", "b"]},
        "secrets.db.users",
        "one user at most",
        "leave users out",
    ),
    (SECRET, {"kind": "token", "users": ["a"]}, "secrets.db.users", "must name no user", "remove it"),
    ((*SECRET, "admin"), GONE, "secrets.db.admin", '"admin" is missing', "add the name of the secret"),
    ((*SECRET, "admin"), "db", "secrets.db.admin", "is the secret itself", "another user"),
    (
        (*SECRET, "format"),
        "yaml",
        "secrets.db.format",
        "must be json, plain or {key: ...",
        "use json, plain or",
    ),
    ((*SECRET, "format"), {"key": "c"}, "secrets.db.format.style", '"style" is missing', "style: url"),
    (
        (*SECRET, "format"),
        {"kee": "c", "style": "url"},
        "secrets.db.format.kee",
        "not a key of a format",
        '"key"?',
    ),
    (
        (*SECRET, "tls"),
        False,
        "secrets.db.tls",
        "must be verify-full or off, not false",
        'put it in quotes: "off"',
    ),
    ((*SECRET, "every"), "30s", "secrets.db.every", "is shorter than 1m: 30s", "from 1m to 999d"),
    ((*SECRET, "every"), "90s", "secrets.db.every", "is not a whole number of minutes", "12h"),
    (
        ("secrets", "arive/{env}"),
        {"kind": "token"},
        'secrets."arive/{env}"',
        "not a Secrets Manager",
        "{environment}",
    ),
    ((*SECRET, "admin"), "a/{env}", "secrets.db.admin", "is not a Secrets Manager name", "{environment}"),
    ((*SECRET, "every"), "1000d", "secrets.db.every", "is longer than 999d", "from 1m to 999d"),
    (
        SECRET,
        {"kind": "token", "overlap": "1h", "every": "1h"},
        "secrets.db.every",
        'is not longer than "overlap"',
        "make it longer",
    ),
    # Environments
    ((*PRODUCTION, "region"), "us-east-9", "environments.production.region", "not a region", '"us-east-1"?'),
    (
        (*PRODUCTION, "region"),
        "Frankfurt",
        "environments.production.region",
        "not a region",
        "for example us-east-1",
    ),
    (
        (*PRODUCTION, "approval"),
        "other",
        "environments.production.approval",
        "{by: other}",
        "use none, required or",
    ),
    (
        (*PRODUCTION, "approval"),
        {"by": "me"},
        "environments.production.approval.by",
        "must be other",
        "use other",
    ),
    (
        (*PRODUCTION, "approval"),
        True,
        "environments.production.approval",
        "not true",
        "use none, required or",
    ),
    (
        (*PRODUCTION, "strategy"),
        "canry",
        "environments.production.strategy",
        "must be rolling, canary",
        '"canary"?',
    ),
    ((*PRODUCTION, "queue"), "lifo", "environments.production.queue", "must be latest or fifo", '"fifo"?'),
    (
        (*PRODUCTION, "scan"),
        {"fail_on": "critical"},
        "environments.production.scan.fail_on",
        "must be",
        '"CRITICAL"?',
    ),
    (
        (*PRODUCTION, "bake", "for"),
        "5 min",
        "environments.production.bake.for",
        "not a duration",
        "90s or 5m",
    ),
    (
        (*PRODUCTION, "bake", "for"),
        300,
        "environments.production.bake.for",
        "must be a duration, not 300",
        "90s or 5m",
    ),
    (
        (*PRODUCTION, "bake", "for"),
        "0s",
        "environments.production.bake.for",
        "is shorter than 1s: 0s",
        "1s to 1d",
    ),
    (
        (*PRODUCTION, "guard"),
        {"for": "31d", "alarms": ["a"]},
        "environments.production.guard.for",
        "30d",
        "1s to 30d",
    ),
    (
        (*PRODUCTION, "freeze", 0, "from"),
        "Friday 16:00",
        "environments.production.freeze[0].from",
        "moment",
        "Fri 16",
    ),
    (
        (*PRODUCTION, "freeze", 0, "from"),
        "Fri 24:00",
        "environments.production.freeze[0].from",
        "moment",
        "24 hours",
    ),
    (
        (*PRODUCTION, "freeze", 0, "to"),
        960,
        "environments.production.freeze[0].to",
        "moment of the week: 960",
        "Fri",
    ),
    (
        (*PRODUCTION, "freeze", 0, "to"),
        "Fri 16:00",
        "environments.production.freeze[0].to",
        'same moment as "from"',
        "end",
    ),
    (
        (*PRODUCTION, "freeze", 0, "timezone"),
        "Europe",
        "environments.production.freeze[0].timezone",
        "zone",
        "IANA",
    ),
    (
        (*PRODUCTION, "freeze", 0, "timezone"),
        "BST+1/x",
        "environments.production.freeze[0].timezone",
        "zone",
        "IANA",
    ),
    (
        (*PRODUCTION, "freeze", 0, "timezone"),
        "../UTC",
        "environments.production.freeze[0].timezone",
        "zone",
        "IANA",
    ),
    (
        ("environments", "staging", "after"),
        "staging",
        "environments.staging.after",
        '"after" leads back to where it started: "staging" after "staging"',
        "let one of them come first",
    ),
]


def changed(where: tuple[str | int, ...], value: object) -> dict[str, Any]:
    data = copy.deepcopy(BASE)
    here: Any = data
    for key in where[:-1]:
        here = here[key]
    if value is GONE:
        del here[where[-1]]
    else:
        here[where[-1]] = value
    return data


def test_the_base_of_the_rows_is_valid() -> None:
    assert parse_manifest(BASE).system == "arive"


@pytest.mark.parametrize(
    ("where", "value", "field", "message", "hint"), ROWS, ids=[f"{row[2]}-{row[3]}"[:80] for row in ROWS]
)
def test_is_refused(where: tuple[str | int, ...], value: object, field: str, message: str, hint: str) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(where, value))
    found = {problem.field: problem for problem in caught.value.problems}
    assert field in found
    assert message in found[field].message
    assert hint in found[field].hint


def test_residency_is_about_the_environments_outside_of_it() -> None:
    data = {**changed((*PRODUCTION, "region"), "eu-west-2"), "residency": ["eu-west-2", "eu-west-1"]}
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    assert [problem.field for problem in caught.value.problems] == ["environments.staging.region"]
    assert "use eu-west-2 or eu-west-1, or let" in caught.value.hint
    data["environments"]["staging"]["region"] = "eu-west-1"
    assert parse_manifest(data).residency == ("eu-west-2", "eu-west-1")


@pytest.mark.parametrize("residency", [["eu-west-22"], ["eu-west-2", 5], "eu-west-2", {"eu-west-2": 1}, []])
def test_a_residency_that_is_none_says_nothing_about_environments(residency: object) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(changed(("residency",), residency))
    assert {problem.path[0] for problem in caught.value.problems} == {"residency"}


def test_a_cycle_of_environments_is_reported_once() -> None:
    data = changed(("environments", "staging", "after"), "production")
    data["environments"]["production"]["after"] = "staging"
    data["environments"]["dev"] = {"region": "us-east-1", "cluster": "dev", "after": "staging"}
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    (problem,) = caught.value.problems
    assert problem.message.endswith('"production" after "staging" after "production"')


def test_a_snapshot_needs_a_database() -> None:
    data = changed(("migrations", "snapshot"), "before")
    parse_manifest(data)
    del data["database"]
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    assert [(problem.field, problem.hint) for problem in caught.value.problems] == [
        ("migrations.snapshot", "add database: {cluster: ...} or {instance: ...}, or use snapshot: none")
    ]


@pytest.mark.parametrize(
    "data", [None, 5, 1.5, float("nan"), True, "text", [], [1], (1,), {1, 2}, object(), b"x", {}]
)
def test_what_is_no_manifest_at_all_is_refused(data: object) -> None:
    with pytest.raises(ManifestError):
        parse_manifest(data)


def test_no_size_and_no_depth_breaks_it() -> None:
    loop: list[object] = []
    loop.append(loop)
    deep: object = "end"
    for _ in range(100_000):
        deep = [deep]
    wide = ["x"] * 60_000
    for value, part in [
        (loop, "nested deeper than 20 levels"),
        (deep, "nested deeper than 20 levels"),
        (wide, "more than 50000 values"),
        ("x" * 1_000_000, "longer than 4096 characters"),
        ("\ud800", "a lone surrogate"),
        ({1: 2}, "has a key that is not text: 1"),
        ({"x" * 5000: 2}, "has a key that is longer than 4096 characters"),
        (b"bytes", "not a value of type bytes"),
    ]:
        with pytest.raises(ManifestError) as caught:
            parse_manifest({**BASE, "extra": value})
        assert part in caught.value.message


def test_a_message_holds_nothing_a_terminal_would_obey() -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest({**BASE, "\x1b[31mred": 1, "system": "\x9b1m" + "x" * 200})
    for problem in caught.value.problems:
        assert problem.message.isprintable()
        assert problem.field.isprintable()
        assert len(problem.message) < 300


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("branch", "feature/x_1.2"),
        ("branch", "dependabot/npm_and_yarn/a-1.0"),
        ("region", "us-gov-west-1"),
        ("region", "cn-north-1"),
        ("after", "staging-of-another-account"),
        ("cluster", "Arive_1-x"),
        ("queue", "fifo"),
    ],
)
def test_what_is_allowed_is_not_refused(field: str, value: str) -> None:
    assert (
        getattr(parse_manifest(changed((*PRODUCTION, field), value)).environments["production"], field)
        == value
    )
