"""The pages hold: links lead somewhere, figures are those of the committed results, and the site loads nothing."""

from __future__ import annotations

import configparser
import importlib.util
import json
import re
import shlex
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from command_line import caller
from doc_blocks import PAGES, ROOT, SHELLS, Block, all_blocks, blocks_of

from seal_agent.config import recipe_named

_spec = importlib.util.spec_from_file_location("readme_plot", ROOT / "benchmarks" / "readme_plot.py")
assert _spec
assert _spec.loader
plot: Any = importlib.util.module_from_spec(_spec)
sys.modules["readme_plot"] = plot  # its dataclasses look their module up
_spec.loader.exec_module(plot)

README = (ROOT / "README.md").read_text(encoding="utf-8")
BOARD = ROOT / "benchmarks" / "results" / "board"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
ELSEWHERE = re.compile(r"https?:|mailto:")
FETCHES = re.compile(
    r"""(?:src|srcset)=["']?(?:https?:)?//|<link[^>]+href=["']?(?:https?:)?//|@import|url\(["']?https?:"""
)


def prose_of(page: Path) -> str:
    """A page without its code."""
    text = page.read_text(encoding="utf-8")
    return re.sub(r"`[^`\n]*`", "", re.sub(r"^ *```.*?^ *```", "", text, flags=re.DOTALL | re.MULTILINE))


def anchors_of(page: Path) -> set[str]:
    """The names of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[\s-]+", "-", re.sub(r"[^\w\s-]", "", heading.lower())).strip("-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md"], ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_to_a_file_and_a_heading(page: Path) -> None:
    for target in LINK.findall(prose_of(page)):
        path, _, anchor = target.partition("#")
        if ELSEWHERE.match(target):
            continue
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), f"{page.name} links to {target}"
        if anchor:
            assert anchor in anchors_of(file), f"{page.name} links to {target}"


def test_the_readme_takes_five_minutes() -> None:
    assert len(README.split()) <= 1200


def test_every_page_is_in_the_navigation_and_linked_from_the_readme() -> None:
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert f": {page.name}\n" in navigation, f"mkdocs.yml: a line for {page.name}"
        assert f"(docs/{page.name})" in README, f"README.md: a link to docs/{page.name}"


class TestFigures:
    def test_the_plot_is_drawn_from_the_results(self) -> None:
        assert plot.PICTURE.read_text(encoding="utf-8") == plot.picture(json.loads(plot.RESULTS.read_text()))

    def test_the_table_of_the_readme(self) -> None:
        results = json.loads(plot.RESULTS.read_text())
        lines = {cells[0]: cells[1:] for cells in table_rows("invented facts | 60 passages")}
        for column, domain in enumerate(("seal_novel", "squad")):
            for row in plot.rows_of(results, domain)[0]:
                label = {"passage only, as the paper": "passage only, as in the paper"}.get(row.label, row.label)
                assert lines[label][column] == f"{row.mean:.1f} ({row.low:.1f}–{row.high:.1f})"

    @pytest.mark.parametrize(
        ("label", "column", "row"),
        [
            ("passage in the prompt", 0, "novel_n1-default-in_context-16"),
            ("passage in the prompt", 1, "squad_n1-default-in_context-60"),
            ("BM25 finds the passage", 0, "novel_n1-default-retrieval-16"),
            ("BM25 finds the passage", 1, "squad_n1-default-retrieval-60"),
            ("learnt, default recipe", 0, "novel_n1-default-default-16-imported"),
            ("learnt, default recipe", 1, "squad_n1-default-default-60-imported"),
        ],
    )
    def test_the_table_of_rivals(self, label: str, column: int, row: str) -> None:
        measured = json.loads((BOARD / f"{row}.json").read_text())["measures"]["contains"]
        mean, low, high = (100 * measured[name] for name in ("value", "low", "high"))
        lines = {cells[0]: cells[1:] for cells in table_rows("invented facts, %")}
        assert lines[label][column] == f"{mean:.1f} ({low:.1f}–{high:.1f})"

    @pytest.mark.parametrize(
        ("label", "row"),
        [
            ("base", "base-60"),
            ("implications", "implications-60"),
            ("retrieval", "retrieval-60"),
            ("in_context", "in_context-60"),
            ("passage", "passage-60"),
            ("default, as the adapter says it", "default-answer_style-plain-60-imported"),
            ("default", "default-60-imported"),
        ],
    )
    def test_the_table_of_rows(self, label: str, row: str) -> None:
        measures = json.loads((BOARD / f"squad_n1-default-{row}.json").read_text())["measures"]
        page = (ROOT / "docs/benchmarks.md").read_text(encoding="utf-8")
        lines = {cells[0]: cells[1:] for cells in table_rows("conveys the answer, % | is the answer", page)}
        for cell, name in zip(lines[label], ("contains", "is_answer"), strict=False):
            mean, low, high = (100 * measures[name][part] for part in ("value", "low", "high"))
            assert cell == f"{mean:.1f} ({low:.1f}–{high:.1f})"

    def test_the_table_of_the_second_model(self) -> None:
        page = (ROOT / "docs/measurements.md").read_text(encoding="utf-8").partition("### A second model")[2]
        summary = json.loads((ROOT / "benchmarks/results/answers_gemma.json").read_text())["summary"]
        for row in summary["confirmed"]:
            mean, low, high = (100 * value for value in (row["direct"], *row["direct_interval"]))
            cell = f"{mean:.1f} ({low:.1f}–{high:.1f}), {100 * row['conveys']:.1f}, {row['words_of_an_answer']:.0f} "
            assert f"| {cell}|" in page

    def test_the_table_of_the_model_that_sees(self) -> None:
        summary = json.loads((ROOT / "benchmarks/results/vision_toy.json").read_text())["summary"]
        votes = summary["votes"]
        measured = [{"before": summary["see"]}, summary["adapt"], votes["greedy"], votes["sampled"]]
        page = (ROOT / "docs/vision.md").read_text(encoding="utf-8")
        for cells, figures in zip(table_rows("before, % right", page), measured, strict=True):
            assert cells[1] == str(figures["before"]["n"])
            for cell, side in zip(cells[2:4], ("before", "after"), strict=True):
                assert cell == (percent(figures[side], "–") if side in figures else "")
            assert cells[4] == (percent(figures["gain"], " to ", signed=True) if "gain" in figures else "")


def percent(figure: dict[str, Any], between: str, signed: bool = False) -> str:
    """A mean with its interval, as the pages write it."""
    mean, low, high = (100 * value for value in (figure["mean"], *figure["interval"]))
    return f"{mean:{'+' if signed else ''}.1f} ({low:.1f}{between}{high:.1f})".replace("-", "−")


def table_rows(title: str, page: str = README) -> list[list[str]]:
    """The cells of a page's table whose first line has these words."""
    table = page[page.index(title) :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip().strip("*") for cell in line.strip("|").split("|")] for line in table]


