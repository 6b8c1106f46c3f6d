"""`docker` where there is no Docker engine: build, tag, push, login, inspect and what else a buildspec asks.

An image is what goes into it: the files of its context, the Dockerfile, the build arguments, its labels. Its layer has
what COPY and ADD put there. RUN is not run, so what only a RUN would find out is not found. What the Dockerfile itself
says wrong ends the build as BuildKit does, with the line. A push calls ECR for its layers and its manifest with the
credentials of the build.
"""

import hashlib
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from tidegate_local import images
from tidegate_local.codebuild.tools import dockerfile
from tidegate_local.codebuild.tools.contexts import Context

_WITH_VALUE = {
    "-f": "file",
    "--file": "file",
    "-t": "tag",
    "--tag": "tag",
    "--build-arg": "build-arg",
    "--label": "label",
    "--target": "target",
    **dict.fromkeys(
        [
            "--platform",
            "--cache-from",
            "--cache-to",
            "--progress",
            "--network",
            "--secret",
            "--ssh",
        ],
        "other",
    ),
    **dict.fromkeys(
        ["--output", "-o", "--iidfile", "--add-host", "--shm-size", "--ulimit", "--builder"], "other"
    ),
}


class DockerError(Exception):
    """Said on standard error; exit code 1."""


@dataclass(frozen=True, slots=True)
class Asked:
    """The arguments of `docker build`."""

    options: dict[str, list[str]] = field(default_factory=dict)
    context: str = ""

    def one(self, name: str, default: str) -> str:
        return self.options.get(name, [default])[-1]

    def pairs(self, name: str) -> dict[str, str]:
        """`NAME=value` by name; a name alone has the value it has in the environment."""
        given = (entry.partition("=") for entry in self.options.get(name, []))
        return {key: value if sign else os.environ.get(key, "") for key, sign, value in given}


def main(arguments: Sequence[str]) -> int:
    """Run one command; the exit code."""
    words = list(arguments)
    while words and words[0].startswith("-") and words[0] not in ("--version", "-v"):
        words = words[2:] if words[0] in ("-H", "--host", "--config", "-c", "--context") else words[1:]
    if words[:1] in (["buildx"], ["image"], ["builder"]):
        words = words[1:]
    try:
        match words:
            case ["build", *rest]:
                _build(_asked(rest))
            case ["tag", old, new]:
                _Store().put(new, _Store().get(old))
            case ["push", *rest]:
                _push([word for word in rest if not word.startswith("-")][-1])
            case ["login", *rest]:
                _login(rest)
            case ["inspect", *rest]:
                _inspect(rest)
            case ["--version" | "-v" | "version" | "info" | "use" | "create" | "logout", *_]:
                print("Docker, simulated: there is no engine in this embedded cloud")
            case _:
                _refuse(words)
    except DockerError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _refuse(words: Sequence[str]) -> NoReturn:
    raise DockerError(
        f"docker {' '.join(words[:1])} needs a Docker engine, and this embedded cloud has none; start it with one: "
        "tidegate local up --docker require"
    )


class _Store:
    """The images of one build, by name; they are gone with it."""

    def __init__(self) -> None:
        folder = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
        folder.mkdir(parents=True, exist_ok=True)
        self._file, self._logins = folder / "images.json", folder / "logins.json"

    def get(self, name: str) -> images.Image:
        known = _read(self._file)
        for wanted in (name, _with_tag(name)):
            if wanted in known:
                entry = known[wanted]
                config, layer = (self._blob(entry[part]).read_bytes() for part in ("config", "layer"))
                return images.Image(entry["manifest"], config, layer)
        raise DockerError(f"Error response from daemon: No such image: {_with_tag(name)}")

    def put(self, name: str, image: images.Image) -> None:
        entry = {"manifest": image.manifest}
        for part, content in (("config", image.config), ("layer", image.layer)):
            entry[part] = images.digest_of(content)
            self._blob(entry[part]).write_bytes(content)
        self._file.write_text(json.dumps({**_read(self._file), _with_tag(name): entry}))

    def _blob(self, digest: str) -> Path:
        return self._file.with_name(digest.replace(":", "-"))

    def logins(self) -> dict[str, Any]:
        return _read(self._logins)

    def log_in(self, registry: str) -> None:
        self._logins.write_text(json.dumps({**self.logins(), registry: True}))


def _build(asked: Asked) -> None:
    root = Path(asked.context)
    if not root.is_dir():
        raise DockerError(f"ERROR: unable to prepare context: path {asked.context!r} not found")
    file = Path(asked.one("file", str(root / "Dockerfile")))
    try:
        text = file.read_text(errors="replace")
    except OSError as error:
        raise DockerError(
            f"ERROR: failed to solve: failed to read dockerfile: open {file.name}: no such file or directory"
        ) from error
    context, arguments = Context(root), asked.pairs("build-arg")
    print("#0 building without a Docker engine: the Dockerfile is checked, nothing in it is run", flush=True)
    try:
        instructions = dockerfile.parse(text)
        stages = dockerfile.check(instructions, context, arguments)
    except dockerfile.DockerfileError as error:
        raise DockerError(_shown(error, text, file.name)) from error
    target = asked.one("target", "")
    stage = stages.named(target) if target else stages.last
    if stage is None:
        raise DockerError(f'ERROR: failed to solve: target stage "{target}" could not be found')
    total = hashlib.sha256(
        json.dumps([context.digest(), text, arguments, target], sort_keys=True).encode()
    ).hexdigest()
    image = images.image_of(f"{total}\n", {**stage.labels, **asked.pairs("label")}, stage.files)
    for number, one in enumerate(instructions, start=1):
        print(f"#{number} {one.name} {one.rest}" + (" (not run)" if one.name == "RUN" else ""))
    for name in asked.options.get("tag", []):
        _Store().put(name, image)
        print(f"naming to {_with_tag(name)}")
    print(f"writing image {image.digest}, on {', '.join(stages.bases)}")
    if "push" in asked.options:
        for name in asked.options.get("tag", []):
            _push(name)


