"""What a Dockerfile says, and what is wrong with it (Dockerfile reference)."""

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from tidegate_local.codebuild.tools.contexts import Context
from tidegate_local.codebuild.tools.stages import Stages

INSTRUCTIONS = frozenset(
    {"ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK", "LABEL"}
    | {"MAINTAINER", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR"}
)
_HEREDOC = re.compile(r"<<-?\s*([\"']?)([A-Za-z_]\w*)\1")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?})")
_REMOTE = re.compile(r"^(?:https?://|git@|ssh://|git://)")


class DockerfileError(Exception):
    """It does not build; `line` counts from 1, 0 where no line is to blame."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction: its name in capitals, what follows it, the line it begins on."""

    name: str
    rest: str
    line: int


@dataclass(slots=True)
class _Scope:
    """Build arguments as they are known so far."""

    given: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict)
    before_from: dict[str, str] = field(default_factory=dict)

    def declare(self, rest: str, *, globally: bool) -> None:
        for word in _words(rest):
            name, sign, default = word.partition("=")
            known = self.given.get(name, self.substitute(default) if sign else self.before_from.get(name))
            if known is not None:
                (self.before_from if globally else self.values)[name] = known

    def substitute(self, text: str, *, globally: bool = False) -> str:
        values = self.before_from if globally else self.values

        def value(match: re.Match[str]) -> str:
            name, operator, word = (
                match.group(1) or match.group(2),
                match.group(3) or "",
                match.group(4) or "",
            )
            found = values.get(name)
            there = bool(found) if operator.startswith(":") else found is not None
            if operator.endswith("+"):
                return word if there else ""
            return (found or "") if there else word

        return _VARIABLE.sub(value, text)


def parse(text: str) -> list[Instruction]:
    """Its instructions. Raises `DockerfileError`."""
    found = []
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        whole = line.strip()
        while whole.endswith("\\"):
            _, following = next(lines, (0, ""))
            # A comment between two lines of an instruction is none of it.
            whole = whole[:-1] + ("\\" if following.lstrip().startswith("#") else " " + following.strip())
        name, _, rest = whole.partition(" ") if " " in whole else whole.partition("\t")
        if name.upper() not in INSTRUCTIONS:
            raise DockerfileError(
                f"dockerfile parse error on line {number}: unknown instruction: {name}", number
            )
        if not rest.strip():
            raise DockerfileError(
                f"dockerfile parse error on line {number}: {name.upper()} requires at least one argument",
                number,
            )
        for _quote, word in _HEREDOC.findall(rest) if name.upper() in ("RUN", "COPY", "ADD") else ():
            for _, inner in lines:
                if inner.strip() == word:
                    break
            else:
                raise DockerfileError(
                    f"dockerfile parse error on line {number}: unterminated heredoc", number
                )
        found.append(Instruction(name.upper(), rest.strip(), number))
    if not found:
        raise DockerfileError("the Dockerfile cannot be empty")
    return found


def check(instructions: list[Instruction], context: Context, arguments: Mapping[str, str]) -> Stages:
    """Whether it could build: stages, base names, what COPY and ADD take. What the stages would have in them. Raises
    `DockerfileError`."""
    scope = _Scope(arguments)
    stages = Stages(context)
    begun = False
    for one in instructions:
        if one.name == "ARG":
            scope.declare(one.rest, globally=not begun)
        elif one.name == "FROM":
            base, stage = _from(one, scope)
            scope.values, begun = {}, True
            stages.begin(base, stage)
        elif not begun:
            raise DockerfileError(
                f"dockerfile parse error on line {one.line}: no build stage in current context", one.line
            )
        elif one.name == "ENV":
            name, _, value = one.rest.partition("=")
            scope.values[name.strip()] = scope.substitute(value.strip().strip('"'))
        elif one.name == "LABEL":
            stages.last.labels |= _labels(one, scope)
        elif one.name == "WORKDIR":
            stages.last.enter(scope.substitute(one.rest))
        elif one.name in ("COPY", "ADD"):
            _copy(one, context, scope, stages)
    if not begun:
        raise DockerfileError("no build stage in current context", instructions[-1].line)
    return stages


def _from(one: Instruction, scope: _Scope) -> tuple[str, str]:
    words = [word for word in one.rest.split() if not word.startswith("--")]
    base = scope.substitute(words[0], globally=True) if words else ""
    if not base:
        raise DockerfileError(
            f"failed to parse stage name {one.rest!r}: base name ({words[0] if words else ''}) should not be blank",
            one.line,
        )
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        message = f"dockerfile parse error on line {one.line}: FROM requires either one or three arguments"
        raise DockerfileError(message, one.line)
    return base, words[2].lower() if len(words) == 3 else ""


def _copy(one: Instruction, context: Context, scope: _Scope, stages: Stages) -> None:
    rest, origin = one.rest, None
    while match := re.match(r"--(\w+)(?:=(\S+))?\s+", rest):
        if match.group(1) == "from":
            origin = scope.substitute(match.group(2) or "")
        rest = rest[match.end() :]
    words = json.loads(rest) if rest.startswith("[") else _words(rest)
    if len(words) < 2:
        message = f"dockerfile parse error on line {one.line}: {one.name} requires at least two arguments"
        raise DockerfileError(message, one.line)
    *sources, target = (scope.substitute(str(word)) for word in words)
    taken = [
        source
        for source in sources
        if not source.startswith("<<") and not (one.name == "ADD" and _REMOTE.match(source))
    ]
    for source in taken if origin is None else ():
        if not context.has(source):
            name = f"/{source.strip('/')}"
            raise DockerfileError(
                f'failed to compute cache key: failed to calculate checksum of ref: "{name}": not found',
                one.line,
            )
    stages.copy(origin, taken, target)


def _labels(one: Instruction, scope: _Scope) -> dict[str, str]:
    """`name=value …`, or the older `name value`."""
    words = _words(one.rest)
    if "=" not in words[0]:
        return {words[0]: scope.substitute(" ".join(words[1:]))}
    pairs = (word.partition("=") for word in words)
    return {name: scope.substitute(value) for name, _, value in pairs}


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