class TestFiles:
    """Blocks that are files of other programs."""

    def test_the_client_of_mcp_is_what_the_command_prints(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        printed = caller(monkeypatch, capsys)("mcp", "--adapter", "work", "--allow-writes", "--json").json
        blocks = [block for block in all_blocks("json") if "mcpServers" in block.text]
        assert {block.page.name for block in blocks} == {"README.md", "serve.md"}
        assert all(json.loads(block.text) == printed for block in blocks)

    @pytest.mark.parametrize("block", all_blocks("json"), ids=str)
    def test_json_is_json(self, block: Block) -> None:
        assert isinstance(json.loads(block.text), dict)

    def test_recipes_are_recipes(self, tmp_path: Path) -> None:
        for block in all_blocks("toml"):
            (tmp_path / "mine.toml").write_text(block.text)
            recipe = recipe_named(str(tmp_path / "mine.toml"))
            assert ("epochs = 5" in block.text) <= (recipe.inner_loop.epochs == 5)

    def test_the_unit_starts_a_server(self) -> None:
        (block,) = all_blocks("ini")
        unit = configparser.ConfigParser(interpolation=None, strict=False)
        unit.read_string(block.text)
        command = shlex.split(unit["Service"]["ExecStart"])
        assert command[0].endswith("/seal")
        assert command[1:] == ["serve", "--port", "8000"]

    def test_no_block_is_marked_without_need(self) -> None:
        """A mark is a reason, which only code has."""
        marked = [block for page in PAGES for block in blocks_of(page) if block.why_not is not None]
        assert all(block.kind in ("python", *SHELLS) and len(block.why_not or "") > 9 for block in marked)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if importlib.util.find_spec("material") is None:
        pytest.skip("pip install 'seal-agent[docs]'")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return folder


def test_the_site_is_built_with_strict_links_and_names_no_other_address(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) >= len(list((ROOT / "docs").glob("*.md")))
    for file in (*pages, *site.rglob("*.css")):
        found = FETCHES.search(file.read_text(encoding="utf-8"))
        assert found is None, f"{file.relative_to(site)}: {found and found[0]}"


def test_a_browser_that_reads_and_searches_it_asks_nobody_else(site: Path) -> None:
    sync_api: Any = pytest.importorskip("playwright.sync_api")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        pytest.skip("there is no chromium")
    requests: list[str] = []
    with served_files(site) as address, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.set_default_timeout(60_000)
        page.on("request", lambda request: requests.append(request.url))
        for name in ("measurements.html", "index.html"):
            page.goto(f"{address}/{name}")
            assert page.locator("h1").first.inner_text()
        box = page.get_by_role("textbox", name="Search")
        box.click()
        page.wait_for_timeout(1000)  # the worker reads its index
        box.press_sequentially("rollback")
        page.locator(".md-search-result__item a").first.click()
        browser.close()
    assert [url for url in requests if not url.startswith((address, "data:", "blob:"))] == []


@contextmanager
def served_files(folder: Path) -> Iterator[str]:
    """The address of a server of these files."""
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
