"""docker-compose.yml and the gateway's image, as data: the images themselves are not run here."""

import base64
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jwt
import pytest
import typer
import yaml
from pydantic import SecretStr

from gateway.cli.main import app
from gateway.settings import Settings
from sandbox.redaction import is_secret_name

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "docker-compose.yml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SANDGATE = {name for name, one in SERVICES.items() if "build" in one}
PARTS = {"gateway", "worker", "manager", "door", "redis"}
PROJECT = {"db", "auth", "rest", "proxy", "migrate"}
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)(?:(:?[-?])([^}]*))?\}")
IMAGE = (ROOT / "Dockerfile.gateway").read_text()
# of the store over a project's own API
PUBLIC = {"GOTRUE_JWT_AUD", "GOTRUE_JWT_ADMIN_ROLES"}
PROJECT_SETTINGS = {
    "SUPABASE_URL", "SUPABASE_PUBLIC_URL", "SUPABASE_ANON_KEY", "SUPABASE_SERVICE_ROLE_KEY",
}  # fmt: skip


def scalars(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for each in value.values():
            yield from scalars(each)
    elif isinstance(value, list):
        for each in value:
            yield from scalars(each)
    elif value is not None:
        yield str(value)


def needed() -> set[str]:
    return {name for name, how, _ in VARIABLE.findall(TEXT) if how == ":?"}


def test_each_profile_starts_what_its_name_says() -> None:
    by_profile = {
        profile: {name for name, one in SERVICES.items() if profile in one["profiles"]}
        for profile in ("supabase", "hosted", "embedded")
    }
    assert by_profile == {
        "supabase": PARTS | PROJECT, "hosted": PARTS, "embedded": {"embedded"},
    }  # fmt: skip


def test_nothing_waits_for_what_its_profile_does_not_start() -> None:
    for name, one in SERVICES.items():
        for other, how in one.get("depends_on", {}).items():
            missing = set(one["profiles"]) - set(SERVICES[other]["profiles"])
            assert not missing or how.get("required") is False, (name, other)
            if how["condition"] == "service_healthy" and other not in SANDGATE:
                assert "test" in SERVICES[other]["healthcheck"]


def test_no_secret_has_a_default_or_stands_there_itself() -> None:
    """A variable whose name says secret must be given; a value under such a name is a variable."""
    optional = {"SMTP_PASS"}  # without a mail server there is none
    for name, how, default in VARIABLE.findall(TEXT):
        if is_secret_name(name) or name in {"SMTP_PASS", "DATABASE_URL"}:
            assert how == ":?" or (name in optional and not default), name
    for service, one in SERVICES.items():
        for name, value in one.get("environment", {}).items():
            is_public = value in (None, "true", "3600") or name in PUBLIC
            if is_secret_name(name) and not is_public:
                assert str(value).startswith("${"), (service, name)
    assert not re.search(r"://[^$\s:/]*:[^$\s@/]+@", TEXT)


def test_the_variables_that_must_be_given_are_the_ones_that_the_script_makes(
    tmp_path: Path,
) -> None:
    path = tmp_path / "compose.env"
    with path.open("w") as file:
        subprocess.run([sys.executable, ROOT / "scripts/compose_env.py"], stdout=file, check=True)
    made = dict(line.split("=", 1) for line in path.read_text().splitlines())
    assert set(made) == needed()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    roles = {"SUPABASE_ANON_KEY": "anon", "SUPABASE_SERVICE_ROLE_KEY": "service_role"}
    for name, role in roles.items():
        claims = jwt.decode(made[name], made["JWT_SECRET"], algorithms=["HS256"])
        assert claims["role"] == role
    Settings(
        admin_api_key=SecretStr(made["ADMIN_API_KEY"]), secrets_key=SecretStr(made["SECRETS_KEY"])
    )
    assert len(base64.b64decode(made["SECRETS_KEY"])) == 32
    assert not any(character in "$'\"# \\" for value in made.values() for character in value)


def test_the_script_makes_others_each_time() -> None:
    runs = [
        subprocess.run(
            [sys.executable, ROOT / "scripts/compose_env.py"],
            stdout=subprocess.PIPE, env={"PATH": os.defpath}, check=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    assert runs[0].stdout != runs[1].stdout


def test_ports_are_on_loopback_only() -> None:
    ports = [port for one in SERVICES.values() for port in one.get("ports", [])]
    assert len(ports) == 3
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []
    assert "host" not in {one.get("network_mode") for one in SERVICES.values()}


@pytest.mark.parametrize("name", sorted(set(SERVICES) - {"db"}))
def test_everything_but_the_database_is_read_only_and_without_rights(name: str) -> None:
    one = SERVICES[name]
    assert one["read_only"] is True
    assert one["cap_drop"] == ["ALL"]
    assert one["security_opt"] == ["no-new-privileges:true"]
    assert not one.get("privileged")
    assert "cap_add" not in one


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_everything_is_pinned_watched_and_started_again(name: str) -> None:
    one = SERVICES[name]
    assert re.search(r":[\w${}.:-]*\w}?$", one["image"]), "no tag"
    assert not one["image"].endswith(":latest")
    is_once = name == "migrate"
    assert one["restart"] == ("no" if is_once else "unless-stopped")
    assert "healthcheck" in one or (name in SANDGATE and "HEALTHCHECK" in IMAGE)
    assert one["logging"]["options"]["max-size"]


def test_only_the_manager_reaches_the_engine_and_it_reaches_nothing_else() -> None:
    with_engine = {
        n for n, one in SERVICES.items() if any("docker.sock" in v for v in scalars(one))
    }
    assert with_engine == {"manager", "embedded"}
    manager = SERVICES["manager"]
    assert manager["network_mode"] == "none"
    assert "ports" not in manager
    secret = [n for n in manager["environment"] if is_secret_name(n) or n in PROJECT_SETTINGS]
    assert secret == []


def test_the_door_knows_no_secret_and_reaches_no_part_of_ours() -> None:
    door = SERVICES["door"]
    assert door["networks"] == ["out"]
    assert [name for name in door["environment"] if name in PROJECT_SETTINGS] == []
    assert not any("/gateway" in volume for volume in door["volumes"])


def test_database_and_redis_are_reached_from_inside_only() -> None:
    assert COMPOSE["networks"]["back"] == {"internal": True}
    for name in ("db", "rest", "redis"):
        assert (SERVICES[name]["networks"], "ports" in SERVICES[name]) == (["back"], False)


@pytest.mark.parametrize("name", sorted(SANDGATE))
def test_parts_are_started_with_commands_and_settings_that_there_are(name: str) -> None:
    one = SERVICES[name]
    command: Any = typer.main.get_command(app)
    known = command.commands[one["command"][0]]
    options = {option for parameter in known.params for option in parameter.opts}
    assert {word for word in one["command"][1:] if word.startswith("--")} <= options
    settings = {field.upper() for field in Settings.model_fields} | PROJECT_SETTINGS
    assert set(one["environment"]) <= settings
    assert one["user"] == "10001:10001"


def test_files_that_are_mounted_and_copied_exist() -> None:
    mounted = re.findall(r"\./([\w./-]+):", TEXT)
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", IMAGE, re.MULTILINE)
    for path in [*mounted, *(word for line in copied for word in line.split())]:
        assert (ROOT / path).exists(), path
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert ignored[0] == "**", "what is not named does not get into the image"
    for line in copied:
        assert {f"!{word}" for word in line.split()} <= set(ignored)


def test_the_image_is_pinned_hashed_and_nobodys() -> None:
    assert re.findall(r"^FROM (\S+)", IMAGE, re.MULTILINE) == ["python:3.12-slim-bookworm"] * 2
    assert "--require-hashes -r requirements.lock" in IMAGE
    assert re.findall(r"^USER (.+)$", IMAGE, re.MULTILINE) == ["10001:10001"]
    assert not re.search(r"^(ARG|ENV) .*(KEY|TOKEN|PASSWORD|SECRET)", IMAGE, re.MULTILINE)
    assert json.loads(re.findall(r"^ENTRYPOINT (.+)$", IMAGE, re.MULTILINE)[0]) == ["sandgate"]


def test_the_proxy_leads_to_auth_and_rest_and_nowhere_else() -> None:
    text = (ROOT / "deploy/proxy.conf").read_text()
    targets = dict(re.findall(r"location (\S+) { proxy_pass http://(\S+?)/; }", text))
    assert targets == {"/auth/v1/": "auth:9999", "/rest/v1/": "rest:3000"}
    assert "location / { return 404; }" in text
