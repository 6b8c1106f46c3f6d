"""Makes docs/iam.md from template.yaml, whose comments say why each action is there.

python -m tests.template.iam_page > docs/iam.md
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

from tests.template.loading import TEMPLATE

_ROLE = re.compile(r"^  (\w+)Role:$")
_ACTION = re.compile(r"^\s+(?:- |Action: )([a-z0-9-]+:[A-Za-z]+) # (.+)$")
_NAMED = re.compile(r"^\s+(?:Resource: |- )(.+)$")
_CONDITION = re.compile(
    r'Condition: \{"?(?:ForAllValues:)?String(?:Equals|Like)"?: \{"([^"]+)": \[?"?([^"\]}]+)'
)
_BOUND = re.compile(r"!If \[\w+AreNamed, !Ref (\w+), ")
_ARN = re.compile(r"arn:\$\{AWS::Partition\}:(\w+):(?:\$\{AWS::Region\})?:\$\{AWS::AccountId\}:([^\"\]]+)")
# How a statement begins, and what stands for one whose condition does not hold.
_NOTHING = ("Effect: Allow", "!Ref AWS::NoValue")
_HEAD = """# Permissions

Who may do what, and why. Made from the comments in `template.yaml` (`python -m tests.template.iam_page >docs/iam.md`);
a test compares the two. `docs/install.md` explains the parameters that bound them.

Each function and each state machine has a role of its own. "*" stands only where AWS knows nothing narrower
(`tests/template/wildcards.yaml` has the reason for each). `make iam` takes each action of a function away in turn and
looks which scenario breaks; what the embedded cloud cannot show is in `tests/template/aws_only.yaml`, each with its AWS
page.
"""


@dataclass
class Grant:
    """The actions of one statement with their reasons, and what they are granted on."""

    actions: list[tuple[str, str]] = field(default_factory=list)
    resources: list[str] = field(default_factory=list)
    bounds: str = ""


def grants(text: str) -> Iterator[tuple[str, list[Grant]]]:
    """(role, its statements) in the order of the template."""
    role, found = "", [Grant()]
    for line in text.splitlines():
        if re.match(r"^  \w+:|^\w+:", line):
            if role:
                yield role, [grant for grant in found if grant.actions]
            match = _ROLE.match(line)
            role, found = (match.group(1) if match else ""), [Grant()]
        elif role and "- Effect: Allow" in line:
            found.append(Grant())
        elif role and (action := _ACTION.match(line)):
            found[-1].actions.append((action.group(1), action.group(2)))
        elif role and found[-1].actions:
            _read_rest(line, found[-1])


def _read_rest(line: str, grant: Grant) -> None:
    if "Condition: !If [ClustersAreNamed" in line:
        grant.bounds = "`Clusters`"
    elif condition := _CONDITION.search(line):
        grant.bounds += f"{', ' if grant.bounds else ''}{condition[1].split(':')[1]} = {condition[2]}"
    elif (named := _NAMED.match(line)) and named.group(1) not in _NOTHING:
        text = named.group(1)
        if bound := _BOUND.search(text):
            grant.bounds = f"`{bound.group(1)}`"
        grant.resources.append(_short(text))


def _short(resource: str) -> str:
    """`!Sub arn:${AWS::Partition}:ecs:…:service/*` as `ecs service/*`."""
    if resource == '"*"':
        return "\\*"
    if arns := _ARN.findall(resource):
        return ", ".join(
            f"`{service} {rest.replace('${AWS::StackName}', '<stack>')}`" for service, rest in arns
        )
    plain = resource.removeprefix("!GetAtt ").removeprefix("!Ref ").removeprefix("!Sub ").removesuffix(".Arn")
    return f"`{plain.replace('${Table.Arn}', 'Table')}`"


def page() -> str:
    lines = [_HEAD]
    for role, statements in grants(TEMPLATE.read_text()):
        lines += [f"## {role}Role", "", "| action | on | only if | why |", "|---|---|---|---|"]
        for grant in statements:
            on = ", ".join(grant.resources)
            lines += [f"| {action} | {on} | {grant.bounds} | {why} |" for action, why in grant.actions]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.stdout.write(page())
