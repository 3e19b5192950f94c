"""Registers the magics, tab completion and display formatters with a shell, and takes them back.

The modules that do the work are imported when a magic is used, so that ``load`` stays instant.
"""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Callable
from types import ModuleType
from typing import TYPE_CHECKING, Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from . import front_end, options
from .completions import matcher

if TYPE_CHECKING:
    from ..batch.state import BatchState
    from ..clients.sessions import Session

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


_HELP = """{what}

{usage}

Options:
{options}

The cell is a Jinja template over the notebook's variables. Text outside role blocks is the user
message; {{% system %}}…{{% endsystem %}}, {{% user %}}…{{% enduser %}} and {{% assistant %}}…{{% endassistant %}}
make messages. {{% include 'file' %}} finds files beside the notebook and in prompts/. Filters beyond
Jinja's: table, code, dedent, tokens(n), and image and file, which attach what they are given where they
are said. Text that Jinja would read is kept by {{% raw %}}…{{% endraw %}}.

The last response is also `_llm`; `_llm.text` is its text as written, `_llm.parsed` its value where --schema or
--choices say what it has to be, `_llm.steps` the requests before it: answers that did not fit, and calls of --tools with their
results. Recorded answers are replayed, and results of tools with them: nothing runs again. --fresh asks, and runs tools, again.
"""


def _documented(what: str, usage: str) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        function.__doc__ = _HELP.format(what=what, usage=usage, options=options.describe())
        return function

    return decorate


@functools.cache
def _asking() -> ModuleType:
    from ..garbage_collection import pause_garbage_collection

    with pause_garbage_collection():
        from . import asking

    return asking


def _commands() -> ModuleType:
    from . import commands

    return commands


