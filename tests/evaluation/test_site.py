"""The leaderboard in a real browser: sorting, filtering, keyboard, accessibility, and no request leaves the folder."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from bench_rows import novel_row, read, three_rows

from seal_agent.errors import InputError
from seal_agent.evaluation.leaderboard.cells import Files, table_of
from seal_agent.evaluation.leaderboard.elsewhere import KEPT, measured_elsewhere
from seal_agent.evaluation.leaderboard.markdown import markdown
from seal_agent.evaluation.leaderboard.quoted import quoted_rows
from seal_agent.evaluation.leaderboard.site import build_site, entries_of
from seal_agent.evaluation.leaderboard.standings import standings
from seal_agent.evaluation.ranking import Entry
from seal_agent.evaluation.results import Measure, Results, write_results
from seal_agent.evaluation.statistics import FEW, MIN_CERTAIN
from seal_agent.evaluation.submit import check_submission
from seal_agent.evaluation.suites import SUITES

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    three_rows(tmp_path / "rows")
    build_site(entries_of([tmp_path / "rows"]), tmp_path / "site")
    return tmp_path / "site"


def test_every_page_needs_nothing_but_its_folder(site: Path) -> None:
    pages = sorted(page.name for page in site.glob("*.html"))
    assert pages == ["index.html", "novel_n1.html"]
    for page in site.glob("*.html"):
        text = page.read_text()
        for target in re.findall(r'(?:src|href)="([^"#]+)"', text):
            if not target.startswith(("data:", "https://arxiv.org/")):
                assert (site / target).is_file(), target
        assert '<script src="http' not in text
        assert '<link rel="stylesheet" href="http' not in text


def test_a_page_shows_ranks_gains_and_where_the_answers_are(site: Path) -> None:
    text = (site / "novel_n1.html").read_text()
    assert "91.7 <small>(" in text
    assert "220 %" in text, "of the in-context score"
    assert len(list((site / "data").glob("*/*.samples.jsonl.gz"))) == 3


def test_the_overview_names_the_first_row_of_each_suite_with_its_mean(site: Path) -> None:
    text = " ".join((site / "index.html").read_text().split())
    assert "First of 3 rows: <strong>default</strong> with model. Contains the answer: 91.7 (" in text


def test_rows_of_one_rank_stay_in_the_order_of_their_means(tmp_path: Path) -> None:
    for name, right in (("first", [4, 4]), ("second", [5, 3]), ("third", [4, 4, 4, 3])):
        novel_row(tmp_path / "rows", name, right)
    build_site(entries_of([tmp_path / "rows"]), tmp_path / "site")
    text = (tmp_path / "site" / "novel_n1.html").read_text()
    assert re.findall(r'data-label="Rank" data-sort="([^"]+)"', text) == ["1.000000", "1.001000", "1.002000"]


def test_the_mean_that_ranks_is_drawn_with_its_interval(site: Path) -> None:
    text = (site / "novel_n1.html").read_text()
    low, value, high = map(float, re.findall(r"--low: ([\d.]+)%; --value: ([\d.]+)%; --high: ([\d.]+)%", text)[0])
    assert (low <= value <= high, value) == (True, 91.7)
    assert text.count('class="bar"') == 3


def test_names_from_a_results_file_cannot_inject_markup(tmp_path: Path) -> None:
    path = novel_row(tmp_path / "rows", "default", [3])
    path.write_text(path.read_text().replace("owner/model", "<script>alert(1)</script>"))
    novel_row(tmp_path / "rows", "<b>&", [2, 1])
    build_site(entries_of([tmp_path / "rows"]), tmp_path / "site")
    text = (tmp_path / "site" / "novel_n1.html").read_text()
    assert "<script>alert" not in text
    assert "<b>&" not in text
    assert "&lt;script&gt;alert(1)" in text


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are no results in"):
        entries_of([tmp_path])


def test_markdown_has_the_rows_in_the_order_of_their_ranks(tmp_path: Path) -> None:
    three_rows(tmp_path)
    lines = [line for line in markdown(entries_of([tmp_path])).splitlines() if line.startswith("| ")]
    assert [line.split("|")[3].strip() for line in lines] == ["Recipe", "default", "in_context", "base"]


def test_literature_is_quoted_with_its_source_and_belongs_to_a_suite() -> None:
    rows = [row for suite in SUITES for row in quoted_rows(suite)]
    assert len(rows) == 19
    assert all("arxiv.org" in row.url and 0 <= row.value <= 100 for row in rows)


def test_a_second_build_reads_the_rows_and_not_their_copies(tmp_path: Path) -> None:
    """What `seal leaderboard . --out site` does; a folder whose name sorts behind the site's has the rows."""
    three_rows(tmp_path / "zoo")
    out = tmp_path / "site"
    for _ in range(2):
        entries = entries_of([tmp_path])
        assert [entry.path.parent for entry in entries] == [tmp_path / "zoo"] * 3
        assert [page.name for page in build_site(entries, out)] == ["index.html", "novel_n1.html"]


