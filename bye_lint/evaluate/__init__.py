"""How good the detectors are: poisoned copies of clean data, the grid that runs them, its tables.

Nothing here is part of a check. The truth about a poisoned copy is written outside of it and
reaches the metrics alone.
"""
