"""Entry point of the ``bye-lint`` command and of ``python -m bye_lint``."""

from __future__ import annotations

import sys

from bye_lint.errors import EXIT_INTERRUPTED


def main() -> None:
    """Run the command; an interrupt is one line even while the command is being imported."""
    try:
        from bye_lint.cli import run

        status = run()
    except KeyboardInterrupt:
        sys.stderr.write("interrupted: no report was written\n")
        status = EXIT_INTERRUPTED
    sys.exit(status)


if __name__ == "__main__":
    main()
