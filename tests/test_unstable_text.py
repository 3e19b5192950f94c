"""What in a text is another in every run is found, and what is not is left."""

import pytest

from tinyllm_magic.unstable_text import MEMORY_ADDRESS, TEMPORARY_PATH, UUID


@pytest.mark.parametrize("text", ["0f8fad5b-d9cb-469f-a165-70867728950e", "0F8FAD5BD9CB469FA16570867728950E"])
def test_a_uuid_is_found_with_or_without_its_dashes(text):
    assert UUID.findall(f"run {text}.") == [text]


def test_an_address_of_memory_is_found():
    assert MEMORY_ADDRESS.findall("<object at 0x7f30281ebf10>, 0xff") == ["0x7f30281ebf10"]


@pytest.mark.parametrize("path", ["/tmp/a/b.png", "/private/var/folders/x/y", r"C:\Users\me\AppData\Local\Temp\a.txt"])
def test_a_temporary_path_is_found_as_a_whole(path):
    assert TEMPORARY_PATH.findall(f"saved to '{path}'") == [path]


def test_other_paths_are_left():
    assert TEMPORARY_PATH.findall("/home/me/data.csv") == []
