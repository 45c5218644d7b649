"""Imports beyond the allow list, and modules reached through other modules."""

import ast
from collections.abc import Iterator

from generator.contract import Storage
from generator.scan.subject import Subject, bound_names, found, words
from generator.template import package_of, packages
from generator.types import Finding

RULES = {
    "import_not_allowed": "A module beyond the allow list: a part of the standard library, "
    "FastAPI, pydantic, and what the contract states.",
    "name_not_importable": "A name that an allowed module has but APIs may not take, such as "
    "`fastapi.APIRouter`, `os.system` or a client of `httpx`.",
    "module_reached_through": "A module or private name reached as attribute of another module.",
    "dependency_not_allowed": "A dependency of the contract that is not on the allow list.",
}
STANDARD = words(
    """abc array asyncio base64 binascii bisect calendar cmath codecs collections colorsys
    contextlib contextvars copy csv dataclasses datetime decimal difflib email enum
    fractions functools graphlib http gzip hashlib heapq hmac html io ipaddress itertools json
    keyword locale logging math mimetypes numbers operator os pathlib pprint quopri random
    re secrets sqlite3 statistics string stringprep struct tempfile textwrap time timeit
    tomllib types typing unicodedata urllib uuid zlib zoneinfo"""
)
ALWAYS = words(
    """annotated_types email_validator fastapi jinja2 markupsafe orjson pydantic pydantic_core
    starlette typing_extensions"""
)
# modules of which only these names may be used
ONLY = {
    "os": {"environ", "getenv", "path", "urandom"},
    "http": {"HTTPMethod", "HTTPStatus"},
    "urllib": {"parse"},
    "httpx": {
        "URL", "HTTPError", "HTTPStatusError", "RequestError", "Response", "TimeoutException",
        "ConnectError", "QueryParams", "codes",
    },
    "types": {"MappingProxyType", "SimpleNamespace", "NoneType", "TracebackType"},
}  # fmt: skip
_NEVER = words(
    """fastapi.FastAPI fastapi.APIRouter fastapi.applications fastapi.routing
    fastapi.testclient fastapi.middleware fastapi.staticfiles fastapi.templating
    starlette.applications starlette.routing starlette.testclient starlette.middleware
    starlette.staticfiles starlette.templating asyncio.create_subprocess_exec
    asyncio.create_subprocess_shell asyncio.subprocess asyncio.open_connection
    asyncio.start_server asyncio.open_unix_connection asyncio.start_unix_server asyncio.run
    asyncio.Runner asyncio.new_event_loop asyncio.set_event_loop asyncio.get_event_loop
    asyncio.get_running_loop operator.attrgetter operator.methodcaller io.open_code
    io.FileIO logging.config logging.handlers logging.FileHandler codecs.open
    pathlib.Path.home typing.get_type_hints tempfile.mktemp email.mime
    string.Formatter pathlib.Path.cwd pathlib.PosixPath
    sqlite3.enable_callback_tracebacks pydantic.v1 pydantic.ImportString
    pydantic_core.core_schema jinja2.PackageLoader jinja2.FileSystemLoader
    jinja2.ModuleLoader functools.singledispatchmethod"""
)
_PACKAGES = frozenset({"os.path", "urllib.parse", "email.message", "fastapi.responses"})
_MODULES = words(
    """builtins codeop ctypes code gc imp importlib inspect linecache marshal multiprocessing
    os pickle pkgutil posix pty resource runpy select selectors shelve shutil signal site
    socket socketserver ssl subprocess sys threading traceback tracemalloc weakref
    webbrowser faulthandler nt fcntl mmap platform queue"""
)


def check(subject: Subject) -> Iterator[Finding]:
    """Dependencies, import statements, and attributes of what they brought."""
    for requirement in subject.contract.dependencies:
        if package_of(requirement) is None:
            text = f"the dependency {requirement} is not on the allow list"
            yield found("dependency_not_allowed", text, None)
    for node in subject.nodes:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _statement(subject, node)
    for attribute in subject.of(ast.Attribute):
        yield from _attribute(subject, attribute)
    modules = {
        name for node in subject.of(ast.Import) for one in node.names for name in bound_names(one)
    }
    modules |= {name for name, whole in subject.imported.items() if whole in _PACKAGES}
    for name in subject.of(ast.Name):
        yield from _whole_module(subject, name, modules)


def allowed_modules(subject: Subject) -> frozenset[str]:
    """First parts of what this contract's code may import."""
    names = (package_of(one) for one in subject.contract.dependencies)
    own = {module for name in names if name for module in packages()[name]["modules"]}
    if subject.contract.outbound_hosts:
        own.add("httpx")
    if subject.contract.storage is Storage.KV:
        own.add("sandgate_runtime")
    return STANDARD | ALWAYS | own


def _statement(subject: Subject, node: ast.Import | ast.ImportFrom) -> Iterator[Finding]:
    if isinstance(node, ast.Import):
        modules = [alias.name for alias in node.names]
        names = modules
    else:
        modules = ["." * node.level + (node.module or "")]
        names = [f"{modules[0]}.{alias.name}" for alias in node.names]
    for module in modules:
        if module.partition(".")[0] not in allowed_modules(subject) or module == "__future__":
            yield found("import_not_allowed", f"{module} may not be imported", node)
            return
    for name in names:
        yield from _dotted(name, node)


def _attribute(subject: Subject, node: ast.Attribute) -> Iterator[Finding]:
    if isinstance(subject.parents.get(node), ast.Attribute):
        return  # the longest chain is looked at
    root: ast.AST = node
    while isinstance(root, ast.Attribute):
        root = root.value
    if isinstance(root, ast.Name) and root.id in subject.imported:
        yield from _dotted(subject.dotted(node), node)


def _dotted(name: str, node: ast.AST) -> Iterator[Finding]:
    first, *rest = name.split(".")
    prefixes = {".".join([first, *rest[:end]]) for end in range(len(rest) + 1)}
    only = ONLY.get(first)
    if name.endswith(".*"):
        yield found("name_not_importable", "import names one by one, not *", node)
    elif (only is not None and rest and rest[0] not in only) or prefixes & _NEVER:
        yield found("name_not_importable", f"{name} may not be used", node)
    elif any(part in _MODULES or part.startswith("_") for part in rest):
        yield found("module_reached_through", f"{name} may not be reached", node)


def _whole_module(subject: Subject, name: ast.Name, modules: set[str]) -> Iterator[Finding]:
    """A module handed on under another name, through which more could be reached."""
    is_module = name.id in modules and isinstance(name.ctx, ast.Load)
    if is_module and not isinstance(subject.parents.get(name), ast.Attribute):
        text = f"{name.id} may be used for single names only, not as a whole"
        yield found("name_not_importable", text, name)
