"""Signing in, staying signed in, and signing out."""

import json
import socket
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.cli.client.credentials import CredentialsFile
from gateway.cli.client.server import Server
from gateway.cli.client.session import Session
from tests.support.client_command import Command
from tests.support.client_server import EMAIL, PASSWORD, World

TOKEN = "/auth/v1/token"


def test_login_keeps_a_session_only_its_owner_can_read(sandgate: Command, world: World) -> None:
    result = sandgate("login", "--url", world.url, "--email", EMAIL, "--password", PASSWORD)
    assert result.exit_code == 0
    assert EMAIL in result.stdout
    assert stat.S_IMODE(sandgate.credentials.stat().st_mode) == 0o600
    assert stat.S_IMODE(sandgate.credentials.parent.stat().st_mode) == 0o700
    assert PASSWORD not in sandgate.credentials.read_text()


def test_login_asks_for_what_is_missing_on_stderr(sandgate: Command, world: World) -> None:
    result = sandgate("login", "--url", world.url, typed=f"{EMAIL}\n{PASSWORD}\n")
    assert result.exit_code == 0
    assert "E-mail" in result.stderr
    assert "Password" in result.stderr


def test_login_without_anybody_to_ask_is_wrong_use(sandgate: Command, world: World) -> None:
    result = sandgate("login", "--url", world.url, "--email", EMAIL, typed="")
    assert result.exit_code == 2
    assert "--password" in result.stderr


def test_a_wrong_password_is_refused_in_one_line(sandgate: Command, world: World) -> None:
    result = sandgate("login", "--url", world.url, "--email", EMAIL, "--password", "no")
    assert result.exit_code == 1
    assert result.stderr == "sandgate: Do not match. Check e-mail and password.\n"
    assert not sandgate.credentials.exists()


def test_login_reads_what_the_first_start_wrote(
    sandgate: Command, world: World, tmp_path: Path
) -> None:
    made = {"base_url": world.url, "admin_email": EMAIL, "admin_password": PASSWORD}
    (tmp_path / "first-run.json").write_text(json.dumps(made))
    answer = sandgate.json("login", "--first-run", "--data-dir", str(tmp_path))
    assert answer == {"url": world.url, "email": EMAIL}


def test_login_says_so_when_there_was_no_first_start(sandgate: Command, tmp_path: Path) -> None:
    result = sandgate("login", "--first-run", "--data-dir", str(tmp_path))
    assert result.exit_code == 2
    assert "sandgate serve" in result.stderr


@pytest.mark.parametrize("content", ["", "{}", "[]", "{"])
def test_login_says_so_when_the_first_runs_file_is_damaged(
    sandgate: Command, tmp_path: Path, content: str
) -> None:
    (tmp_path / "first-run.json").write_text(content)
    assert sandgate("login", "--first-run", "--data-dir", str(tmp_path)).exit_code == 2


@pytest.mark.parametrize(
    "url",
    ["", "x", "ftp://x", "http://", "http://a:b@x", "http://x?q", "http://x:99999", "http://[x"],
)
def test_an_address_that_is_none_is_wrong_use(sandgate: Command, url: str) -> None:
    result = sandgate("login", f"--url={url or ' '}", "--email", EMAIL, "--password", PASSWORD)
    assert result.exit_code == 2


def test_a_server_that_is_not_there_is_exit_code_4(sandgate: Command) -> None:
    with socket.socket() as taken:  # bound but not listening
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        result = sandgate("login", "--url", url, "--email", EMAIL, "--password", PASSWORD)
    assert result.exit_code == 4
    assert url in result.stderr
    assert result.stderr.count("\n") == 1


def test_whoami_asks_the_server(signed_in: Command, world: World) -> None:
    assert signed_in.json("whoami") == {"url": world.url, "id": "u", "email": EMAIL}
    assert signed_in("whoami").stdout == f"{EMAIL} at {world.url}\n"


