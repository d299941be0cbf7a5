"""The corpus of hostile mails: cleaned, read by another parser, and opened in Chromium."""

from collections.abc import Iterator
from html.parser import HTMLParser
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from mail.display import shown
from services.mail.tests.corpora import EVIL, Hostile, hostile
from shared.testing import chromium

if TYPE_CHECKING:
    from playwright.sync_api import Browser

GROUPS = hostile()
NEVER = {
    "script",
    "style",
    "link",
    "meta",
    "base",
    "iframe",
    "frame",
    "object",
    "embed",
    "svg",
    "math",
    "video",
    "audio",
}
NEVER |= {"form", "input", "button", "textarea", "select"}
ADDRESSED = {"href", "src"}


class Reader(HTMLParser):
    """What another parser finds: tags, attributes, addresses, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.wrong: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, value in attrs:
            scheme = urlsplit(value or "").scheme if name in ADDRESSED else ""
            allowed = {"http", "https", "mailto", "tel"} if (tag, name) == ("a", "href") else {"cid-served", "data"}
            if name.startswith("on") or (name in ADDRESSED and scheme not in allowed):
                self.wrong.append(f"{tag} {name}={value}")
        self.text += " ".join(value or "" for name, value in attrs if name in {"alt", "title"})

    def handle_data(self, data: str) -> None:
        self.text += data


def wrong_with(case: Hostile) -> list[str]:
    mail = shown(case.html, None, None, "held", {})
    html = mail.html or ""
    read = Reader(html)
    found = [f"{case.html!r} keeps {gone!r}" for gone in case.gone if gone.lower() in html.lower()]
    found += [f"{case.html!r} lost {stays!r}" for stays in case.stays if stays not in read.text]
    found += [f"{case.html!r} has {tag}" for tag in read.tags & NEVER]
    return found + [f"{case.html!r} has {one}" for one in read.wrong]


def test_the_corpus_has_two_hundred_cases() -> None:
    assert sum(map(len, GROUPS.values())) >= 200


@pytest.mark.parametrize("group", GROUPS)
def test_a_hostile_mail_loses_its_harm_and_keeps_its_words(group: str) -> None:
    assert [wrong for case in GROUPS[group] for wrong in wrong_with(case)] == []


def test_what_a_hostile_mail_would_have_loaded_is_counted() -> None:
    loaded = [case for case in GROUPS["images"] + GROUPS["backgrounds and styles"] if EVIL in case.html]
    silent = {case.stays for case in loaded if not shown(case.html, None, None, "held", {}).held_images}
    assert silent == {("c21",), ("c25",), (), ("c28",), ("c31",), ("d45",)}, "nothing to load"


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    path = chromium.chromium()
    from playwright.sync_api import sync_playwright  # here, for most tests need no browser and it is slow to import

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=chromium.OPTIONS)
        yield launched
        launched.close()


def opened(browser: "Browser", bodies: list[str]) -> tuple[list[str], int, str]:
    """The requests to others, how many scripts ran, and the text, of a page of ``bodies`` that no policy protects."""
    asked: list[str] = []
    page = browser.new_page()
    page.route("**/*", lambda route: (asked.append(route.request.url), route.abort()))
    page.route(
        "https://prospo.test/", lambda route: route.fulfill(body=document, content_type="text/html; charset=utf-8")
    )
    page.expose_function("ran", lambda: None)
    document = (
        "<!doctype html><script>window.scripts = 0; window.pwned = () => { window.scripts++ }</script>"
        + "".join(f"<section>{body}</section>" for body in bodies)
    )
    page.goto("https://prospo.test/")
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")
    page.wait_for_load_state("networkidle")
    result = page.evaluate("[window.scripts, document.body.innerText]")
    page.close()
    return asked, result[0], result[1]


@pytest.mark.browser
def test_hostile_mails_in_chromium_ask_nobody_and_run_nothing(browser: "Browser") -> None:
    """M10."""
    cases = [case for group in GROUPS.values() for case in group]
    cleaned = [shown(case.html, None, None, "held", {}).html or "" for case in cases]
    asked, scripts, text = opened(browser, cleaned)
    assert (asked, scripts) == ([], 0)
    assert "Dear Anna" in text
    assert "g72" in text


@pytest.mark.browser
def test_the_page_of_hostile_mails_would_notice_harm(browser: "Browser") -> None:
    asked, scripts, _ = opened(browser, [f"<img src='https://{EVIL}/a.gif' onerror='pwned()'><script>pwned()</script>"])
    assert asked == [f"https://{EVIL}/a.gif"]
    assert scripts == 2
