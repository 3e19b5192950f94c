"""What the tests of prompts share: a template's messages, its one text, and the error it ends in."""

import pytest

from tinyllm_magic.errors import PromptError
from tinyllm_magic.prompts.template import Template

ROWS = [{"name": "Ada", "age": 36}, {"name": "Alan", "age": 41}]


def render(source, /, **variables):
    return [(m.role, m.content) for m in Template(source).render(variables)]


def text(source, /, **variables):
    (message,) = Template(source).render(variables)
    return message.content


def fails(source, /, kind=PromptError, folders=(), **variables):
    with pytest.raises(kind) as caught:
        Template(source, folders=folders).render(variables)
    return caught.value
