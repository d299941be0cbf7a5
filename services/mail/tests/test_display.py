"""What a person's browser is given of a mail: nothing that runs or asks a foreign host, and all its words."""

import pytest

from mail.display import LEFT_OUT, MAX_HTML, Fold, shown


def test_a_mail_is_shown_with_its_images_held_back_and_counted() -> None:
    html = (
        '<p>Hello <img src="https://ads.example/a.gif" alt="logo"><img src="cid:pic1"></p><p background="//x.test/b">'
    )
    held = shown(html, None, None, "held", {"pic1": "/mail/pic1"})
    assert held.html == '<p>Hello <img alt="logo"><img src="/mail/pic1"></p><p></p>'
    assert held.held_images == 2
    given = shown(html, None, None, "shown", {})
    assert given.html == '<p>Hello <img src="https://ads.example/a.gif" alt="logo"><img></p><p></p>'


def test_a_link_tells_its_page_nothing_of_the_reader() -> None:
    assert shown('<a href="https://a.example/?x=1&amp;y=2" onclick="x()">a</a>', None, None, "held", {}).html == (
        '<a href="https://a.example/?x=1&amp;y=2" target="_blank" rel="noopener noreferrer nofollow">a</a>'
    )


def test_a_quote_is_folded_and_never_deleted() -> None:
    body = "Yes, do it.\n\nOn Mon, 4 May 2026 at 10:15, Ben <ben@contoso.example> wrote:\n> Shall I?\n> Ben\n\nAnna"
    mail = shown(None, body, None, "held", {})
    assert mail.text == body
    assert [body[fold.start : fold.end] for fold in mail.folds] == [body[13:-6]]
    html = "Yes.<blockquote type=cite><p>Shall I?</p></blockquote>Anna"
    folded = shown(html, None, None, "held", {})
    assert folded.folds == [Fold(5, 13)]
    assert folded.html == (
        'Yes.<details class="quoted"><summary>Quoted text</summary><blockquote><p>Shall I?</p></blockquote></details>'
        "Anna"
    )


@pytest.mark.parametrize(
    "unit", ["<div>", "<ul><li>", "<p><b>", '<a b="', "<!--", "<svg>", "&#x", "</p>", "<font color=1>"]
)
def test_a_mail_made_to_keep_a_parser_busy_is_shown(unit: str) -> None:
    """A parser that is given these as they are takes minutes; the test's own time limit is what would fail."""
    mail = shown("<p>before</p>" + unit * 60_000, None, None, "held", {})
    assert mail.html is not None
    assert "before" in mail.html
    assert mail.html.count("<") < 2_000


def test_of_a_mail_that_is_too_long_the_first_part_is_shown() -> None:
    mail = shown("<p>" + "word " * (MAX_HTML // 5) + "secret</p>", None, None, "held", {})
    assert mail.text.endswith(LEFT_OUT)
    assert mail.html is not None
    assert mail.html.endswith(f"<p>{LEFT_OUT}</p>")
    assert "secret" not in mail.html


@pytest.mark.parametrize(
    "broken", ["\ud800<p>a</p>", "<p>\0a</p>", "<p>&#xD800;a</p>", "<p>a&#" + "9" * 5_000 + ";</p>"]
)
def test_characters_that_no_mail_can_have_do_no_harm(broken: str) -> None:
    mail = shown(broken, None, None, "held", {})
    assert "a" in mail.text
    assert (mail.html or "").encode()
