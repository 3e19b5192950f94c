"""Template files: included, imported, extended, found by name."""

import os

import pytest
from prompting import fails

from tinyllm_magic.errors import PromptError, UndefinedError
from tinyllm_magic.prompts.loader import find_template, is_inline
from tinyllm_magic.prompts.template import Template


def test_an_included_file_brings_text_and_roles(folder):
    folders = folder(rules="Rule {{ n }}: é.\n", shots="{% user %}q{% enduser %}\n{% assistant %}a{% endassistant %}\n")
    messages = Template("{% include 'shots.j2' %}\n{% include 'rules.j2' %}\nEnd {% include 'rules.j2' %}!", folders=folders).render(
        {"n": 1}
    )
    assert [(m.role, m.content) for m in messages] == [("user", "q"), ("assistant", "a"), ("user", "Rule 1: é.\nEnd Rule 1: é.!")]


def test_an_included_file_sees_loop_variables_and_the_namespace(folder):
    folders = folder(item="{{ x }}{{ y }}")
    assert Template("{% for x in [1, 2] %}{% include 'item.j2' %}{% endfor %}", folders=folders).render({"y": "!"})[0].content == "1!2!"


def test_macros_are_imported(folder):
    folders = folder(m="{% macro ask(x) %}{% user %}{{ x }}?{% enduser %}{% endmacro %}")
    source = "{% import 'm.j2' as m %}{% from 'm.j2' import ask %}{{ m.ask(1) }}{{ ask(2) }}"
    assert [m.content for m in Template(source, folders=folders).render({})] == ["1?", "2?"]


def test_a_base_file_is_extended(folder):
    folders = folder(base="{% system %}{% block s %}base{% endblock %}{% endsystem %}{% block u %}{% endblock %}")
    messages = Template("{% extends 'base.j2' %}{% block u %}{{ x }}{% endblock %}", folders=folders).render({"x": 1})
    assert [(m.role, m.content) for m in messages] == [("system", "base"), ("user", "1")]


def test_an_imported_file_keeps_nothing_between_renderings(folder):
    folders = folder(
        m="{% set ns = namespace(n=0) %}{% macro up() %}{% set ns.n = ns.n + 1 %}{{ ns.n }}{% endmacro %}"
        "{% set b %}{% user %}x{% enduser %}{% endset %}"
    )
    template = Template("{% from 'm.j2' import up, b %}{{ b }}{{ up() }}", folders=folders)
    first = template.render({})
    assert template.render({}) == first
    assert [m.content for m in first] == ["x", "1"]


def test_an_edited_file_is_read_again(folder):
    folders = folder(a="one")
    template = Template("{% include 'a.j2' %}", folders=folders)
    assert template.render({})[0].content == "one"
    folder(a="three")
    assert template.render({})[0].content == "three"


@pytest.mark.parametrize(
    ("content", "line", "kind"),
    [
        ("a\n{{ 1 // 0 }}", 2, PromptError),
        ("a\n\n{{ nme }}", 3, UndefinedError),
        ("\n{% foo %}", 2, PromptError),
        ("\n{{ $ }}", 2, PromptError),
    ],
)
def test_an_error_in_an_included_file_names_file_and_line(folder, content, line, kind):
    error = fails("x\n\n\n{% include 'part.j2' %}", kind, folders=folder(part=content))
    assert error.line == line
    assert f"line {line}" in error.message
    assert "of part.j2)" in error.message


def test_a_missing_file_is_told_with_line_folders_and_near_matches(folder, tmp_path):
    error = fails("\n{% include 'gretting.j2' %}", folders=folder(greeting="x"))
    assert error.line == 2
    assert "'greeting.j2'" in error.hint
    assert str(tmp_path) in str(error)


@pytest.mark.parametrize("path", ["../secret.txt", "a/../../secret.txt", "/secret.txt", "..\\\\secret.txt"])
def test_an_include_cannot_leave_its_folders(tmp_path, path):
    (tmp_path / "secret.txt").write_text("secret", encoding="utf-8")
    inner = tmp_path / "inner"
    inner.mkdir()
    assert "no template file" in str(fails("{% include '" + path + "' %}", folders=[inner]))


def test_an_included_file_that_is_not_utf8_is_named(tmp_path):
    (tmp_path / "latin.j2").write_bytes("a\né".encode("latin-1"))
    assert "latin.j2 is not UTF-8 (see its line 2)" in str(fails("{% include 'latin.j2' %}", folders=[tmp_path]))


def test_a_file_that_includes_itself_is_a_prompt_error(folder):
    assert "RecursionError" in str(fails("{% include 'a.j2' %}", folders=folder(a="{% include 'a.j2' %}")))


