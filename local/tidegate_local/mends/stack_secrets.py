"""A secret that a stack makes: `Ref` is its ARN, its password is what was asked for, its name is its own.

AWS: "Ref returns the ARN of the secret"; GenerateSecretString takes what GetRandomPassword takes, ExcludePunctuation
among it, and every included type is in the password (CloudFormation template reference, AWS::SecretsManager::Secret).
A name that is taken fails the resource (CreateSecret: ResourceExistsException).
MiniStack: `Ref` is the name, so a policy that says `Resource: !Ref Secret` allows nothing; of GenerateSecretString only
the length and ExcludeCharacters count, so there are quotes and slashes in passwords; another's secret is overwritten.
Mended by the ARN, by MiniStack's own GetRandomPassword, and by looking whether the name is taken.
"""

import json
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners

from tidegate_local.seam import expect, expect_attributes, graft

Json = dict[str, Any]
Made = tuple[str, Json]
KIND = "AWS::SecretsManager::Secret"
_NUMBERS, _FLAGS = {"PasswordLength"}, ("Exclude", "Include", "Require")
_OF_THE_TEMPLATE = {"SecretStringTemplate", "GenerateStringKey"}


def install() -> None:
    """Raises `MendDoesNotFitError`."""
    expect_attributes(provisioners, "_RESOURCE_HANDLERS")
    resolve = expect(secretsmanager, "_resolve", signature="(secret_id, *, use_arn_scope=False)")
    expect(secretsmanager, "_get_random_password", signature="(data)")
    made = expect(provisioners, "_sm_secret_create", signature="(logical_id, props, stack_name)")
    changed = expect(
        provisioners,
        "_sm_secret_update",
        signature="(physical_id, old_props, new_props, stack_name, logical_id=None)",
    )
    deleted = expect(provisioners, "_sm_secret_delete", signature="(physical_id, props)")

    def name_of(physical_id: str) -> str:
        return str(resolve(physical_id)[0] or physical_id)

    def create(logical_id: str, props: Json, stack_name: str) -> Made:
        name = props.get("Name")
        if name and secretsmanager._secrets.get(name):
            raise ValueError(f"The operation failed because the secret {name} already exists.")
        _, attributes = made(logical_id, props, stack_name)
        return attributes["Id"], attributes

    def update(
        physical_id: str, old: Json, new: Json, stack_name: str, logical_id: str | None = None
    ) -> Made:
        _, attributes = changed(name_of(physical_id), old, new, stack_name, logical_id)
        return attributes["Id"], attributes

    def delete(physical_id: str, props: Json) -> None:
        deleted(name_of(physical_id), props)

    provisioners._RESOURCE_HANDLERS[KIND].update(
        {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}
    )
    graft(
        provisioners,
        "_sm_secret_string",
        _value,
        signature="(props)",
        shows='exclude = gen.get("ExcludeCharacters", "")',
    )


def _value(props: Json) -> str:
    """SecretString as it is, or what GenerateSecretString asks for. Raises `ValueError`."""
    wanted = props.get("GenerateSecretString")
    if props.get("SecretString") or wanted is None:
        return str(props.get("SecretString", ""))
    asked = {name: _typed(name, value) for name, value in wanted.items() if name not in _OF_THE_TEMPLATE}
    status, _, body = secretsmanager._get_random_password(asked)
    answer = json.loads(body)
    if status >= 400:
        raise ValueError(answer.get("message") or answer.get("Message"))
    password = str(answer["RandomPassword"])
    if "SecretStringTemplate" not in wanted:
        return password
    return json.dumps({**json.loads(wanted["SecretStringTemplate"]), wanted["GenerateStringKey"]: password})


def _typed(name: str, value: Any) -> Any:
    """The types of the API: a template's numbers and booleans may be text."""
    if name in _NUMBERS:
        return int(value)
    if name.startswith(_FLAGS) and name != "ExcludeCharacters":
        return str(value).lower() == "true"
    return value