def test_a_row_that_was_deleted_leaves_the_site(tmp_path: Path) -> None:
    base, _, default = three_rows(tmp_path / "rows")
    out = tmp_path / "site"
    build_site(entries_of([tmp_path]), out)
    gone = out / "data" / read(default).id
    assert gone.is_dir()
    for path in (default, default.with_name(f"{default.stem}.samples.jsonl.gz")):
        path.unlink()
    build_site(entries_of([tmp_path]), out)
    assert not gone.exists()
    assert len(list((out / "data").iterdir())) == 2
    assert (out / "data" / read(base).id / base.name).is_file()


def test_pages_of_suites_without_rows_go_and_files_of_others_stay(tmp_path: Path) -> None:
    three_rows(tmp_path / "rows")
    out = tmp_path / "site"
    build_site(entries_of([tmp_path]), out)
    (out / "arc_toy.html").write_text((out / "novel_n1.html").read_text())
    strange = [out / "about.html", out / "data" / "notes.json", out / "data" / ("a" * 12) / "own.json"]
    for path in strange:
        path.parent.mkdir(exist_ok=True)
        path.write_text('{"schema_version": "1", "suite": "mine"}' if path.suffix == ".json" else "<p>ours</p>")
    build_site(entries_of([tmp_path / "rows"]), out)
    assert not (out / "arc_toy.html").exists()
    assert all(path.is_file() for path in strange)


def test_a_copy_that_someone_changed_stays(tmp_path: Path) -> None:
    *_, default = three_rows(tmp_path / "rows")
    out = tmp_path / "site"
    build_site(entries_of([tmp_path]), out)
    copy = out / "data" / read(default).id / default.name
    copy.write_text(copy.read_text().replace("a processor", "another"))
    default.unlink()
    build_site(entries_of([tmp_path / "rows"]), out)
    assert copy.is_file()


def test_a_site_is_built_again_from_itself(site: Path) -> None:
    before = sorted(path.relative_to(site) for path in site.rglob("*"))
    build_site(entries_of([site]), site)
    assert sorted(path.relative_to(site) for path in site.rglob("*")) == before


def test_a_row_links_to_its_answers_where_they_are_there(tmp_path: Path) -> None:
    first, *_ = three_rows(tmp_path / "rows")
    first.with_name(f"{first.stem}.samples.jsonl.gz").unlink()
    build_site(entries_of([tmp_path]), tmp_path / "site")
    text = (tmp_path / "site" / "novel_n1.html").read_text()
    assert (text.count(">Results</a>"), text.count(">Answers</a>")) == (3, 2)
    assert len(re.findall(r'href="data/[0-9a-f]{12}/novel_n1-\w+\.samples\.jsonl\.gz">Answers', text)) == 2


def test_the_footer_says_what_the_statistics_do(site: Path) -> None:
    text = " ".join((site / "index.html").read_text().split())
    assert f"Student's below {FEW} units" in text
    assert f"at least {MIN_CERTAIN} units" in text


