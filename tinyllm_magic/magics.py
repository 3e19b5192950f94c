"""A shell in, the magics registered with it; each hands its line to a command.

Knows IPython: registering, documenting, tab completion, and how to take everything back.
Does not know what a command does: the rooms behind it are imported when one is used, so loading stays instant.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from . import options
from .completions import matcher
from .questions import keep_questions

_HELP = """{what}

{usage}

Options:
{options}

The cell is a Jinja template over the notebook's variables. Text outside role blocks is the user
message; {{% system %}}…{{% endsystem %}}, {{% user %}}…{{% enduser %}} and {{% assistant %}}…{{% endassistant %}}
make messages. {{% include 'file' %}} finds files beside the notebook and in prompts/. Filters beyond
Jinja's: table, code, dedent, tokens(n). Text that Jinja would read is kept by {{% raw %}}…{{% endraw %}}.

The last response is also `_llm`; `_llm.text` is its text as written. Recorded answers are replayed; --fresh asks again.
"""


def _documented(what: str, usage: str) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        function.__doc__ = _HELP.format(what=what, usage=usage, options=options.describe())
        return function

    return decorate


def _commands() -> ModuleType:
    from . import commands

    return commands


@magics_class
class LLMMagics(Magics):
    """The magics of this package, for one shell."""

    shell: Any

    @no_var_expand
    @cell_magic("llm")
    @_documented("Ask a language model: the cell is the prompt.", "%%llm [options]\n<prompt template>")
    def llm_cell(self, line: str, cell: str) -> None:  # noqa: D102  # the decorator documents it
        _commands().ask_cell(self.shell, line, cell)

    @no_var_expand
    @line_magic("llm")
    @_documented("Ask a language model on one line; returns the Response.", "r = %llm [options] <prompt template>")
    def llm_line(self, line: str) -> Any:  # noqa: D102  # the decorator documents it
        return _commands().ask_line(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_config(self, line: str) -> None:
        """Show or change settings: `%llm_config [KEY=VALUE …] [--reset] [trust]`.

        Without arguments: every setting with its value and where it came from. `KEY=VALUE` holds
        for this session (an empty value unsets it), `--reset` forgets this session's choices,
        `trust` lets endpoints that files of this folder name have your keys, from now on.
        """
        _commands().config(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_models(self, line: str) -> None:
        """List the named models: provider, context window, prices, and whether their key is present."""
        _commands().models(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_count(self, line: str) -> Any:
        """Count the tokens of a text: `%llm_count [-m MODEL] text`; `≈` marks an estimate."""
        return _commands().count(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_cache(self, line: str) -> None:
        """The recorded answers: `%llm_cache [stats|list|show KEY|use PATH|mode MODE|tidy|clear]`.

        stats      what the store holds (also without a word)
        list       every record, the newest first
        show KEY   one record; the first digits of its key are enough
        use PATH   read from and record in another store
        mode MODE  auto (answer from the store, else ask and record), replay (never ask), refresh (always ask and record), off
        tidy       sort by key, drop older doubles, set damaged lines aside
        clear      remove every record

        In a shell, `tinyllm-magic cache stats|list|show|tidy|merge|check FILE` does the same, merges and checks.
        """
        _commands().cache(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_history(self, line: str) -> None:
        """This session's calls, the newest first: `%llm_history [-n N] [-g WORDS]`."""
        _commands().history(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_usage(self, line: str) -> None:
        """Tokens and cost by model, live against recorded: `%llm_usage [--reset] [--budget USD]`."""
        _commands().usage(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_panel(self, line: str) -> None:
        """The parameter panel: model, sampling parameters, recording mode, and a meter of the last prompt.

        What it sets holds for the next cells, as `%llm_config KEY=VALUE` does; a cell's own options
        win over it. `session.panel` is the widget: its choices are traits.
        """
        _commands().panel(self.shell, line)


_LOADED: dict[int, tuple[Any, Mapping[str, Any]]] = {}
_SHOWN = {
    "tinyllm_magic.answers.Response": "response_bundle",
    "tinyllm_magic.tables.Table": "table_bundle",
    "tinyllm_magic.tokens.TokenCount": "count_bundle",
}
"""Values that show themselves at the end of a cell, and the command that draws them."""


def load(shell: Any) -> None:
    """Register the magics, tab completion and how our values show themselves; remembers what to restore."""
    if id(shell) in _LOADED:
        return
    before = {kind: dict(table) for kind, table in shell.magics_manager.magics.items()}
    shell.register_magics(LLMMagics(shell))
    complete = matcher(shell)
    shell.Completer.custom_matchers.append(complete)
    shell.events.register("pre_run_cell", _begin_cell)
    shell.input_transformers_cleanup.append(keep_questions)
    for name, draw in _SHOWN.items():
        module, _, kind = name.rpartition(".")
        shell.display_formatter.mimebundle_formatter.for_type_by_name(module, kind, _drawn_by(draw))
    _LOADED[id(shell)] = (complete, before)


def unload(shell: Any) -> None:
    """Take everything back that ``load`` has registered."""
    if id(shell) not in _LOADED:
        return
    complete, before = _LOADED.pop(id(shell))
    for kind, table in shell.magics_manager.magics.items():
        for name in [n for n in table if n == "llm" or n.startswith("llm_")]:
            if name in before[kind]:
                table[name] = before[kind][name]
            else:
                del table[name]
    shell.Completer.custom_matchers.remove(complete)
    shell.events.unregister("pre_run_cell", _begin_cell)
    shell.input_transformers_cleanup.remove(keep_questions)
    if "tinyllm_magic.panels" in sys.modules:
        sys.modules["tinyllm_magic.panels"].forget(shell)
    for name in _SHOWN:
        shell.display_formatter.mimebundle_formatter.pop(name, None)
    sessions = sys.modules.get("tinyllm_magic.sessions")
    if sessions is not None:
        sessions.session.progress = sessions.session.watch = None
        sessions.session.close()


def _drawn_by(command: str) -> Callable[[Any], Any]:
    def draw(value: Any) -> Any:
        return getattr(_commands(), command)(value)

    return draw


def _begin_cell(_info: Any = None) -> None:
    sessions = sys.modules.get("tinyllm_magic.sessions")
    if sessions is not None:
        sessions.session.begin_cell()
        if sessions.session.watch is None:
            sessions.session.watch = lambda: _commands().watcher(sessions.shell())
