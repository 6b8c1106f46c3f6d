"""The functions of Rules have short forms too.

AWS: `!Contains`, `!EachMemberIn` and their like are the short forms of the functions of Rules (CloudFormation template
reference, "Rule functions"). MiniStack: knows their full names only, and cannot read a template with a short one.
Mended by reading them.
"""

from ministack.services.cloudformation import engine

from tidegate_local.seam import MendDoesNotFitError, expect, expect_attributes

FUNCTIONS = ("Contains", "EachMemberEquals", "EachMemberIn", "RefAll", "ValueOf", "ValueOfAll")


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(engine, "CfnLoader", "_RULE_FUNCTIONS")
    construct = expect(engine, "_construct_cfn_tag", signature="(tag_name)")
    for function in FUNCTIONS:
        if f"!{function}" in engine.CfnLoader.yaml_constructors:
            raise MendDoesNotFitError("engine.CfnLoader", f"no !{function}", "one of its own")
        engine.CfnLoader.add_constructor(f"!{function}", construct(f"Fn::{function}"))
