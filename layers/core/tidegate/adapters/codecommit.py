"""AWS CodeCommit (https://docs.aws.amazon.com/codecommit/latest/APIReference/, the page of each action).

Repositories of other hosts answer None: GitHub's API would need a token. CodeBuild, which has the checkout, tells then.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.domain.source import name_in

if TYPE_CHECKING:
    from mypy_boto3_codecommit import CodeCommitClient

MOST_PATHS = 5000  # as many as the input of `build` takes; a push of more builds everything
# No such repository, commit or folder here, or nobody can read it: not EncryptionKeyAccessDeniedException, which a
# permission mends.
_UNTOLD = frozenset(
    {
        "CommitDoesNotExistException",
        "EncryptionIntegrityChecksFailedException",
        "EncryptionKeyDisabledException",
        "EncryptionKeyNotFoundException",
        "EncryptionKeyUnavailableException",
        "FolderDoesNotExistException",
        "InvalidCommitException",
        "InvalidCommitIdException",
        "InvalidPathException",
        "InvalidRepositoryNameException",
        "PathDoesNotExistException",
        "RepositoryDoesNotExistException",
    }
)


class CodeCommitSources:
    def __init__(self, client: Callable[[], CodeCommitClient]) -> None:
        self._client = client

    def changes(self, repository: str, before: str, after: str) -> list[str] | None:
        """GetDifferences shows a renamed file as one that went and one that came."""
        name = name_in(repository, "codecommit")
        if name is None:
            return None
        paths: dict[str, None] = {}
        question: dict[str, Any] = {
            "repositoryName": name,
            "beforeCommitSpecifier": before,
            "afterCommitSpecifier": after,
        }
        while True:
            with asking("codecommit:GetDifferences"):
                try:
                    page = self._client().get_differences(**question)
                except ClientError as error:
                    if code_of(error) in _UNTOLD:
                        return None
                    raise
            for difference in page.get("differences", []):
                for blob in (difference.get("beforeBlob", {}), difference.get("afterBlob", {})):
                    if "path" in blob:
                        paths[blob["path"]] = None
            if len(paths) > MOST_PATHS:
                return None
            if not page.get("NextToken"):
                return list(paths)
            question["NextToken"] = page["NextToken"]

    def tree(self, repository: str, commit: str, path: str) -> str | None:
        """GetFolder's own `treeId` is "the tree information for the commit that contains the folder", which may be
        read as the root's: so a folder is looked up in the folder that it lies in."""
        name = name_in(repository, "codecommit")
        folder = posixpath.normpath(path)
        if name is None or folder.startswith(("/", "..")):
            return None
        parent, child = posixpath.split(folder)
        with asking("codecommit:GetFolder"):
            try:
                answer = self._client().get_folder(
                    repositoryName=name, commitSpecifier=commit, folderPath=parent or "/"
                )
            except ClientError as error:
                if code_of(error) in _UNTOLD:
                    return None
                raise
        if folder == ".":
            return answer["treeId"]
        found = (entry for entry in answer.get("subFolders", []) if entry.get("relativePath") == child)
        return next((entry["treeId"] for entry in found if "treeId" in entry), None)
