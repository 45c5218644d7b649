"""The contract's operations, each as one route, and no others."""

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from generator.contract import Operation
from generator.scan.subject import Function, Subject, argument, constant_text, found
from generator.types import Finding

RULES = {
    "route_missing": "An operation of the contract without its route.",
    "route_not_in_contract": "A route that the contract does not have.",
    "route_twice": "Two routes for one method and path.",
    "route_shadowed": "A route that is never reached, because one before it takes its calls.",
    "route_path_not_constant": "A route whose path is not a constant.",
    "route_status_differs": "A route that states another status than its operation.",
    "response_not_described": "A route for JSON without response model or return type.",
}
_CONVERTER = re.compile(r"\{([^{}:]+):[^{}]*\}")
_METHODS = frozenset({"get", "post", "put", "patch", "delete"})
_VAGUE = frozenset({"Any", "typing.Any", "object"})


@dataclass(frozen=True, slots=True)
class Route:
    """One decorator of one function."""

    method: str
    path: str
    function: Function
    call: ast.Call

    @property
    def segments(self) -> list[str]:
        """Parts of the path; `{}` for a parameter."""
        return ["{}" if "{" in part else part for part in self.path.split("/")]


def routes_of(subject: Subject) -> list[Route]:
    """Every route with a constant path, in the order of the file."""
    found_routes = []
    for function in subject.functions():
        for call in _decorators(function):
            path = constant_text(argument(call, 0, "path"))
            if path is not None and isinstance(call.func, ast.Attribute):
                plain = _CONVERTER.sub(r"{\1}", path)
                found_routes.append(Route(call.func.attr.upper(), plain, function, call))
    return sorted(found_routes, key=lambda route: route.function.lineno)


def _decorators(function: Function) -> Iterator[ast.Call]:
    for call in function.decorator_list:
        if (
            isinstance(call, ast.Call)
            and isinstance(call.func, ast.Attribute)
            and isinstance(call.func.value, ast.Name)
            and call.func.value.id == "router"
            and call.func.attr in _METHODS
        ):
            yield call


def check(subject: Subject) -> Iterator[Finding]:
    """Routes against operations, then each route."""
    routes = routes_of(subject)
    wanted = {(one.method, one.path): one for one in subject.contract.operations}
    yield from _missing(wanted, routes)
    for function in subject.functions():
        for call in _decorators(function):
            if constant_text(argument(call, 0, "path")) is None:
                yield found("route_path_not_constant", "a route's path is a constant", call)
    seen: set[tuple[str, str]] = set()
    for place, route in enumerate(routes):
        key = (route.method, route.path)
        if key in seen:
            yield found("route_twice", f"{route.method} {route.path} is there twice", route.call)
        elif key not in wanted:
            text = f"{route.method} {route.path} is not in the contract"
            yield found("route_not_in_contract", text, route.call)
        else:
            yield from _described(subject, route, wanted[key])
            yield from _shadowed(route, routes[:place], wanted[key])
        seen.add(key)


def _missing(wanted: dict[tuple[str, str], Operation], routes: list[Route]) -> Iterator[Finding]:
    there = {(route.method, route.path) for route in routes}
    for (method, path), operation in wanted.items():
        if (method, path) not in there:
            text = f'{method} {path} lacks its route: @router.{method.lower()}("{path}")'
            yield found("route_missing", text, None, operation=operation.id)


def _shadowed(route: Route, before: list[Route], operation: Operation) -> Iterator[Finding]:
    for other in before:
        pairs = list(zip(other.segments, route.segments, strict=False))
        if (
            other.method == route.method
            and other.path != route.path
            and len(other.segments) == len(route.segments)
            and all(ours == "{}" or ours == theirs for ours, theirs in pairs)
        ):
            text = f"{route.path} is never reached: put it before {other.path}"
            yield found("route_shadowed", text, route.call, operation=operation.id)
            return


def _described(subject: Subject, route: Route, operation: Operation) -> Iterator[Finding]:
    status = argument(route.call, -1, "status_code")
    stated = status.value if isinstance(status, ast.Constant) else None if status else 200
    if stated is not None and stated != operation.status:
        text = f"the contract answers {operation.status}: status_code={operation.status}"
        yield found("route_status_differs", text, route.call, warning=True, operation=operation.id)
    if operation.response is None or operation.response_type != "application/json":
        return
    model, returns = argument(route.call, -1, "response_model"), route.function.returns
    if model is None and (returns is None or subject.dotted(returns) in _VAGUE):
        text = "state the response model or a return type that describes the answer"
        yield found("response_not_described", text, route.function, operation=operation.id)
