"""The filters `image` and `file`: where they stand, and what a template file may read."""

import pytest
from filemaker import document, picture
from prompting import fails

from tinyllm_magic import errors
from tinyllm_magic.prompts.template import Template


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "notebook"
    place.mkdir()
    (place / "photo.png").write_bytes(picture())
    (place / "bill.pdf").write_bytes(document())
    (place / "notes.txt").write_text("Milk", "utf-8")
    (tmp_path / "secret.txt").write_text("secret", "utf-8")
    return place


def render(source, folder, **variables):
    return Template(source, folders=(folder,)).render(variables)


def kinds(message):
    return [part.get("text") or part["type"] for part in message.content]


def test_what_is_attached_stands_where_it_is_said(folder):
    (message,) = render(
        'Before\n{{ "photo.png" | image }}\nbetween {{ data | image }} and\n{{ "bill.pdf" | file }}', folder, data=picture()
    )

    assert kinds(message) == ["Before", "image_url", "between", "image_url", " and", "file"]
    assert message.content[1]["image_url"]["url"].data == picture()


def test_roles_loops_and_macros_attach_too(folder):
    source = (
        '{% macro show(p) %}{{ p | image }}{% endmacro %}{% system %}Look. {{ "notes.txt" | file }}{% endsystem %}'
        "{% user %}{% for p in paths %}{{ loop.index }}{{ show(p) }}{% endfor %}{% enduser %}{% user %}Which?{% enduser %}"
    )
    system, user, last = render(source, folder, paths=["photo.png", "photo.png"])

    assert kinds(system) == ["Look.", "notes.txt:\nMilk"]
    assert kinds(user) == ["1", "image_url", "2", "image_url"]
    assert last.content == "Which?"


def test_an_image_alone_is_a_message(folder):
    (message,) = render('{{ "photo.png" | image }}', folder)

    assert kinds(message) == ["image_url"]


@pytest.mark.parametrize("role", ["system", "assistant", "developer"])
def test_only_the_user_shows_images(role, folder):
    with pytest.raises(errors.PromptError, match=f"no place in a message of the {role}"):
        render(f'{{% {role} %}}{{{{ "photo.png" | image }}}}{{% end{role} %}}', folder)


def test_a_filter_that_cuts_an_image_is_an_error(folder):
    with pytest.raises(errors.PromptError, match="cut through an image"):
        render('{{ ("photo.png" | image)[:5] }}', folder)


def test_a_value_cannot_attach_anything(folder):
    (message,) = render("{{ text }}", folder, text='{{ "photo.png" | image }}')

    assert message.content == '{{ "photo.png" | image }}'


def test_an_options_text_holds_no_image(folder):
    with pytest.raises(errors.PromptError, match="no place in an option's text"):
        Template('{{ "photo.png" | image }}', folders=(folder,)).evaluate({})
    with pytest.raises(errors.PromptError, match="no place in an option's text"):
        Template('a {{ "photo.png" | image }}', folders=(folder,)).render_text({})


def test_an_error_names_the_line(folder):
    error = fails("one\n{{ 'foto.png' | image }}")

    assert error.line == 2
    assert "there is no file 'foto.png'" in error.message


def test_a_missing_name_is_an_undefined_one(folder):
    with pytest.raises(errors.UndefinedError, match="'photo' is not defined"):
        render("{{ photo | image }}", folder)


def test_the_cell_may_name_any_path(folder):
    (message,) = render("{{ path | file }}", folder, path=folder.parent / "secret.txt")

    assert kinds(message) == ["secret.txt:\nsecret"]


OUTSIDE = ["{{ '../secret.txt' | file }}", "{{ secret | file }}", "{{ ['../secret.txt'] | map('file') | join }}"]


@pytest.mark.parametrize("source", OUTSIDE)
def test_a_template_file_reads_nothing_outside_its_folder(source, folder):
    (folder / "ask.j2").write_text(source, "utf-8")
    variables = {"secret": folder.parent / "secret.txt"}

    with pytest.raises(errors.PromptError, match="lies outside"):
        Template.from_file(folder / "ask.j2").render(variables)


@pytest.mark.parametrize(
    "cell",
    [
        "{% include 'part.j2' %}",
        "{% extends 'part.j2' %}",
        "{% import 'macros.j2' as m %}{{ m.show() }}",
        "{% extends 'base.j2' %}{% block b %}{{ super() }}{% endblock %}",
        "{% import 'lazy.j2' as m %}{{ m.found | join }}",
        "{% include '<cell>' %}",
    ],
)
def test_nor_does_a_file_that_the_cell_includes_imports_or_extends(cell, folder):
    reads = "{{ '../secret.txt' | file }}"
    (folder / "part.j2").write_text(reads, "utf-8")
    (folder / "<cell>").write_text(reads, "utf-8")
    (folder / "base.j2").write_text(f"{{% block b %}}{reads}{{% endblock %}}", "utf-8")
    (folder / "macros.j2").write_text(f"{{% macro show() %}}{reads}{{% endmacro %}}", "utf-8")
    (folder / "lazy.j2").write_text("{% set found = ['../secret.txt'] | map('file') %}", "utf-8")

    with pytest.raises(errors.PromptError, match=r"lies outside|no template file"):
        render(cell, folder)


def test_a_link_out_of_the_folder_is_not_followed(folder):
    (folder / "link.txt").symlink_to(folder.parent / "secret.txt")
    (folder / "ask.j2").write_text("{{ 'link.txt' | file }}", "utf-8")

    with pytest.raises(errors.PromptError, match="lies outside"):
        Template.from_file(folder / "ask.j2").render({})


def test_a_template_file_reads_what_lies_below_its_folder_and_shows_the_users_pictures(folder):
    (folder / "ask.j2").write_text("{{ 'photo.png' | image }}{{ data | image }}", "utf-8")

    (message,) = Template.from_file(folder / "ask.j2").render({"data": picture(20, 20)})

    assert [part["image_url"]["url"].facts.width for part in message.content] == [40, 20]
