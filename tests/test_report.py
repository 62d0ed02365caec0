"""The report: what a browser shows of it, at the width of a desk and of a phone, in light and dark."""

from __future__ import annotations

import re
import shutil

import numpy as np
import pytest

import actloss_rs as al
from actloss_rs.evaluation import write_report

pytest.importorskip("matplotlib")
pytest.importorskip("jinja2")
sync_api = pytest.importorskip("playwright.sync_api")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SPARSE = {"loss": "sparse_categorical_crossentropy", "from_logits": True, "metrics": ["all"]}


def data(classes=10, rows=3000):
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, classes, rows), rng.normal(0, 2, (rows, classes)).astype(np.float32)
    z[np.arange(rows), y] += 5
    return y, z


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """A report with everything in it, and its result."""
    y, z = data()
    y[17] = 99
    countries = np.array(["<b>Österreich</b>", "de", "a country of a name that is far too long"])
    groups = {"country": countries[np.arange(3000) % 3], "version": np.arange(3000) % 2}
    result = al.evaluate(y, z, **SPARSE, group_by=groups, on_bad_row="skip")
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(path, result, {"y_true": "labels <1>.npy", "y_pred": "z.npy"}, {"loss": 0.001, "ece": 1.0})
    return path, result


@pytest.fixture
def page(browser, request):
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    page.complaints, page.requests = [], []
    page.on("console", lambda message: page.complaints.append(message.text))
    page.on("pageerror", lambda error: page.complaints.append(str(error)))
    page.on("request", lambda request: page.requests.append(request.url))
    yield page
    context.close()


@pytest.mark.parametrize(
    "page", [(1280, "light"), (1280, "dark"), (375, "light"), (375, "dark")], indirect=True
)
def test_in_a_browser(page, report, request):
    path, result = report
    width, scheme = request.node.callspec.params["page"]
    page.goto(path.as_uri())
    assert (page.requests, page.complaints) == ([path.as_uri()], [])
    titles = ["Reliability", "Losses", "Confusion", "Classes", "By country", "By version"]
    titles += ["Worst samples", "Skipped rows"]
    assert page.locator("h2").all_inner_texts() == titles
    # Nothing sideways, and every chart as large as its box and no larger.
    assert page.evaluate("document.documentElement.scrollWidth") == width
    boxes = page.locator("svg").evaluate_all("all => all.map(each => each.getBoundingClientRect().toJSON())")
    assert len(boxes) == 6
    assert all(280 < box["width"] <= min(width - 32, 580) and box["height"] > 80 for box in boxes)
    # Text of charts can be read: no smaller than 6.5 pixels, which exponents are.
    least = page.locator("svg text").evaluate_all(
        "all => Math.min(...all.map(each => each.getBoundingClientRect()).filter(box => box.width)"
        ".map(box => box.height))"
    )
    assert least > 6.5
    # Ink and paper are far apart, in charts as in text; colours come from the page.
    fills = page.locator("svg text").evaluate_all("all => all.map(each => getComputedStyle(each).fill)")
    paper = brightness(page.locator("section").first.evaluate("it => getComputedStyle(it).backgroundColor"))
    assert (paper > 0.8) == (scheme == "light")
    assert all(abs(brightness(fill) - paper) > 0.5 or fill != fills[0] for fill in fills)
    assert abs(brightness(fills[0]) - paper) > 0.5
    cards = page.locator(".card").all_inner_texts()
    assert f"{result['loss']:.4g}\n{result['loss']!r}\nabove 0.001" in cards[0]
    assert "within 1" in cards[-1]
    assert page.locator(".card.broken").count() == 1
    page.get_by_text("Numbers").first.click()
    assert page.locator("details").first.locator("tbody tr").first.is_visible()
    assert "y_true[17] = 99 is not a class id" in page.locator("section").last.inner_text()
    assert "<b>Österreich</b>" in page.locator("section").nth(4).inner_text()
    assert page.locator("code").first.inner_text() == "labels <1>.npy"


def brightness(colour: str) -> float:
    return sum(map(int, re.findall(r"\d+", colour)[:3])) / 765


@pytest.mark.parametrize("page", [(375, "light")], indirect=True)
def test_every_kind_of_result(page, tmp_path):
    rng = np.random.default_rng(0)
    y, z = data(100)
    z[0], z[1] = -np.inf, np.nan
    decisions = rng.random(500) < 0.4
    nothing = {"loss": "sparse_categorical_crossentropy", "metrics": ["all"]}
    results = {
        "many classes": al.evaluate(y, z, **SPARSE),
        "decisions": al.evaluate(decisions, rng.random(500), loss="binary_crossentropy", metrics=["all"]),
        "numbers": al.evaluate(z[2:], z[2:] + 1, loss="mean_squared_error", metrics=["all"]),
        "plain": al.evaluate(y[2:], z[2:], loss="sparse_categorical_crossentropy", from_logits=True),
        "perfect": al.evaluate(np.zeros(9, int), np.eye(1, 3).repeat(9, 0), **nothing),
    }
    for name, result in results.items():
        write_report(tmp_path / "report.html", result)
        page.goto((tmp_path / "report.html").as_uri())
        assert page.complaints == [], name
        assert page.evaluate("document.documentElement.scrollWidth") == 375, name
        assert page.locator("h1").inner_text() == result["loss_name"].replace("_", " ").capitalize()
        assert page.locator("section").count() == {"plain": 0, "numbers": 2}.get(name, 5), name


def test_the_same_result_makes_the_same_page(report, tmp_path):
    path, result = report
    write_report(
        tmp_path / "again.html",
        result,
        {"y_true": "labels <1>.npy", "y_pred": "z.npy"},
        {"loss": 0.001, "ece": 1.0},
    )
    assert (tmp_path / "again.html").read_bytes() == path.read_bytes()
    assert "http" not in re.sub(r'xmlns(:\w+)?="[^"]*"', "", path.read_text(encoding="utf-8"))
