"""A mend that no longer fits says so before anything is served."""

from types import ModuleType, SimpleNamespace

import pytest
from tidegate_local.seam import MendDoesNotFitError, expect, graft, graft_text


def original(data: object) -> object:
    return data


def module() -> ModuleType:
    made = ModuleType("some.module")
    made.__dict__.update(handler=original, script="one two one")
    return made


SIGNATURE = "(data: object) -> object"


def test_what_is_replaced_is_returned() -> None:
    place = module()
    assert graft(place, "handler", len, signature=SIGNATURE, shows="return data") is original
    assert place.handler is len


@pytest.mark.parametrize(
    ("name", "signature", "shows"),
    [("gone", SIGNATURE, ""), ("handler", "(data)", ""), ("handler", SIGNATURE, "return None")],
)
def test_what_changed_is_named(name: str, signature: str, shows: str) -> None:
    with pytest.raises(MendDoesNotFitError, match=rf"some\.module\.{name} .*still needs the mend"):
        expect(module(), name, signature=signature, shows=shows)


def test_a_text_must_occur_once() -> None:
    place = module()
    graft_text(place, "script", "two", "2")
    assert place.script == "one 2 one"
    with pytest.raises(MendDoesNotFitError):
        graft_text(place, "script", "one", "1")
    with pytest.raises(MendDoesNotFitError):
        graft_text(SimpleNamespace(__name__="x"), "script", "one", "1")
