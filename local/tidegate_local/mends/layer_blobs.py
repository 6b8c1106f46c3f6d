"""Layers that are pushed through ECR's API are kept, and can be downloaded from where GetDownloadUrlForLayer says.

AWS: UploadLayerPart and CompleteLayerUpload keep a layer, if its digest is the one that is named
(InvalidLayerException); BatchCheckLayerAvailability knows it; GetDownloadUrlForLayer gives an address that is signed,
and so needs no credentials, or LayersNotFoundException (ECR API reference).
MiniStack: throws away what UploadLayerPart is given, knows no layer, and gives the address of AWS's own registry, which
nobody reaches.
Mended with the memory of its registry (HTTP API V2), whose blobs need no credentials: a layer that was pushed in one
way is there in both, and the address is the registry's own.
"""

import base64
import hashlib
from typing import Any

from ministack.core.responses import error_response_json, json_response
from ministack.services import ecr

from tidegate_local.seam import expect, expect_attributes, graft

Json = dict[str, Any]


def install(registry: str) -> None:
    """`registry` is `127.0.0.1:<port>`. Raises `MendDoesNotFitError`."""
    expect_attributes(ecr, "_repositories", "_uploads")
    expect(ecr, "_v2_get_blob", signature="(name, digest)", shows="_layer_blobs.get(name, {}).get(digest)")

    def upload(data: Json) -> Any:
        answer = original_upload(data)
        name, upload_id = data.get("repositoryName", ""), data.get("uploadId", "")
        part = base64.b64decode(data.get("layerPartBlob", ""))
        received = ecr._uploads.setdefault(name, {}).setdefault(upload_id, bytearray())
        received.extend(part)
        return answer

    def complete(data: Json) -> Any:
        name = data.get("repositoryName", "")
        content = bytes(ecr._uploads.get(name, {}).pop(data.get("uploadId", ""), b""))
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        wanted = data.get("layerDigests") or [digest]
        if wanted != [digest]:
            return _error("InvalidLayerException", f"the layer has the digest {digest}, not {wanted[0]}")
        ecr._layer_blobs.setdefault(name, {})[digest] = content
        return original_complete(data)

    def check(data: Json) -> Any:
        name = data.get("repositoryName", "")
        if name not in ecr._repositories:
            return original_check(data)
        blobs = ecr._layer_blobs.get(name, {})
        layers = [
            {
                "layerDigest": digest,
                "layerAvailability": "AVAILABLE" if digest in blobs else "UNAVAILABLE",
                "layerSize": len(blobs.get(digest, b"")),
            }
            for digest in data.get("layerDigests", [])
        ]
        return json_response({"layers": layers, "failures": []})

    def address(data: Json) -> Any:
        name, digest = data.get("repositoryName", ""), data.get("layerDigest", "")
        if name not in ecr._repositories:
            return original_address(data)
        if digest not in ecr._layer_blobs.get(name, {}):
            return _error("LayersNotFoundException", f"the repository '{name}' has no layer {digest}")
        url = f"http://{registry}/v2/{name}/blobs/{digest}"
        return json_response({"downloadUrl": url, "layerDigest": digest})

    original_upload = graft(
        ecr, "_upload_layer_part", upload, signature="(data)", shows='"lastByteReceived": 0'
    )
    original_complete = graft(
        ecr, "_complete_layer_upload", complete, signature="(data)", shows="digests[0] if digests"
    )
    original_check = graft(
        ecr,
        "_batch_check_layer_availability",
        check,
        signature="(data)",
        shows='"UNAVAILABLE", "layerSize": 0',
    )
    original_address = graft(
        ecr, "_get_download_url_for_layer", address, signature="(data)", shows="/blobs/{layer_digest}"
    )


def _error(code: str, message: str) -> Any:
    return error_response_json(code, message, 400)
