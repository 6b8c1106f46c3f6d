"""What a person is told of a function that failed."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tidegate.domain.causes import readable


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('OutsideError: {"errorMessage": "no", "errorType": "OutsideError"}', "OutsideError: no"),
        (
            'OutsideError: {"errorMessage": "cut off here", "stackTrace": ["/var/ta',
            "OutsideError: cut off here",
        ),
        ('OutsideError: {"errorMessage": "cut off he', 'OutsideError: {"errorMessage": "cut off he'),
        ("States.Timeout: ", "States.Timeout: "),
        ("", ""),
    ],
)
def test_the_message_is_told_and_other_text_stays(text: str, told: str) -> None:
    assert readable(text) == told


@given(st.text(), st.text())
def test_any_message_comes_through_whole(message: str, trace: str) -> None:
    cause = json.dumps({"errorMessage": message, "errorType": "Boom", "stackTrace": [trace]})
    assert readable(f"Boom: {cause}") == f"Boom: {message}"
