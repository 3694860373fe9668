"""The report in a real browser: headless Chromium opens it from the file system, and a user's hands are played."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import imgcluster
from tests.support.reported import HOSTILE, hostile_pictures, run_of

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SECONDS = 60
# The sandbox of Chromium cannot be had as root; the map is drawn by software where there is no GPU.
FLAGS = ["--no-sandbox", "--enable-unsafe-swiftshader"]
AXE = {"preload": False}  # it would read the style sheets by requests, which the page's own policy forbids
LOOKS = [("light", 1280, 900), ("dark", 1280, 900), ("light", 390, 800)]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed"),
    pytest.mark.skipif(find_spec("playwright") is None, reason="playwright is not installed"),
]

Page = Any  # playwright.sync_api.Page


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of a run over hostile names, with truth and a picture that explains."""
    home = tmp_path_factory.mktemp("browser")
    run = run_of(hostile_pictures(home / "pictures"), home / "run")
    (home / "truth.csv").write_text("id,label\n" + "".join(f"{n:04d}.jpg,{'rgb'[n % 3]}\n" for n in range(24)))
    (run / "report" / "explain").mkdir()
    shutil.copy(home / "pictures" / "0000.jpg", run / "report" / "explain" / "a.jpg")
    explained = {"kind": "cluster", "file": "explain/a.jpg", "row": 0, "cluster": 0, "title": "<i>what pulls</i>"}
    digest = hashlib.sha256((run / "clusters.csv").read_bytes()).hexdigest()
    (run / "report" / "explain.json").write_text(json.dumps({"clusters_sha256": digest, "pictures": [explained]}))
    return imgcluster.write_report(run, truth=home / "truth.csv", show=False)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


class Watch:
    """What a page does that it should not: messages, requests that leave the file system, boxes that pop up."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: self.complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (self.complaints.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("requestfailed", lambda request: self.complaints.append(f"failed: {request.url}"))
        page.on("request", self._see)

    def _see(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:", "blob:")):
            self.complaints.append(f"request: {request.url}")


@pytest.fixture(params=LOOKS, ids=["light", "dark", "narrow"])
def page(request: pytest.FixtureRequest, browser: Any, report: Path) -> Iterator[Page]:
    """The report, open; at the end it must have done nothing that it should not."""
    yield from opened(browser, report, *request.param)


@pytest.fixture
def wide(browser: Any, report: Path) -> Iterator[Page]:
    yield from opened(browser, report, "light", 1280, 900)


def opened(browser: Any, report: Path, scheme: str, width: int, height: int) -> Iterator[Page]:
    context = browser.new_context(color_scheme=scheme, viewport={"width": width, "height": height})
    page = context.new_page()
    page.set_default_timeout(SECONDS * 1000)
    watch = Watch(page)
    page.goto(report.as_uri())
    page.wait_for_selector("html[data-ready]")
    yield page
    assert watch.complaints == []
    context.close()


def show_map(page: Page) -> Page:
    page.evaluate("document.querySelector('#map').scrollIntoView({behavior: 'instant'})")
    page.wait_for_selector("#plot[data-ready]")
    page.wait_for_timeout(300)  # the plot fits itself to its place
    return page


def point_of(page: Page, row: int) -> tuple[float, float]:
    """Where on the screen a row's point is drawn."""
    place = page.evaluate(
        """row => { const plot = document.querySelector('#plot'), box = plot.getBoundingClientRect();
        const {xaxis, yaxis} = plot._fullLayout, data = window.imgclusterData;
        return [box.x + xaxis._offset + xaxis.l2p(data.x[row]), box.y + yaxis._offset + yaxis.l2p(data.y[row])]; }""",
        row,
    )
    return place[0], place[1]


def ids(page: Page, selector: str) -> list[str]:
    return [text.strip() for text in page.locator(f"{selector} .id").all_inner_texts()]


def test_it_opens_without_a_complaint_and_shows_every_section(page: Page) -> None:
    assert page.title() == "run: clusters"
    for section in ("overview", "clusters", "map", "duplicates", "outliers", "truth", "failures", "run"):
        assert page.locator(f"#{section}").is_visible()
    show_map(page)
    broken = "all => all.filter(each => each.complete && !each.naturalWidth).map(each => each.src)"
    assert page.locator("img").evaluate_all(broken) == []
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")


def test_names_that_would_be_markup_are_text(page: Page) -> None:
    page.fill("#search", "onerror")
    page.wait_for_selector("#results .thumb")
    assert ids(page, "#results") == [HOSTILE[0]]
    page.click("#results .thumb")
    assert page.locator("#image-title").inner_text() == HOSTILE[0]
    assert page.locator("#image dl a").inner_text().endswith(HOSTILE[0])
    page.keyboard.press("Escape")
    for wanted, shown in ((HOSTILE[3][:4], "line\\u000abreak.jpg"), ("gpj", "\\u202egpj.exe\\u202c.jpg")):
        page.fill("#search", wanted)
        page.wait_for_function(
            "wanted => [...document.querySelectorAll('#results .id')].some(each => each.textContent === wanted)",
            arg=shown,
        )