def test_marks_are_in_the_markdown_too(tmp_path: Path) -> None:
    path = novel_row(tmp_path, "default", [6])
    row = read(path)
    units = [replace(unit, seen=True) for unit in row.units]
    run = replace(row.run, imported_from="old.json")
    write_results(replace(row, units=units, data=replace(row.data, seen=8), run=run), path)
    assert "| default *(seen 8; imported)* |" in markdown(entries_of([tmp_path]))


def continual(row: Results, kept: float, **changes: Any) -> Entry:
    """A row of squad_continual with 8 edits; changes are fields of it, and `edits`."""
    measures = {
        "final": Measure(0.4, 0.1, 0.2, 0.6, 3),
        "kept": Measure(kept, 0.01, 0.9, 0.99, changes.pop("units", 3)),
    }
    figures = {"edits": float(changes.pop("edits", 8))}
    values = {"suite": "squad_continual", "primary": "final", "measures": measures, "figures": figures, "units": []}
    return Entry(Path("row.json"), replace(row, **(values | changes)))


def test_what_is_kept_comes_from_the_same_grader_recipe_and_size(tmp_path: Path) -> None:
    row = read(novel_row(tmp_path, "default", [4, 3]))
    others = [
        continual(row, 0.55, edits=32),
        continual(row, 0.65, grader="judge: gpt-4.1"),
        continual(row, 0.75, recipe=replace(row.recipe, settings={"inner_loop": {"epochs": 9}})),
        continual(row, 0.95),
        continual(row, 0.85, units=2),
    ]
    found = measured_elsewhere(row, others, KEPT)
    assert found
    assert found.value == 0.95
    assert found.source == (
        "suite squad_continual, 8 edits, 3 sequences of seal_novel, grader lexical, of 2 rows that of most units"
    )
    assert measured_elsewhere(row, others[:3], KEPT) is None


def test_a_rank_that_cannot_be_told_is_a_dash(tmp_path: Path) -> None:
    novel_row(tmp_path, "default", [4])
    (board,) = standings(entries_of([tmp_path]))
    (row,) = board.rows
    table = table_of(replace(board, rows=(replace(row, rank=None),)), {row.results.id: Files("")}, [])
    assert (table.columns[0].name, table.lines[0].cells[0].text) == ("Rank", "–")


# ---------------------------------------------------------------- in Chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("there is no Chromium; on Debian: apt install chromium")
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def page(browser: Any, site: Path) -> Iterator[Any]:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened = context.new_page()
    opened.problems = []
    opened.on("console", lambda m: opened.problems.append(m.text) if m.type in ("error", "warning") else None)
    opened.on("pageerror", lambda error: opened.problems.append(str(error)))
    opened.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else opened.problems.append(r.url))
    opened.goto((site / "novel_n1.html").as_uri())
    yield opened
    assert opened.problems == []
    context.close()


def column(page: Any, name: str) -> list[str]:
    cells = page.locator(f'table.board tbody tr:visible td[data-label="{name}"]')
    return [text.strip() for text in cells.all_inner_texts()]


def test_a_click_on_a_heading_sorts_and_a_second_one_turns_round(page: Any) -> None:
    assert column(page, "Recipe") == ["default", "in_context", "base"]
    head = page.get_by_role("columnheader", name="Contains the answer, %")
    head.click()
    assert column(page, "Recipe") == ["default", "in_context", "base"]
    assert head.get_attribute("aria-sort") == "descending"
    head.click()
    assert column(page, "Recipe") == ["base", "in_context", "default"]
    assert head.get_attribute("aria-sort") == "ascending"


def test_a_row_without_a_value_stays_last_in_both_directions(page: Any) -> None:
    for name in ("Gain over base", "Adapters per hour", "s per answer"):
        head = page.get_by_role("columnheader", name=name)
        lacking = column(page, name).count("–")
        assert lacking
        for _ in range(2):
            head.click()
            assert column(page, name)[-lacking:] == ["–"] * lacking


