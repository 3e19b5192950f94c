"""YAML front matter: where it begins and ends, the line of what is wrong, and which references are followed."""

import json

import pytest

from tinyllm_magic.errors import OptionError, PromptError
from tinyllm_magic.prompts.front_matter import read_front_matter, write_yaml


@pytest.fixture
def write(tmp_path):
    def write(text, name="a.prompty"):
        (tmp_path / name).write_text(text, encoding="utf-8")
        return tmp_path / name

    return write


@pytest.mark.parametrize(
    ("text", "values", "body", "first_line"),
    [
        ("---\nname: a\n---\nHello", {"name": "a"}, "Hello", 4),
        ("+++\nname: a\n+++\nHello", {"name": "a"}, "Hello", 4),
        ("\n  ---\nname: a\n--- \n\nHello\n", {"name": "a"}, "\nHello\n", 5),
        ("---\n---\nHello", {}, "Hello", 3),
        ("\ufeff---\r\nname: a\r\n---\r\nHello\r\n", {"name": "a"}, "Hello\n", 4),
        ("Hello\n---\nname: a\n---\n", {}, "Hello\n---\nname: a\n---\n", 1),
        ("", {}, "", 1),
    ],
)
def test_what_stands_before_the_body_is_told_from_it(write, text, values, body, first_line):
    found = read_front_matter(write(text))
    assert (found.values, found.body, found.first_line) == (values, body, first_line)


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("---\nname: a\nHello", 1, "never closed"),
        ("---\nname: a\nmodel: [1,\n---\nHello", 4, "cannot be read"),
        ("---\nname: a\n  model: b\n---\nHello", 3, "cannot be read"),
        ("---\n- a\n- b\n---\nHello", 2, "keys with values, not list"),
        ("---\nname: a\nmodel: b\nname: c\n---\nHello", 4, "'name' comes twice"),
        ("---\na: &x [1]\nb: *x\n---\nHello", 3, "aliases are not read"),
        ("---\nname: !!python/object:os.system a\n---\nHello", 2, "cannot be read"),
        ("---\nname: a\nwhen: 2024-99-99\n---\nHello", 3, "cannot be read"),
        (f"---\nname: {'[' * 5000}\n---\nHello", 2, "nested too deep"),
    ],
)
def test_what_is_no_front_matter_is_an_error_with_its_line(write, text, line, words):
    with pytest.raises(PromptError, match=words) as caught:
        read_front_matter(write(text))
    assert caught.value.line == line
    assert "a.prompty" in str(caught.value)


def test_a_reference_of_a_file_that_is_not_trusted_takes_its_value_away(write):
    path = write("---\nkey: ${env:SECRET}\nlist: [a, 'x ${file:b.txt}']\nname: a\n---\n")
    found = read_front_matter(path).resolve(None)
    assert found.values == {"list": ["a"], "name": "a"}
    assert found.ignored == ("key", "list.1")


def test_references_of_a_trusted_file_are_followed(write, tmp_path):
    (tmp_path / "b.json").write_text(json.dumps({"c": 1}), encoding="utf-8")
    (tmp_path / "b.yaml").write_text("- 1\n- 2\n", encoding="utf-8")
    (tmp_path / "b.txt").write_text("text", encoding="utf-8")
    path = write("---\na: '${file:b.json}'\nb: ${file:b.yaml}\nc: 'x ${file:b.txt} ${env:HERE}'\nd: '${env:NOT:http://e}'\n---\n")
    assert read_front_matter(path).resolve({"HERE": "y"}).values == {"a": {"c": 1}, "b": [1, 2], "c": "x text y", "d": "http://e"}


@pytest.mark.parametrize(
    "reference", ["${env:NOT_SET}", "${file:missing.txt}", "${file:../outside.txt}", "${file:bad.json}", "${file:link.txt}"]
)
def test_a_reference_that_leads_nowhere_or_out_of_the_folder_is_an_error_with_its_line(write, tmp_path, reference):
    (tmp_path.parent / "outside.txt").write_text("secret", encoding="utf-8")
    (tmp_path / "link.txt").symlink_to(tmp_path.parent / "outside.txt")
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    path = write(f"---\nname: a\nmodel:\n  key: '{reference}'\n---\n")
    with pytest.raises(PromptError) as caught:
        read_front_matter(path).resolve({})
    assert caught.value.line == 4
    assert "secret" not in str(caught.value)


def test_a_value_that_is_more_than_data_is_not_written(tmp_path):
    with pytest.raises(OptionError, match=r"cannot be written to a\.prompty"):
        write_yaml({"a": object()}, tmp_path / "a.prompty")