def test_clusters_expand_and_close_again(page: Page) -> None:
    button = page.locator(".card .all").first
    place = page.locator(f"#{button.get_attribute('data-into')}")
    assert (button.get_attribute("aria-expanded"), place.is_visible()) == ("false", False)
    button.click()
    assert (button.get_attribute("aria-expanded"), place.is_visible()) == ("true", True)
    size = page.locator(".sizes tbody td.number").first.inner_text()
    assert place.locator(".thumb").count() == int(size)
    button.click()
    assert not place.is_visible()


def test_the_links_at_the_top_lead_there_whatever_is_loaded_on_the_way(page: Page) -> None:
    for section in ("outliers", "map", "overview"):
        page.click(f"nav a[href='#{section}']")
        page.wait_for_function(
            "section => { const top = document.getElementById(section).getBoundingClientRect().top;"
            " return top > -5 && top < innerHeight / 2; }",
            arg=section,
        )


def test_search_finds_by_part_of_an_id_and_says_how_many(wide: Page) -> None:
    wide.fill("#search", "001")
    wide.wait_for_selector("#results .thumb")
    assert ids(wide, "#results") == [f"{number:04d}.jpg" for number in (1, *range(10, 20))]
    assert wide.locator("#results [role=status]").inner_text() == "11 images"
    wide.fill("#search", "nothing like it")
    wide.wait_for_function("document.querySelector('#results [role=status]').textContent === '0 images'")
    wide.fill("#search", "")
    wide.wait_for_selector("#results", state="hidden")


def test_the_map_hovers_zooms_and_opens_an_image(wide: Page) -> None:
    show_map(wide)
    row = wide.evaluate("window.imgclusterData.ids.indexOf('0010.jpg')")
    wide.mouse.move(*point_of(wide, row))
    wide.wait_for_selector("#hover", state="visible")
    shown = wide.locator("#hover").inner_text()
    assert re.search(r"\.jpg\s+Cluster \d", shown)
    assert wide.locator("#hover img").evaluate("each => each.naturalWidth") == 48
    before = wide.evaluate("document.querySelector('#plot')._fullLayout.xaxis.range")
    wide.mouse.wheel(0, -400)
    wide.wait_for_function(
        "before => document.querySelector('#plot')._fullLayout.xaxis.range[1] < before[1] - 1e-6", arg=before
    )
    wide.click('[data-map="whole"]')
    wide.mouse.click(*point_of(wide, row))
    wide.wait_for_selector("#image[open]")


def test_the_lasso_lists_ids_to_copy(wide: Page) -> None:
    show_map(wide)
    wide.click('[data-map="lasso"]')
    assert wide.locator('[data-map="lasso"]').get_attribute("aria-pressed") == "true"
    labels = wide.evaluate("window.imgclusterData.labels")
    group = [row for row, label in enumerate(labels) if label == 0]
    places = [point_of(wide, row) for row in group]
    left, right = min(x for x, _ in places) - 12, max(x for x, _ in places) + 12
    top, bottom = min(y for _, y in places) - 12, max(y for _, y in places) + 12
    wide.mouse.move(left, top)
    wide.mouse.down()
    for corner in ((right, top), (right, bottom), (left, bottom), (left, top)):
        wide.mouse.move(*corner, steps=6)
    wide.mouse.up()
    wide.wait_for_selector("#selection textarea")
    found = wide.locator("#selection textarea").input_value()
    data_ids = wide.evaluate("window.imgclusterData.ids")
    assert len(group) > 5
    for row in group:
        name = data_ids[row]
        assert (name if not set(name) & set('",\n') else '"' + name.replace('"', '""') + '"') in found
    others = [row for row, label in enumerate(labels) if label not in {0, None}]
    assert not any(f"\n{data_ids[row]}\n" in f"\n{found}\n" for row in others)
    wide.click("#selection .copy")
    wide.wait_for_function("document.querySelector('#selection .copy').textContent === 'Copied'")


def test_the_map_by_keys_alone(wide: Page) -> None:
    show_map(wide)
    wide.focus("#plot")
    ranges = "JSON.stringify(document.querySelector('#plot')._fullLayout.xaxis.range)"
    whole = wide.evaluate(ranges)
    for key in ("+", "ArrowRight", "ArrowUp", "-"):
        before = wide.evaluate(
            "() => { const l = document.querySelector('#plot')._fullLayout;"
            " return JSON.stringify([l.xaxis.range, l.yaxis.range]); }"
        )
        wide.keyboard.press(key)
        wide.wait_for_function(
            "before => { const l = document.querySelector('#plot')._fullLayout;"
            " return JSON.stringify([l.xaxis.range, l.yaxis.range]) !== before; }",
            arg=before,
        )
    wide.keyboard.press("0")
    wide.wait_for_function(f"whole => {ranges} === whole", arg=whole)
    wide.keyboard.press("Enter")
    wide.wait_for_selector("#selection h3")
    assert wide.locator("#selection h3").inner_text() == "31 images in view"
    wide.select_option("#map-cluster", "1")
    wide.click('[data-map="view"]')
    size = wide.evaluate("window.imgclusterData.labels.filter(label => label === 1).length")
    assert wide.locator("#selection h3").inner_text() == f"{size} images in view"


