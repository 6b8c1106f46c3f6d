"""The manifest: what it accepts, what an environment sees of it, how it is stored."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from botocore.loaders import create_loader
from tidegate.domain.errors import BadManifestError, NotFoundError
from tidegate.domain.manifest import (
    Manifest,
    ManifestError,
    from_json,
    load_manifest,
    parse_manifest,
    require_supported,
    to_json,
)
from tidegate.domain.manifest.fields import REPOSITORY_PATTERN, WeekTime
from tidegate.domain.supported import NOT_BUILT

REFERENCE = Path(__file__).parents[3] / "docs" / "manifest.md"


def complete_example() -> dict[str, Any]:
    """The example of everything in docs/manifest.md, where YAML 1.1 and ours agree."""
    blocks = re.findall(r"```yaml\n(.*?)```", REFERENCE.read_text(encoding="utf-8"), re.DOTALL)
    data: dict[str, Any] = yaml.safe_load(max(blocks, key=len))
    return data


def small() -> dict[str, Any]:
    return {
        "system": "arive",
        "images": {"app": {"repository": "arive-api"}},
        "services": {"api": {"image": "app", "container": "api"}, "worker": {"image": "app", "wave": 2}},
        "environments": {"production": {"region": "us-east-1", "cluster": "arive-cluster"}},
    }


def problems_of(act: Callable[[], object]) -> dict[str, tuple[str, str]]:
    with pytest.raises(ManifestError) as caught:
        act()
    return {problem.field: (problem.message, problem.hint) for problem in caught.value.problems}


class TestTheCompleteExample:
    def test_is_valid(self) -> None:
        manifest = parse_manifest(complete_example())
        production = manifest.environments["production"]
        assert manifest.images["app"].tag == "{commit}"
        assert manifest.images["app"].watch == ("backend/**",)
        assert manifest.services["api"].smoke is not None
        assert manifest.services["api"].smoke.within == timedelta(seconds=60)
        assert manifest.migrations is not None
        assert manifest.migrations.lock_timeout == timedelta(seconds=5)
        assert manifest.for_environment("production").secrets["arive/production/database"].every == timedelta(
            days=30
        )
        assert production.freeze[0].start == WeekTime(weekday=4, hour=16, minute=0)
        assert production.freeze[0].end == WeekTime(weekday=0, hour=8, minute=0)
        assert production.guard is not None
        assert production.guard.duration == timedelta(hours=1)
        assert production.guard.alarms == ("arive-5xx",)
        assert (production.queue, production.after) == ("latest", "staging")

    def test_asks_for_nothing_that_is_not_built(self) -> None:
        require_supported(parse_manifest(complete_example()))

    def test_survives_storage(self) -> None:
        manifest = parse_manifest(complete_example())
        assert from_json(to_json(manifest)) == manifest


class TestWhatIsNotBuilt:
    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("environments.production.strategy", "canary"),
            ("environments.production.strategy", "linear"),
            ("environments.production.strategy", "blue-green"),
        ],
    )
    def test_is_valid_and_then_refused(self, path: str, value: object) -> None:
        data = small()
        put(data, path, value)
        parse_manifest(data)
        found = problems_of(lambda: load_manifest(data))
        assert [(message, hint) for message, hint in found.values()] == [
            (f'"{next(iter(found)).rpartition(".")[2]}" is not supported yet', "remove it for now")
        ]
        assert next(iter(found)).startswith(path)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("secrets", {}),
            ("environments.production.strategy", "rolling"),
        ],
    )
    def test_is_let_through_when_it_asks_for_nothing(self, path: str, value: object) -> None:
        data = small()
        put(data, path, value)
        assert isinstance(load_manifest(data), Manifest)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            ("images.app.build", {"project": "arive-build"}),
            ("images.app.watch", []),
            ("images.app.watch", ["backend/**", "!backend/docs"]),
            ("services.api.smoke", {"url": "https://api.tryarive.com/health"}),
            ("secrets", {"arive/token": {"kind": "token"}}),
            (
                "secrets",
                {"arive": {"kind": "mysql", "format": {"key": "c", "style": "url"}, "every": "30d"}},
            ),
            ("environments.production.scan", {"fail_on": "CRITICAL"}),
            ("environments.production.runner", "tidegate-runner-production"),
            ("environments.production.approval", "required"),
            ("environments.production.approval", {"by": "other"}),
            ("environments.production.freeze", [{"from": "Fri 16:00", "to": "Mon 08:00"}]),
            ("environments.production.bake", {"for": "5m", "alarms": ["a"]}),
            ("environments.production.queue", "latest"),
            ("environments.production.queue", "fifo"),
            ("environments.production.after", "staging"),
            ("environments.production.services", {"api": {"smoke": {"url": "https://x.example"}}}),
        ],
    )
    def test_is_no_longer_what_has_been_built(self, path: str, value: object) -> None:
        data = small()
        put(data, path, value)
        assert isinstance(load_manifest(data), Manifest)

    @pytest.mark.parametrize(
        ("secret", "field", "said", "mend"),
        [
            ({"kind": "redis"}, "kind", '"kind" redis is not supported yet', "remove the secret for now"),
            (
                {"kind": "postgres", "admin": "admin", "format": "plain"},
                "format",
                '"format" plain is a bare value',
                "tidegate secrets adopt SYSTEM ENV SECRET",
            ),
        ],
    )
    def test_is_a_value_of_a_field_that_has_others(
        self, secret: dict[str, Any], field: str, said: str, mend: str
    ) -> None:
        data = {**small(), "secrets": {"arive": secret, "arive/token": {"kind": "token"}}}
        parse_manifest(data)
        ((place, (message, hint)),) = problems_of(lambda: load_manifest(data)).items()
        assert place == f"secrets.arive.{field}"
        assert message.startswith(said)
        assert mend in hint

    def test_names_only_fields_that_exist(self) -> None:
        given = {re.sub(r"\.(app|api|production)\b", ".*", path) for path in LISTED_ABOVE}
        assert {".".join(pattern) for pattern in NOT_BUILT} == given


LISTED_ABOVE = ("environments.production.strategy",)


def put(data: dict[str, Any], path: str, value: object) -> None:
    *parents, last = path.split(".")
    here = data
    for key in parents:
        here = here[key]
    here[last] = value


class TestDefaults:
    def test_of_what_a_deployment_needs(self) -> None:
        manifest = parse_manifest(small())
        assert manifest.images["app"].tag == "{commit}"
        assert manifest.services["api"].wave == 1
        environment = manifest.environments["production"]
        assert (environment.approval, environment.strategy, environment.queue) == (
            "none",
            "rolling",
            "latest",
        )
        assert (environment.freeze, environment.services, environment.branch) == ((), {}, None)

    def test_a_system_of_secrets_only_needs_no_images_and_services(self) -> None:
        bare = {"system": "keys", "environments": small()["environments"]}
        for data in (bare, {**bare, "images": {}, "services": {}}):
            assert load_manifest(data).for_environment("production").services == {}

    @pytest.mark.parametrize(
        ("kind", "strategy"),
        [
            ("postgres", "alternating"),
            ("mysql", "dual-password"),
            ("redis", "two-step"),
            ("token", "regenerate"),
        ],
    )
    def test_of_a_rotation_follow_its_kind(self, kind: str, strategy: str) -> None:
        secret = parse_manifest({**small(), "secrets": {"s": {"kind": kind, "admin": "a"}}}).secrets["s"]
        assert secret.strategy == strategy
        assert (secret.format, secret.tls, secret.overlap, secret.every) == (
            "json",
            "verify-full",
            timedelta(seconds=30),
            None,
        )


class TestTheNamesOfSecrets:
    def test_are_those_of_the_environment(self) -> None:
        """Red where `admin` is left as it was written: Secrets Manager has no secret of such a name."""
        data = small()
        put(data, "environments.staging", {"region": "us-east-1", "cluster": "c"})
        data["secrets"] = {
            "arive/{environment}/database": {"kind": "postgres", "admin": "arive/{environment}/admin"},
            "arive/token": {"kind": "token"},
        }
        manifest = load_manifest(data)
        for environment in ("production", "staging"):
            secrets = manifest.for_environment(environment).secrets
            assert list(secrets) == [f"arive/{environment}/database", "arive/token"]
            assert secrets[f"arive/{environment}/database"].admin == f"arive/{environment}/admin"
        assert from_json(to_json(manifest)) == manifest

    def test_two_that_become_one_are_refused(self) -> None:
        data = {
            **small(),
            "secrets": {"arive/{environment}": {"kind": "token"}, "arive/production": {"kind": "token"}},
        }
        assert problems_of(lambda: parse_manifest(data)) == {
            "secrets.arive/production": (
                '"arive/production" and "arive/{environment}" are one secret in the environment "production"',
                "keep one of them",
            )
        }
        data["secrets"] = {"arive/{environment}": {"kind": "token"}, "arive/staging": {"kind": "token"}}
        parse_manifest(data)

    def test_an_admin_that_becomes_the_secret_itself_is_refused(self) -> None:
        data = {
            **small(),
            "secrets": {"arive/{environment}": {"kind": "postgres", "admin": "arive/production"}},
        }
        ((_, (message, _)),) = problems_of(lambda: parse_manifest(data)).items()
        assert message == '"admin" is the secret itself'

    def test_the_secret_that_rds_manages_may_be_an_admin(self) -> None:
        managed = "rds!cluster-8a3f"
        data = {**small(), "secrets": {"arive/database": {"kind": "postgres", "admin": managed}}}
        assert parse_manifest(data).secrets["arive/database"].admin == managed


class TestAnEnvironment:
    def test_has_its_services_in_the_order_they_roll(self) -> None:
        data = small()
        data["services"] = {
            name: {"image": "app", "wave": wave} for name, wave in [("c", 1), ("b", 20), ("a", 3), ("d", 1)]
        }
        view = parse_manifest(data).for_environment("production")
        assert list(view.services) == ["c", "d", "a", "b"]
        assert [[service.key for service in wave] for wave in view.waves()] == [["c", "d"], ["a"], ["b"]]

    def test_fills_in_defaults(self) -> None:
        view = parse_manifest(small()).for_environment("production")
        worker = view.services["worker"]
        assert (
            worker.service,
            worker.image,
            worker.repository,
            worker.tag,
            worker.container,
            worker.wave,
        ) == (
            "worker",
            "app",
            "arive-api",
            "{commit}",
            None,
            2,
        )
        assert (view.system, view.name, view.region, view.cluster) == (
            "arive",
            "production",
            "us-east-1",
            "arive-cluster",
        )

    def test_applies_only_its_own_overrides(self) -> None:
        data = small()
        data["images"]["debug"] = {"repository": "arive-debug", "tag": "debug-{commit}"}
        data["environments"]["staging"] = {
            "region": "eu-west-2",
            "cluster": "shared",
            "services": {"worker": {"service": "arive-worker-staging", "image": "debug", "wave": 1}},
        }
        manifest = parse_manifest(data)
        staging = manifest.for_environment("staging").services["worker"]
        assert (staging.service, staging.repository, staging.tag, staging.wave) == (
            "arive-worker-staging",
            "arive-debug",
            "debug-{commit}",
            1,
        )
        assert manifest.for_environment("staging").services["api"].container == "api"
        production = manifest.for_environment("production").services["worker"]
        assert (production.service, production.image, production.wave) == ("worker", "app", 2)

    def test_an_override_keeps_what_it_does_not_name(self) -> None:
        data = small()
        data["environments"]["production"]["services"] = {"api": {"service": "arive-api"}}
        api = parse_manifest(data).for_environment("production").services["api"]
        assert (api.service, api.image, api.container, api.wave) == ("arive-api", "app", "api", 1)

    def test_that_does_not_exist_is_not_found(self) -> None:
        with pytest.raises(NotFoundError, match='arive has no environment "prodution"') as caught:
            parse_manifest(small()).for_environment("prodution")
        assert caught.value.hint == 'did you mean "production"?'

    def test_may_share_ecs_names_with_another_environment_of_the_same_cluster_name(self) -> None:
        """Two accounts may each have a cluster of one name."""
        data = small()
        data["environments"]["staging"] = dict(data["environments"]["production"])
        assert list(parse_manifest(data).environments) == ["production", "staging"]


class TestStorage:
    def test_is_compact_and_the_same_for_the_same_manifest(self) -> None:
        data = small()
        again = {key: data[key] for key in reversed(data)}
        again["environments"] = {"production": {"approval": "none", **data["environments"]["production"]}}
        text = to_json(parse_manifest(data))
        assert text == to_json(parse_manifest(again))
        assert text == (
            '{"environments":{"production":{"cluster":"arive-cluster","region":"us-east-1"}},'
            '"images":{"app":{"repository":"arive-api"}},'
            '"services":{"api":{"container":"api","image":"app"},"worker":{"image":"app","wave":2}},"system":"arive"}'
        )

    def test_writes_nothing_that_the_parameter_store_takes_for_a_reference(self) -> None:
        data = {**small(), "migrations": {"service": "api", "command": ["echo", "{{ssm:x}}", "{{{"]}}
        manifest = parse_manifest(data)
        assert "{{" not in to_json(manifest)
        assert from_json(to_json(manifest)) == manifest

    @pytest.mark.parametrize(
        ("text", "field", "part"),
        [
            ("", "", "not valid JSON: at line 1"),
            ("{\n]", "", "not valid JSON: at line 2"),
            ("[" * 100_000, "", "not valid JSON"),
            ("1" * 5_000, "", "not valid JSON"),
            ('{"system": "a", "system": "b"}', "", 'the key "system" appears twice'),
            ("NaN", "", "must be a mapping"),
            ('{"system": "\\ud800"}', "system", "lone surrogate"),
        ],
    )
    def test_of_another_hand_is_refused_in_plain_words(self, text: str, field: str, part: str) -> None:
        assert part in problems_of(lambda: from_json(text))[field][0]


class TestTheError:
    def test_is_a_refusal_with_the_first_problem_and_all_of_them(self) -> None:
        with pytest.raises(BadManifestError) as caught:
            parse_manifest({"system": "Arive", "environments": {}})
        error = caught.value
        assert isinstance(error, ManifestError)
        assert error.code == "bad_manifest"
        assert (error.field, error.hint) == (error.problems[0].field, error.problems[0].hint)
        assert [problem.path for problem in error.problems] == [("environments",), ("system",)]
        assert error.message == '"environments" must not be empty (and 1 more)'

    def test_a_broken_field_hides_no_broken_reference(self) -> None:
        data = small()
        data["services"]["api"]["wave"] = 0
        data["services"]["worker"]["image"] = "ap"
        data["environments"]["production"]["region"] = "us-est-1"
        found = problems_of(lambda: parse_manifest(data))
        assert set(found) == {"services.api.wave", "services.worker.image", "environments.production.region"}
        assert found["environments.production.region"][1] == 'did you mean "us-east-1"?'


def test_the_repository_pattern_is_the_one_of_the_ecr_api() -> None:
    shape = create_loader().load_service_model("ecr", "service-2")["shapes"]["RepositoryName"]
    assert (shape["pattern"], shape["min"], shape["max"]) == (REPOSITORY_PATTERN, 2, 256)


def test_importing_the_manifest_is_light() -> None:
    """It is in every cold start: no AWS, no YAML, and no schema, which only editors need."""
    code = "import sys, tidegate.domain.manifest; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"boto3", "botocore", "yaml", "tidegate.domain.manifest.schema", "tzdata"} & set(loaded)
