"""A magic's line and cell in, an answer on screen and in a variable out.

Knows IPython: registering, the user's namespace, and that an interrupt must end queued cells.
Does not know stores, vendors, prices or HTML: it asks the session and shows the glass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from IPython.core.magic import Magics, cell_magic, line_magic, magics_class, no_var_expand

from . import cells, display, files, options, reports
from .answers import Response
from .cache import Mode
from .call import template_folders
from .completions import matcher
from .controls import count_tokens
from .errors import OptionError, near, suggest
from .prompt import Template
from .sessions import session

_HELP = """{what}

{usage}

Options:
{options}

The cell is a Jinja template over the notebook's variables. Text outside role blocks is the user
message; {{% system %}}…{{% endsystem %}}, {{% user %}}…{{% enduser %}} and {{% assistant %}}…{{% endassistant %}}
make messages. {{% include 'file' %}} finds files beside the notebook and in prompts/. Filters beyond
Jinja's: table, code, dedent, tokens(n). Text that Jinja would read is kept by {{% raw %}}…{{% endraw %}}.

The last response is also `_llm`. Recorded answers are replayed; --fresh asks again.
"""


def _documented(what: str, usage: str) -> Callable[[Any], Any]:
    def decorate(function: Any) -> Any:
        function.__doc__ = _HELP.format(what=what, usage=usage, options=options.describe())
        return function

    return decorate


@magics_class
class LLMMagics(Magics):
    """The magics of this package, for one shell."""

    shell: Any

    # -- the prompt cell ---------------------------------------------------------------------

    @no_var_expand
    @cell_magic("llm")
    @_documented("Ask a language model: the cell is the prompt.", "%%llm [options]\n<prompt template>")
    def llm_cell(self, line: str, cell: str) -> None:  # noqa: D102  # the decorator documents it
        chosen = options.parse(line, cell=True, expand=self._expand)
        cells.ask(self.shell, chosen, cell)

    @no_var_expand
    @line_magic("llm")
    @_documented("Ask a language model on one line; returns the Response.", "r = %llm [options] <prompt template>")
    def llm_line(self, line: str) -> Response | None:  # noqa: D102  # the decorator documents it
        chosen = options.parse(line, cell=False, expand=self._expand)
        if not chosen.text:
            raise OptionError("%llm has nothing to ask", hint="Write `%llm What is …?`, or `%%llm` with the prompt below it.")
        chosen.quiet = chosen.quiet or not chosen.dry_run
        return cells.ask(self.shell, chosen, chosen.text)

    def _expand(self, text: str) -> str:
        """An option's value with its ``{{ }}`` rendered."""
        if "{{" not in text and "{%" not in text:
            return text
        return Template(text, name="<options>", folders=template_folders()).render_text(self.shell.user_ns)

    # -- the others --------------------------------------------------------------------------

    @no_var_expand
    @line_magic
    def llm_config(self, line: str) -> None:
        """Show or change settings: `%llm_config [KEY=VALUE …] [--reset] [trust]`.

        Without arguments: every setting with its value and where it came from. `KEY=VALUE` holds
        for this session (an empty value unsets it), `--reset` forgets this session's choices,
        `trust` lets endpoints that files of this folder name have your keys, from now on.
        """
        words = self._words(line)
        values: dict[str, Any] = {}
        for word in words:
            key, sign, value = word.partition("=")
            if word == "--reset":
                session.reset()
            elif word == "trust":
                files.trust(Path.cwd())
            elif sign:
                values[key] = value
            else:
                raise OptionError(
                    f"%llm_config does not know '{word}'", option=word, hint=suggest(near(word, ("--reset", "trust"))) or "Write KEY=VALUE."
                )
        session.choose(**values)
        display.show(reports.settings_table(), self.shell)

    @no_var_expand
    @line_magic
    def llm_models(self, line: str) -> None:
        """List the named models: provider, context window, prices, and whether their key is present."""
        self._no_arguments("llm_models", line)
        display.show(reports.models_table(), self.shell)

    @no_var_expand
    @line_magic
    def llm_count(self, line: str) -> Any:
        """Count the tokens of a text: `%llm_count [-m MODEL] text`; `≈` marks an estimate."""
        scanner, model = options.Scanner(line), None
        while scanner.peek() in ("-m", "--model"):
            scanner.word()
            model = scanner.word()
        text = scanner.rest()
        if not text:
            raise OptionError("%llm_count has nothing to count", hint="Write `%llm_count [-m MODEL] some text`.")
        return count_tokens(self._expand(text), model)

    @no_var_expand
    @line_magic
    def llm_cache(self, line: str) -> None:
        """The recorded answers: `%llm_cache [stats|list|show KEY|use PATH|mode MODE|tidy|clear]`."""
        word, *rest = self._words(line) or ["stats"]
        argument = " ".join(rest)
        store = session.store(session.settings())
        if word == "list":
            display.show(reports.store_list(), self.shell)
            return
        if word == "show":
            display.show(reports.store_record(argument), self.shell)
            return
        if word == "use" and argument:
            session.choose(cache_file_name=argument)
        elif word == "mode" and argument:
            session.choose(mode=str(Mode.of(argument)))
        elif word == "tidy":
            store.tidy()
        elif word == "clear":
            store.clear()
        elif word != "stats":
            known = ("stats", "list", "show", "use", "mode", "tidy", "clear")
            raise OptionError(
                f"%llm_cache {line.strip()!r} is not understood",
                option=word,
                hint=suggest(near(word, known)) or f"Words are {', '.join(known)}.",
            )
        display.show(reports.store_stats(), self.shell)

    @no_var_expand
    @line_magic
    def llm_history(self, line: str) -> None:
        """This session's calls, the newest first: `%llm_history [-n N] [-g WORDS]`."""
        scanner, count, words = options.Scanner(line), 20, ""
        while (word := scanner.word()) is not None:
            if word == "-n" and (value := scanner.word() or "").isdigit():
                count = int(value)
            elif word == "-g":
                words = scanner.rest()
                break
            else:
                raise OptionError(f"%llm_history does not know '{word}'", option=word, hint="Write `%llm_history [-n N] [-g WORDS]`.")
        display.show(reports.history(count, words), self.shell)

    @no_var_expand
    @line_magic
    def llm_usage(self, line: str) -> None:
        """Tokens and cost by model, live against recorded: `%llm_usage [--reset] [--budget USD]`."""
        scanner = options.Scanner(line)
        while (word := scanner.word()) is not None:
            if word == "--reset":
                session.totals.clear()
            elif word == "--budget":
                session.set_budget(scanner.word())
            else:
                raise OptionError(f"%llm_usage does not know '{word}'", option=word, hint="Write `%llm_usage [--reset] [--budget USD]`.")
        display.show(reports.usage_table(), self.shell)

    @staticmethod
    def _words(line: str) -> list[str]:
        scanner, words = options.Scanner(line), []
        while (word := scanner.word()) is not None:
            words.append(word)
        return words

    @staticmethod
    def _no_arguments(name: str, line: str) -> None:
        if line.strip():
            raise OptionError(f"%{name} takes no arguments", option=line.strip())


