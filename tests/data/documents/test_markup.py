"""Markdown, HTML and reStructuredText: headings title what stands below them, and markup is left out."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from seal_agent.data.documents.document import Document, sentence
from seal_agent.data.documents.html import read_html
from seal_agent.data.documents.markdown import read_markdown
from seal_agent.data.documents.read import document_from_text, structure_of
from seal_agent.data.documents.restructured import read_restructured

MARKDOWN = """# Handbook

All *staff* read [this](https://example.org).

## Remote work
Staff may work from `home` on **two** days.

| City | Opens | Head |
|------|------:|------|
| Orrin | 9:00 | Tamsin Vole |
| Vell | 10:00 | Bo Wren |

```python
def turn():

    return "Foo. Bar"
```

### Equipment

The kit contains:

- a rope
- a torch
"""
HTML = """<!DOCTYPE html><html><head><title>Handbook</title><style>p {color: red}</style></head><body>
<nav><a href="/">Home</a></nav><h1>Handbook</h1><p>All <em>staff</em> read <a href="x">this</a>.</p>
<h2>Remote work</h2><p>Staff may work from <code>home</code> on <b>two</b> days.</p>
<table><tr><th>City</th><th>Opens</th><th>Head</th></tr><tr><td>Orrin</td><td>9:00</td><td>Tamsin Vole</td></tr>
<tr><td>Vell</td><td>10:00</td><td>Bo Wren</td></tr></table>
<pre><code>def turn():

    return "Foo. Bar"
</code></pre>
<h3>Equipment</h3><p>The kit contains:</p><ul><li>a rope</li><li>a torch</li></ul>
<script>alert(1)</script></body></html>"""
RESTRUCTURED = """========
Handbook
========

All *staff* read `this <https://example.org>`_.

Remote work
===========

Staff may work from ``home`` on **two** days.

===== ===== ===========
City  Opens Head
===== ===== ===========
Orrin 9:00  Tamsin Vole
Vell  10:00 Bo Wren
===== ===== ===========

.. code-block:: python

   def turn():

       return "Foo. Bar"

Equipment
---------

The kit contains:

* a rope
* a torch
"""


@pytest.mark.parametrize(
    ("read", "text"),
    [(read_markdown, MARKDOWN), (read_html, HTML), (read_restructured, RESTRUCTURED)],
    ids=["markdown", "html", "restructured"],
)
def test_headings_title_their_sections_tables_are_said_and_code_stays_whole(
    read: Callable[[str], Document], text: str
) -> None:
    document = read(text)
    assert [(document.title_of(section), section.place) for section in document.sections] == [
        ("Handbook", "section Handbook"),
        ("Handbook: Remote work", "section Handbook > Remote work"),
        ("Handbook: Remote work: Equipment", "section Handbook > Remote work > Equipment"),
    ]
    first, second, third = document.sections
    assert first.text == "All staff read this."
    assert [block.text for block in second.blocks] == [
        "Staff may work from home on two days.",
        "For Orrin, opens is 9:00 and head is Tamsin Vole.",
        "For Vell, opens is 10:00 and head is Bo Wren.",
        'def turn():\n\n    return "Foo. Bar"',
    ]
    assert [block.whole for block in second.blocks] == [False, False, False, True]
    assert third.text == "The kit contains: a rope; a torch."


def test_a_cell_that_reaches_down_stands_in_each_row() -> None:
    rows = (
        "<tr><th>Town</th><th>Mayor</th><th>Year</th></tr><tr><td rowspan=2>Orrin</td><td>Vole</td><td>1907</td></tr>"
    )
    page = f"<table>{rows}<tr><td>Pell</td><td>1931</td></tr></table>"
    (section,) = read_html(f"<html><body>{page}</body></html>").sections
    assert section.text.splitlines()[1:] == ["Orrin | Vole | 1907", "Orrin | Pell | 1931"]


def test_invisible_characters_are_left_out() -> None:
    (section,) = read_html("<html><body><p>Das Donau&shy;schiff&#8203;, alt.\ufeff</p></body></html>").sections
    assert section.text == "Das Donauschiff, alt."
    assert document_from_text("\ufeffThe light\u200bhouse").text == "The lighthouse"


def test_a_heading_is_not_part_of_the_sentence_below_it() -> None:
    document = read_markdown("# Remote work policy\nStaff may work from home.\n\nSetext\n---\nMore.")
    assert document.title == "Remote work policy"
    assert [section.text for section in document.sections] == ["Staff may work from home.", "More."]


def test_front_matter_gives_the_title_and_is_not_learnt() -> None:
    document = read_markdown('---\ntitle: "Staff handbook"\ndate: 2026-01-01\n---\n# Leave\nLeave is granted.')
    assert document.title_of(document.sections[0]) == "Staff handbook: Leave"
    assert "2026" not in document.text


def test_a_table_that_has_no_names_stays_whole() -> None:
    cells = "<tr><td>1</td><td>2</td><td>3</td></tr><tr><td>1</td><td>5</td><td>6</td></tr>"
    (section,) = read_html(f"<html><body><table>{cells}</table></body></html>").sections
    assert [(block.text, block.whole) for block in section.blocks] == [("1 | 2 | 3\n1 | 5 | 6", True)]


def test_a_table_in_another_language_gets_no_english_words() -> None:
    rows = "<tr><th>Город</th><th>Мэр</th><th>Население</th></tr><tr><td>Оррин</td><td>Вера</td><td>1200</td></tr>"
    (section,) = read_html(f"<html><body><table>{rows}</table></body></html>").sections
    assert section.text == "Оррин: Мэр: Вера; Население: 1200."


def test_long_items_of_a_list_begin_with_what_leads_to_them() -> None:
    long = "dogs that are not registered with the office on the third floor of the town hall"
    page = f"<p>The hall is old. Not allowed are:</p><ul><li>{long}</li><li>bikes</li></ul>"
    (section,) = read_html(f"<html><body>{page}</body></html>").sections
    assert [block.text for block in section.blocks] == [
        "The hall is old.",
        f"Not allowed are: {long}.",
        "Not allowed are: bikes.",
    ]


@pytest.mark.parametrize(
    ("written", "text"),
    [
        (
            "Built in 1867<sup><a href='#n1'>1</a></sup> by Odile.<sup>2</sup> She left.",
            "Built in 1867 by Odile. She left.",
        ),
        ("Built in 1867<a href='#n1'><sup>1</sup></a>, in May<sup>[2]</sup>.", "Built in 1867, in May."),
        ("It has <a role='doc-noteref' href='#n1'>1</a>nine rooms.<sup>3, 4</sup>", "It has nine rooms."),
        ("Built in 1867<sup>1</sup>.", "Built in 1867¹."),
        ("10<sup>6</sup> bricks, 3 × 10<sup>-9</sup> m<sup>2</sup>", "10⁶ bricks, 3 × 10⁻⁹ m²."),
        ("5<sup>1</sup>/<sub>2</sub> rooms", "5 1/2 rooms."),
        ("On the 5<sup>th</sup>, H<sub>2</sub>O", "On the 5th, H2O."),
        ("彼は<ruby>漢<rp>(</rp><rt>かん</rt><rp>)</rp>字<rt>じ</rt></ruby>を学んだ。", "彼は漢字を学んだ。"),
        ("<ruby><rb>東</rb><rb>京</rb><rtc>とうきょう</rtc></ruby>は広い。", "東京は広い。"),
    ],
)
def test_exponents_are_kept_and_marks_of_notes_and_readings_are_not(written: str, text: str) -> None:
    (section,) = read_html(f"<html><body><p>{written}</p></body></html>").sections
    assert section.text == text


def test_steps_nested_lists_and_definitions_become_sentences() -> None:
    document = read_markdown("# Mill\n1. Call Ann.\n2. Wait for her\n\n- Grain:\n  - rye\n  - oats\n")
    assert [block.text for block in document.sections[0].blocks] == ["Call Ann.", "Wait for her.", "Grain: rye; oats."]
    (section,) = read_html("<html><body><dl><dt>Toll</dt><dd>A tenth of the flour</dd></dl></body></html>").sections
    assert section.text == "Toll: A tenth of the flour."
    items = "<dt>Toll</dt><dt>Fee</dt><dd>A tenth.</dd><dd>Paid in flour.</dd><dt>Rye</dt><dd>A grain.</dd>"
    (section,) = read_html(f"<html><body><dl>{items}</dl></body></html>").sections
    assert section.text == "Toll, Fee: A tenth.\n\nToll, Fee: Paid in flour.\n\nRye: A grain."


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(
    "around", ["<ul><li>{}</li></ul>", "<table><tr><td>{}</td></tr></table>"], ids=["list", "layout table"]
)
def test_headings_and_listings_in_lists_and_layout_tables_stay_what_they_are(around: str) -> None:
    inner = "<h2>Leave</h2><p>Ask Ann.</p><pre>a = 1\nb = 2</pre>"
    (section,) = read_html(f"<html><body>{around.format(inner)}</body></html>", "Handbook").sections
    assert section.heading == ("Leave",)
    assert [(block.text, block.whole) for block in section.blocks] == [("Ask Ann.", False), ("a = 1\nb = 2", True)]


def test_definitions_within_a_definition_are_said_once() -> None:
    inner = "<dl><dt>Rye</dt><dd>A grain</dd></dl>"
    items = f"<div><dt>Toll</dt><dd>A tenth of this: {inner}</dd></div><dt>Fee</dt><dd>None</dd>"
    (section,) = read_html(f"<html><body><dl>{items}</dl></body></html>").sections
    assert section.text == "Toll: A tenth of this: Rye: A grain.\n\nFee: None."


@pytest.mark.parametrize(
    ("text", "ended"),
    [
        ("Ask Ann (room 3)", "Ask Ann (room 3)."),
        ("It costs 20 €", "It costs 20 €."),
        ("The share is 5 %", "The share is 5 %."),
        ("The ship is “Mirabel”", "The ship is “Mirabel”."),
        ("अन्ना दिल्ली में रहती है", "अन्ना दिल्ली में रहती है."),
        ("She said “Come.”", "She said “Come.”"),
        ("It holds:", "It holds:"),
        ("他走了。", "他走了。"),
    ],
)
def test_a_paragraph_without_an_end_gets_a_full_stop(text: str, ended: str) -> None:
    assert sentence(text) == ended


def test_a_page_title_that_only_adds_to_the_heading_is_not_said_twice() -> None:
    page = "<html><head><title>Leave - Orrin Mills</title></head><body><h1>Leave</h1><p>Ask Ann.</p></body></html>"
    document = read_html(page)
    assert document.title_of(document.sections[0]) == "Leave"


def test_a_page_inside_a_form_is_read_without_the_forms_controls() -> None:
    page = (
        "<html><body><form><h1>Leave</h1><p>Ask Ann.</p><label>Name</label><input value='x'><textarea>y</textarea>"
        "<select><option>z</option></select><button>Send</button><p>Then wait.</p></form></body></html>"
    )
    assert read_html(page).text == "Ask Ann.\n\nThen wait."


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (":class:`~mill.gear.Wheel`", "Wheel"),
        (":py:class:`mill.gear.Wheel`", "mill.gear.Wheel"),
        (":class:`!mill.Wheel`", "mill.Wheel"),
        (":meth:`.Wheel.turn`", "Wheel.turn"),
        (":file:`conf.py`", "conf.py"),
        (":program:`python3.12`", "python3.12"),
        (":ref:`the miller <miller>`", "the miller"),
    ],
)
def test_roles_of_sphinx_become_their_text(written: str, shown: str) -> None:
    (section,) = read_restructured(f"Call {written} first.\n").sections
    assert section.text == f"Call {shown} first."


def test_reading_restructured_text_opens_no_other_file() -> None:
    document = read_restructured(
        "Before.\n\n.. include:: /etc/hostname\n\n.. raw:: html\n   :file: /etc/hostname\n\nAfter.\n"
    )
    assert document.text.split() == ["Before.", "After."]


@pytest.mark.parametrize(
    "text", ["[" * 20_000 + "a", "a " + "*a " * 5_000, "<div>" * 20_000 + "x", "> " * 20_000 + "x"]
)
def test_deeply_nested_markup_ends(text: str) -> None:
    read_markdown(text)


# ---------------------------------------------------------------- texts without a file's ending


@pytest.mark.parametrize(
    "text",
    [
        "The mill turns by night.\n\nIts miller is called Tamsin Vole.",
        "#!/bin/sh\n# Turn the mill\nset -e\nmill --turn\n",
        "# Copyright of the mill\n\nimport os\n\n\ndef turn(wheel):\n    # Turn it\n    return wheel\n",
        "# Database settings\nhost: localhost\nport: 5432\n",
        "# Mill\nWHEEL = 3\nGRAIN = 'rye'\n",
        "#mill #night is what they wrote.",
        "Item # 3 was lost.\n# of items: 3",
        "a | b\nc | d",
    ],
)
def test_prose_and_source_code_have_no_sections(text: str) -> None:
    assert structure_of(text) is None


def test_a_text_with_markdown_headings_or_in_html_has_sections() -> None:
    document = structure_of("# Remote work policy\n\nStaff may work from home on two days.\n\n## Leave\nAsk Ann first.")
    assert document is not None
    assert [section.heading for section in document.sections] == [
        ("Remote work policy",),
        ("Remote work policy", "Leave"),
    ]
    page = structure_of(HTML)
    assert page is not None
    assert page.title == "Handbook"
