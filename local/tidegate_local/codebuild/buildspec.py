"""What a buildspec of version 0.2 asks for (CodeBuild user guide, "Build specification reference")."""

import re
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

Name = Literal["install", "pre_build", "build", "post_build"]
NAMES: tuple[Name, ...] = ("install", "pre_build", "build", "post_build")
_RETRY = re.compile(r"RETRY(?:-(\d{1,2}))?(?:-.*)?")


class BuildspecError(ValueError):
    """It cannot be used; the message names the field."""


def _listed(value: Any) -> Any:
    """One command may stand alone; nothing at all is no command."""
    if value in (None, ""):
        return []
    return [value] if isinstance(value, str) else value


def _filled(value: Any) -> Any:
    return {} if value in (None, "") else value


Commands = Annotated[list[str], BeforeValidator(_listed)]
Values = Annotated[dict[str, str], BeforeValidator(_filled)]


class Phase(BaseModel):
    """The commands of a phase; `finally_` run after them in any case."""

    model_config = ConfigDict(extra="ignore")

    commands: Commands = Field(default_factory=list)
    finally_: Commands = Field(default_factory=list, alias="finally")
    on_failure: str = Field("", alias="on-failure")

    @property
    def retries(self) -> int:
        """How often it is run again: 3 for `RETRY`, n for `RETRY-n`."""
        match = _RETRY.fullmatch(self.on_failure)
        return int(match.group(1) or 3) if match else 0


class Environment(BaseModel):
    """`env`; the values of `parameter_store` and `secrets_manager` are references."""

    model_config = ConfigDict(extra="ignore")

    shell: str = "sh"
    variables: Values = Field(default_factory=dict)
    parameter_store: Values = Field(default_factory=dict, alias="parameter-store")
    secrets_manager: Values = Field(default_factory=dict, alias="secrets-manager")
    exported_variables: Commands = Field(default_factory=list, alias="exported-variables")


class Buildspec(BaseModel):
    """A buildspec. What is not about commands and variables (artifacts, reports, cache) is not read."""

    model_config = ConfigDict(extra="ignore")

    version: str
    env: Annotated[Environment, BeforeValidator(_filled)] = Field(
        default_factory=lambda: Environment.model_validate({})
    )
    phases: Annotated[dict[str, Annotated[Phase, BeforeValidator(_filled)]], BeforeValidator(_filled)] = (
        Field(default_factory=dict)
    )

    def phase(self, name: Name) -> Phase:
        """An empty one where the buildspec has none."""
        return self.phases.get(name) or Phase.model_validate({})


def parse(text: str) -> Buildspec:
    """Read it. Raises `BuildspecError`."""
    try:
        # Every scalar as it is written: a variable `1.10` is not the number 1.1.
        content = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 -- makes strings, lists and mappings only
    except yaml.YAMLError as error:
        raise BuildspecError(f"not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(content, dict):
        raise BuildspecError("a buildspec is a mapping that begins with version: 0.2")
    try:
        spec = Buildspec.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise BuildspecError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error
    if spec.version != "0.2":
        raise BuildspecError(f"version: {spec.version} is not supported here, write 0.2")
    unknown = sorted({*spec.phases} - {*NAMES})
    if unknown:
        raise BuildspecError(f"phases.{unknown[0]}: there are {', '.join(NAMES)}")
    if not any(phase.commands for phase in spec.phases.values()):
        raise BuildspecError("phases: at least one phase needs commands")
    return spec


def is_inline(buildspec: str) -> bool:
    """Whether a project's `buildspec` is the text of one; else it is a path in the source."""
    return "\n" in buildspec or buildspec.lstrip().startswith(("version", "{"))
