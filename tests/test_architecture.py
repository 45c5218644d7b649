"""Rules about the tree itself: who imports whom, how long a file may be, what must not exist."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = ("gateway", "generator", "sandbox")
MAX_LINES = 400

# Layers of the gateway, top first; a module may import its own layer's package or lower ones.
LAYERS: tuple[tuple[str, ...], ...] = (
    ("gateway.cli",),
    ("gateway.app", "gateway.worker"),
    ("gateway.wiring",),
    ("gateway.wiring_people", "gateway.wiring_generate"),
    ("gateway.control", "gateway.proxy"),
    ("gateway.operations", "gateway.data"),
    ("gateway.auth", "gateway.limits", "gateway.metering", "gateway.store"),
    (
        "gateway.problems",
        "gateway.metrics",
        "gateway.middleware",
        "gateway.request_log",
        "gateway.secrets",
        "gateway.server",
    ),
    (
        "gateway.errors",
        "gateway.settings",
        "gateway.reserved",
        "gateway.key_hashes",
        "gateway.logs",
        "gateway.reporting",
        "gateway.tracing",
        "gateway.addresses",
        "gateway.users",
        "gateway.deadline",
    ),
)
SANDBOX_FOR_GATEWAY = {
    "sandbox.types",
    "sandbox.client",
    "sandbox.paths",
    "sandbox.layers.script",  # reads a file's dependencies, as data
    "sandbox.outlet_server",  # the worker serves sandboxes their data
    "sandbox.redaction",  # what may leave in a line is one rule for every process
    "sandbox.reports",  # and so is what is reported
}
ONLY_IN = {
    "asyncpg": ("gateway/store/",),
    "postgrest": ("gateway/store/",),
    "docker": ("sandbox/runtimes/",),
    "pyseccomp": ("sandbox/runtimes/",),
    "anthropic": ("generator/llm/",),
    "argon2": ("gateway/auth/issuer/",),
    "PIL": ("gateway/operations/pictures.py", "generator/templates/image-resize/body.py"),
    "typer": ("gateway/cli/",),
    "rich": ("gateway/cli/",),
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


@cache
def imports_of(path: Path) -> tuple[str, ...]:
    return tuple(_imports_of(path))


def _imports_of(path: Path) -> Iterator[str]:
    """Every imported module, absolute; relative imports are resolved."""
    package = module_of(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree_of(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *([node.module] if node.module else [])])
            yield stem
            yield from (f"{stem}.{alias.name}" for alias in node.names)


def within(module: str, prefix: str) -> bool:
    return module == prefix or module.startswith(prefix + ".")


def layer_of(module: str) -> tuple[int, str] | None:
    for depth, names in enumerate(LAYERS):
        for name in names:
            if within(module, name):
                return depth, name
    return None


def test_gateway_imports_point_downwards() -> None:
    wrong = []
    for path in sources():
        own = layer_of(module_of(path))
        for imported in imports_of(path) if own is not None else ():
            other = layer_of(imported)
            if own is None or other is None or other[1] == own[1]:
                continue
            if not (other[0] > own[0] or (other[0] == own[0] and own[0] >= 5)):
                wrong.append(f"{module_of(path)} may not import {imported}")
    assert wrong == []


def test_every_gateway_module_has_a_layer() -> None:
    modules = {
        module_of(path) for path in sources() if path.parts[-2:] != ("gateway", "__init__.py")
    }
    homeless = {m for m in modules if within(m, "gateway") and m != "gateway" and not layer_of(m)}
    assert homeless == set()


def may_cross(module: str, imported: str) -> bool:
    """Whether this import between gateway and sandbox is one of the few that may be."""
    if within(module, "sandbox"):
        return not within(imported, "gateway") and not within(imported, "generator")
    if within(module, "generator"):
        return not within(imported, "gateway") and not within(imported, "sandbox")
    if not within(imported, "sandbox") or imported == "sandbox":
        return True
    allowed = any(within(imported, name) for name in SANDBOX_FOR_GATEWAY)
    doctor = module == "gateway.cli.doctor" and within(imported, "sandbox.doctor")
    escape = module == "gateway.cli.escape" and within(imported, "sandbox.probes")
    return allowed or doctor or escape


def test_gateway_and_sandbox_meet_only_in_types_and_client() -> None:
    wrong = [
        f"{module_of(path)} imports {imported}"
        for path in sources()
        for imported in imports_of(path)
        if not may_cross(module_of(path), imported)
    ]
    assert wrong == []


def test_runner_imports_nothing_of_ours() -> None:
    wrong = [
        f"{path.name} imports {imported}"
        for path in sorted((ROOT / "sandbox/runner").rglob("*.py"))
        for imported in imports_of(path)
        if (within(imported, "sandbox") and not within(imported, "sandbox.runner"))
        or within(imported, "gateway")
    ]
    assert wrong == []


def test_libraries_stay_in_their_adapters() -> None:
    wrong = [
        f"{place} imports {imported}"
        for path in sources()
        for place in [path.relative_to(ROOT).as_posix()]
        for imported in imports_of(path)
        for library, homes in ONLY_IN.items()
        if within(imported, library) and not place.startswith(homes)
    ]
    assert wrong == []


def test_no_file_is_longer_than_the_cap() -> None:
    lengths = {
        path.relative_to(ROOT).as_posix(): len(path.read_text().splitlines())
        for path in [*sources(), *sorted((ROOT / "tests").rglob("*.py"))]
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_LINES} == {}


def test_every_module_says_its_job() -> None:
    assert [module_of(p) for p in sources() if not ast.get_docstring(tree_of(p))] == []


@pytest.mark.parametrize("folder", ["supabase", "tests"])
def test_folders_that_must_not_become_packages(folder: str) -> None:
    assert list((ROOT / folder).rglob("__init__.py")) == []


def test_only_settings_reads_the_environment() -> None:
    """Secrets and switches have one door; the command line client may use its options."""
    wrong = []
    for path in sources():
        place = path.relative_to(ROOT).as_posix()
        if place == "gateway/settings.py" or place in ENVIRONMENT_READERS:
            continue
        wrong += [
            f"{place}:{node.lineno}"
            for node in ast.walk(tree_of(path))
            if isinstance(node, ast.Attribute)
            and isinstance(node.value, ast.Name)
            and node.value.id == "os"
            and node.attr in {"environ", "getenv"}
        ]
    assert wrong == []


# Each with its reason: a child's environment is made from ours; the user's own
# configuration folder is named by XDG_CONFIG_HOME; the runner empties its environment;
# the builder of layers, inside a sandbox, hands its own on to the installer; the runner fills
# the environment of the app; probes look for what is in it; manager and door find there where
# reports go, because arguments are read by every user of a machine.
ENVIRONMENT_READERS = {
    "gateway/cli/children.py",
    "gateway/cli/client/credentials.py",
    "sandbox/layers/builder_app.py",
    "sandbox/log.py",
    "sandbox/probes/inside.py",
    "sandbox/runner/__main__.py",
    "sandbox/runner/child.py",
    "sandbox/runner/surroundings.py",
}
