"""A magic's line in, what it asks for done and shown.

Knows the words of every line magic, and which report answers them.
Does not know IPython's registry, how answers are made, or how a table is drawn.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from . import cells, display, files, options, panels, reports, shelves, spreads
from .answers import Response
from .cache import Mode
from .call import template_folders
from .controls import count_tokens
from .errors import OptionError, near, suggest
from .prompt import Template
from .sessions import session
from .tables import Table
from .tokens import TokenCount


def ask_cell(shell: Any, line: str, cell: str) -> None:
    """Answer a ``%%llm`` cell."""
    prepare(shell)
    cells.ask(shell, options.parse(line, cell=True, expand=lambda text: expand(shell, text)), cell)


def ask_line(shell: Any, line: str) -> Any:
    """Answer a ``%llm`` line and return the response."""
    prepare(shell)
    chosen = options.parse(line, cell=False, expand=lambda text: expand(shell, text))
    if not chosen.text:
        raise OptionError("%llm has nothing to ask", hint="Write `%llm What is …?`, or `%%llm` with the prompt below it.")
    chosen.quiet = chosen.quiet or not chosen.dry_run
    return cells.ask(shell, chosen, chosen.text)


def prepare(shell: Any) -> None:
    """Let the session show how far a download has come."""
    if session.progress is None:
        session.progress = display.Progress(shell)


def expand(shell: Any, text: str) -> str:
    """An option's value with its ``{{ }}`` rendered."""
    if "{{" not in text and "{%" not in text:
        return text
    return Template(text, name="<options>", folders=template_folders()).render_text(shell.user_ns)


def config(shell: Any, line: str) -> None:
    """Change settings as a line says, and show them all."""
    words = words_of(line)
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
    display.show(reports.settings_table(), shell, about="session")


def models(shell: Any, line: str) -> None:
    """Show the named models."""
    no_arguments("llm_models", line)
    display.show(reports.models_table(), shell, about="session")


def count(shell: Any, line: str) -> Any:
    """The tokens of a line's text."""
    scanner, model = options.Scanner(line), None
    while scanner.peek() in ("-m", "--model"):
        scanner.word()
        model = scanner.word()
    text = scanner.rest()
    if not text:
        raise OptionError("%llm_count has nothing to count", hint="Write `%llm_count [-m MODEL] some text`.")
    return count_tokens(expand(shell, text), model)


def cache(shell: Any, line: str) -> None:
    """Look after the recorded answers."""
    word, *rest = words_of(line) or ["stats"]
    argument = " ".join(rest)
    _check_cache_words(word, argument)
    store = session.store(session.settings())
    if word == "list":
        display.show(reports.store_list(), shell, about="session")
        return
    if word == "show":
        display.show(reports.store_record(argument), shell)
        return
    done = ""
    if word == "use":
        session.choose(cache_file_name=argument)
        done = f"answers are now read from and recorded in {argument}"
    elif word == "mode":
        session.choose(mode=str(Mode.of(argument)))
        done = f"the mode is now {session.mode(session.settings())}"
    elif word == "tidy":
        done = f"tidied: {shelves.said(store.tidy())}"
    elif word == "clear":
        gone = store.clear()
        done = f"cleared: {gone:,} recorded {'answer' if gone == 1 else 'answers'} removed"
    display.show(reports.store_stats(done), shell, about="session")


_CACHE_TAKES = {"stats": "", "list": "", "show": "KEY", "use": "PATH", "mode": "MODE", "tidy": "", "clear": ""}


def _check_cache_words(word: str, argument: str) -> None:
    """Refuse an unknown word, a missing argument, and one too many: ``clear KEY`` must not clear everything."""
    if word not in _CACHE_TAKES:
        shelf = f"`tinyllm-magic cache {word} FILE` does it in a shell." if word in shelves.DOES else ""
        hint = shelf or suggest(near(word, _CACHE_TAKES)) or f"Words are {', '.join(_CACHE_TAKES)}."
        raise OptionError(f"%llm_cache does not know '{word}'", option=word, hint=hint)
    wanted = _CACHE_TAKES[word]
    if wanted and not argument:
        raise OptionError(f"%llm_cache {word} wants a {wanted.lower()}", option=word, hint=f"Write `%llm_cache {word} {wanted}`.")
    if argument and not wanted:
        raise OptionError(f"%llm_cache {word} takes nothing behind it, not '{argument}'", option=word)


def history(shell: Any, line: str) -> None:
    """Show this session's calls."""
    scanner, count, words = options.Scanner(line), 20, ""
    while (word := scanner.word()) is not None:
        if word == "-n":
            value = scanner.word() or ""
            if not value.isdigit() or not int(value):
                raise OptionError(f"-n wants a whole number above 0, not '{value}'", option=word)
            count = int(value)
        elif word == "-g":
            words = scanner.rest()
            break
        else:
            raise OptionError(f"%llm_history does not know '{word}'", option=word, hint="Write `%llm_history [-n N] [-g WORDS]`.")
    display.show(reports.history(count, words), shell, about="session")


def usage(shell: Any, line: str) -> None:
    """Show tokens and cost by model; set or lift the budget."""
    scanner = options.Scanner(line)
    while (word := scanner.word()) is not None:
        if word == "--reset":
            session.ledger.totals.clear()
        elif word == "--budget":
            session.ledger.set_budget(scanner.word())
        else:
            raise OptionError(f"%llm_usage does not know '{word}'", option=word, hint="Write `%llm_usage [--reset] [--budget USD]`.")
    display.show(reports.usage_table(), shell, about="session")


def panel(shell: Any, line: str) -> None:
    """Show the parameter panel."""
    no_arguments("llm_panel", line)
    panels.show(shell)


def words_of(line: str) -> list[str]:
    """The words of a line."""
    scanner, words = options.Scanner(line), []
    while (word := scanner.word()) is not None:
        words.append(word)
    return words


def no_arguments(name: str, line: str) -> None:
    """Refuse arguments where there are none to give."""
    if line.strip():
        raise OptionError(f"%{name} takes no arguments", option=line.strip())


def table_bundle(table: Table) -> tuple[dict[str, str], dict[str, Any]]:
    """How a ``Table`` shows itself at the end of a cell: data and metadata."""
    data, facts = spreads.table_bundle(table)
    return data, {display.NAMESPACE: facts}


def count_bundle(count: TokenCount) -> tuple[dict[str, str], dict[str, Any]]:
    """How a ``TokenCount`` shows itself; whether it is exact depends on the tokenizers that are at hand."""
    return {"text/plain": str(count)}, display.tagged("session")


def watcher(shell: Any) -> Any:
    """What ``map_rows`` in a cell's code shows while it works."""
    return spreads.watcher(shell)


def response_bundle(response: Response) -> tuple[dict[str, str], dict[str, Any]]:
    """How a ``Response`` shows itself at the end of a cell: data and metadata."""
    return display.bundle(display.Card.of(response)), {display.NAMESPACE: display.provenance(response)}