@magics_class
class LLMMagics(Magics):
    """The magics of this package, for one shell."""

    shell: Any
    replaced: dict[str, dict[str, Any]]
    matcher: Any

    @no_var_expand
    @cell_magic("llm")
    @_documented("Ask a language model: the cell is the prompt.", "%%llm [options]\n<prompt template>")
    def llm_cell(self, line: str, cell: str) -> None:  # noqa: D102  # the decorator documents it
        _asking().ask_cell(self.shell, line, cell)

    @no_var_expand
    @line_magic("llm")
    @_documented(
        "Ask a language model on one line; a line that stands alone is shown, any other returns the Response.",
        "r = %llm [options] <prompt template>",
    )
    def llm_line(self, line: str) -> Any:  # noqa: D102  # the decorator documents it
        return _asking().ask_line(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_config(self, line: str) -> None:
        """Show or change settings: `%llm_config [KEY=VALUE …] [--reset] [trust]`.

        Without arguments: every setting with its value and where it came from. `KEY=VALUE` holds
        for this session (an empty value unsets it), `--reset` forgets this session's choices,
        `trust` lets endpoints that files of this folder name have your keys, from now on.
        """
        _commands().configure(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_models(self, line: str) -> None:
        """List the named models: provider, context window, prices, and whether their key is present."""
        _commands().show_models(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_count(self, line: str) -> Any:
        """Count the tokens of a text: `%llm_count [-m MODEL] text`; `≈` marks an estimate."""
        return _commands().count_line(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_cache(self, line: str) -> None:
        """The recorded answers: `%llm_cache [stats|list|show KEY|use PATH|mode MODE|tidy|clear]`.

        stats      what the store holds (also without a word)
        list       every record, the newest first
        show KEY   one record; the first digits of its key are enough
        use PATH   read from and record in another store
        mode MODE  auto (answer from the store, else ask and record), replay (never ask), refresh (always ask and record), off
        tidy       sort by key, remove duplicates, set damaged lines aside
        clear      move every record to the file NAME.cleared

        In a shell, `tinyllm-magic cache stats|list|show|tidy|merge|check|clear FILE` does the same, merges and checks.
        """
        _commands().manage_cache(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_chat(self, line: str) -> None:
        """The conversations of this session: `%llm_chat [NAME] [show|list|fork NEW [--at K]|undo|drop|export FILE]`.

        A cell with `%%llm --chat [NAME]` is a turn of one; without a name it is `chat`, here too.

        show               its turns with their cells, and which are stale (also without a word)
        list               all conversations
        fork NEW [--at K]  another conversation that begins with its first K turns (default: all); both go on by themselves
        undo               take the last turn away
        drop               forget it; its answers stay recorded
        export FILE        NAME.j2: a template that asks the same as its last turn (`%llm -t NAME.j2`); NAME.prompty: the
                           model and parameters too; NAME.md: the conversation with its answers

        A turn belongs to its cell: run again, the cell asks its turn again, in its old place. Later turns that were asked
        after something else are stale until their cells are run again. The system message and the model of the first turn
        hold unless a turn says otherwise for itself.
        """
        _commands().manage_chat(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_batch(self, line: str) -> None:
        """Rows that were left with batch services by `%%llm --map ROWS --batch`: `%llm_batch [list|fetch|cancel]`.

        list                every batch of this notebook and how far it has come (also without a word)
        fetch               record the answers of all that have ended; their cells then show their tables at once
        cancel [BATCH|all]  end one: what it has answered can be fetched, the rest is left anew when its cell is run

        What was left, and where, is kept in NAME.batches.json beside the store: any kernel goes on from there.
        """
        _commands().manage_batches(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_history(self, line: str) -> None:
        """This session's calls, the newest first: `%llm_history [-n N] [-g WORDS]`."""
        _commands().show_history(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_usage(self, line: str) -> None:
        """Tokens and cost by model, live against recorded: `%llm_usage [--reset] [--budget USD]`."""
        _commands().show_usage(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_report(self, line: str) -> None:
        """What a reader or reviewer must know of this notebook's answers: `%llm_report [NOTEBOOK]`.

        Models as asked and as answered, dates, parameters, samples, tokens and cost, prompts by cell, what could not be pinned, a
        methods paragraph, the items of published checklists, and the commands that prove it; from the notebook as it was last
        saved, and its store. `tinyllm-magic report` in a shell writes it as Markdown, HTML, JSON or an RO-Crate.
        """
        _commands().show_report(self.shell, line)

    @no_var_expand
    @line_magic
    def llm_panel(self, line: str) -> None:
        """The parameter panel: model, sampling parameters, recording mode, and a meter of the last prompt.

        What it sets holds for the next cells, as `%llm_config KEY=VALUE` does; a cell's own options
        win over it. `session.panel` is the widget: its choices are traits.
        """
        _commands().show_panel(self.shell, line)


def _format_response(value: Any) -> Any:
    from . import formatters

    return formatters.format_response(value)


def _format_table(value: Any) -> Any:
    from . import formatters

    return formatters.format_table(value)


def _format_score(value: Any) -> Any:
    from . import formatters

    return formatters.format_score(value)


def _format_verdict(value: Any) -> Any:
    from . import formatters

    return formatters.format_verdict(value)


def _format_agreement(value: Any) -> Any:
    from . import formatters

    return formatters.format_agreement(value)


def _format_rating(value: Any) -> Any:
    from . import formatters

    return formatters.format_rating(value)


def _format_count(value: Any) -> Any:
    from . import formatters

    return formatters.format_count(value)


_FORMATTERS: dict[tuple[str, str], Callable[[Any], Any]] = {
    ("tinyllm_magic.responses", "Response"): _format_response,
    ("tinyllm_magic.batch.table", "Table"): _format_table,
    ("tinyllm_magic.models.tokenizers", "TokenCount"): _format_count,
    ("tinyllm_magic.evaluation.scores", "Score"): _format_score,
    ("tinyllm_magic.evaluation.comparisons", "Verdict"): _format_verdict,
    ("tinyllm_magic.evaluation.agreement", "Agreement"): _format_agreement,
    ("tinyllm_magic.evaluation.ratings", "BlindRating"): _format_rating,
}
"""How our values show themselves at the end of a cell, by the module and name of their class, which need not be imported."""


def load(shell: Any) -> None:
    """Register everything with a shell; loading twice does nothing."""
    if LLMMagics.__name__ in shell.magics_manager.registry:
        return
    before = {kind: dict(table) for kind, table in shell.magics_manager.magics.items()}
    shell.register_magics(LLMMagics)
    registered = shell.magics_manager.registry[LLMMagics.__name__]
    registered.replaced, registered.matcher = before, matcher(shell)
    shell.Completer.custom_matchers.append(registered.matcher)
    shell.events.register("pre_run_cell", _begin_cell)
    front_end.listen(shell)
    shell.input_transformers_cleanup.append(keep_questions)
    for (module, name), formatter in _FORMATTERS.items():
        shell.display_formatter.mimebundle_formatter.for_type_by_name(module, name, formatter)


def unload(shell: Any) -> None:
    """Take everything back that ``load`` has registered."""
    registered = shell.magics_manager.registry.pop(LLMMagics.__name__, None)
    if registered is None:
        return
    for kind, table in shell.magics_manager.magics.items():
        for name in [n for n in table if n == "llm" or n.startswith("llm_")]:
            if name in registered.replaced[kind]:
                table[name] = registered.replaced[kind][name]
            else:
                del table[name]
    shell.Completer.custom_matchers.remove(registered.matcher)
    shell.events.unregister("pre_run_cell", _begin_cell)
    front_end.stop_listening(shell)
    shell.input_transformers_cleanup.remove(keep_questions)
    for module, name in _FORMATTERS:
        shell.display_formatter.mimebundle_formatter.pop(f"{module}.{name}", None)
    session = _session_if_imported()
    if session is None:
        return
    session.close()
    _batch_state().make_watch = None
    if "tinyllm_magic.notebook.asking" in sys.modules:
        _asking().stop_showing()
    if "tinyllm_magic.notebook.panel" in sys.modules:
        from . import panel

        panel.stop_following(shell)


def _session_if_imported() -> Session | None:
    """The session, where something has used it: a cell that does not must not pay for its import."""
    imported = sys.modules.get("tinyllm_magic.clients.sessions")
    return getattr(imported, "session", None)  # another thread may be importing it at this moment


def _begin_cell(_info: Any = None) -> None:
    session = _session_if_imported()
    if session is not None:
        session.history.begin_cell()
        state = _batch_state()
        state.make_watch = state.make_watch or _watch_current_shell


def _batch_state() -> BatchState:
    from ..batch.state import state

    return state


def _watch_current_shell() -> Any:
    from ..clients.environment import shell
    from . import batch_cells

    return batch_cells.watcher(shell())
