"""Images without an engine: valid manifests, one digest for one content."""

import json

from tidegate_local.images import CONFIG, LAYER, MANIFEST, manifest_of


def test_the_manifest_is_an_oci_image_manifest() -> None:
    manifest = json.loads(manifest_of("first"))
    assert (manifest["schemaVersion"], manifest["mediaType"]) == (2, MANIFEST)
    assert manifest["config"]["mediaType"] == CONFIG
    assert [layer["mediaType"] for layer in manifest["layers"]] == [LAYER]
    for descriptor in (manifest["config"], *manifest["layers"]):
        assert len(descriptor["digest"]) == len("sha256:") + 64
        assert descriptor["size"] > 0


def test_the_same_content_is_the_same_manifest() -> None:
    assert manifest_of("first") == manifest_of("first")
    assert manifest_of("first") != manifest_of("second")
