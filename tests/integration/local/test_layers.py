"""A layer is unpacked once for all functions that take it."""

import io
import json
import uuid
import zipfile

import pytest

from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator

WHERE = """
    import os, said

    def handler(event, context):
        return [said.WORD, os.path.realpath(said.__file__)]
"""


def layer(cloud: Cloud, word: str) -> str:
    """ARN of a new layer with a module `said` that has the word."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("python/said.py", f"WORD = {word!r}\n")
    published = cloud.client("lambda").publish_layer_version(
        LayerName=f"layer-{uuid.uuid4().hex[:8]}", Content={"ZipFile": archive.getvalue()}
    )
    return str(published["LayerVersionArn"])


def asked(cloud: Cloud, layer_arn: str) -> tuple[str, str]:
    """The word that a new function finds in the layer, and in which file."""
    function = cloud.function(WHERE, Layers=[layer_arn])
    answer = cloud.client("lambda").invoke(FunctionName=function)
    word, file = json.load(answer["Payload"])
    return word, file


def test_a_layer_is_unpacked_once(cloud: Cloud) -> None:
    hello = layer(cloud, "hello")
    first, second = asked(cloud, hello), asked(cloud, hello)
    assert first == second
    assert first[0] == "hello"


def test_a_layer_with_other_content_is_another_one(cloud: Cloud) -> None:
    assert [asked(cloud, layer(cloud, word))[0] for word in ("hello", "goodbye")] == ["hello", "goodbye"]
