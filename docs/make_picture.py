"""Draw the terminal report of a saved result as an SVG, for the README.

python docs/make_picture.py RESULT.json docs/img/terminal.svg
"""

from __future__ import annotations

import io
import re
import sys
from itertools import takewhile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from bye_lint.reports import RenderContext, load_result, render

END = "What this "


def main() -> None:
    """Render with colour, 100 columns wide, and cut before what the check can see."""
    result, out = Path(sys.argv[1]), Path(sys.argv[2])
    text = render(load_result(result), "terminal", RenderContext(color=True, width=100))
    lines = text.splitlines()
    shown = list(takewhile(lambda line: not Text.from_ansi(line).plain.startswith(END), lines))
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    console.print(Text.from_ansi("\n".join(shown).rstrip()))
    svg = console.export_svg(title="bye-lint check examples/quickstart")
    # rich names fonts on a server; a picture in a README should ask nobody for anything
    out.write_text(re.sub(r"@font-face\s*\{[^}]*\}", "", svg), "utf-8")


if __name__ == "__main__":
    main()
