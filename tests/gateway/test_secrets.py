"""The installation's secrets: made once, private, complete or refused."""

import base64
import json
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from pydantic import SecretStr

from gateway.secrets import (
    Keyring,
    SecretsError,
    bring,
    exchange,
    forget,
    load_or_create_secrets,
)

LOADER = """
import sys
from pathlib import Path
from gateway.secrets import load_or_create_secrets
secrets = load_or_create_secrets(Path(sys.argv[1]))
print(secrets.key_hash_secret.hex(), secrets.jwt_kid, secrets.admin_api_key.get_secret_value())
print(secrets.secrets_key.hex())
"""


def test_secrets_are_made_once_and_stay(tmp_path: Path) -> None:
    assert load_or_create_secrets(tmp_path / "d") == load_or_create_secrets(tmp_path / "d")


def test_two_installations_have_different_ones(tmp_path: Path) -> None:
    first, second = (load_or_create_secrets(tmp_path / name) for name in "ab")
    assert first.key_hash_secret != second.key_hash_secret
    assert first.admin_api_key != second.admin_api_key
    assert first.jwt_private_key_pem != second.jwt_private_key_pem


def test_they_are_of_the_promised_kind(tmp_path: Path) -> None:
    secrets = load_or_create_secrets(tmp_path)
    assert len(secrets.key_hash_secret) == 32
    assert len(secrets.admin_api_key.get_secret_value()) >= 20
    key = load_pem_private_key(secrets.jwt_private_key_pem.encode(), None)
    assert isinstance(key, EllipticCurvePrivateKey)
    assert key.curve.name == "secp256r1"
    assert jwt.encode({}, key, "ES256", headers={"kid": secrets.jwt_kid})


def test_file_and_directory_are_private(tmp_path: Path) -> None:
    load_or_create_secrets(tmp_path / "d")
    assert (tmp_path / "d").stat().st_mode & 0o777 == 0o700
    for path in (tmp_path / "d").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_nothing_secret_is_printed(tmp_path: Path) -> None:
    secrets = load_or_create_secrets(tmp_path)
    shown = f"{secrets!r} {secrets}"
    for value in json.loads((tmp_path / "secrets.json").read_text()).values():
        assert value not in shown


def test_a_configured_admin_key_is_used_and_not_stored(tmp_path: Path) -> None:
    chosen = SecretStr("chosen by the operator")
    assert load_or_create_secrets(tmp_path, chosen).admin_api_key == chosen
    assert "chosen" not in (tmp_path / "secrets.json").read_text()
    assert load_or_create_secrets(tmp_path).admin_api_key != chosen


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660])
def test_a_file_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    load_or_create_secrets(tmp_path)
    (tmp_path / "secrets.json").chmod(mode)
    with pytest.raises(SecretsError, match="chmod 600"):
        load_or_create_secrets(tmp_path)


@pytest.mark.parametrize(
    "name", ["key_hash_secret", "jwt_private_key_pem", "jwt_kid", "admin_api_key", "secrets_key"]
)
@pytest.mark.parametrize("value", ["", "  ", None, 5])
def test_an_empty_secret_is_refused(tmp_path: Path, name: str, value: object) -> None:
    load_or_create_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), name: value}))
    with pytest.raises(SecretsError, match="damaged or has an empty secret"):
        load_or_create_secrets(tmp_path)


@pytest.mark.parametrize(
    "name", ["key_hash_secret", "jwt_private_key_pem", "jwt_kid", "admin_api_key"]
)
def test_a_missing_secret_is_refused(tmp_path: Path, name: str) -> None:
    load_or_create_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    values = json.loads(path.read_text())
    del values[name]
    path.write_text(json.dumps(values))
    with pytest.raises(SecretsError, match="damaged or has an empty secret"):
        load_or_create_secrets(tmp_path)


def without_secrets_key(data_dir: Path) -> dict[str, str]:
    """The data directory as a release left it that did not know this secret."""
    load_or_create_secrets(data_dir)
    path = data_dir / "secrets.json"
    values: dict[str, str] = json.loads(path.read_text())
    del values["secrets_key"]
    path.write_text(json.dumps(values))
    return values


def test_an_older_installation_gets_the_secrets_key_once(tmp_path: Path) -> None:
    before = without_secrets_key(tmp_path)
    first = load_or_create_secrets(tmp_path)
    assert first == load_or_create_secrets(tmp_path)
    assert len(first.secrets_key) == 32
    path = tmp_path / "secrets.json"
    after = json.loads(path.read_text())
    assert {name: after[name] for name in before} == before
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_damaged_older_file_is_not_touched(tmp_path: Path) -> None:
    without_secrets_key(tmp_path)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "jwt_kid": ""}))
    before = path.read_text()
    with pytest.raises(SecretsError, match="restore it from a backup"):
        load_or_create_secrets(tmp_path)
    assert path.read_text() == before


