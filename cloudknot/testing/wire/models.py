"""Which operation of a REST service a method and a path ask for, by botocore's models."""

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

import botocore.loaders
from botocore.model import OperationModel, ServiceModel

__all__ = ["Route", "find_route", "is_known", "protocol_of"]

# S3 answers these on the same method and path as another operation, and directory buckets are not in the box.
_LEFT_OUT = {"ListDirectoryBuckets", "WriteGetObjectResponse"}


@dataclass(frozen=True, kw_only=True)
class Route:
    """Where one operation is found, and where its parameters stand."""

    operation: str
    method: str
    pattern: re.Pattern[str]
    labels: tuple[str, ...]
    """The members that the groups of `pattern` hold."""
    query_literals: tuple[tuple[str, str], ...]
    """What the query must have; an empty value stands for a bare key."""
    required_query: tuple[str, ...]
    required_headers: tuple[str, ...]
    query_members: tuple[tuple[str, str], ...]
    """Query key and member."""
    query_lists: tuple[tuple[str, str], ...]
    """Likewise of members that are lists: their key comes once for each item."""
    header_members: tuple[tuple[str, str], ...]
    """Header in lower case and member."""

    @property
    def demands(self) -> int:
        """How much it asks beyond method and path: of two that fit, the one that asks more is meant."""
        return 2 * len(self.query_literals) + len(self.required_query) + len(self.required_headers)

    def fits(self, query: Mapping[str, str], headers: Mapping[str, str]) -> bool:
        """Whether query and headers have what tells this operation from others of its path."""
        return (
            all(key in query and value in ("", query[key]) for key, value in self.query_literals)
            and all(key in query for key in self.required_query)
            and all(name in headers for name in self.required_headers)
        )

    def params(
        self, found: re.Match[str], query: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, Any]:
        """Return the members that path, query and headers give."""
        params = {member: unquote(value) for member, value in zip(self.labels, found.groups(), strict=True)}
        params |= {member: query[key] for key, member in self.query_members if key in query}
        return params | {member: headers[name] for name, member in self.header_members if name in headers}

    def lists(self, query_string: str) -> dict[str, list[str]]:
        """Return the members that are lists and stand in the query."""
        pairs = parse_qsl(query_string, keep_blank_values=True)
        found = {member: [value for name, value in pairs if name == key] for key, member in self.query_lists}
        return {member: values for member, values in found.items() if values}


def find_route(
    service: str, method: str, path: str, query: Mapping[str, str], headers: Mapping[str, str]
) -> tuple[Route, re.Match[str]] | None:
    """Return the operation that is asked for, and where its labels stand in the path.

    Parameters
    ----------
    service : str
        botocore's name of a service that speaks `rest-json` or `rest-xml`.
    method, path : str
        The request's; the path is percent-encoded, since a label may hold a slash.
    query, headers : mapping of str to str
        Header names in lower case.
    """
    for route in _routes(service).get(method, ()):
        if (found := route.pattern.fullmatch(path)) and route.fits(query, headers):
            return route, found
    return None


def is_known(service: str) -> bool:
    """Whether botocore has a service of this name."""
    return service in _services()


def protocol_of(service: str) -> str:
    """Return the protocol that botocore's model names first, `rest-json` for a stranger."""
    return str(_model(service).protocol) if is_known(service) else "rest-json"


@functools.cache
def _services() -> frozenset[str]:
    return frozenset(botocore.loaders.Loader().list_available_services("service-2"))


@functools.cache
def _model(service: str) -> ServiceModel:
    description = botocore.loaders.Loader().load_service_model(service, "service-2")
    return ServiceModel(description, service)


@functools.cache
def _routes(service: str) -> dict[str, tuple[Route, ...]]:
    if not is_known(service):
        return {}
    routes = sorted(_read_routes(_model(service)), key=lambda route: -route.demands)
    return {
        method: tuple(route for route in routes if route.method == method)
        for method in {route.method for route in routes}
    }


def _read_routes(model: ServiceModel) -> Iterator[Route]:
    operations = [model.operation_model(name) for name in model.operation_names if name not in _LEFT_OUT]
    # An outdated operation has the path of the one that took its place.
    yield from map(_route, sorted(operations, key=lambda operation: bool(operation.deprecated)))


def _route(operation: OperationModel) -> Route:
    path, _, query = operation.http["requestUri"].partition("?")
    members = operation.input_shape.members if operation.input_shape else {}
    required = set(operation.input_shape.required_members) if operation.input_shape else set()
    placed = [
        (name, str(shape.serialization.get("location")), str(shape.serialization.get("name", name)))
        for name, shape in members.items()
    ]
    member_of = {wire: name for name, location, wire in placed if location == "uri"}
    pattern, labels = _pattern(path)
    return Route(
        operation=operation.name,
        method=operation.http["method"],
        pattern=pattern,
        labels=tuple(member_of.get(label, label) for label in labels),
        query_literals=tuple(parse_qsl(query, keep_blank_values=True)),
        required_query=tuple(
            wire for name, place, wire in placed if place == "querystring" and name in required
        ),
        required_headers=tuple(
            wire.lower() for name, place, wire in placed if place == "header" and name in required
        ),
        query_members=tuple((wire, name) for name, place, wire in placed if place == "querystring"),
        query_lists=tuple(
            (wire, name)
            for name, place, wire in placed
            if place == "querystring" and members[name].type_name == "list"
        ),
        header_members=tuple((wire.lower(), name) for name, place, wire in placed if place == "header"),
    )


def _pattern(path: str) -> tuple[re.Pattern[str], list[str]]:
    """Return what matches a template such as `/v1/tags/{resourceArn}`, and its labels in order."""
    labels: list[str] = []
    pieces: list[str] = []
    for piece in re.split(r"(\{[^}]+\})", path):
        if piece.startswith("{"):
            label = piece.strip("{}")
            labels.append(label.rstrip("+"))
            pieces.append("(.+)" if label.endswith("+") else "([^/]+)")
        else:
            pieces.append(re.escape(piece))
    return re.compile("".join(pieces) + "/?", re.DOTALL), labels
