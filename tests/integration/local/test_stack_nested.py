"""Stacks in stacks: what holds for a stack holds for one that is another's resource."""

from typing import Any

import pytest

from tests.integration.local.stacks import Stack, Template, name, resources, uploaded
from tests.support.embedded import Cloud

pytestmark = pytest.mark.emulator


def parameter(value: Any, at: Any, **more: Any) -> tuple[str, dict[str, Any]]:
    return "AWS::SSM::Parameter", {"Name": at, "Type": "String", "Value": value, **more}


def parent(url: str, given: dict[str, Any] | None = None, **more: tuple[str, dict[str, Any]]) -> Template:
    inner = {"TemplateURL": url, **({"Parameters": given} if given else {})}
    return resources(Inner=("AWS::CloudFormation::Stack", inner), **more)


def value(cloud: Cloud, at: str) -> str:
    return str(cloud.client("ssm").get_parameter(Name=at)["Parameter"]["Value"])


def exists(cloud: Cloud, at: str) -> bool:
    return bool(cloud.client("ssm").get_parameters(Names=[at])["Parameters"])


def test_outputs_go_up_and_on_to_the_next(cloud: Cloud) -> None:
    at = name("/shop")
    first = {**resources(Topic=("AWS::SNS::Topic", {})), "Outputs": {"Arn": {"Value": {"Ref": "Topic"}}}}
    second = {
        "Parameters": {"Topic": {"Type": "String"}},
        **resources(Seen=parameter({"Ref": "Topic"}, at)),
    }
    template = resources(
        First=("AWS::CloudFormation::Stack", {"TemplateURL": uploaded(cloud, first)}),
        Second=(
            "AWS::CloudFormation::Stack",
            {
                "TemplateURL": uploaded(cloud, second),
                "Parameters": {"Topic": {"Fn::GetAtt": ["First", "Outputs.Arn"]}},
            },
        ),
    )
    stack = Stack(cloud)
    assert stack.create(template) == "CREATE_COMPLETE"
    assert value(cloud, at) == stack.nested("First").outputs["Arn"]


def test_a_dynamic_reference_made_of_a_parameter_is_resolved(cloud: Cloud) -> None:
    """Guards `_deploy`: MiniStack leaves `{{resolve:...}}` in nested stacks as it stands."""
    source, at = name("/image"), name("/shop")
    cloud.client("ssm").put_parameter(Name=source, Value="one", Type="String")
    inner = {
        "Parameters": {"From": {"Type": "String"}, "Turn": {"Type": "String", "Default": "1"}},
        **resources(
            Copy=parameter({"Fn::Sub": "{{resolve:ssm:${From}}}"}, at, Description={"Ref": "Turn"}),
        ),
    }
    url, stack = uploaded(cloud, inner), Stack(cloud)
    stack.create(parent(url, {"From": source}))
    assert value(cloud, at) == "one"
    cloud.client("ssm").put_parameter(Name=source, Value="two", Type="String", Overwrite=True)
    assert stack.update(parent(url, {"From": source, "Turn": "2"})) == "UPDATE_COMPLETE"
    assert value(cloud, at) == "two"


def test_what_an_update_leaves_alone_keeps_its_attributes(cloud: Cloud) -> None:
    """Guards `_deploy`: MiniStack forgets them in nested stacks, so `GetAtt` fails the second time."""
    at = name("/shop")
    inner = {
        "Parameters": {"Turn": {"Type": "String"}},
        **resources(
            Queue=("AWS::SQS::Queue", {}),
            Seen=parameter({"Fn::Sub": "${Queue.QueueName} ${Turn}"}, at),
        ),
        "Outputs": {"Queue": {"Value": {"Fn::GetAtt": ["Queue", "Arn"]}}},
    }
    url, stack = uploaded(cloud, inner), Stack(cloud)
    stack.create(parent(url, {"Turn": "1"}))
    before = stack.nested("Inner").outputs
    assert stack.update(parent(url, {"Turn": "2"})) == "UPDATE_COMPLETE"
    assert stack.nested("Inner").outputs == before
    assert value(cloud, at) == f"{before['Queue'].rpartition(':')[2]} 2"


def test_a_rule_of_a_nested_template_is_enforced_before_anything_is_made(cloud: Cloud) -> None:
    """Guards `validate_template_support` in `_deploy`: MiniStack checks no rule of a nested template."""
    at = name("/shop")
    rule = {
        "Assertions": [
            {
                "Assert": {"Fn::Contains": [["512", "1024"], {"Ref": "Memory"}]},
                "AssertDescription": "Memory does not go with Cpu",
            }
        ]
    }
    inner = {
        "Parameters": {"Memory": {"Type": "String"}},
        "Rules": {"Pair": rule},
        **resources(Seen=parameter("made", at)),
    }
    stack = Stack(cloud)
    assert stack.create(parent(uploaded(cloud, inner), {"Memory": "8192"})) == "ROLLBACK_COMPLETE"
    assert "Memory does not go with Cpu" in stack.failures["Inner"]
    assert not exists(cloud, at)


def test_an_unknown_type_in_a_nested_template_is_named(cloud: Cloud) -> None:
    stack = Stack(cloud)
    inner = resources(Thing=("AWS::Nothing::Known", {}))
    assert stack.create(parent(uploaded(cloud, inner))) == "ROLLBACK_COMPLETE"
    assert "AWS::Nothing::Known" in stack.failures["Inner"]


def failing(at: str, kept: str) -> Template:
    """Makes a parameter, then fails for one that is there already."""
    template = resources(Made=parameter("made", at), Taken=parameter("again", kept))
    template["Resources"]["Taken"]["DependsOn"] = ["Made"]
    return template


