"""CodeCommit on the wire: moto knows neither differences nor folders. tests/integration/local asks the embedded one."""

from __future__ import annotations

from typing import Any

import pytest
from tidegate.adapters.clients import Clients
from tidegate.adapters.codecommit import MOST_PATHS, CodeCommitSources
from tidegate.domain.errors import OutsideError, TransientError
from tidegate.ports import Ports, Sources

from tests.integration.adapters.cloud import Wire, ok, refused
from tests.support.fakes import FakeSources

BEFORE, AFTER, TREE = "1" * 40, "2" * 40, "3" * 40


def modified(path: str) -> dict[str, Any]:
    return {"changeType": "M", "beforeBlob": {"path": path}, "afterBlob": {"path": path}}


@pytest.fixture
def client(clients: Clients) -> Any:
    return clients.client("codecommit")


def test_a_difference_names_old_paths_and_new(client: Any) -> None:
    wire = Wire(
        client,
        ok(
            {
                "differences": [modified("a"), {"changeType": "D", "beforeBlob": {"path": "b"}}],
                "NextToken": "n",
            }
        ),
        ok({"differences": [], "NextToken": "m"}),
        ok(
            {
                "differences": [
                    {"afterBlob": {"path": "c"}},
                    {"beforeBlob": {"path": "d"}, "afterBlob": {"path": "e"}},
                ]
            }
        ),
    )
    assert CodeCommitSources(lambda: client).changes("codecommit:arive", BEFORE, AFTER) == list("abcde")
    assert wire.requests[0] == {
        "repositoryName": "arive",
        "beforeCommitSpecifier": BEFORE,
        "afterCommitSpecifier": AFTER,
    }
    assert [sent.get("NextToken") for sent in wire.requests] == [None, "n", "m"]


def test_no_difference_is_known_to_be_none(client: Any) -> None:
    Wire(client, ok({"differences": []}))
    assert CodeCommitSources(lambda: client).changes("codecommit:arive", AFTER, AFTER) == []


def test_as_many_paths_as_an_input_takes_are_told_and_one_more_is_not(client: Any) -> None:
    names = [f"{number}" for number in range(MOST_PATHS)]
    page = {"differences": [modified(name) for name in names], "NextToken": "n"}
    wire = Wire(
        client, ok(page), ok({"differences": [modified("0")]}), ok(page), ok({"differences": [modified("x")]})
    )
    port = CodeCommitSources(lambda: client)
    assert port.changes("codecommit:arive", BEFORE, AFTER) == names
    assert port.changes("codecommit:arive", BEFORE, AFTER) is None
    assert len(wire.requests) == 4


def test_pages_are_not_turned_for_ever(client: Any) -> None:
    page = {"differences": [modified(f"{number}") for number in range(MOST_PATHS + 1)], "NextToken": "n"}
    wire = Wire(client, ok(page))
    assert CodeCommitSources(lambda: client).changes("codecommit:arive", BEFORE, AFTER) is None
    assert len(wire.requests) == 1


FOLDERS = [
    {"treeId": "4" * 40, "absolutePath": "apps/api", "relativePath": "api"},
    {"treeId": "5" * 40, "absolutePath": "apps/web", "relativePath": "web"},
]


@pytest.mark.parametrize(
    ("path", "asked", "tree"),
    [
        (".", "/", TREE),
        ("./", "/", TREE),
        ("api", "/", "4" * 40),
        ("apps/web", "apps", "5" * 40),
        ("./apps/web/", "apps", "5" * 40),
        ("a/b/api", "a/b", "4" * 40),
        ("apps/missing", "apps", None),
    ],
)
def test_a_tree_is_the_folders_own(client: Any, path: str, asked: str, tree: str | None) -> None:
    answer = {"commitId": AFTER, "folderPath": asked, "treeId": TREE, "subFolders": FOLDERS}
    wire = Wire(client, ok(answer))
    assert CodeCommitSources(lambda: client).tree("codecommit:arive", AFTER, path) == tree
    assert wire.requests == [{"repositoryName": "arive", "commitSpecifier": AFTER, "folderPath": asked}]


@pytest.mark.parametrize("path", ["..", "../other", "/etc", "a/../../b"])
def test_a_path_out_of_the_repository_is_not_asked_for(client: Any, path: str) -> None:
    wire = Wire(client)
    assert CodeCommitSources(lambda: client).tree("codecommit:arive", AFTER, path) is None
    assert wire.requests == []


@pytest.mark.parametrize("at", ["fake", "aws"])
def test_a_repository_elsewhere_cannot_be_told(client: Any, at: str) -> None:
    wire = Wire(client)
    port: Sources = FakeSources() if at == "fake" else CodeCommitSources(lambda: client)
    for repository in ("github:tryarive/arive", "arive", ""):
        assert port.changes(repository, BEFORE, AFTER) is None
        assert port.tree(repository, AFTER, ".") is None
    assert wire.requests == []


@pytest.mark.parametrize(
    "code",
    [
        "CommitDoesNotExistException",
        "EncryptionKeyDisabledException",
        "InvalidCommitException",
        "InvalidCommitIdException",
        "InvalidRepositoryNameException",
        "RepositoryDoesNotExistException",
    ],
)
def test_what_is_not_there_cannot_be_told(client: Any, code: str) -> None:
    Wire(client, *[refused(code)] * 2)
    port = CodeCommitSources(lambda: client)
    assert port.changes("codecommit:arive", BEFORE, AFTER) is None
    assert port.tree("codecommit:arive", AFTER, ".") is None


def test_a_folder_that_is_missing_cannot_be_told(client: Any) -> None:
    Wire(client, refused("FolderDoesNotExistException"))
    assert CodeCommitSources(lambda: client).tree("codecommit:arive", AFTER, "a/b") is None


def test_permissions_and_throttling_are_errors(client: Any, no_waiting: None) -> None:
    Wire(
        client,
        refused("AccessDeniedException"),
        refused("AccessDeniedException"),
        refused("EncryptionKeyAccessDeniedException"),
        *[refused("ThrottlingException")] * 3,
    )
    port = CodeCommitSources(lambda: client)
    with pytest.raises(OutsideError) as raised:
        port.changes("codecommit:arive", BEFORE, AFTER)
    assert raised.value.hint == "allow codecommit:GetDifferences to the role that made this call"
    with pytest.raises(OutsideError) as raised:
        port.tree("codecommit:arive", AFTER, ".")
    assert raised.value.hint == "allow codecommit:GetFolder to the role that made this call"
    with pytest.raises(OutsideError):
        port.changes("codecommit:arive", BEFORE, AFTER)
    with pytest.raises(TransientError):
        port.tree("codecommit:arive", AFTER, ".")


def test_the_fake_tells_what_it_was_given(on_moto: Ports) -> None:
    fake = FakeSources()
    fake.changed["codecommit:arive", BEFORE, AFTER] = ["a"]
    fake.trees["codecommit:arive", AFTER, "."] = TREE
    assert fake.changes("codecommit:arive", BEFORE, AFTER) == ["a"]
    assert fake.changes("codecommit:arive", AFTER, BEFORE) is None
    assert fake.tree("codecommit:arive", AFTER, ".") == TREE
    assert fake.tree("codecommit:arive", AFTER, "a") is None
    assert isinstance(on_moto.sources, CodeCommitSources)
