"""Which folders are trusted."""

import pytest

from tinyllm_magic.errors import ConfigError
from tinyllm_magic.settings.trust import is_trusted, trust


def test_a_folder_is_trusted_after_trust_and_no_other(place):
    assert not is_trusted(place.here, user_folder=place.user)
    assert trust(place.here, user_folder=place.user) == place.here.resolve()
    assert is_trusted(place.here, user_folder=place.user)
    assert not is_trusted(place.here / "sub", user_folder=place.user)
    assert not is_trusted(place.here.parent, user_folder=place.user)


def test_trust_follows_the_resolved_folder(place, monkeypatch):
    monkeypatch.chdir(place.here)
    trust(".", user_folder=place.user)
    assert is_trusted(place.here / ".." / "work", user_folder=place.user)


def test_trust_adds_to_the_list_and_leaves_no_other_file(place):
    trust(place.here, user_folder=place.user / "new")
    trust(place.user, user_folder=place.user / "new")
    assert is_trusted(place.here, user_folder=place.user / "new")
    assert [p.name for p in (place.user / "new").iterdir()] == ["trusted.json"]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b'{"a": 1}', b"[1, null]", b"[" * 100_000, b'"/"'])
def test_a_damaged_list_trusts_nothing_and_can_be_written_anew(place, damage):
    (place.user / "trusted.json").write_bytes(damage)
    assert not is_trusted(place.here, user_folder=place.user)
    trust(place.here, user_folder=place.user)
    assert is_trusted(place.here, user_folder=place.user)


def test_trust_that_cannot_be_remembered_is_an_error(place):
    (place.user / "file").write_text("", encoding="utf-8")
    with pytest.raises(ConfigError, match="cannot be remembered"):
        trust(place.here, user_folder=place.user / "file")