def test_one_that_fails_tells_why_and_leaves_nothing(cloud: Cloud) -> None:
    """Guards `_reason` and the rollback: MiniStack leaves what the failed one made."""
    at, kept = name("/shop"), name("/taken")
    cloud.client("ssm").put_parameter(Name=kept, Value="mine", Type="String")
    stack = Stack(cloud)
    assert stack.create(parent(uploaded(cloud, failing(at, kept)))) == "ROLLBACK_COMPLETE"
    told = stack.failures["Inner"]
    assert "was not successfully created: The following resource(s) failed to create: [Taken]." in told
    assert "ParameterAlreadyExists" in told
    assert not exists(cloud, at)
    assert value(cloud, kept) == "mine"


def test_an_update_that_fails_goes_back(cloud: Cloud) -> None:
    at, kept, first = name("/shop"), name("/taken"), name("/first")
    cloud.client("ssm").put_parameter(Name=kept, Value="mine", Type="String")
    stack = Stack(cloud)
    stack.create(parent(uploaded(cloud, resources(First=parameter("one", first)))))
    changed = failing(at, kept)
    changed["Resources"]["First"] = resources(First=parameter("two", first))["Resources"]["First"]
    assert stack.update(parent(uploaded(cloud, changed))) == "UPDATE_ROLLBACK_COMPLETE"
    assert "ParameterAlreadyExists" in stack.failures["Inner"]
    assert value(cloud, first) == "one"
    assert not exists(cloud, at)
    assert stack.nested("Inner").described["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"


def test_a_later_failure_of_the_parent_takes_it_back_too(cloud: Cloud) -> None:
    at, kept = name("/shop"), name("/taken")
    cloud.client("ssm").put_parameter(Name=kept, Value="mine", Type="String")
    stack = Stack(cloud)
    stack.create(parent(uploaded(cloud, resources(Seen=parameter("one", at)))))
    url = uploaded(cloud, resources(Seen=parameter("two", at)))
    template = parent(url, Taken=parameter("again", kept))
    template["Resources"]["Taken"]["DependsOn"] = ["Inner"]
    assert stack.update(template) == "UPDATE_ROLLBACK_COMPLETE"
    assert value(cloud, at) == "one"


def test_an_update_deletes_what_its_template_no_longer_has(cloud: Cloud) -> None:
    at, other = name("/shop"), name("/other")
    both = resources(Seen=parameter("one", at), Other=parameter("two", other))
    stack = Stack(cloud)
    stack.create(parent(uploaded(cloud, both)))
    stack.update(parent(uploaded(cloud, resources(Seen=parameter("one", at)))))
    assert exists(cloud, at)
    assert not exists(cloud, other)


def test_deleting_the_parent_obeys_its_deletion_policies(cloud: Cloud) -> None:
    """Guards `_delete`: MiniStack deletes everything in a nested stack."""
    at, kept = name("/shop"), name("/kept")
    inner = resources(Seen=parameter("one", at), Kept=parameter("two", kept))
    inner["Resources"]["Kept"]["DeletionPolicy"] = "Retain"
    stack = Stack(cloud)
    stack.create(parent(uploaded(cloud, inner)))
    nested = stack.nested("Inner")
    assert stack.delete() == "DELETE_COMPLETE"
    assert nested.described["StackStatus"] == "DELETE_COMPLETE"
    assert not exists(cloud, at)
    assert exists(cloud, kept)


def test_a_resource_that_cannot_be_deleted_keeps_the_parent(cloud: Cloud) -> None:
    """Guards `_delete` and the mend of buckets: MiniStack calls both deleted."""
    bucket = name("kept")
    stack = Stack(cloud)
    stack.create(parent(uploaded(cloud, resources(Files=("AWS::S3::Bucket", {"BucketName": bucket})))))
    cloud.client("s3").put_object(Bucket=bucket, Key="file", Body=b"x")
    assert stack.delete() == "DELETE_FAILED"
    assert "Files" in stack.failures["Inner"]
    cloud.client("s3").delete_object(Bucket=bucket, Key="file")
    assert stack.delete() == "DELETE_COMPLETE"


def test_a_condition_in_it_may_ask_for_the_region(cloud: Cloud) -> None:
    at = name("/shop")
    inner: Template = resources(Seen=parameter({"Fn::If": ["Here", "here", "elsewhere"]}, at))
    inner["Conditions"] = {"Here": {"Fn::Equals": [{"Ref": "AWS::Region"}, cloud.region]}}
    Stack(cloud).create(parent(uploaded(cloud, inner)))
    assert value(cloud, at) == "here"


def test_a_list_is_no_value_of_a_parameter(cloud: Cloud) -> None:
    """As AWS says for a `Ref` to a list."""
    inner = {"Parameters": {"Zones": {"Type": "CommaDelimitedList"}}, **resources(T=("AWS::SNS::Topic", {}))}
    template = parent(uploaded(cloud, inner), {"Zones": {"Ref": "Given"}})
    template["Parameters"] = {"Given": {"Type": "CommaDelimitedList"}}
    stack = Stack(cloud)
    assert stack.create(template, Given="a,b") == "ROLLBACK_COMPLETE"
    assert "must be an object with String" in stack.failures["Inner"]


def test_stacks_in_stacks_in_stacks(cloud: Cloud) -> None:
    at = name("/shop")
    middle = parent(uploaded(cloud, resources(Seen=parameter("deep", at))))
    stack = Stack(cloud)
    assert stack.create(parent(uploaded(cloud, middle))) == "CREATE_COMPLETE"
    assert value(cloud, at) == "deep"
    assert stack.delete() == "DELETE_COMPLETE"
    assert not exists(cloud, at)
