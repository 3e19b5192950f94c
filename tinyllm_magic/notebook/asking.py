"""What ``%%llm`` and ``%llm`` do: read the options, ask, show the answer. It imports what one call needs, and no more."""

from __future__ import annotations

from functools import partial
from typing import Any

from ..clients.chats import keep_turns_on_failure
from ..clients.client import LocalClient
from ..clients.environment import running_cell
from ..display import views
from ..errors import OptionError
from ..recording.modes import Mode
from . import cells, options
from .option_values import expand
from .scope import find_scope, stands_alone


def ask_cell(shell: Any, line: str, cell: str) -> None:
    """Answer a ``%%llm`` cell."""
    show_downloads(shell)
    scope = find_scope(shell)
    chosen = options.parse(line, cell=True, expand=partial(expand, scope))
    if running_cell().asks_again:
        chosen.mode = str(Mode.REFRESH)
    with keep_turns_on_failure():
        cells.ask(shell, chosen, cell, scope, cell=True)


def ask_line(shell: Any, line: str) -> Any:
    """Answer a ``%llm`` line: one that stands alone is shown as a cell is, any other returns the response."""
    show_downloads(shell)
    scope = find_scope(shell)
    chosen = options.parse(line, cell=False, expand=partial(expand, scope))
    if not chosen.text and chosen.template is None:
        raise OptionError("%llm needs a prompt", hint="Write `%llm What is …?`, or `%%llm` with the prompt below it.")
    shown = stands_alone() and not chosen.quiet
    chosen.quiet = not (shown or chosen.dry_run)
    with keep_turns_on_failure():
        answer = cells.ask(shell, chosen, chosen.text, scope, cell=False)
    return None if shown else answer  # IPython would show it again


def show_downloads(shell: Any) -> None:
    """Let this shell show how far a download has come."""
    if LocalClient.progress is None:
        LocalClient.progress = views.Progress(shell)


def stop_showing() -> None:
    """Show no downloads any more."""
    LocalClient.progress = None
