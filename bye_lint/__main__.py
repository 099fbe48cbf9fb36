"""``python -m bye_lint``."""

from bye_lint.cli import main

main()
