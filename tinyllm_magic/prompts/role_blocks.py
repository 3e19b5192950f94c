"""Writes messages as the source of a template that renders to them: a role block for each, what Jinja would read kept as text."""

from __future__ import annotations

import re
from collections.abc import Iterable

from ..errors import OptionError
from ..messages import Message
from .roles import ROLE_TAGS

_UNKEPT = re.compile(r"(\r|\{%[-+]?\s*endraw\s*[-+]?%\})")  # what a raw block cannot hold: Jinja makes every end of a line \n


def write_role_blocks(messages: Iterable[Message]) -> str:
    r"""The source of a template that renders to these messages; raises ``OptionError`` where one is not text alone.

    >>> write_role_blocks([Message("user", "What is {{x}}?")])
    '{% user %}\n{% raw %}What is {{x}}?{% endraw %}\n{% enduser %}\n'
    """
    return "\n".join(map(_write_block, messages))


def _write_block(message: Message) -> str:
    role = message.role
    if role not in ROLE_TAGS or message.tool_calls or message.name or not isinstance(message.content, str):
        raise OptionError(f"a template holds text alone, but there is a message of {role} with tool calls, a name, or images")
    return f"{{% {role} %}}\n{''.join(map(_keep, _UNKEPT.split(message.content)))}\n{{% end{role} %}}\n"


def _keep(piece: str) -> str:
    if _UNKEPT.fullmatch(piece):
        return f'{{{{ "{piece}" }}}}'.replace("\r", "\\r")
    return f"{{% raw %}}{piece}{{% endraw %}}" if "{" in piece else piece
