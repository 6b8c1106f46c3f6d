"""Images are scanned, and nothing is ever found in one.

AWS: basic scanning ("Scan images for OS vulnerabilities in Amazon ECR", user guide) looks at an image when it is
pushed, where its repository has scanOnPush, or when StartImageScan asks for it; DescribeImageScanFindings gives the
counts by severity, or ScanNotFoundException (ECR API reference).
MiniStack: keeps scanOnPush, and knows neither operation.
Mended by both: a scan is complete at once, without findings. No `ECR Image Scan` is sent; a test puts its own.
"""

import functools
import json
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core.responses import error_response_json, json_response
from ministack.services import ecr

from tidegate_local.seam import expect, expect_attributes, graft

Json = dict[str, Any]
_KEY = "scanned"


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(ecr, "_repositories", "_registry_id")
    find = expect(ecr, "_find_image", signature="(repo_name, image_id)")
    handle = app.SERVICE_HANDLERS["ecr"]
    operations: dict[str, Callable[[Json, Json], Any]] = {
        "StartImageScan": _start,
        "DescribeImageScanFindings": _describe,
    }

    @functools.wraps(handle)
    async def answer(method: str, path: str, headers: Json, body: bytes, query: Any) -> Any:
        operation = operations.get(headers.get("x-amz-target", "").rpartition(".")[2])
        if operation is None:
            return await handle(method, path, headers, body, query)
        given = json.loads(body)
        name = given.get("repositoryName", "")
        if name not in ecr._repositories:
            return _error("RepositoryNotFoundException", f"The repository with name '{name}' does not exist")
        image = find(name, given.get("imageId") or {})
        if image is None:
            return _error(
                "ImageNotFoundException", f"The image does not exist within the repository '{name}'"
            )
        return operation(given, image)

    app.SERVICE_HANDLERS["ecr"] = answer

    def put(data: Json) -> Any:
        answered = original(data)
        name = data.get("repositoryName", "")
        repository = ecr._repositories.get(name)
        if repository and (repository.get("imageScanningConfiguration") or {}).get("scanOnPush"):
            image = find(name, {"imageTag": data.get("imageTag")})
            if image is not None:
                image[_KEY] = True
        return answered

    original = graft(ecr, "_put_image", put, signature="(data)", shows="_images[name].append(image)")


def _start(given: Json, image: Json) -> Any:
    image[_KEY] = True
    return json_response(
        {**_named(given, image), "imageScanStatus": {"status": "COMPLETE", "description": _SAID}}
    )


def _describe(given: Json, image: Json) -> Any:
    if not image.get(_KEY):
        return _error(
            "ScanNotFoundException", f"Image scan does not exist for the image {image['imageDigest']}"
        )
    findings = {"findings": [], "findingSeverityCounts": {}, "imageScanCompletedAt": image["imagePushedAt"]}
    return json_response(
        {
            **_named(given, image),
            "imageScanStatus": {"status": "COMPLETE", "description": _SAID},
            "imageScanFindings": findings,
        }
    )


_SAID = "The scan was completed successfully."


def _named(given: Json, image: Json) -> Json:
    return {
        "registryId": ecr._registry_id(),
        "repositoryName": given["repositoryName"],
        "imageId": {"imageDigest": image["imageDigest"]},
    }


def _error(code: str, message: str) -> Any:
    return error_response_json(code, message, 400)
