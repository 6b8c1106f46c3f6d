"""`git push` into the embedded cloud: the bare repository, the projects that build what is pushed, the remote.

Three steps, one after the other: `prepare` makes what is missing in the cloud, `connect` names it in the work tree,
`push` pushes. Each may be repeated.
"""

import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import botocore.session
from botocore.exceptions import ClientError

from tidegate_local import base_image
from tidegate_local.codecommit.repositories import path_of
from tidegate_local.lifecycle import environment
from tidegate_local.lifecycle.checkout import Checkout
from tidegate_local.lifecycle.errors import LocalError, UsageError
from tidegate_local.lifecycle.processes import wait_until
from tidegate_local.lifecycle.record import Cloud

REMOTE = "local"
STACK_SECONDS = 60.0
PUSH_SECONDS = 300.0

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class BuildProject:
    """A CodeBuild project that manifests name, with the ECR repositories of its images."""

    name: str
    repositories: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pushed:
    """What a push did: False for `moved` where the branch was there already."""

    branch: str
    commit: str
    moved: bool


def prepare(
    checkout: Checkout, cloud: Cloud, system: str, projects: Sequence[BuildProject], branch: str, say: Say
) -> list[str]:
    """Make the repository of the system, and of `projects` those that CodeBuild does not know; their names.

    Raises `LocalError`.
    """
    clients = _Clients(cloud)
    try:
        _make_repository(clients.of("codecommit"), system, say)
        known = clients.of("codebuild").batch_get_projects(names=[project.name for project in projects])
        there = {project["name"] for project in known["projects"]}
        missing = [project for project in projects if project.name not in there]
        arguments = _build_arguments(cloud, say) if missing else ""
        for project in missing:
            say(f"making CodeBuild project {project.name} from infrastructure/build.yaml")
            _make_project(checkout, clients.of("cloudformation"), project, system, branch, arguments)
    except ClientError as error:
        raise LocalError(f"the embedded cloud refused: {error}") from error
    return [project.name for project in missing]


