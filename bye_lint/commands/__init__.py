"""Commands beside ``check``: one file an area, nothing heavy imported before one of them runs."""