def test_a_template_from_a_file_finds_its_neighbours_and_names_itself(folder, tmp_path):
    folder(main="{% include 'part.j2' %}\n{{ gone }}", part="p")
    template = Template.from_file(tmp_path / "main.j2")
    with pytest.raises(UndefinedError, match=r"line 2, column 4 of main\.j2"):
        template.render({})
    assert template.render({"gone": "g"})[0].content == "p\ng"


def test_a_byte_order_mark_is_no_text(tmp_path):
    (tmp_path / "bom.j2").write_bytes("\ufeffhé".encode())
    assert Template.from_file(tmp_path / "bom.j2").render({})[0].content == "hé"


def test_a_template_file_is_found_in_the_first_folder_that_has_it(tmp_path):
    (tmp_path / "prompts").mkdir()
    for place in (tmp_path / "prompts" / "a.j2", tmp_path / "prompts" / "b.j2", tmp_path / "a.j2"):
        place.write_text("x", encoding="utf-8")
    folders = [tmp_path, tmp_path / "prompts"]
    assert find_template("a.j2", folders) == tmp_path / "a.j2"
    assert find_template("b.j2", folders) == tmp_path / "prompts" / "b.j2"
    assert find_template(str(tmp_path / "a.j2"), []) == tmp_path / "a.j2"


def test_a_template_file_of_the_home_folder_is_found(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "mine.j2").write_text("x")
    assert find_template("~/mine.j2", []) == tmp_path / "mine.j2"
    with pytest.raises(PromptError, match="no template file '~nobody-here"):
        find_template("~nobody-here/mine.j2", [tmp_path])


def test_a_template_file_that_is_not_there_is_told_with_places_and_near_matches(tmp_path):
    (tmp_path / "system.j2").write_text("x", encoding="utf-8")
    with pytest.raises(PromptError, match=r"system\.j2") as caught:
        find_template("sytem.j2", [tmp_path])
    assert str(tmp_path / "sytem.j2") in str(caught.value)


@pytest.mark.parametrize(
    ("name", "inline"), [("a.j2", False), ("sub/a.txt", False), ("two words", True), ("{{x}}", True), ("a\nb", True), ("{x", True)]
)
def test_white_space_or_a_brace_makes_a_name_inline_text(name, inline):
    assert is_inline(name) is inline


@pytest.mark.parametrize(
    "source",
    [
        "{% set own = 2 %}{% import 'm.j2' as m %}{{ m.show() }}",
        "{% set own = 2 %}{% from 'm.j2' import show %}{{ show() }}",
        "{% set own = 2 %}{% include 'i.j2' %}",
        "{% for own in [2] %}{% import 'm.j2' as m %}{{ m.show() }}{% endfor %}",
    ],
)
def test_included_and_imported_files_see_what_the_including_template_sees(folder, source):
    folders = folder(m="{% macro show() %}{{ x }}{{ own }}{% endmacro %}", i="{{ x }}{{ own }}")
    assert Template(source, folders=folders).render({"x": 1})[0].content == "12"


def test_an_import_without_context_sees_nothing(folder):
    folders = folder(m="{% macro show() %}{{ x }}{% endmacro %}")
    fails("{% import 'm.j2' as m without context %}{{ m.show() }}", UndefinedError, folders=folders, x=1)


def test_an_include_through_a_symbolic_link_does_not_leave_its_folder(tmp_path):
    inner, outside = tmp_path / "inner", tmp_path / "outside"
    inner.mkdir()
    outside.mkdir()
    (outside / "id_rsa").write_text("secret", encoding="utf-8")
    (inner / "notes.j2").symlink_to(outside / "id_rsa")
    (inner / "environ.j2").symlink_to("/proc/self/environ")
    (inner / "sub").symlink_to(outside, target_is_directory=True)
    for name in ("notes.j2", "environ.j2", "sub/id_rsa"):
        error = fails("{% include '" + name + "' %}", folders=[inner])
        assert "secret" not in str(error)
        assert "nor may a link" in error.hint


def test_a_link_within_its_folder_is_followed(folder, tmp_path):
    folders = folder(real="text")
    (tmp_path / "link.j2").symlink_to(tmp_path / "real.j2")
    assert Template("{% include 'link.j2' %}", folders=folders).render({})[0].content == "text"


def test_a_fifo_is_no_template_file(tmp_path):
    os.mkfifo(tmp_path / "pipe.j2")
    assert "no template file" in str(fails("{% include 'pipe.j2' %}", folders=[tmp_path]))
    with pytest.raises(PromptError, match="no template file"):
        find_template("pipe.j2", [tmp_path])


def test_a_name_with_a_space_is_a_files_where_it_ends_as_one_or_there_is_one(tmp_path):
    (tmp_path / "my notes.txt").write_text("x", encoding="utf-8")
    assert not is_inline("my notes.txt", [tmp_path])
    assert not is_inline("no such file.j2", [tmp_path])
    assert is_inline("my other notes.txt", [tmp_path])
    assert is_inline("Hello " * 1000, [tmp_path])
