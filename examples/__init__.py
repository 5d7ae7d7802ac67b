"""Examples: each runs as ``python examples/name.py`` and as ``python -m examples.name``."""
