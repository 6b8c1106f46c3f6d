"""A system whose data may not leave a country, in the embedded cloud of another one."""

import pytest
from botocore.exceptions import ClientError
from samtranslator.yaml_helper import yaml_parse

from tests.integration.local.stacks import Stack
from tests.support.embedded import Cloud
from tests.systems.rendering import SYSTEMS, settings

pytestmark = pytest.mark.emulator


def test_paperwurks_is_refused_outside_of_london_before_anything_is_made(cloud: Cloud) -> None:
    assert cloud.region != "eu-west-2"
    template = yaml_parse((SYSTEMS / "paperwurks" / "template.yaml").read_text(encoding="utf-8"))
    stack = Stack(cloud)
    with pytest.raises(ClientError, match="Paperwurks' data stay in the United Kingdom") as refused:
        stack.create(template, **settings("paperwurks", "dev")["parameter_overrides"])
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    stacks = cloud.client("cloudformation").describe_stacks()["Stacks"]
    assert stack.name not in {one["StackName"] for one in stacks}
