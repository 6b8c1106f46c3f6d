"""Manifests, published images and counts in SSM Parameter Store.

    /tidegate/<system>/<environment>                 the manifest as JSON, or {"manifest": "sha256:<hex>"}
    /tidegate/<system>/<environment>/image/<image>   what runs, for IaC tools
    /tidegate/<system>/<environment>/count/<service> how many tasks somebody has scaled a service to, likewise

A parameter holds 8 KB at most (advanced tier). A larger manifest is an item of the table, with its text in `json`,
under pk `SYSTEM#<system>#ENV#<environment>` and sk `MANIFEST#<hex>`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from tidegate.adapters.errors import asking, code_of
from tidegate.domain.errors import BadManifestError
from tidegate.ports import Key, Put, Store

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

ROOT = "/tidegate"
MOST_BYTES = 8192
_POINTER = "sha256:"


class SsmRegistry:
    def __init__(self, client: Callable[[], SSMClient], store: Store) -> None:
        self._client = client
        self._store = store

    def manifest(self, system: str, environment: str) -> object | None:
        name = _name(system, environment)
        with asking("ssm:GetParameter"):
            try:
                text = self._client().get_parameter(Name=name)["Parameter"]["Value"]
            except ClientError as error:
                if code_of(error) == "ParameterNotFound":
                    return None
                raise
        data = _parsed(text, f"the parameter {name}")
        if isinstance(data, dict) and data.keys() == {"manifest"}:
            return self._pointed_to(system, environment, str(data["manifest"]).removeprefix(_POINTER))
        return data

    def put_manifest(self, system: str, environment: str, data: object) -> None:
        """The item first: a pointer to nothing is never seen, an item that nothing points to harms nobody."""
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        if len(text.encode()) > MOST_BYTES:
            digest = hashlib.sha256(text.encode()).hexdigest()
            self._store.transact([Put(_key(system, environment, digest), {"json": text})])
            text = json.dumps({"manifest": f"{_POINTER}{digest}"})
        self._put(_name(system, environment), text)

    def environments(self, system: str) -> list[str]:
        return sorted(
            name.rsplit("/", 1)[-1] for name in self._names(f"{ROOT}/{system}") if name.count("/") == 3
        )

    def systems(self) -> list[tuple[str, str]]:
        found = [name.split("/")[2:] for name in self._names(ROOT) if name.count("/") == 3]
        return sorted((system, environment) for system, environment in found)

    def publish_image(self, system: str, environment: str, image: str, uri: str) -> None:
        self._put(f"{_name(system, environment)}/image/{image}", uri)

    def count(self, system: str, environment: str, service: str) -> int | None:
        with asking("ssm:GetParameter"):
            try:
                name = _count(system, environment, service)
                text = self._client().get_parameter(Name=name)["Parameter"]["Value"].strip()
            except ClientError as error:
                if code_of(error) == "ParameterNotFound":
                    return None
                raise
        return int(text) if text.isascii() and text.isdecimal() else None

    def publish_count(self, system: str, environment: str, service: str, count: int) -> None:
        self._put(_count(system, environment, service), str(count))

    def _pointed_to(self, system: str, environment: str, digest: str) -> object:
        item = self._store.get(_key(system, environment, digest))
        if item is None:
            raise BadManifestError(
                f"the parameter {_name(system, environment)} points to a manifest that is not in the table",
                hint="register it again: tidegate apply",
            )
        return _parsed(str(item["json"]), f"the manifest {_POINTER}{digest}")

    def _put(self, name: str, text: str) -> None:
        with asking("ssm:PutParameter"):
            self._client().put_parameter(
                Name=name, Value=text, Type="String", Overwrite=True, Tier="Intelligent-Tiering"
            )

    def _names(self, path: str) -> Iterator[str]:
        question: dict[str, Any] = {"Path": path, "Recursive": path == ROOT}
        while True:
            with asking("ssm:GetParametersByPath"):
                answer = self._client().get_parameters_by_path(**question)
            for parameter in answer["Parameters"]:
                yield parameter["Name"]
            if not answer.get("NextToken"):
                return
            question["NextToken"] = answer["NextToken"]


def _name(system: str, environment: str) -> str:
    return f"{ROOT}/{system}/{environment}"


def _count(system: str, environment: str, service: str) -> str:
    return f"{_name(system, environment)}/count/{service}"


def _key(system: str, environment: str, digest: str) -> Key:
    return Key(f"SYSTEM#{system}#ENV#{environment}", f"MANIFEST#{digest}")


def _parsed(text: str, where: str) -> object:
    try:
        data: object = json.loads(text)
    except ValueError as error:
        raise BadManifestError(
            f"{where} is not JSON: {error}", hint="register it again: tidegate apply"
        ) from None
    return data