def test_headings_sort_by_keyboard(page: Any) -> None:
    head = page.get_by_role("columnheader", name="s per passage")
    head.focus()
    page.keyboard.press("Enter")
    assert column(page, "Recipe")[-1] == "default"
    page.keyboard.press("Enter")
    assert column(page, "Recipe")[0] == "default"


def test_numbers_sort_as_numbers(page: Any) -> None:
    page.get_by_role("columnheader", name="Gain over base").click()
    gains = [float(text.split()[0]) for text in column(page, "Gain over base") if text != "–"]
    assert gains == sorted(gains, reverse=True)


def test_filters_hide_rows_and_say_how_many_are_left(page: Any) -> None:
    page.get_by_label("Filter").fill("context")
    assert column(page, "Recipe") == ["in_context"]
    assert page.locator("output").inner_text() == "1 of 3 rows"
    page.get_by_label("Filter").fill("")
    page.locator("select[name=recipe]").select_option("base")
    assert column(page, "Recipe") == ["base"]
    page.locator("select[name=recipe]").select_option("")
    assert page.locator("output").inner_text() == "3 rows"


def test_the_theme_follows_the_system_and_can_be_changed(browser: Any, site: Path) -> None:
    context = browser.new_context(color_scheme="dark")
    opened = context.new_page()
    opened.goto((site / "index.html").as_uri())
    colour = "getComputedStyle(document.body).backgroundColor"
    dark = opened.evaluate(colour)
    opened.get_by_role("button", name="Dark").click()
    light = opened.evaluate(colour)
    assert (dark, light) == ("rgb(20, 23, 27)", "rgb(255, 255, 255)")
    context.close()


@pytest.mark.parametrize("width", [1280, 400])
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["index.html", "novel_n1.html"])
def test_axe_has_nothing_to_say(browser: Any, site: Path, width: int, scheme: str, name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed").Axe()
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    opened = context.new_page()
    opened.goto((site / name).as_uri())
    found = axe.run(opened)
    assert found.violations_count == 0, found.generate_report()
    context.close()


def test_narrow_screens_show_cards_without_scrolling_sideways(browser: Any, site: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900})
    opened = context.new_page()
    opened.goto((site / "novel_n1.html").as_uri())
    assert opened.evaluate("document.documentElement.scrollWidth") <= 400
    context.close()


def test_the_list_of_columns_puts_the_best_first(browser: Any, site: Path) -> None:
    context = browser.new_context(viewport={"width": 400, "height": 900})
    opened = context.new_page()
    opened.goto((site / "novel_n1.html").as_uri())
    choose = opened.get_by_label("Sort by")
    for name in ("Contains the answer, %", "Gain over base", "Rank", "Contains the answer, %"):
        choose.select_option(label=name)
        assert column(opened, "Recipe") == ["default", "in_context", "base"], name
    choose.select_option(label="s per passage")
    assert column(opened, "Recipe")[-1] == "default", "less is better"
    choose.select_option(label="Recipe")
    assert column(opened, "Recipe") == ["base", "default", "in_context"]
    context.close()


def test_the_list_of_columns_follows_the_headings(page: Any) -> None:
    page.get_by_role("columnheader", name="Contains the answer, %").click()
    listed = page.locator("select[name=sort]")
    assert listed.evaluate("list => list.selectedOptions[0].text") == "Contains the answer, %"


def test_rows_of_two_contributors_keep_their_answers_apart(tmp_path: Path) -> None:
    rows = [novel_row(tmp_path / name, "default", right) for name, right in (("one", [6, 1]), ("two", [2, 3]))]
    build_site(entries_of(rows), tmp_path / "site")
    copies = sorted((tmp_path / "site" / "data").glob("*/*.json"))
    assert len(copies) == 2
    assert all(check_submission(copy) for copy in copies)
