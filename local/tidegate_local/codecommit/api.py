"""CodeCommit's operations, sewn into MiniStack's router so that IAM is enforced for them as for the others."""

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any

from ministack import app
from ministack.core import iam_actions, router
from ministack.core.concurrency import run_reentrant
from ministack.core.responses import error_response_json, json_response
from ministack.services.cloudformation import provisioners

from tidegate_local.codecommit import git, reading
from tidegate_local.codecommit.repositories import (
    InvalidNameError,
    NameExistsError,
    NoSuchRepositoryError,
    Repositories,
    Repository,
)
from tidegate_local.seam import MendDoesNotFitError, expect_attributes

SERVICE = "codecommit"
KIND = "AWS::CodeCommit::Repository"
TARGET = "CodeCommit_20150413"
JSON = "application/x-amz-json-1.1"
MOST_DIFFERENCES = 400
LARGEST_FILE = 6 * 1024 * 1024  # CodeCommit quotas: "file size in the console and the API"

Json = dict[str, Any]
Given = Mapping[str, Any]


class RefusedError(Exception):
    """Answered as the error `code` of the service model."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def install(repositories: Repositories) -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    if SERVICE in router.SERVICE_PATTERNS or KIND in provisioners._RESOURCE_HANDLERS:
        raise MendDoesNotFitError("ministack", "no CodeCommit", "one of its own")
    operations = Operations(repositories)

    async def handle(_method: str, _path: str, headers: Mapping[str, str], body: bytes, _query: Any) -> Any:
        # git runs for a while: off the event loop.
        return await run_reentrant(operations.answer, headers.get("x-amz-target", ""), body)

    router.SERVICE_PATTERNS[SERVICE] = {
        "target_prefixes": [TARGET],
        "host_patterns": [r"codecommit\."],
        "credential_scope": SERVICE,
    }
    iam_actions.SERVICE_TO_IAM_NAMESPACE[SERVICE] = SERVICE
    app.SERVICE_HANDLERS[SERVICE] = handle
    provisioners._RESOURCE_HANDLERS[KIND] = {"create": operations.provision, "delete": operations.remove}


class Operations:
    """The operations on these repositories: `answer` takes a request of the API."""

    def __init__(self, repositories: Repositories) -> None:
        self._repositories = repositories
        self._by_name: dict[str, Callable[[Given], Json]] = {
            "CreateRepository": self._create_repository,
            "GetRepository": self._get_repository,
            "ListRepositories": self._list_repositories,
            "DeleteRepository": self._delete_repository,
            "ListBranches": self._list_branches,
            "GetBranch": self._get_branch,
            "GetCommit": self._get_commit,
            "GetDifferences": self._get_differences,
            "GetFolder": self._get_folder,
            "GetFile": self._get_file,
        }

    def answer(self, target: str, body: bytes) -> Any:
        """Status, headers and body, as MiniStack's handlers give them."""
        name = target.rpartition(".")[2]
        operation = self._by_name.get(name)
        if operation is None:
            return _refusal("UnknownOperationException", f"the embedded CodeCommit has no {name}")
        try:
            return json_response(operation(json.loads(body or b"{}")), content_type=JSON)
        except RefusedError as error:
            return _refusal(error.code, str(error))
        except git.GitError as error:
            return _refusal("InternalFailure", str(error))
        except (ValueError, AttributeError) as error:  # not JSON, or no object
            return _refusal("SerializationException", str(error))

    def provision(self, logical_id: str, props: Json, _stack_name: str) -> tuple[str, Json]:
        """AWS::CodeCommit::Repository; `Ref` is the repository's id."""
        tags = {tag["Key"]: tag["Value"] for tag in props.get("Tags", [])}
        name = str(props.get("RepositoryName", ""))
        try:
            made = self._repositories.create(name, str(props.get("RepositoryDescription", "")), tags)
        except (InvalidNameError, NameExistsError) as error:
            raise ValueError(f"repository {name!r} of {logical_id}: {type(error).__name__}") from error
        shown = self._metadata(made)
        return made.id, {
            "Arn": shown["Arn"],
            "Name": name,
            "CloneUrlHttp": shown["cloneUrlHttp"],
            "CloneUrlSsh": shown["cloneUrlSsh"],
        }

    def remove(self, physical_id: str, _props: Json) -> None:
        """The end of an AWS::CodeCommit::Repository."""
        for repository in self._repositories.every():
            if repository.id == physical_id:
                self._repositories.delete(repository.name)

    def _create_repository(self, given: Given) -> Json:
        name = _name(given)
        try:
            made = self._repositories.create(
                name, str(given.get("repositoryDescription", "")), dict(given.get("tags") or {})
            )
        except NameExistsError as error:
            raise RefusedError(
                "RepositoryNameExistsException", f"Repository named {name} already exists"
            ) from error
        except InvalidNameError as error:
            raise _invalid_name(name) from error
        return {"repositoryMetadata": self._metadata(made)}

    def _get_repository(self, given: Given) -> Json:
        return {"repositoryMetadata": self._metadata(self._repository(given))}

    def _list_repositories(self, given: Given) -> Json:
        found = sorted(self._repositories.every(), key=lambda one: one.name)
        if given.get("order") == "descending":
            found.reverse()
        return {"repositories": [{"repositoryName": one.name, "repositoryId": one.id} for one in found]}

    def _delete_repository(self, given: Given) -> Json:
        name = _name(given)
        try:
            identifier = self._repositories.delete(name)
        except InvalidNameError as error:
            raise _invalid_name(name) from error
        return {"repositoryId": identifier} if identifier else {}

    def _list_branches(self, given: Given) -> Json:
        return {"branches": reading.branches(self._repository(given).path)}

    def _get_branch(self, given: Given) -> Json:
        repository, name = self._repository(given), str(given.get("branchName") or "")
        if not name:
            raise RefusedError("BranchNameRequiredException", "A branch name is required")
        try:
            commit = reading.branch(repository.path, name)
        except reading.InvalidSpecifierError as error:
            raise RefusedError("InvalidBranchNameException", f"{name} is not a branch name") from error
        except reading.NoSuchCommitError as error:
            raise RefusedError("BranchDoesNotExistException", f"Branch {name} does not exist") from error
        return {"branch": {"branchName": name, "commitId": commit}}

    def _get_commit(self, given: Given) -> Json:
        repository, commit_id = self._repository(given), str(given.get("commitId") or "")
        if not commit_id:
            raise RefusedError("CommitIdRequiredException", "A commit id is required")
        if not reading.COMMIT_ID.fullmatch(commit_id):
            raise RefusedError("InvalidCommitIdException", f"{commit_id} is not a full commit id")
        try:
            return {"commit": reading.commit(repository.path, commit_id)}
        except reading.NoSuchCommitError as error:
            raise RefusedError(
                "CommitIdDoesNotExistException", f"Commit {commit_id} does not exist"
            ) from error

    def _get_differences(self, given: Given) -> Json:
        repository = self._repository(given)
        if not given.get("afterCommitSpecifier"):
            raise RefusedError("CommitRequiredException", "afterCommitSpecifier is required")
        after = _commit(repository, given["afterCommitSpecifier"])
        before = (
            _commit(repository, given["beforeCommitSpecifier"])
            if given.get("beforeCommitSpecifier")
            else None
        )
        paths = {"before_path": given.get("beforePath") or "", "after_path": given.get("afterPath") or ""}
        for commit, path in ((before, paths["before_path"]), (after, paths["after_path"])):
            if commit and path and not reading.has_path(repository.path, commit, path):
                raise RefusedError("PathDoesNotExistException", f"{path} does not exist in commit {commit}")
        found = reading.differences(repository.path, before, after, **paths)
        start, size = _page(given)
        answer: Json = {"differences": found[start : start + size]}
        if start + size < len(found):
            answer["NextToken"] = str(start + size)
        return answer

    def _get_folder(self, given: Given) -> Json:
        repository, path = self._repository(given), given.get("folderPath")
        if path is None:
            raise RefusedError("PathRequiredException", "folderPath is required")
        commit = _commit(repository, given.get("commitSpecifier") or "HEAD")
        try:
            return reading.folder(repository.path, commit, str(path))
        except reading.NoSuchPathError as error:
            raise RefusedError("FolderDoesNotExistException", f"{path} is no folder of {commit}") from error

    def _get_file(self, given: Given) -> Json:
        repository, path = self._repository(given), str(given.get("filePath") or "")
        if not path:
            raise RefusedError("PathRequiredException", "filePath is required")
        commit = _commit(repository, given.get("commitSpecifier") or "HEAD")
        try:
            blob, mode, content = reading.file(repository.path, commit, path)
        except reading.NoSuchPathError as error:
            raise RefusedError("FileDoesNotExistException", f"{path} is no file of {commit}") from error
        if len(content) > LARGEST_FILE:
            raise RefusedError("FileTooLargeException", f"{path} is larger than 6 MB")
        return {
            "commitId": commit,
            "blobId": blob,
            "filePath": path.strip("/"),
            "fileMode": mode,
            "fileSize": len(content),
            "fileContent": base64.b64encode(content).decode(),
        }

    def _repository(self, given: Given) -> Repository:
        name = _name(given)
        try:
            return self._repositories.get(name)
        except InvalidNameError as error:
            raise _invalid_name(name) from error
        except NoSuchRepositoryError as error:
            raise RefusedError("RepositoryDoesNotExistException", f"{name} does not exist") from error

    def _metadata(self, repository: Repository) -> Json:
        ssh = self._repositories.clone_url(repository.name).replace("https://", "ssh://", 1)
        shown: Json = {
            "accountId": self._repositories.settings.account,
            "repositoryId": repository.id,
            "repositoryName": repository.name,
            "repositoryDescription": repository.description or None,
            "defaultBranch": reading.default_branch(repository.path),
            "creationDate": repository.created,
            "lastModifiedDate": max(repository.created, _modified(repository)),
            "cloneUrlHttp": self._repositories.clone_url(repository.name),
            "cloneUrlSsh": ssh,
            "Arn": self._repositories.arn(repository.name),
        }
        return {name: value for name, value in shown.items() if value is not None}