def _shown(error: dockerfile.DockerfileError, text: str, name: str) -> str:
    """The lines around the one to blame, as BuildKit shows them."""
    if not error.line:
        return f"ERROR: failed to solve: {error}"
    lines = text.splitlines()
    numbers = range(max(1, error.line - 2), min(len(lines), error.line + 2) + 1)
    rule = "--------------------"
    excerpt = [f"{n:>4} | {'>>> ' if n == error.line else '    '}{lines[n - 1]}" for n in numbers]
    return "\n".join([f"{name}:{error.line}", rule, *excerpt, rule, f"ERROR: failed to solve: {error}"])


def _asked(words: list[str]) -> Asked:
    options: dict[str, list[str]] = {}
    context = ""
    rest = iter(words)
    for word in rest:
        name, sign, value = word.partition("=")
        if name in _WITH_VALUE:
            options.setdefault(_WITH_VALUE[name], []).append(value if sign else next(rest, ""))
        elif word.startswith("-"):
            options.setdefault(name.lstrip("-"), []).append(value)
        else:
            context = word
    if not context:
        raise DockerError('ERROR: "docker build" requires exactly 1 argument.')
    return Asked(options, context)


def _push(name: str) -> None:
    """To ECR: its layer and its config, then its manifest under the tag."""
    # The other commands of a build are not to wait for it.
    import botocore.session  # noqa: PLC0415
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    image, full = _Store().get(name), _with_tag(name)
    registry, _, rest = full.partition("/")
    repository, _, tag = rest.rpartition(":")
    if registry not in _Store().logins():
        raise DockerError(f"no basic auth credentials for {registry}: docker login {registry} first")
    print(f"The push refers to repository [{registry}/{repository}]")
    ecr: Any = botocore.session.get_session().create_client("ecr")
    try:
        for blob in (image.layer, image.config):
            pushed = images.upload(ecr, repository, blob)
            print(f"{images.digest_of(blob)[7:19]}: {'Pushed' if pushed else 'Layer already exists'}")
        ecr.put_image(
            repositoryName=repository,
            imageTag=tag,
            imageManifest=image.manifest,
            imageManifestMediaType=images.MANIFEST,
        )
    except ecr.exceptions.ImageAlreadyExistsException:
        pass  # the same image under the same tag
    except ecr.exceptions.ImageTagAlreadyExistsException as error:
        raise DockerError(
            f"tag invalid: The image tag '{tag}' already exists in the '{repository}' repository and cannot be "
            "overwritten because the tag is immutable."
        ) from error
    except ecr.exceptions.RepositoryNotFoundException as error:
        raise DockerError(f"name unknown: {error.response['Error']['Message']}") from error
    except ClientError as error:
        raise DockerError(f"denied: {error.response['Error']['Message']}") from error
    except BotoCoreError as error:
        raise DockerError(f"failed to do request: {error}") from error
    print(f"{tag}: digest: {image.digest} size: {len(image.manifest)}")


def _login(words: list[str]) -> None:
    if "--password-stdin" in words and not sys.stdin.read().strip():
        raise DockerError("Error: Password Required")
    values = {"-u", "--username", "-p", "--password"}
    names = [
        w
        for w, before in zip(words, ["", *words], strict=False)
        if not w.startswith("-") and before not in values
    ]
    _Store().log_in(names[-1].removeprefix("https://") if names else "docker.io")
    print("Login Succeeded")


def _inspect(words: list[str]) -> None:
    """All there is, or one of the two things a buildspec asks for: the id, the digest of the repository."""
    template, names = "", []
    rest = iter(words)
    for word in rest:
        if word in ("-f", "--format"):
            template = next(rest, "")
        elif word.startswith(("-f=", "--format=")):
            template = word.partition("=")[2]
        elif not word.startswith("-"):
            names.append(word)
    for name in names:
        image = _Store().get(name)
        config = json.loads(image.config)
        digests = [f"{_with_tag(name).rpartition(':')[0]}@{image.digest}"]
        shown: dict[str, Any] = {
            "Id": image.digest,
            "RepoTags": [_with_tag(name)],
            "RepoDigests": digests,
            "Config": config["config"],
        }
        wanted = template.replace(" ", "").strip("{}'\"")
        if wanted == ".Id":
            print(image.digest)
        elif wanted.startswith(("index.RepoDigests0", "(index.RepoDigests0")):
            print(digests[0])
        elif wanted:
            raise DockerError(
                f"template {template!r} needs a Docker engine; {{{{.Id}}}} and {{{{index .RepoDigests 0}}}} do not"
            )
        else:
            print(json.dumps([shown], indent=4))


def _with_tag(name: str) -> str:
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def _read(file: Path) -> dict[str, Any]:
    try:
        content: dict[str, Any] = json.loads(file.read_text())
    except OSError:
        return {}
    return content


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
