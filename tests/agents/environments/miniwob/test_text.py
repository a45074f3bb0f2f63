"""Pages as lines: what can be acted on has a number, and long paragraphs are cut."""

from __future__ import annotations

from seal_agent.agents.environments.miniwob.text import MOST_TEXT, page_text


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


def test_a_long_paragraph_is_cut() -> None:
    shown = page_text([{"text": "word " * 100}])
    assert len(shown) <= MOST_TEXT + 1
    assert shown.endswith("…")