def test_an_image_shows_its_neighbours_and_leads_on_to_them(wide: Page) -> None:
    wide.fill("#search", "0000")
    wide.wait_for_selector("#results .thumb")
    wide.locator("#results .thumb").first.press("Enter")
    wide.wait_for_selector("#image .thumb")
    assert ids(wide, "#image")[0] == HOSTILE[0]  # its copy
    assert wide.locator("#image .note").first.inner_text() == "similarity 1.00"
    assert wide.locator("#image figcaption").inner_text() == "<i>what pulls</i>"
    wide.locator("#image .thumb").first.click()
    assert wide.locator("#image-title").inner_text() == HOSTILE[0]
    wide.click('#image button:has-text("Back")')
    assert wide.locator("#image-title").inner_text() == "0000.jpg"
    wide.keyboard.press("Escape")
    assert not wide.locator("#image").is_visible()
    assert wide.evaluate("document.activeElement.dataset.row") is not None  # the focus is back where it was


def test_the_keyboard_reaches_everything(page: Page) -> None:
    everything = """() => [...document.querySelectorAll('a[href], button, input, select, summary, [tabindex="0"]')]
        .filter(each => each.checkVisibility() && !each.closest('#plot .main-svg'))"""
    wanted = page.evaluate(f"({everything})().length")
    page.evaluate("window.reached = new Set()")
    page.keyboard.press("Tab")
    for _ in range(wanted + 5):
        page.evaluate("window.reached.add(document.activeElement)")
        page.keyboard.press("Tab")
    missed = page.evaluate(f"({everything})().filter(each => !window.reached.has(each)).map(each => each.outerHTML)")
    assert missed == []
    assert wanted > 50


def test_the_theme_can_be_chosen(wide: Page) -> None:
    ground = "getComputedStyle(document.body).backgroundColor"
    light = wide.evaluate(ground)
    wide.click("#theme")
    assert (wide.locator("#theme").inner_text(), wide.evaluate(ground)) == ("Theme: light", light)
    wide.click("#theme")
    assert wide.locator("#theme").inner_text() == "Theme: dark"
    assert wide.evaluate(ground) != light
    wide.reload()
    wide.wait_for_selector("html[data-ready]")
    assert wide.locator("#theme").inner_text() == "Theme: dark"
    wide.click("#theme")
    assert wide.locator("#theme").inner_text() == "Theme: auto"


def test_no_serious_violation_of_accessibility(page: Page) -> None:
    pytest.importorskip("axe_playwright_python")
    from axe_playwright_python.sync_playwright import Axe

    show_map(page)
    page.locator(".card .all").first.click()
    page.fill("#search", "00")
    page.wait_for_selector("#results .thumb")
    page.click('[data-map="view"]')
    page.locator("details summary").click()
    assert serious(Axe().run(page, options=AXE).response) == []
    page.locator("#results .thumb").first.click()
    page.wait_for_selector("#image .thumb")
    assert serious(Axe().run(page, options=AXE).response) == []


def serious(found: dict[str, Any]) -> list[str]:
    return [
        f"{each['id']}: {each['help']}: {each['nodes'][0]['html']} {each['nodes'][0]['failureSummary']}"
        for each in found["violations"]
        if each["impact"] in {"serious", "critical"}
    ]


def test_on_paper_there_are_the_clusters_and_no_controls(wide: Page) -> None:
    wide.emulate_media(media="print")
    assert wide.locator(".card .thumb").first.is_visible()
    for control in ("#theme", ".card .all >> nth=0", "#map"):
        assert not wide.locator(control).is_visible()
    assert len(wide.pdf()) > 20_000


def test_without_scripts_the_clusters_are_there(browser: Any, report: Path) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(report.as_uri())
    assert page.locator(".card .thumb img").first.is_visible()
    assert "Map and search need JavaScript" in page.locator("main").inner_text()
    context.close()


def test_it_opens_where_it_was_moved_to(browser: Any, report: Path, tmp_path: Path) -> None:
    moved = Path(shutil.copytree(report.parent, tmp_path / "else where # 100%"))
    for page in opened(browser, moved / "index.html", "light", 800, 600):
        show_map(page)
        assert page.locator(".card .thumb img").first.evaluate("each => each.complete && each.naturalWidth > 0")
