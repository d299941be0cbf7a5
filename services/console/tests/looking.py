"""A page of Chromium that looks at one state after another: what axe finds there, and whether a small screen has room.

Opening a page and looking through it with axe is most of what these tests cost, so one page serves for all states, a
state begins in the size and the theme in which the one before it ended, and axe judges colours that it has not judged
yet. What it judged is known by the computed colours themselves, whatever selectors they come from.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, ViewportSize

COLOURS = ["color-contrast", "link-in-text-block"]
"""The rules that a theme can break."""
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
MEDIA = {"assets": ["media"]}
"""What axe fetches for these rules. It would read every style sheet too, for experimental ones only."""
Theme = Literal["light", "dark"]
THEMES: tuple[Theme, Theme] = ("light", "dark")
LARGE: ViewportSize = {"width": 1280, "height": 800}
SMALL: ViewportSize = {"width": 320, "height": 640}
PATIENCE_MS = 60_000
"""What takes half a second does so on a busy machine too, in the end."""
SCRIPT = "/axe.js"
LOOKS = """
const ownText = element => [...element.childNodes].some(node => node.nodeType === 3 && node.data.trim());
function lookOf(element) {
  const {color, fontSize, fontWeight, textShadow, textDecorationLine} = getComputedStyle(element);
  const parts = [color, fontSize, fontWeight, textShadow];
  for (let behind = element; behind; behind = behind.parentElement) {
    const {backgroundColor, backgroundImage, opacity} = getComputedStyle(behind);
    const part = [backgroundColor, backgroundImage, opacity].join(" ");
    if (part !== "rgba(0, 0, 0, 0) none 1") parts.push(part);
  }
  if (element.closest("a") && ownText(element.closest("a").parentElement))
    parts.push("link in", getComputedStyle(element.closest("a").parentElement).color, textDecorationLine);
  return parts.join("|");
}
const kindOf = element => element.tagName + "." + element.className;
async function judgeLooks([rules, known]) {
  known = new Set(known);
  const seen = new Map();
  for (const element of document.querySelectorAll("body, body *"))
    if ((ownText(element) || element.matches("input, select, textarea")) && element.checkVisibility())
      seen.set(element, lookOf(element));
  const settled = ([element, look]) => known.has(look) || known.has(kindOf(element) + "|" + look);
  if ([...seen].every(settled)) return {violations: [], known: []};
  const said = await axe.run({runOnly: rules, elementRef: true});
  const contrast = [...said.passes, ...said.incomplete].filter(one => one.id === "color-contrast");
  const judged = new Set(contrast.flatMap(one => one.nodes).map(node => node.element));
  const added = [...seen].map(([element, look]) => judged.has(element) ? look : kindOf(element) + "|" + look);
  const violations = said.violations.map(({id, nodes}) => ({id, nodes: nodes.map(({html}) => ({html}))}));
  return {violations, known: added};
}
"""
"""``judgeLooks([rules, known])``: what axe finds of colours, and the looks that are known then.

A look is a colour of text with all that lies behind it. What axe leaves unjudged, such as the text of a disabled
button, is known for its kind of element only.
"""


class Watched:
    """A page whose console errors and policy violations are kept."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.errors: list[str] = []
        """Since the page was opened, or since a test emptied it."""
        page.on("console", lambda said: self.errors.append(said.text) if said.type in {"error", "warning"} else None)
        page.on("pageerror", lambda error: self.errors.append(str(error)))

    def unexpected(self) -> list[str]:
        """A page that is meant to answer 4xx or 5xx is reported by Chromium as an error; that one is no news."""
        return [text for text in self.errors if not text.startswith("Failed to load resource: the server responded")]


class Looking(Watched):
    """One for many states."""

    def __init__(self, page: Page) -> None:
        super().__init__(page)
        self._theme = THEMES[0]
        self._known: set[str] = set()
        page.emulate_media(color_scheme=THEMES[0])

    def sizes(self) -> Iterator[ViewportSize]:
        """The page in each, first in the one that it has."""
        for size in sorted((LARGE, SMALL), key=lambda size: size != self.page.viewport_size):
            if self.page.viewport_size != size:
                self.page.set_viewport_size(size)
            yield size

    def themes(self) -> Iterator[Theme]:
        """The page in each, first in the one that it has."""
        for theme in sorted(THEMES, key=lambda theme: theme != self._theme):
            if self._theme != theme:
                self.page.emulate_media(color_scheme=theme)
                self._theme = theme
            yield theme

    def colours(self) -> list[str]:
        """What axe finds of the colours in the theme of now, where one is new."""
        found = self.page.evaluate("judgeLooks", [COLOURS, sorted(self._known)])
        if not found["violations"]:
            self._known |= set(found["known"])
        return _said(found["violations"])


def complaints(page: Page, *but: str) -> list[str]:
    """What axe, which ``page`` has loaded, finds, of all rules ``but`` these."""
    rules = {name: {"enabled": False} for name in but}
    wanted = {"runOnly": RULES, "rules": rules, "resultTypes": ["violations"], "preload": MEDIA}
    return _said(page.evaluate("options => axe.run(options).then(said => said.violations)", wanted))


def _said(violations: list[dict[str, Any]]) -> list[str]:
    return [f"{one['id']}: {node['html']}" for one in violations for node in one["nodes"]]


def script() -> str:
    return f"{Axe().axe_script}\n{LOOKS}"


@contextmanager
def a_context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context(timezone_id="Europe/Berlin", viewport=LARGE)
    made.set_default_timeout(PATIENCE_MS)
    yield made
    made.close()