def _refusal(code: str, message: str) -> Any:
    return error_response_json(code, message, content_type=JSON)


def _modified(repository: Repository) -> float:
    log = repository.path / "logs"
    return log.stat().st_mtime if log.exists() else repository.created


def _name(given: Given) -> str:
    name = given.get("repositoryName")
    if not name:
        raise RefusedError("RepositoryNameRequiredException", "A repository name is required")
    return str(name)


def _invalid_name(name: str) -> RefusedError:
    return RefusedError(
        "InvalidRepositoryNameException",
        f"The repository name {name} is not valid: letters, digits, periods, underscores and dashes, 1 to 100 of "
        "them, without .git at the end",
    )


def _commit(repository: Repository, specifier: Any) -> str:
    try:
        return reading.resolve(repository.path, str(specifier))
    except reading.InvalidSpecifierError as error:
        raise RefusedError("InvalidCommitException", f"{specifier} does not name a commit") from error
    except reading.NoSuchCommitError as error:
        raise RefusedError("CommitDoesNotExistException", f"Commit {specifier} does not exist") from error


def _page(given: Given) -> tuple[int, int]:
    size = given.get("MaxResults")
    size = MOST_DIFFERENCES if size is None else size
    if not isinstance(size, int) or not 0 < size <= MOST_DIFFERENCES:
        raise RefusedError("InvalidMaxResultsException", f"MaxResults is 1 to {MOST_DIFFERENCES}")
    token = str(given.get("NextToken") or "0")
    if not token.isdigit():
        raise RefusedError("InvalidContinuationTokenException", "that NextToken was not given out")
    return int(token), size
