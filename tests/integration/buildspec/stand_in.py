"""`docker` and `aws` as the buildspec calls them: `stand_in.py NAME STATE ARGUMENT...`.

STATE holds `registry.json`, what they pretend is in ECR, and `calls.jsonl`, how they were called. The standard library
alone, since each call is a process of its own.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path
from typing import Any

REGISTRY_HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
_NO_IMAGE = "An error occurred (ImageNotFoundException) when calling the DescribeImages operation"


def digest_of(what: str) -> str:
    return f"sha256:{hashlib.sha256(what.encode()).hexdigest()}"


def _docker(arguments: list[str], registry: dict[str, Any], state: Path) -> int:
    match arguments[0]:
        case "login":
            return 0 if sys.stdin.read() == "token" else 1
        case "build":
            return _failed("ERROR: failed to solve: no such stage") if registry["broken_dockerfile"] else 0
        case "push":
            address, _, tag = arguments[1].rpartition(":")
            name = f"{address.partition('/')[2]}:{tag}"
            if registry["faster"]:
                registry["tags"].setdefault(name, digest_of("faster"))
            code = _pushed(name, registry)
            (state / "registry.json").write_text(json.dumps(registry))
            return code
    return _failed(f"docker knows no {arguments[0]}")


def _pushed(name: str, registry: dict[str, Any]) -> int:
    if name in registry["tags"]:
        return _failed(f"tag invalid: The image tag '{name}' already exists and is immutable")
    if registry["refuses"]:
        return _failed("denied: not authorized to perform ecr:PutImage")
    registry["tags"][name] = digest_of("pushed")
    return 0


def _aws(arguments: list[str], registry: dict[str, Any]) -> int:
    given = dict(zip(arguments[2::2], arguments[3::2], strict=False))
    match arguments[1]:
        case "get-login-password":
            return _printed("token")
        case "describe-repositories":
            name = given["--repository-names"]
            known = name in registry["repositories"]
            return _printed(f"{REGISTRY_HOST}/{name}") if known else _failed("RepositoryNotFoundException")
        case "describe-images":
            if registry["unreachable"]:
                return _failed("Could not connect to the endpoint URL")
            tag = given["--image-ids"].removeprefix("imageTag=")
            digest = registry["tags"].get(f"{given['--repository-name']}:{tag}")
            return _printed(digest) if digest else _failed(_NO_IMAGE)
    return _failed(f"aws knows no {arguments[1]}")


def _printed(what: str) -> int:
    sys.stdout.write(what)
    return 0


def _failed(what: str) -> int:
    sys.stderr.write(f"{what}\n")
    return 255


def main(name: str, state: Path, arguments: list[str]) -> int:
    with (state / "calls.jsonl").open("a") as calls:
        calls.write(json.dumps({"name": name, "arguments": arguments, "directory": str(Path.cwd())}) + "\n")
    registry = json.loads((state / "registry.json").read_text())
    return _docker(arguments, registry, state) if name == "docker" else _aws(arguments, registry)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]))
