"""Pages as lines: what can be acted on has a number, and long paragraphs are cut."""

from __future__ import annotations

import pytest

from seal_agent.agents.environments.calls import possible
from seal_agent.agents.environments.miniwob.environment import _tools
from seal_agent.agents.environments.miniwob.text import MOST_TEXT, moment_value, page_calls, page_text


def test_an_element_is_a_line_with_its_number_role_name_and_state() -> None:
    entries = [
        {"text": "Username"},
        {"number": 1, "role": "textbox", "name": "", "value": "Ann"},
        {"number": 2, "role": "checkbox", "name": "News", "checked": False},
        {"number": 3, "role": "tab", "name": "Tab #1", "checked": True},
        {"number": 4, "role": "combobox", "name": "", "value": "A", "options": ["A", "B"]},
        {"number": 5, "role": "button", "name": "Submit"},
    ]
    assert page_text(entries).splitlines() == [
        "Username",
        '[1] textbox = "Ann"',
        '[2] checkbox "News" (not checked)',
        '[3] tab "Tab #1" (open)',
        '[4] combobox = "A" (A, B)',
        '[5] button "Submit"',
    ]


def test_only_what_the_page_shows_can_be_called() -> None:
    entries = [
        {"text": "Username"},
        {"number": 1, "role": "textbox", "name": "", "value": "Ann"},
        {"number": 2, "role": "checkbox", "name": "News", "checked": False},
        {"number": 3, "role": "combobox", "name": "", "value": "A", "options": ["A", "B", "C"]},
        {"number": 4, "role": "combobox", "name": "", "value": "A", "options": ["A"]},
    ]
    calls = possible(_tools(), page_calls(entries))
    shapes = {tool["function"]["name"]: tool["function"]["parameters"] for tool in calls}
    assert shapes["click"]["properties"] == {"ref": {"enum": ["1", "2"]}}
    assert shapes["type"]["properties"]["ref"] == {"enum": ["1"]}
    assert shapes["select"]["properties"] == {"ref": {"enum": ["3"]}, "option": {"enum": ["B", "C"]}}
    assert possible(_tools(), page_calls(entries[:1])) == []


def test_a_long_paragraph_is_cut() -> None:
    shown = page_text([{"text": "word " * 100}])
    assert len(shown) <= MOST_TEXT + 1
    assert shown.endswith("…")


@pytest.mark.parametrize(
    ("kind", "text", "value"),
    [
        ("time", "7:50 PM", "19:50"),
        ("time", "07:05", "07:05"),
        ("time", "25:00", ""),
        ("date", "09/30/2010", "2010-09-30"),
        ("date", "2010-09-30", "2010-09-30"),
        ("date", "soon", ""),
        ("text", "7:50 PM", ""),
    ],
)
def test_dates_and_times_are_written_as_their_fields_take_them(kind: str, text: str, value: str) -> None:
    assert moment_value(kind, text) == value