def test_a_configured_secrets_key_is_used_and_not_stored(tmp_path: Path) -> None:
    chosen = base64.b64encode(b"k" * 32).decode()
    assert load_or_create_secrets(tmp_path, None, SecretStr(chosen)).secrets_key == b"k" * 32
    assert chosen not in (tmp_path / "secrets.json").read_text()
    assert load_or_create_secrets(tmp_path).secrets_key != b"k" * 32


@pytest.mark.parametrize("text", ["", " ", "k" * 32, "!!", base64.b64encode(b"short").decode()])
def test_a_configured_secrets_key_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(SecretsError, match="SECRETS_KEY must be 32 random bytes"):
        load_or_create_secrets(tmp_path, None, SecretStr(text))


@pytest.mark.parametrize("value", ["!!", "c2hvcnQ="])
def test_a_stored_secrets_key_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    load_or_create_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "secrets_key": value}))
    with pytest.raises(SecretsError, match="damaged"):
        load_or_create_secrets(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0"])
def test_a_damaged_file_is_refused_and_kept(tmp_path: Path, text: str) -> None:
    path = tmp_path / "secrets.json"
    path.touch(0o600)
    path.write_text(text)
    with pytest.raises(SecretsError, match="restore it from a backup"):
        load_or_create_secrets(tmp_path)
    assert path.read_text() == text


@pytest.mark.parametrize("value", ["!!", "c2hvcnQ="])
def test_a_hash_secret_that_is_too_weak_is_refused(tmp_path: Path, value: str) -> None:
    load_or_create_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "key_hash_secret": value}))
    with pytest.raises(SecretsError, match="damaged"):
        load_or_create_secrets(tmp_path)


def test_a_directory_that_cannot_be_made_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SecretsError, match="SANDGATE_DATA_DIR"):
        load_or_create_secrets(tmp_path / "file" / "d")


@pytest.mark.parametrize("is_older", [False, True])
def test_processes_that_start_at_once_get_the_same(tmp_path: Path, is_older: bool) -> None:
    if is_older:
        without_secrets_key(tmp_path / "d")
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", LOADER, str(tmp_path / "d")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(4)
    ]
    answers = {process.communicate(timeout=60)[0] for process in processes}
    assert len(answers) == 1
    assert answers != {""}


def test_a_second_value_is_never_printed(tmp_path: Path) -> None:
    load_or_create_secrets(tmp_path)
    other = bring(tmp_path, "admin_api_key")
    shown = f"{load_or_create_secrets(tmp_path)!r} {other!r}"
    assert other.value not in shown


def test_a_rotation_goes_through_its_steps_once(tmp_path: Path) -> None:
    before = load_or_create_secrets(tmp_path)
    coming = bring(tmp_path, "admin_api_key")
    assert bring(tmp_path, "admin_api_key") == coming
    assert not forget(tmp_path, "admin_api_key")  # it is still to come
    for _ in range(2):
        exchange(tmp_path, "admin_api_key", until=None)
        after = load_or_create_secrets(tmp_path)
        assert after.admin_api_key.get_secret_value() == coming.value
        assert after.others["admin_api_key"].value == before.admin_api_key.get_secret_value()
    assert forget(tmp_path, "admin_api_key")
    assert "others" not in json.loads((tmp_path / "secrets.json").read_text())


@pytest.mark.parametrize(
    "others",
    [[], {"admin_api_key": "x"}, {"admin_api_key": {"value": "", "coming": True, "until": None}}],
)
def test_a_damaged_second_value_is_refused(tmp_path: Path, others: object) -> None:
    load_or_create_secrets(tmp_path)
    path = tmp_path / "secrets.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "others": others}))
    with pytest.raises(SecretsError, match="damaged"):
        load_or_create_secrets(tmp_path)


def test_a_keyring_goes_on_while_the_file_cannot_be_read(tmp_path: Path) -> None:
    moments = iter(range(100))
    keyring = Keyring(
        lambda: load_or_create_secrets(tmp_path),
        tmp_path / "secrets.json",
        clock=lambda: float(next(moments)),
    )
    known = keyring.current
    whole = (tmp_path / "secrets.json").read_text()
    (tmp_path / "secrets.json").write_text("{")
    assert keyring.current == known
    (tmp_path / "secrets.json").write_text(whole)
    bring(tmp_path, "admin_api_key")
    assert "admin_api_key" in keyring.current.others
