"""What images, and what stands on AWS, are made from; files that end with ``.jinja`` are rendered."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from importlib import resources

import jinja2


@functools.cache
def read_templates() -> Mapping[str, bytes]:
    """Return all of them, by name."""
    folder = resources.files(__name__)
    found = {file.name: file.read_bytes() for file in folder.iterdir() if file.is_file()}
    return {name: content for name, content in sorted(found.items()) if not name.startswith("__")}


def image_templates() -> Mapping[str, bytes]:
    """Return those that images are built from, by name; what is made on AWS is written in YAML."""
    return {name: content for name, content in read_templates().items() if ".yaml" not in name}


def render_template(name: str, **values: object) -> bytes:
    """Return a template with its values in it.

    Raises
    ------
    jinja2.UndefinedError
        It wants a value that is not given.
    """
    return _renderer().get_template(name).render(**values).encode()


@functools.cache
def _renderer() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: read_templates()[name].decode()),
        undefined=jinja2.StrictUndefined,
        autoescape=False,  # a Dockerfile is no HTML
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
