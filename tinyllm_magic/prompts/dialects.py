"""Recognises marks of other template languages, and says how the same is written here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any

from ..text_format import shorten

_READ_BY_JINJA = (  # what fails in Jinja, and what to write instead
    (
        r"\{\{~?[#/]\s*(?:system|user|assistant)\s*~?\}\}",
        "This is Guidance: `{{#system~}}…{{~/system}}` is written `{% system %}…{% endsystem %}` here.",
    ),
    (
        r"\{\{-?\s*(?:\.\w|(?:if|range|with|template|block)\s+[.$\"]|end\s*-?\}\})",
        (
            "This is a Go template: `{{ .Name }}` is written `{{ Name }}` here, `{{ if .x }}…{{ end }}` is `{% if x %}…{% endif %}`, "
            "`{{ range .items }}…{{ end }}` is `{% for item in items %}…{% endfor %}`."
        ),
    ),
    (
        r"\{%-?\s*(?:end)?(?:assign|capture|unless|comment|case|when|render)\b|\{\{[^{}]*\|\s*\w+\s*:",
        (
            "This is Liquid: `{% assign x = 1 %}` is written `{% set x = 1 %}` here, `{% unless x %}…{% endunless %}` is "
            "`{% if not x %}…{% endif %}`, `{% comment %}…{% endcomment %}` is `{# … #}`, `{{ x | default: 1 }}` is `{{ x | default(1) }}`."
        ),
    ),
    (
        r"\{\{[^{}]*\?\?|\{\{[^{}]*(?:\|\||&&|===|!==)|\{\{\s+!\s*\w|\{\{[^{}]*\s\?\s[^{}]*:",
        (
            "These are JavaScript's operators: `a && b`, `a || b`, `!a` and `a ? b : c` are written `a and b`, `a or b`, `not a` and "
            "`b if a else c` here."
        ),
    ),
    (
        r"\{\{[^}]*\bfor\s+\w[\w\s,]*\sin\b|\{\{[^}]*\blambda\b|\{\{\s*[rR]?[fF][rR]?[\"']",
        (
            "Jinja has no comprehensions, lambdas or f-strings: write `{% for x in xs %}…{% endfor %}` or `a ~ b`, "
            "or compute the value in Python and use its name here."
        ),
    ),
    (
        r"\{\{~?[#/^]\s*(?:each|if|unless|with)\b|\{\{\s*else\s*\}\}|\{\{\s*(?:this|@\w+)\b|\{\{~",
        (
            "This is Handlebars: `{{#each items}}…{{/each}}` is written `{% for item in items %}…{% endfor %}` here, "
            "`{{#if x}}…{{else}}…{{/if}}` is `{% if x %}…{% else %}…{% endif %}`."
        ),
    ),
    (
        r"\{\{[#^/>&!]",
        (
            "This is Mustache: `{{#items}}…{{/items}}` is written `{% for item in items %}…{% endfor %}` here (`{% if x %}…{% endif %}` "
            "for a condition), `{{> part}}` is `{% include 'part' %}`, `{{! note}}` is `{# note #}`."
        ),
    ),
    (r"\{\{\{\s*[\w.]+\s*\}\}\}", "`{{{name}}}` is written `{{ name }}` here: nothing is escaped."),
    (r"\{\{\s*\$\w+", "`{{$input}}` is written `{{ input }}` here."),
    (
        r"\\[A-Za-z]+\*?(?:\[[^\]]*\])?\{\{",
        r"In LaTeX one pair of braces is enough, `\textbf{x}`; text that Jinja would read is kept between {% raw %} and {% endraw %}.",
    ),
    (
        r"\{\{\s*(?:[\"'][^\"']*[\"']\s*:|\}\}|\Z)",
        (
            'Braces that are doubled for Python\'s f-strings or `format` are written once here: `{"name": 1}`. '
            "Text that Jinja would read is kept between {% raw %} and {% endraw %}."
        ),
    ),
)
_ROLE_LINE = re.compile(r"^[ \t]*(?:#+[ \t]*)?(system|user|assistant|developer):[ \t]*$", re.IGNORECASE | re.MULTILINE)
_SYSTEM_START = re.compile(r"\s*(system):[ \t]+\S.*", re.IGNORECASE)
_CHAT_MARK = re.compile(r"<\|(?:im_start|start_header_id|system|user|assistant)\|>|\[INST\]|<<SYS>>")
_SINGLE_BRACES = re.compile(
    r"(?<![\w\\{}\]^$])\{"
    r"(?P<value>(?P<name>[^\W\d_]\w*)(?:\.[^\W\d_]\w*|\[[^\[\]{}]+\])*)(?P<form>(?:![rsa])?(?::(?!\})[-+<>=^,.\d]*[bdeEfFgGnsxX%]?)?)"
    r"\}(?!\})"
)


def explain_dialect(source: str, line: int | None) -> str:
    """How what stands on this line of a template is written here; empty where it is of no other language.

    Braces that were opened on an earlier line are looked at too.
    """
    lines = re.split(r"\r\n|\r|\n", source)
    if not line or line > len(lines):
        return ""
    text = lines[line - 1]
    opening = next((n for n in range(line - 1, -1, -1) if "{{" in lines[n]), line - 1)
    found = (hint for pattern, hint in _READ_BY_JINJA if re.search(pattern, text))
    spread = (hint for pattern, hint in _READ_BY_JINJA if re.search(pattern, "\n".join(lines[opening:line])))
    return next(found, "") or next(spread, "")


def note_role_lines(text: str) -> Iterator[str]:
    """A note on a line such as ``system:``, or a mark of a model's own chat format, which other programs read as a role."""
    found = _ROLE_LINE.search(text) or _SYSTEM_START.match(text)
    if found:
        role = found[1].lower()
        yield f"the line `{shorten(found[0].strip(), 40)}` was sent as text; {{% {role} %}}…{{% end{role} %}} makes a {role} message"
    mark = _CHAT_MARK.search(text)
    if mark:
        yield f"`{mark[0]}` of a model's own chat format was sent as text; {{% system %}}…{{% endsystem %}} makes a system message"


def find_single_braces(text: str) -> list[tuple[str, str, str]]:
    """The names in single braces, as f-strings and ``format`` have them, each after what was typed and the value that it means."""
    return list(dict.fromkeys((m["name"], m[0], m["value"]) for m in _SINGLE_BRACES.finditer(text)))


def note_single_braces(found: Iterable[tuple[str, str, str]], variables: Mapping[str, Any]) -> Iterator[str]:
    """A note for each name in single braces that is a variable."""
    for name, typed, value in found:
        variable = variables.get(name)
        if name in variables and not isinstance(variable, (ModuleType, type)) and not callable(variable):
            yield f"`{typed}` was sent as typed; `{{{{ {value} }}}}` is the variable"


def note_cut_frames(frames: Iterable[Any], variables: Mapping[str, Any], describe_cut: Callable[[Any], str]) -> Iterator[str]:
    """A note for each data frame or array that was printed with something left out."""
    for frame in frames:
        cut = describe_cut(frame)
        if cut:
            name = next((n for n in variables if variables[n] is frame), "…")
            whole = f"{name}.tolist()" if hasattr(frame, "tolist") and not hasattr(frame, "to_frame") else f"{name} | table"
            yield f"`{{{{ {name} }}}}` sent a shortened view, {cut} were cut; `{{{{ {whole} }}}}` sends all"
