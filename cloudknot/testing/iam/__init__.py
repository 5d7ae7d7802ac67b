"""Who asks and whether it is them, for what, and whether policies allow it."""
