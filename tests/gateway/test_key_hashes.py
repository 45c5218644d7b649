"""Whatever is done to the secret for hashes, in whatever order: keys that may be found are."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.key_hashes import FIRST, HashSecret, HashSecrets
from gateway.secrets import Keyring, bring, exchange, forget, load_or_create_secrets

NAMES = ("key_hash_secret", "key_hash_id")
STEPS = st.lists(st.sampled_from(["bring", "exchange", "forget", "make", "call"]), max_size=14)


class Keys:
    """The table, and gateways of which some have not looked at the file since its last change."""

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._stored: dict[str, str] = {}  # by text
        self.views = [self.now()]

    def now(self) -> HashSecrets:
        load_or_create_secrets(self._data_dir)
        return Keyring.of(self._data_dir, None, None).hash_secrets()

    def changed(self) -> None:
        """As `rotate-secret` waits: nobody is more than one change behind."""
        self.views = [self.views[-1], self.now()]

    def make(self, view: HashSecrets) -> None:
        text = f"key {len(self._stored)}"
        self._stored[text] = view.current.hash(text)

    def call(self, view: HashSecrets) -> None:
        """Every key, and the hashes of those found under the secret before."""
        for text, kept in self._stored.items():
            hashes = view.hashes(text)
            if hashes.is_before and kept == hashes.other:
                self._stored[text] = hashes.current

    def needing_another(self) -> int:
        current = self.views[-1].current.id
        return sum(kept.partition(".")[0] != current for kept in self._stored.values())

    def lost(self) -> list[str]:
        return [
            text
            for text, kept in self._stored.items()
            if any(kept not in view.hashes(text).good for view in self.views)
        ]


@settings(max_examples=40, deadline=None)
@given(steps=STEPS)
def test_no_gateway_loses_a_key(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        data_dir = Path(folder)
        keys = Keys(data_dir)
        for step in steps:
            other = keys.now().other
            if step == "bring":
                bring(data_dir, *NAMES)
                keys.changed()
            elif step == "exchange" and other is not None:
                exchange(data_dir, *NAMES, until=None)
                keys.changed()
            elif step == "forget" and (keys.needing_another() == 0 or not keys.now().is_before):
                forget(data_dir, *NAMES)
                keys.views = [keys.now()]
            elif step == "make":
                for view in keys.views:
                    keys.make(view)
            elif step == "call":
                for view in keys.views:
                    keys.call(view)
            assert keys.lost() == []


def test_hashes_of_an_older_installation_stay_what_they_are(tmp_path: Path) -> None:
    secret = load_or_create_secrets(tmp_path).key_hash_secret
    ours = Keyring.of(tmp_path, None, None).hash_secrets()
    assert ours == HashSecrets(HashSecret(secret, FIRST))
    assert ours.hashes("text").good == [HashSecret(secret).hash("text")]
    assert len(ours.current.hash("text")) == 64


def test_no_secret_is_shown() -> None:
    secret = HashSecret(b"hidden in here", "a1b2")
    assert "hidden" not in repr(HashSecrets(secret, secret))
