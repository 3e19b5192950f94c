"""Lines of a cell in, the same lines out, with `%llm … ?` and `%llm_count … ?` kept from being read as a call for help.

Knows IPython's syntax for help: a line that ends in a word and a question mark.
Does not know options, prompts or how a question is answered.
"""

from __future__ import annotations

import re

_QUESTION = re.compile(r"(?P<before>\s*(?:[^\W\d][\w.]*\s*=\s*)?)%(?P<magic>llm|llm_count)(?P<text>[ \t]+[^\s?].*\?)\s*\Z")


def keep_questions(lines: list[str]) -> list[str]:
    r"""Turn a ``%llm`` or ``%llm_count`` line that asks a question into the call that IPython would make of it.

    IPython reads every line that ends in a word and ``?`` as a request for help, `%llm` lines
    included. ``%llm?`` itself stays help; cell magics and text in triple quotes stay as they are.

    >>> keep_questions(["r = %llm Who are you?\n"])
    ["r = get_ipython().run_line_magic('llm', 'Who are you?')\n"]
    """
    if not lines or lines[0].lstrip().startswith("%%"):
        return lines
    kept, quoted = [], False
    for line in lines:
        found = None if quoted else _QUESTION.match(line)
        kept.append(f"{found['before']}get_ipython().run_line_magic({found['magic']!r}, {found['text'].strip()!r})\n" if found else line)
        quoted ^= bool((line.count('"""') + line.count("'''")) % 2)
    return kept
