"""How text from a dataset is shown without doing anything where it is shown.

Ids, captions, paths and answers are written by whoever contributes data. Every report passes
them through one of these functions before they reach a terminal, a log, a page or a file.
All of them begin with :func:`visible`, so that what cannot be seen, or would act on what
displays it, is written out.
"""

from __future__ import annotations

import html as _html
import re
from urllib.parse import quote

#: Longest piece of dataset text in a report, in characters.
MAX_TEXT = 200
#: Longest path where a path is meant; a longer one is no file that was ever read.
MAX_PATH = 1_000
#: Longest message or reason.
MAX_MESSAGE = 1_000

# Unicode's control and format characters, blanks that pass for letters, variation selectors
# beyond the two of emoji (they can carry a message), surrogates, private use, noncharacters.
_UNSEEN = (
    "\x00-\x1f\x7f-\x9f\xad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f"
    "\u2028-\u202e\u2060-\u206f\u3164\ud800-\uf8ff\ufdd0-\ufdef\ufe00-\ufe0d\ufeff\uffa0"
    "\ufff0-\ufffb\ufffe\uffff\U00013430-\U0001345f\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U0010ffff"
    + "".join(
        f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(1 << 16, 14 << 16, 1 << 16)
    )
)
# `::command::` (GitHub) and `##[command]`, `##vso[...]`, `##teamcity[...]` act in CI logs.
_ACTIVE = re.compile(rf"[{_UNSEEN}]|(?<=:):|(?<=#)#(?=\w*\[)")
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def _code(match: re.Match[str]) -> str:
    character = match.group()
    number = ord(character)
    if character in _SHORT:
        return _SHORT[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def visible(text: str, limit: int | None = MAX_TEXT) -> str:
    r"""Return the text on one line, with every character that cannot be seen written as a code.

    Control characters (so also ANSI and OSC sequences and newlines), bidirectional and
    zero-width characters, lone surrogates and noncharacters become ``\n``, ``\x1b``,
    ``\u202e`` ...; so do the second colon of ``::`` and the second hash of ``##[``, which
    would begin a command in a CI log. The result can always be encoded as UTF-8 and stands
    in any XML document.

    Parameters
    ----------
    limit : int or None
        Characters of the original that are kept; the rest is counted.
    """
    rest = 0 if limit is None else len(text) - limit
    if rest > 0:
        return f"{_ACTIVE.sub(_code, text[:limit])}… (+{rest:,} characters)"
    return _ACTIVE.sub(_code, text)


def visible_lines(text: str) -> str:
    """Return a text of several lines, such as a message or a policy, each as :func:`visible`."""
    return "\n".join(visible(line, None) for line in text.split("\n"))


def html(text: str, limit: int | None = MAX_TEXT) -> str:
    """Return the text for an HTML element or a quoted attribute."""
    return _html.escape(visible(text, limit))


def markdown(text: str, limit: int | None = MAX_TEXT) -> str:
    """Return the text as Markdown code, in which links, images, HTML and mentions are dead.

    Good inside a table of GitHub's dialect too: a bar would end the cell even within code,
    so it stands between two pieces of code, as a character reference.
    """
    shown = visible(text, limit)
    fence = "`" * (1 + max((len(run) for run in re.findall("`+", shown)), default=0))
    pieces = (_code_span(piece, fence) for piece in shown.split("|"))
    return "&#124;".join(pieces)


def _code_span(piece: str, fence: str) -> str:
    if not piece.strip(" "):
        return piece and "&nbsp;"
    pad = " " if "`" in (piece[0], piece[-1]) or piece[0] == piece[-1] == " " else ""
    return f"{fence}{pad}{piece}{pad}{fence}"


def workflow_message(text: str, limit: int | None = None) -> str:
    """Return the text for the message of a GitHub workflow command. Newlines are kept, encoded."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "%0A".join(visible(line, limit).replace("%", "%25") for line in lines)


def workflow_property(text: str, limit: int | None = None) -> str:
    """Return the text for a property (``file=``, ``title=``) of a GitHub workflow command."""
    shown = visible(text, limit).replace("%", "%25")
    return shown.replace(":", "%3A").replace(",", "%2C")


def json_text(dumped: str) -> str:
    r"""Return JSON text that is dead in a CI log and inside an HTML script; its value is the same.

    Parameters
    ----------
    dumped : str
        What ``json.dumps`` wrote with ``ensure_ascii``. Hashes and ``<`` can only stand inside
        its strings, where ``\u0023`` and ``\u003c`` mean the same.
    """
    quiet = re.sub(r"#(?=#\w*\[)", r"\\u0023", dumped)
    return re.sub("<(?=[/!])", r"\\u003c", quiet)


def uri_path(path: str) -> str:
    """Return a path as the path of a URI: percent-encoded, forward slashes."""
    path = path[:MAX_PATH]
    try:
        raw = path.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        raw = path.encode("utf-8", "surrogatepass")
    return quote(raw, safe="/-_.~")
