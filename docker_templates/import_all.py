"""Import all that a base image has for science: ``docker run --rm -i IMAGE python - < import_all.py``."""

import importlib
import importlib.metadata
import re
from pathlib import Path


def normalise(name):
    """Return a distribution's name as an index knows it."""
    return re.sub(r"[-_.]+", "-", name).lower()


pinned = {normalise(line.split("==")[0]) for line in Path("/opt/requirements.txt").read_text().splitlines()}
modules = [
    module
    for module, owners in sorted(importlib.metadata.packages_distributions().items())
    if module.isidentifier() and not module.startswith("_") and pinned & set(map(normalise, owners))
]
for module in modules:
    importlib.import_module(module)
print(len(modules), "modules imported:", *modules)  # noqa: T201  # it is a script
