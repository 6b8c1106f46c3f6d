"""Repositories in one notation, whatever way CodeBuild and people write them."""

from __future__ import annotations

import pytest
from tidegate.domain.source import branch_of, codecommit, github, name_in, repository_of

CODECOMMIT = "https://git-codecommit.eu-west-1.amazonaws.com/v1/repos/"


@pytest.mark.parametrize(
    ("source_type", "location", "repository"),
    [
        ("CODECOMMIT", f"{CODECOMMIT}arive", "codecommit:arive"),
        ("CODECOMMIT", f"{CODECOMMIT}Arive_2.x-y/", "codecommit:Arive_2.x-y"),
        ("CODECOMMIT", "https://git-codecommit.cn-north-1.amazonaws.com.cn/v1/repos/a", "codecommit:a"),
        ("CODECOMMIT", "https://git-codecommit-fips.us-east-2.amazonaws.com/v1/repos/a", "codecommit:a"),
        ("CODECOMMIT", CODECOMMIT, None),
        ("CODECOMMIT", f"{CODECOMMIT}a/b", None),
        ("CODECOMMIT", f"{CODECOMMIT}{'a' * 101}", None),
        ("CODECOMMIT", "https://github.com/tryarive/arive", None),
        ("GITHUB", "https://github.com/tryarive/arive", "github:tryarive/arive"),
        ("GITHUB", "https://github.com/TryArive/Arive.git", "github:tryarive/arive"),
        ("GITHUB", "https://github.com/tryarive/arive.git/", "github:tryarive/arive"),
        (
            "GITHUB",
            "https://token@github.com/tryarive/arive.github.io.git",
            "github:tryarive/arive.github.io",
        ),
        ("GITHUB", "git@github.com:tryarive/arive.git", "github:tryarive/arive"),
        ("GITHUB", "https://GitHub.com/tryarive/arive", "github:tryarive/arive"),
        ("GITHUB", "https://github.com/tryarive", None),
        ("GITHUB", "https://github.com/tryarive/arive/tree/main", None),
        ("GITHUB", "https://github.com.evil.example/tryarive/arive", None),
        ("GITHUB", "https://evil.example/github.com/tryarive/arive", None),
        ("GITHUB", "CODEBUILD_DEFAULT_WEBHOOK_SOURCE_LOCATION", None),
        ("GITHUB_ENTERPRISE", "https://github.example/tryarive/arive", None),
        ("S3", "bucket/key.zip", None),
        ("NO_SOURCE", "", None),
        ("", "", None),
    ],
)
def test_a_project_says_where_its_source_is(source_type: str, location: str, repository: str | None) -> None:
    assert repository_of(source_type, location) == repository


def test_names_of_github_have_no_case_and_those_of_codecommit_do() -> None:
    assert github("TryArive/Arive") == github("tryarive/arive") == "github:tryarive/arive"
    assert codecommit("Arive") == "codecommit:Arive"


@pytest.mark.parametrize(
    ("ref", "branch"),
    [
        ("refs/heads/main", "main"),
        ("refs/heads/release/1.x", "release/1.x"),
        ("refs/tags/v1", None),
        ("main", None),
        ("", None),
        (None, None),
    ],
)
def test_a_branch_is_read_from_a_full_ref(ref: str | None, branch: str | None) -> None:
    assert branch_of(ref) == branch


@pytest.mark.parametrize(
    ("repository", "host", "name"),
    [
        ("codecommit:arive", "codecommit", "arive"),
        ("github:tryarive/arive", "github", "tryarive/arive"),
        ("github:tryarive/arive", "codecommit", None),
        ("arive", "codecommit", None),
        ("", "codecommit", None),
    ],
)
def test_a_name_is_read_within_its_host(repository: str, host: str, name: str | None) -> None:
    assert name_in(repository, host) == name
