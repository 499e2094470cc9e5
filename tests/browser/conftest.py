"""A real browser, and pages opened in it that may not log, throw, or ask for anything."""

import pytest
from playwright.sync_api import sync_playwright

from tests.browser.viewer_page import page_of


@pytest.fixture(scope="session")
def browser(chromium):
    quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    quiet += ["--disable-background-networking", "--disable-component-update"]
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", *quiet])
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser, tmp_path):
    """Open HTML as a file; the test fails if the page, up to its end, logs, throws or asks for anything."""
    opened, complaints = [], []

    def open_html(html, *, width=1280, theme="light", hash="", **context):
        path = tmp_path / "index.html"
        path.write_bytes(html.encode())
        session = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=theme, offline=True, **context
        )
        page = session.new_page()
        asked = []
        page.on("console", lambda message: complaints.append(f"console: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(f"error: {error}"))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on("popup", lambda popup: complaints.append(f"popup: {popup.url}"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(path.as_uri() + hash)  # returns when everything that the page asks for is there
        opened.append((session, asked, path.as_uri()))
        return page

    yield open_html
    for session, asked, uri in opened:
        complaints += [f"request: {url}" for url in asked if url.partition("#")[0] != uri]
        complaints += [f"opened {len(asked)} times"] if len(asked) != 1 else []
        session.close()
    assert complaints == []


@pytest.fixture
def viewer(open_page, tmp_path):
    """Open a page and go to its viewer."""

    def opened(*, kind="curate", **options):
        page = open_page(page_of(tmp_path / kind, kind=kind), **options)
        page.locator("#traces").scroll_into_view_if_needed()
        return page

    return opened