_LOADED: dict[int, tuple[Any, Mapping[str, Any], Any]] = {}


def load(shell: Any) -> None:
    """Register the magics, tab completion and how a ``Response`` shows itself; remembers what to restore."""
    if id(shell) in _LOADED:
        return
    magics = LLMMagics(shell)
    before = {kind: dict(table) for kind, table in shell.magics_manager.magics.items()}
    shell.register_magics(magics)
    complete = matcher(shell)
    shell.Completer.custom_matchers.append(complete)
    shell.events.register("pre_run_cell", _begin_cell)
    formatter = shell.display_formatter.mimebundle_formatter
    shown = formatter.for_type(Response, _response_bundle)
    session.progress = display.Progress(shell)
    _LOADED[id(shell)] = (complete, before, shown)


def unload(shell: Any) -> None:
    """Take everything back that ``load`` has registered."""
    if id(shell) not in _LOADED:
        return
    complete, before, shown = _LOADED.pop(id(shell))
    for kind, table in shell.magics_manager.magics.items():
        for name in [n for n in table if n == "llm" or n.startswith("llm_")]:
            if name in before[kind]:
                table[name] = before[kind][name]
            else:
                del table[name]
    shell.Completer.custom_matchers.remove(complete)
    shell.events.unregister("pre_run_cell", _begin_cell)
    formatter = shell.display_formatter.mimebundle_formatter
    formatter.pop(Response, None)
    if shown is not None:
        formatter.for_type(Response, shown)
    session.progress = None
    session.close()


def _response_bundle(response: Response) -> tuple[Mapping[str, str], Mapping[str, Any]]:
    """How a ``Response`` shows itself at the end of a cell: data and metadata."""
    return display.bundle(display.Card.of(response)), {display.NAMESPACE: display.provenance(response)}


def _begin_cell(_info: Any = None) -> None:
    session.begin_cell()
