"""Other proxies that do the same: key check, three windows in Redis, proxy to the same sandbox."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks.processes import free_port, started
from tests.benchmarks.rig import Redis

HERE = Path(__file__).parent
_MODULES = ("/usr/lib/nginx/modules", "/usr/share/nginx/modules", "/usr/lib64/nginx/modules")
_NPM_SECONDS = 120
_OLDEST_NODE = 20


@dataclass(frozen=True, slots=True)
class Setting:
    """What a peer stands in front of."""

    unix: str
    key: str
    redis: Redis
    folder: Path
    workers: int = 1  # nginx only

    def environment(self, port: int) -> dict[str, str]:
        """The same for every peer that reads variables."""
        return {
            "PEER_UNIX": self.unix,
            "PEER_KEY": self.key,
            "PEER_PORT": str(port),
            "PEER_REDIS_HOST": "127.0.0.1",
            "PEER_REDIS_PORT": str(self.redis.port),
            "PEER_SCRIPT": str(HERE / "limit.lua"),
            "NODE_ENV": "production",
        }


@dataclass(frozen=True, slots=True)
class Peer:
    """One of them: what it needs before it can run, and its command line."""

    name: str
    missing: Callable[[Path], str | None]
    arguments: Callable[[Setting, int], list[str]]

    @contextmanager
    def running(self, setting: Setting) -> Iterator[tuple[int, int]]:
        """Start it; yields its port and process id."""
        port = free_port()
        arguments = self.arguments(setting, port)
        log = setting.folder / f"peer-{port}.log"
        environment = setting.environment(port)
        with started(arguments, port, log, environment, _cwd(arguments)) as pid:
            yield port, pid


def _cwd(arguments: list[str]) -> Path:
    """Modules of Node are found beside the script, those of Python from the repository."""
    return Path(arguments[1]).parent if arguments[0] == "node" else HERE.parent.parent


def _nginx_modules() -> Path | None:
    for name in _MODULES:
        if (Path(name) / "ngx_http_lua_module.so").exists():
            return Path(name)
    return None


def _nginx_missing(_folder: Path) -> str | None:
    if shutil.which("nginx") is None:
        return "nginx is not installed"
    if _nginx_modules() is None:
        return "nginx has no Lua module (libnginx-mod-http-lua)"
    if not Path("/usr/share/lua/5.1/nginx/redis.lua").exists():
        return "nginx's Redis client is not there (lua-nginx-redis)"
    return None


def _nginx(setting: Setting, port: int) -> list[str]:
    folder = setting.folder / f"nginx-{port}"
    folder.mkdir()
    words = {
        "MODULES": str(_nginx_modules()),
        "WORKERS": str(setting.workers),
        "FOLDER": str(folder),
        "KEY": setting.key,
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": str(setting.redis.port),
        "UNIX": setting.unix,
        "PORT": str(port),
    }
    text = (HERE / "nginx" / "nginx.conf").read_text()
    for word, value in words.items():
        text = text.replace(f"@{word}@", value)
    (folder / "nginx.conf").write_text(text)
    shutil.copy(HERE / "nginx" / "gate.lua", folder)
    shutil.copy(HERE / "limit.lua", folder)
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf")]


def _node_missing(folder: Path) -> str | None:
    """Installs the Node peers beside their scripts in a folder of this run's own."""
    if (folder / "node" / "node_modules").exists():
        return None
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node or npm is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True)
    if int(version.stdout.lstrip("v").split(".")[0]) < _OLDEST_NODE:
        return f"node {version.stdout.strip()} is older than {_OLDEST_NODE}"
    shutil.copytree(HERE / "node", folder / "node", dirs_exist_ok=True)
    return _npm_ci(folder / "node")


def _npm_ci(folder: Path) -> str | None:
    options = ["--no-audit", "--no-fund", "--ignore-scripts", "--omit-lockfile-registry-resolved"]
    try:
        done = subprocess.run(
            ["npm", "ci", *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=_NPM_SECONDS,
            check=False,
            env={**os.environ, "NO_UPDATE_NOTIFIER": "1"},
        )
    except subprocess.TimeoutExpired:
        return f"npm ci took longer than {_NPM_SECONDS} s"
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if "error" in line.lower()]
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        return f"npm ci failed: {(lines or ['no reason given'])[0]}"
    return None


def _node(script: str) -> Callable[[Setting, int], list[str]]:
    return lambda setting, _port: ["node", str(setting.folder / "node" / script)]


def _python(module: str) -> Callable[[Setting, int], list[str]]:
    return lambda _setting, _port: [sys.executable, "-m", f"tests.benchmarks.{module}"]


PEERS = {
    "nginx": Peer("nginx + lua", _nginx_missing, _nginx),
    "fastify": Peer("Node fastify", _node_missing, _node("fastify.mjs")),
    "http-proxy": Peer("Node http-proxy", _node_missing, _node("http_proxy.mjs")),
    "aiohttp": Peer("Python aiohttp", lambda _: None, _python("peer_aiohttp")),
    "fastapi": Peer("FastAPI + httpx", lambda _: None, _python("peer_fastapi")),
}
