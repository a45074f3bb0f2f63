"""The page in a real browser: teach, approve, ask, look, roll back, forget; for every size, colour scheme and key."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from served import ADMIN_KEY, PASSAGE, QUICK, Served, serving

from seal_agent.base_model.model import BaseModel
from seal_agent.config import GateConfig, SelfEditConfig
from seal_agent.integrations.keys import Keys
from seal_agent.integrations.server.app import Settings
from seal_agent.model import SelfAdaptingModel

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium")
TEXT = "Tarnby Light stands on Ossel. <script>document.title = 'taken'</script><img src=x onerror=alert(1)>"
WAIT = 90_000  # milliseconds
sync_api.expect.set_options(timeout=WAIT)


@pytest.fixture
def served(tiny_base: BaseModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    """A tiny model, whose answers no gate would let pass but by approval."""
    seal, adapt = SelfAdaptingModel(tiny_base, home=tmp_path), SelfAdaptingModel.adapt
    monkeypatch.setattr(SelfAdaptingModel, "adapt", lambda self, *a, **k: adapt(self, *a, **{**k, "gate": None}))
    with serving(seal, Settings(Keys(None, ADMIN_KEY), self_edit=PASSAGE, inner_loop=QUICK)) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield started
        started.close()


def teach(page: Any) -> str:
    """Teach `TEXT` by the keyboard alone, up to the approval; returns what the page shows of it."""
    page.get_by_label("Key").focus()
    page.keyboard.type(ADMIN_KEY)
    page.keyboard.press("Enter")
    page.get_by_label("Title").wait_for(timeout=WAIT)
    page.get_by_label("Title").focus()
    page.keyboard.type("Tarnby")
    page.keyboard.press("Tab")
    page.keyboard.insert_text(TEXT)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Approve").wait_for(timeout=WAIT)
    page.get_by_role("button", name="Approve").focus()
    page.keyboard.press("Enter")
    page.get_by_role("button", name="Show").wait_for(timeout=WAIT)
    return str(page.locator("#revisions").inner_text())


def test_a_text_is_taught_asked_looked_at_and_taken_back(served: Served, browser: Any) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page, requests, problems = context.new_page(), list[str](), list[str]()
    page.set_default_timeout(WAIT)
    page.on("request", lambda request: requests.append(request.url))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on(
        "dialog", lambda dialog: dialog.accept() if dialog.message.startswith("Erase") else problems.append("taken")
    )
    page.goto(served.address)
    assert "Tarnby" in teach(page)
    page.get_by_label("Question", exact=True).fill("Who keeps the light?")
    page.keyboard.press("Enter")
    sync_api.expect(page.locator("#base-answer")).not_to_be_empty()
    sync_api.expect(page.locator("#answer")).not_to_be_empty()
    assert page.locator("#adapter-name").inner_text() == "default"
    page.get_by_role("button", name="Show").click()
    sync_api.expect(page.locator("#provenance-body pre")).to_have_text(TEXT)
    assert page.locator("polyline").get_attribute("points")
    page.get_by_role("button", name="Roll back").click()
    sync_api.expect(page.get_by_role("button", name="Roll back")).to_have_count(0)
    page.get_by_role("button", name="Forget").click()
    sync_api.expect(page.locator("#revisions")).to_contain_text("forgotten")
    assert page.title() == "seal-agent"
    assert all(url.startswith((served.address, "data:")) for url in requests)
    assert [problem for problem in problems if "404" not in problem and "403" not in problem] == []
    context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 400])
def test_axe_finds_nothing_serious_and_nothing_is_cut_off(
    served: Served, browser: Any, tmp_path: Path, width: int, scheme: str
) -> None:
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme, bypass_csp=True)
    page = context.new_page()
    page.set_default_timeout(WAIT)
    page.goto(served.address)
    teach(page)
    page.get_by_role("button", name="Show").click()
    page.locator("#provenance-body pre").wait_for()
    found = [
        (violation["id"], [node["html"] for node in violation["nodes"]])
        for violation in Axe().run(page).response["violations"]
        if violation["impact"] in ("serious", "critical")
    ]
    assert found == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.screenshot(path=tmp_path / f"page-{width}-{scheme}.png", full_page=True)
    context.close()


LESSON = (
    "Tarnby Light stands on the island of Skarholm. It was built in 1867 by Odile Brannock. "
    "The tower of Tarnby Light is 43 metres high."
)


@pytest.mark.slow
@pytest.mark.real_model
def test_the_bundled_model_is_taught_asked_and_rolled_back(
    browser: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With SEAL_PICTURES=docs/pictures it takes the picture of the docs anew, with the whole gate."""
    seal, adapt = SelfAdaptingModel.from_pretrained("default", home=tmp_path / "home"), SelfAdaptingModel.adapt
    pictures, settings = os.environ.get("SEAL_PICTURES"), Settings(Keys(None, ADMIN_KEY))
    if not pictures:  # a self-test and general questions would take minutes
        gate = GateConfig(guard_questions=0, reference_texts=4)
        monkeypatch.setattr(SelfAdaptingModel, "adapt", lambda self, *a, **k: adapt(self, *a, **{**k, "gate": gate}))
        settings = replace(settings, self_edit=SelfEditConfig(self_test=0))
    with serving(seal, settings) as address:
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.set_default_timeout(900_000)
        page.goto(address.address)
        page.get_by_label("Key").fill(ADMIN_KEY)
        page.keyboard.press("Enter")
        page.get_by_label("Title").fill("Tarnby Light")
        page.get_by_label("Text").fill(LESSON)
        page.get_by_role("button", name="Learn").click()
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("button", name="Show").click()
        assert page.get_by_label("Topic").input_value() == "Tarnby Light"
        page.get_by_label("Question", exact=True).fill("Who built Tarnby Light?")
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("#answer")).to_contain_text("Brannock")
        sync_api.expect(page.locator("#base-answer")).to_have_attribute("aria-busy", "false")
        assert "Brannock" not in page.locator("#base-answer").inner_text()
        _picture(page, Path(pictures or tmp_path) / "page.png")
        page.get_by_role("button", name="Roll back").click()
        sync_api.expect(page.get_by_role("button", name="Roll back")).to_have_count(0)
        assert seal.ledger.active("default") is None
        page.close()


def _picture(page: Any, file: Path) -> None:
    """The whole page, without what is only there while somebody types."""
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
    page.screenshot(path=file, full_page=True)


def test_the_page_may_load_nothing_else(served: Served) -> None:
    with served.http() as http:
        for path in ("/", "/page.js", "/page.css"):
            answer = http.get(path)
            assert answer.status_code == 200
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        source = http.get("/page.js").text
    assert "innerHTML" not in source
    assert "eval(" not in source
