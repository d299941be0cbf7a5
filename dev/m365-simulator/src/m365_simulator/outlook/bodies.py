"""Bodies of messages and events: HTML is kept as a whole document, and shown as text to whoever prefers text."""

import html
import re

from fastapi import Request

from m365_simulator.store import Row

TAGS = re.compile(r"<(style|script)\b.*?</\1>|<[^>]+>", re.IGNORECASE | re.DOTALL)
INNER = re.compile(r"<body\b[^>]*>(?P<inner>.*)</body>", re.IGNORECASE | re.DOTALL)
WHOLE = re.compile(r"<html[\s>]", re.IGNORECASE)
HEAD = '<html><head>\r\n<meta http-equiv="Content-Type" content="text/html; charset=utf-8"></head><body>'
PREVIEW = 255


def kept(body: Row) -> Row:
    """As Exchange stores ``body`` (an itemBody): HTML becomes a document of its own, text stays as it is."""
    content = body.get("content") or ""
    if not is_html(body) or WHOLE.search(content):
        return {**body, "content": content}
    return {**body, "content": document(content)}


def document(inner: str) -> str:
    return f"{HEAD}{inner}</body></html>"


def is_html(body: Row) -> bool:
    return str(body.get("contentType") or "text").lower() == "html"


def inner(body: Row) -> str:
    """What stands in the document's body, as HTML; text is escaped."""
    content = body.get("content") or ""
    if not is_html(body):
        return html.escape(content).replace("\n", "<br>\n")
    found = INNER.search(content)
    return found["inner"] if found else content


def plain(body: Row | None) -> str:
    """The text alone, without tags."""
    content = (body or {}).get("content") or ""
    return html.unescape(TAGS.sub("", content)).strip() if is_html(body or {}) else content.strip()


def preview(body: Row | None) -> str:
    content = (body or {}).get("content") or ""
    found = html.unescape(TAGS.sub(" ", content)) if is_html(body or {}) else content
    return " ".join(found.split())[:PREVIEW]


def wants_text(request: Request) -> bool:
    """``Prefer: outlook.body-content-type="text"``."""
    prefer = ",".join(request.headers.getlist("prefer"))
    return 'outlook.body-content-type="text"' in prefer.replace(" ", "").lower()


def shown(body: Row | None, *, as_text: bool) -> Row:
    """An event's or a message's body as the caller prefers it."""
    given = body or {"contentType": "html", "content": ""}
    if as_text:
        return {"contentType": "text", "content": plain(given)}
    return {"contentType": "html" if is_html(given) else "text", "content": given.get("content") or ""}
