"""A corpus of templates and prompts arrives byte for byte as plain Jinja renders it, where Jinja renders it at all.

``blocks``: tags on lines of their own, as Jinja renders them with trim_blocks and lstrip_blocks; ``inline``: tags within
lines, and ``prompts``: text as people paste it, both as Jinja renders them by default.
"""

from pathlib import Path

import jinja2
import pytest

from tinyllm_magic.prompts.roles import trim
from tinyllm_magic.prompts.template import Template

CORPUS = Path(__file__).parent / "corpus"
TEMPLATES, PROMPTS = sorted(CORPUS.glob("*/*.j2")), sorted(CORPUS.glob("prompts/*.txt"))
VARIABLES = {
    "name": "Ada",
    "text": "a poem about the rain in spring",
    "n": 5,
    "strict": True,
    "system": "",
    "html": '<i>&"quoted"</i>',
    "code": "def f():\n    return {'a': {}}",
    "numbers": [1, 2, 3, 4, 5],
    "none_of_them": [],
    "facts": {"city": "London", "year": 1843},
    "shots": [{"text": "great", "label": "good"}, {"text": "awful {{ x }}", "label": "bad"}, {"text": "fine", "label": "good"}],
    "groups": [{"name": "fruit", "things": ["apple", "pear"]}, {"name": "tools", "things": ["saw"]}],
    "messages": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "{% raw %}"}, {"role": "user", "content": "<b>?"}],
    "tools": [{"name": "add", "parameters": {"a": "int"}}],
    "add_generation_prompt": True,
}


def render_plainly(path):
    """What plain Jinja makes of the file; its text where Jinja cannot read it."""
    lines = path.parent.name == "blocks"
    environment = jinja2.Environment(  # prompts are not HTML
        trim_blocks=lines,
        lstrip_blocks=lines,
        extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"],
        loader=jinja2.FileSystemLoader(path.parent),
    )
    environment.policies["json.dumps_kwargs"] = {}
    source = path.read_text("utf-8")
    try:
        return environment.from_string(source).render(VARIABLES)
    except jinja2.TemplateSyntaxError:
        return source


@pytest.mark.parametrize("path", [*TEMPLATES, *PROMPTS], ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_the_corpus_arrives_as_plain_jinja_renders_it(path):
    (message,) = Template.from_file(path).render(VARIABLES)
    assert message.content == trim(render_plainly(path))


def test_the_corpus_is_large_enough_to_count():
    assert len(TEMPLATES) >= 40
    assert len(PROMPTS) >= 30