@dataclass(frozen=True, slots=True)
class WorkTree:
    """Somebody's git repository; their own git settings apply. Every method raises `LocalError`."""

    folder: Path

    @classmethod
    def at(cls, folder: Path) -> "WorkTree":
        """The repository whose root `folder` is, with at least one commit. Raises `UsageError`."""
        make = f"git -C {folder} init && git -C {folder} add --all && git -C {folder} commit --message First"
        if not folder.is_dir():
            raise UsageError(f"{folder} is not a folder", field="dir", hint="name a git repository")
        tree = cls(folder.resolve())
        top = tree._try("rev-parse", "--show-toplevel")
        if top.returncode != 0:
            raise UsageError(f"{folder} is not a git repository", field="dir", hint=f"make it one: {make}")
        root = Path(top.stdout.strip())
        if root.resolve() != tree.folder:
            raise UsageError(
                f"{folder} is a folder inside the repository {root}", field="dir", hint=f"name that: {root}"
            )
        if tree._try("rev-parse", "--verify", "--quiet", "HEAD^{commit}").returncode != 0:
            raise UsageError(f"{folder} has no commit yet", field="dir", hint=make.partition(" && ")[2])
        return tree

    def branch(self) -> str:
        """The branch that is checked out. Raises `UsageError` where none is."""
        found = self._try("symbolic-ref", "--quiet", "--short", "HEAD")
        if found.returncode != 0:
            raise UsageError(
                f"{self.folder} is on no branch", field="branch", hint="name one to push to: --branch main"
            )
        return found.stdout.strip()

    def commit(self) -> str:
        """The full id of HEAD."""
        return self.git("rev-parse", "HEAD").strip()

    def is_dirty(self) -> bool:
        """Whether something is not committed."""
        return bool(self.git("status", "--porcelain").strip())

    def connect(self, bare: Path) -> bool:
        """Let the remote `local` be `bare`; False if it is already. Raises `UsageError` where it is another."""
        found = self._try("remote", "get-url", REMOTE)
        if found.returncode != 0:
            self.git("remote", "add", REMOTE, str(bare))
            return True
        known = found.stdout.strip()
        if known != str(bare):
            raise UsageError(
                f"the remote {REMOTE} of {self.folder} is {known}, not {bare}",
                field="dir",
                hint=f"if nobody needs it: git -C {self.folder} remote set-url {REMOTE} {bare}",
            )
        return False

    def push(self, branch: str, hear: Say) -> Pushed:
        """Push HEAD to that branch of the remote `local`; `hear` gets what the other side says."""
        if self._try("check-ref-format", f"refs/heads/{branch}").returncode != 0:
            raise UsageError(f"{branch!r} is no name of a branch", field="branch")
        reference = f"HEAD:refs/heads/{branch}"
        done = self._try("push", "--porcelain", REMOTE, reference, seconds=PUSH_SECONDS)
        for line in done.stderr.splitlines():
            if line.startswith("remote: ") and line[8:].strip():
                hear(line[8:].rstrip())
        # `<flag>\t<from>:<to>\t<summary>`; the flag is = for up to date, ! for rejected (git-push, OUTPUT).
        flags = [line[0] for line in done.stdout.splitlines() if line.count("\t") == 2 and line]
        if done.returncode != 0:
            forced = f"git -C {self.folder} push --force {REMOTE} {reference}"
            rejected = "!" in flags
            raise LocalError(
                f"git push failed: {_last(done.stdout if rejected else done.stderr)}",
                hint=f"the branch there has other commits; to replace them: {forced}" if rejected else "",
            )
        return Pushed(branch, self.commit(), moved="=" not in flags)

    def git(self, *arguments: str) -> str:
        """What git prints."""
        done = self._try(*arguments)
        if done.returncode != 0:
            raise LocalError(f"git {arguments[0]} failed in {self.folder}: {_last(done.stderr)}")
        return done.stdout

    def _try(self, *arguments: str, seconds: float = 60.0) -> "subprocess.CompletedProcess[str]":
        # Called from a hook of git, these would name another repository.
        environ = {
            k: v for k, v in os.environ.items() if k not in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")
        }
        try:
            return subprocess.run(
                ["git", *arguments],
                cwd=self.folder,
                env=environ | {"LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=seconds,
                check=False,
            )
        except FileNotFoundError as error:
            raise LocalError("there is no git on this machine", hint="install it") from error
        except subprocess.TimeoutExpired as error:
            raise LocalError(f"git {arguments[0]} did not end within {seconds:g} s") from error


def bare_repository(checkout: Checkout, system: str) -> Path:
    """Where the system's pushes go."""
    return path_of(checkout.server, system)


class _Clients:
    """The administrator's clients of a running embedded cloud."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._session: Any = botocore.session.get_session()

    def of(self, service: str) -> Any:
        return self._session.create_client(
            service,
            region_name=self._cloud.options.region,
            endpoint_url=self._cloud.endpoint_url,
            aws_access_key_id=environment.ACCESS_KEY_ID,
            aws_secret_access_key=environment.SECRET_ACCESS_KEY,
        )


def _make_repository(codecommit: Any, system: str, say: Say) -> None:
    try:
        codecommit.create_repository(repositoryName=system)
    except codecommit.exceptions.RepositoryNameExistsException:
        return
    say(f"made CodeCommit repository {system}")


def _build_arguments(cloud: Cloud, say: Say) -> str:
    """A base image for Dockerfiles with ARG BASE_IMAGE: no public registry may be in reach."""
    if cloud.engine is None:
        return "BASE_IMAGE=scratch"  # nothing is run: any name will do
    try:
        return f"BASE_IMAGE={base_image.build(cloud.engine.address, cloud.options.registry)}"
    except base_image.NoBusyboxError as error:
        say(f"no base image for ARG BASE_IMAGE: {error}")
        return ""


def _make_project(
    checkout: Checkout, cloudformation: Any, project: BuildProject, system: str, branch: str, arguments: str
) -> None:
    parameters = {
        "ProjectName": project.name,
        "SourceType": "CODECOMMIT",
        "SourceLocation": system,
        "Repositories": ",".join(project.repositories),
        "BuildArguments": arguments,
        "Architecture": environment.architecture(),
        "Branch": branch,
    }
    template = checkout.root / "infrastructure" / "build.yaml"
    cloudformation.create_stack(
        StackName=project.name,
        TemplateBody=template.read_text(),
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        Capabilities=["CAPABILITY_IAM"],
    )

    def over() -> bool:
        return not _status(cloudformation, project.name).endswith("IN_PROGRESS")

    ended = wait_until(over, seconds=STACK_SECONDS)
    status = _status(cloudformation, project.name)
    if not ended or status != "CREATE_COMPLETE":
        raise LocalError(
            f"stack {project.name} of CodeBuild project {project.name} is {status}",
            hint=f"delete it and try again: aws cloudformation delete-stack --stack-name {project.name}",
        )


def _status(cloudformation: Any, stack: str) -> str:
    return str(cloudformation.describe_stacks(StackName=stack)["Stacks"][0]["StackStatus"])


def _last(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line != "Done"]
    return " ".join(lines[-1].split()) if lines else "it said nothing"
