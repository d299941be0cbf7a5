"""CSS of mails: which declarations harm nobody, and which would have a browser load something."""

import re

from mail.markup import words

MAX_STYLE = 4_000
"""Characters of a style attribute that is read; a longer one is dropped."""
_PROPERTIES = words(
    "background background-color border border-bottom border-bottom-color border-bottom-style border-bottom-width"
    " border-collapse border-color border-left border-left-color border-left-style border-left-width border-radius"
    " border-right border-right-color border-right-style border-right-width border-spacing border-style border-top"
    " border-top-color border-top-style border-top-width border-width caption-side clear color direction display"
    " empty-cells float font font-family font-size font-style font-variant font-weight height letter-spacing line-"
    " height list-style-type margin margin-bottom margin-left margin-right margin-top max-height max-width min-"
    " height min-width overflow-wrap padding padding-bottom padding-left padding-right padding-top table-layout"
    " text-align text-decoration text-indent text-transform unicode-bidi vertical-align white-space width word-"
    " break word-spacing word-wrap"
)
_VALUE = re.compile(
    r"(?:[\w\s#.,%+\-'\"!/]|(?<=rgb)\([\d\s.,%/]*\)|(?<=rgba)\([\d\s.,%/]*\)|(?<=hsl)\([\d\s.,%/]*\))*", re.ASCII
)
_ESCAPE = re.compile(r"\\([0-9a-fA-F]{1,6})\s?")
_REFERENCE = re.compile(
    r"(?:url\(|image\(|src\()[\s\"']*(?:https?:|ftp:|//)|@import\s*[\"']|image-set\(\s*[\"']", re.IGNORECASE
)


def harmless(style: str) -> str:
    """The declarations of a style attribute that change how text looks: no address, no place, no function but
    colours."""
    if len(style) > MAX_STYLE:
        return ""
    kept = []
    for declaration in style.split(";"):
        name, colon, value = declaration.partition(":")
        name, value = name.strip().lower(), value.strip()
        if colon and value and name in _PROPERTIES and _VALUE.fullmatch(value):
            kept.append(f"{name}: {value}")
    return "; ".join(kept)


def remote_references(css: str) -> int:
    """How often ``css``, without its comments and escapes, would have a browser load images, fonts or styles."""
    first, *others = css.split("/*")
    uncommented = first + "".join(other.partition("*/")[2] for other in others)
    plain = _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if int(match[1], 16) < 0x110000 else "", uncommented)
    return len(_REFERENCE.findall(plain))