@pytest.mark.parametrize("command", ["whoami", "apis"])
def test_without_a_session_it_is_exit_code_3(sandgate: Command, command: str) -> None:
    result = sandgate(command)
    assert result.exit_code == 3
    assert result.stderr == "sandgate: You are not logged in. Run `sandgate login`.\n"
    assert sandgate.json(command, code=3)["code"] == "not_logged_in"


def test_an_expired_access_token_is_exchanged_and_the_new_session_kept(
    sandgate: Command, world: World
) -> None:
    world.expires_in = 1
    sandgate("login", "--url", world.url, "--email", EMAIL, "--password", PASSWORD)
    world.expires_in = 3600
    assert sandgate("whoami").exit_code == 0
    assert sandgate("whoami").exit_code == 0
    assert world.counted(TOKEN) == 2
    assert stat.S_IMODE(sandgate.credentials.stat().st_mode) == 0o600


def test_an_access_token_the_server_forgot_is_exchanged_once(
    signed_in: Command, world: World
) -> None:
    world.access_tokens.clear()
    assert signed_in("whoami").exit_code == 0
    assert world.counted(TOKEN) == 2


def test_an_ended_session_says_to_log_in(signed_in: Command, world: World) -> None:
    world.access_tokens.clear()
    world.refresh_tokens.clear()
    result = signed_in("whoami")
    assert result.exit_code == 3
    assert "sandgate login" in result.stderr


def test_commands_at_the_same_time_use_a_refresh_token_once(
    signed_in: Command, world: World
) -> None:
    file = CredentialsFile(signed_in.credentials.parent)
    credentials = file.load()
    assert credentials is not None
    world.access_tokens.clear()

    def ask(_: int) -> object:
        with Server(world.url) as server:
            return Session(server, file, credentials).call("GET", "/auth/v1/user")["email"]

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(8))) == [EMAIL] * 8
    assert world.counted(TOKEN) == 2


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"url": 1}', "\x00"])
def test_a_damaged_credentials_file_counts_as_not_logged_in(
    signed_in: Command, content: str
) -> None:
    signed_in.credentials.write_text(content)
    assert signed_in("whoami").exit_code == 3


def test_logout_ends_the_session_here_and_there(signed_in: Command, world: World) -> None:
    assert signed_in.json("logout") == {"signed_in": False, "ended_on_server": True}
    assert not signed_in.credentials.exists()
    assert world.refresh_tokens == set()
    assert signed_in("whoami").exit_code == 3


def test_logout_forgets_the_session_also_when_the_server_is_away(
    signed_in: Command, world: World
) -> None:
    stored = json.loads(signed_in.credentials.read_text())
    signed_in.credentials.write_text(json.dumps({**stored, "url": "http://127.0.0.1:1"}))
    result = signed_in("logout")
    assert result.exit_code == 0
    assert "could not be told" in result.stderr
    assert not signed_in.credentials.exists()


def test_logout_twice_is_no_failure(signed_in: Command) -> None:
    signed_in("logout")
    assert signed_in("logout").exit_code == 0


def test_a_proxy_in_the_environment_does_not_stand_between_us_and_this_machine(
    signed_in: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    assert signed_in("whoami").exit_code == 0


def test_a_configuration_folder_that_cannot_be_used_is_wrong_use(
    signed_in: Command, world: World
) -> None:
    folder = signed_in.credentials.parent
    signed_in.credentials.unlink()
    (folder / "credentials.lock").unlink(missing_ok=True)
    folder.rmdir()
    folder.write_text("a file where the folder should be")
    for arguments in (
        ("whoami",),
        ("logout",),
        ("login", "--url", world.url, "--email", EMAIL, "--password", PASSWORD),
    ):
        result = signed_in(*arguments)
        assert result.exit_code == 2
        assert "XDG_CONFIG_HOME" in result.stderr


def test_first_run_brings_its_own_account(sandgate: Command) -> None:
    assert sandgate("login", "--first-run", "--email", EMAIL).exit_code == 2


def test_a_password_sent_unencrypted_to_another_machine_is_warned_about(
    sandgate: Command,
) -> None:
    result = sandgate("login", "--url", "http://sandgate.invalid", "--email", "a", typed="")
    assert "unencrypted" in result.stderr
