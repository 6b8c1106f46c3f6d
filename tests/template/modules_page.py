"""Makes infrastructure/README.md from the modules themselves and from modules.yaml.

python -m tests.template.modules_page > infrastructure/README.md
"""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from samtranslator.yaml_helper import yaml_parse

from tests.template.loading import ROOT, Json

FOLDER = ROOT / "infrastructure"
# By module, in the order of the page: `text`, and for an example `example` (values of parameters) and `before`.
SAID: dict[str, Json] = yaml.safe_load((Path(__file__).parent / "modules.yaml").read_text())
_NUMBERED = re.compile(r"(?P<stem>.*\D)(?P<number>\d+)$")
# More than these are shortened to the first and the last.
_MANY = 8
_HEAD = """# Modules

CloudFormation templates of which a system is composed: plain, without a transform, each usable alone. The five systems
in `systems/` are made of nothing else. This page is made from the templates
(`python -m tests.template.modules_page > infrastructure/README.md`); a test compares the two, and another one renders
every example.

In all of them:

- An empty text turns something off; yes and no are `true` and `false`.
- Lists are texts with commas between their parts, as a nested stack passes them on.
- Nobody shares a security group. `database.yaml` and `cache.yaml` make one for the server and one for its clients
  (`ClientSecurityGroupId`); `service.yaml` makes one for its tasks, and they wear the clients' groups besides it.
- Tidegate owns the image of a container, and the stack takes it from where Tidegate keeps it; all else is the stack's
  (docs/decisions/0035).
- Nothing is public but what `edge.yaml` and `frontend.yaml` make.

A system nests them, and `sam deploy` or `aws cloudformation package` uploads them:

```yaml
Resources:
  Network:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: ../../infrastructure/network.yaml
      Parameters: {Name: shop, PublicCidrs: "10.0.1.0/24,10.0.2.0/24", PrivateCidrs: "10.0.10.0/24,10.0.20.0/24"}
  Cluster:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: ../../infrastructure/cluster.yaml
      Parameters: {ClusterName: shop, ExecLogGroupName: /ecs/shop/exec}
  Worker:
    Type: AWS::CloudFormation::Stack
    Properties:
      TemplateURL: ../../infrastructure/service.yaml
      Parameters:
        ClusterName: !GetAtt Cluster.Outputs.ClusterName
        SubnetIds: !GetAtt Network.Outputs.PrivateSubnetIds
        # and so on
```
"""


def page() -> str:
    templates = {name: yaml_parse((FOLDER / f"{name}.yaml").read_text()) for name in SAID}
    lines = [_HEAD, "| module | makes |", "|---|---|"]
    lines += [f"| [{name}](#{name}) | {_cell(one['Description'])} |" for name, one in templates.items()]
    for name, template in templates.items():
        lines += [
            "",
            f"## {name}",
            "",
            f"{_cell(template['Description'])}.",
            "",
            _wrapped(SAID[name]["text"]),
        ]
        if "example" in SAID[name]:
            lines += ["", "```bash", *_commands(name, template), "```"]
        lines += ["", "| parameter | default | values | meaning |", "|---|---|---|---|"]
        lines += _parameters(template)
        if outputs := template.get("Outputs"):
            lines += ["", "| output | meaning |", "|---|---|"]
            lines += [f"| `{key}` | {_cell(one['Description'])} |" for key, one in outputs.items()]
    return "\n".join(lines) + "\n"


def _wrapped(text: str) -> str:
    return textwrap.fill(text, 118, break_long_words=False, break_on_hyphens=False)


def _commands(name: str, template: Json) -> Iterator[str]:
    yield from SAID[name].get("before", [])
    asked = capabilities(template)
    yield f"aws cloudformation deploy --stack-name shop-{name} --template-file infrastructure/{name}.yaml \\"
    yield f"  {f'--capabilities {asked} ' if asked else ''}--parameter-overrides \\"
    given = [f"{key}={_quoted(value)}" for key, value in SAID[name]["example"].items()]
    yield from (f"  {one} \\" for one in given[:-1])
    yield f"  {given[-1]}"


def _quoted(value: str) -> str:
    return f"'{value}'" if re.search(r"[*\s]", value) else value


def capabilities(template: Json) -> str:
    """What CloudFormation wants to be told for the roles and policies of a template; empty without any."""
    own = [one for one in template["Resources"].values() if one["Type"].startswith("AWS::IAM::")]
    named = any({"RoleName", "ManagedPolicyName", "UserName"} & one["Properties"].keys() for one in own)
    return "CAPABILITY_NAMED_IAM" if named else "CAPABILITY_IAM" if own else ""


def _parameters(template: Json) -> Iterator[str]:
    parameters = template["Parameters"]
    for group in template["Metadata"]["AWS::CloudFormation::Interface"]["ParameterGroups"]:
        yield f"| **{group['Label']['default']}** | | | |"
        for names in _series(group["Parameters"], parameters):
            shown = f"`{names[0]}`" + (f" to `{names[-1]}`" if len(names) > 1 else "")
            first = parameters[names[0]]
            meaning = first["Description"]
            if len(names) > 1:
                meaning = re.sub(rf"\b{_numbers(names[0])[1]}\b", "n", meaning)
            yield f"| {shown} | {_default(first)} | {_values(first)} | {_cell(meaning)} |"


def _series(names: list[str], parameters: Json) -> list[list[str]]:
    """Parameters that differ by the number at their end only are one entry: CloudFormation has no loops."""
    found: dict[str, list[str]] = {}
    for name in names:
        stem, number = _numbers(name)
        said = {
            k: re.sub(rf"\b{number}\b", "n", str(v)) if number else v for k, v in parameters[name].items()
        }
        found.setdefault(f"{stem} {said}" if number else name, []).append(name)
    return list(found.values())


def _numbers(name: str) -> tuple[str, str]:
    match = _NUMBERED.match(name)
    return (match["stem"], match["number"]) if match else (name, "")


def _default(parameter: Json) -> str:
    if "Default" not in parameter:
        return "*required*"
    text = str(parameter["Default"])
    if "\n" in text:
        return "*see the template*"
    return _code(text) if text else ""


def _values(parameter: Json) -> str:
    if known := parameter.get("AllowedValues"):
        shown = [_code(one) for one in known]
        return ", ".join(shown) if len(shown) <= _MANY else f"{', '.join(shown[:3])} … {shown[-1]}"
    if "MinValue" in parameter and "MaxValue" in parameter:
        return f"{parameter['MinValue']} to {parameter['MaxValue']}"
    if "MinValue" in parameter:
        return f"from {parameter['MinValue']}"
    return _cell(parameter.get("ConstraintDescription", ""))


def _code(text: Any) -> str:
    return "`" + str(text).replace("|", "\\|") + "`"


def _cell(text: Any) -> str:
    """A bar would end the cell, and a star would begin emphasis."""
    return re.sub(r"([|*<])", r"\\\1", " ".join(str(text).split()))


if __name__ == "__main__":
    sys.stdout.write(page())
