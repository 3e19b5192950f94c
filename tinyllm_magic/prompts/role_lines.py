"""Rewrites lines such as ``system:`` into role tags, and role tags into such lines."""

from __future__ import annotations

import re
from collections.abc import Collection

from .roles import ROLE_TAGS, trim

_ROLES = "|".join(ROLE_TAGS)
_KEPT = r"\{%[-+]?\s*raw\b.*?endraw\s*[-+]?%\}|\{#[ -].*?#\}"  # what Jinja takes as it is
_ATTRIBUTES = r"(?:\[[^\]\n]*\])?"
_ROLE_LINE = rf"^[ \t]*(?:#+[ \t]*)?(?:(?P<role>{_ROLES})|\{{\{{\s*(?P<expression>[\w.]+\.role)\s*\}}\}}){_ATTRIBUTES}[ \t]*:[ \t]*$"
_LINES = re.compile(rf"{_KEPT}|{_ROLE_LINE}", re.IGNORECASE | re.MULTILINE | re.DOTALL)
_TAGS = re.compile(
    rf"{_KEPT}|[ \t]*\{{%[-+]?\s*(?:(?P<end>end)?(?P<role>{_ROLES})|(?P<end2>end)?(?:chat|message)(?:\s+role\s*=\s*(?P<value>[^%]*?))?)"
    r"\s*[-+]?%\}(?:[ \t]*\n)?[ \t]*",
    re.DOTALL,
)


def tag_role_lines(body: str, threads: Collection[str] = ()) -> str:
    r"""A body in which each role line is a tag that begins the role, on the same line; text before the first is the system's.

    ``threads`` are names of lists of messages: each stands for its messages where it is printed.

    >>> tag_role_lines("Be brief.\nuser:\n{{ topic }}")
    '{% role "system" %}Be brief.\n{% role "user" %}\n{{ topic }}'
    """
    role = '"system"'

    def rewrite(found: re.Match[str]) -> str:
        nonlocal role
        groups = found.groupdict()
        if groups.get("thread"):
            own = f"{{% for message in {groups['thread']} %}}{{% role message.role %}}{{{{ message.content }}}}{{% endfor %}}"
            return f"{own}{{% role {role} %}}"
        if groups["role"] or groups["expression"]:
            role = groups["expression"] or f'"{groups["role"].lower()}"'
            return f"{{% role {role} %}}"
        return found[0]

    names = "|".join(map(re.escape, threads))
    pattern = re.compile(rf"{_LINES.pattern}|\{{\{{-?\s*(?P<thread>{names})\s*-?\}}\}}", _LINES.flags) if threads else _LINES
    return '{% role "system" %}' + pattern.sub(rewrite, body)


def write_role_lines(source: str, role: str = "user") -> str:
    r"""The source of a template with role lines in place of its role tags; text outside of them is of ``role``.

    >>> write_role_lines("{% system %}Be brief.{% endsystem %} Write about {{ topic }}.")
    'system:\nBe brief.\n\nuser:\nWrite about {{ topic }}.'
    """
    pieces: list[tuple[str, str]] = []
    now, done = f"{role}:", 0
    for found in _TAGS.finditer(source):
        groups = found.groupdict()
        if not (groups["role"] or groups["end2"] or groups["value"]):
            continue
        pieces.append((now, source[done : found.start()]))
        done = found.end()
        now = f"{role}:" if groups["end"] or groups["end2"] else _write_line(groups["role"] or groups["value"])
    pieces.append((now, source[done:]))
    return "\n\n".join(_write_piece(line, text) for line, text in pieces if text.strip())


_CONTROL = re.compile(r"\s*\{%[-+]?\s*(for|if|elif|else|endfor|endif)\b(?:[^%]|%(?!\}))*%\}")


def _write_piece(line: str, text: str) -> str:
    """A role line and its text; what opens or closes a loop around other roles stands before it, and makes no message of its own."""
    at = 0
    while (tag := _CONTROL.match(text, at)) is not None and not (tag[1] in ("for", "if") and _closes(tag[1], text[tag.end() :])):
        at = tag.end()
    before, said = text[:at].strip(), text[at:]
    piece = f"{line}\n{_escape(trim(said))}" if said.strip() else ""
    return "\n".join(filter(None, (before, piece)))


def _closes(kind: str, rest: str) -> bool:
    """Whether a loop or branch that has been opened is closed in the rest of the text."""
    depth = 1
    for tag in _CONTROL.finditer(rest):
        depth += (tag[1] == kind) - (tag[1] == f"end{kind}")
        if not depth:
            return True
    return False


def begin_with_role(body: str) -> str:
    """The body, its first text after the role line that it has by default."""
    first = _LINES.match(body.lstrip("\n"))
    return trim(body) if first and first.groupdict()["role"] else f"system:\n{trim(body)}"


def _write_line(role: str) -> str:
    value = role.strip().strip("\"'")
    return f"{value}:" if value in ROLE_TAGS else f"{{{{ {value} }}}}:"


def _escape(text: str) -> str:
    """Text in which no line of its own reads as a role line."""
    return _LINES.sub(lambda found: f'{{{{ "{found[0].strip()}" }}}}' if found.groupdict()["role"] else found[0], text)
