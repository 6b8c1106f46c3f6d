"""What a resource type is made of, and how it becomes one of MiniStack's handlers."""

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import Handler

Given: TypeAlias = Mapping[str, Any]
"""The properties of a resource, resolved."""
Attributes: TypeAlias = dict[str, Any]
Made: TypeAlias = tuple[str, Attributes]
"""What `Ref` gives, and what `Fn::GetAtt` gives."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One resource type.

    `create` takes the properties and a name for who has none; `update` changes in place; a change of one of
    `replaced_by` makes a new one, then deletes the old one (the template reference's "Update requires: Replacement").
    """

    create: Callable[[Given, str], Made]
    update: Callable[[str, Given], Attributes]
    delete: Callable[[str, Given], None]
    replaced_by: tuple[str, ...] = ()

    def handlers(self) -> dict[str, Any]:
        """As MiniStack's table has them."""

        def create(logical_id: str, props: Given, stack_name: str) -> Made:
            return self.create(props, provisioners._physical_name(stack_name, logical_id))

        def update(
            physical_id: str, old: Given, new: Given, stack_name: str, logical_id: str | None = None
        ) -> Made:
            if any(old.get(name) != new.get(name) for name in self.replaced_by):
                # The loop of the stack deletes the old one once it has come to its end.
                return create(logical_id or physical_id, new, stack_name)
            return physical_id, self.update(physical_id, new)

        return {"create": create, "update": update, "update_with_logical_id": True, "delete": self.delete}


def call(function: Handler, given: Given) -> str:
    """The body of MiniStack's answer to a call of one of its operations. Raises `ValueError` for a refusal."""
    status, _, body = function(dict(given))
    text = body.decode() if isinstance(body, bytes) else str(body)
    if status >= 400:
        message = re.search(r"<Message>(.*?)</Message>|\"(?:message|Message)\": ?\"(.*?)\"", text, re.DOTALL)
        raise ValueError(next((part for part in message.groups() if part), text) if message else text)
    return text


def flat(given: Any, prefix: str = "") -> dict[str, list[str]]:
    """A request of the query protocol: `{"Tags": [{"Key": "a"}]}` becomes `Tags.member.1.Key`."""
    if isinstance(given, Mapping):
        parts = [flat(value, f"{prefix}.{name}" if prefix else str(name)) for name, value in given.items()]
    elif isinstance(given, list | tuple):
        parts = [flat(value, f"{prefix}.member.{place}") for place, value in enumerate(given, start=1)]
    else:
        return {prefix: [str(given).lower() if isinstance(given, bool) else str(given)]}
    return {name: value for part in parts for name, value in part.items()}


def element(text: str, name: str) -> str:
    """The content of the first element `name` of an XML answer."""
    found = re.search(rf"<{name}>(.*?)</{name}>", text, re.DOTALL)
    if found is None:
        raise ValueError(f"MiniStack's answer has no {name}: {text[:200]}")
    return found.group(1).strip()


def fresh(prefix: str, length: int = 17) -> str:
    """A new id as EC2 writes them: the prefix and hexadecimal digits."""
    return prefix + secrets.token_hex(length)[:length]


def arn(service: str, resource: str, *, region: str | None = None) -> str:
    """The ARN of a resource of this account; of this region unless told otherwise."""
    where = get_region() if region is None else region
    return f"arn:aws:{service}:{where}:{get_account_id()}:{resource}"
