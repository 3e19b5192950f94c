"""What each magic but ``%%llm`` and ``%llm`` does: reads its line, asks the session, and shows the report that answers it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..clients.api import count_tokens
from ..clients.sessions import session
from ..display import output
from ..errors import OptionError, near, suggest
from ..recording import maintenance
from ..recording.modes import Mode
from ..settings import trust
from ..settings.origins import Origin
from . import batch_reports, chat_reports, options, panel, reports
from .option_values import expand
from .scope import find_scope


def configure(shell: Any, line: str) -> None:
    """Show all settings; or change them as a line says, and show what changed."""
    words = split_words(line)
    before, done = reports.list_settings(), ""
    values: dict[str, Any] = {}
    for word in words:
        key, sign, value = word.partition("=")
        if word == "--reset":
            session.reset()
        elif word == "trust":
            trust.trust(Path.cwd())
            done = "this folder is trusted from now on"
        elif sign:
            values[key] = value
        else:
            raise OptionError(
                f"%llm_config: unknown word '{word}'", option=word, hint=suggest(near(word, ("--reset", "trust"))) or "Write KEY=VALUE."
            )
    if values:
        session.route(None, session.settings().over(values, Origin.SESSION))  # what leads to no model is refused
        session.choose(**values)
    now = reports.list_settings()
    output.show(reports.changes_table(before, now, done) if words else reports.settings_table(now), shell, about="session")


def show_models(shell: Any, line: str) -> None:
    """Show the named models."""
    refuse_arguments("llm_models", line)
    output.show(reports.models_table(), shell, about="session")


def count_line(shell: Any, line: str) -> Any:
    """The tokens of a line's text."""
    scanner, model = options.Scanner(line), None
    while scanner.peek() in ("-m", "--model"):
        scanner.word()
        model = scanner.word()
    text = scanner.rest()
    if not text:
        raise OptionError("%llm_count: no text given", hint="Write `%llm_count [-m MODEL] some text`.")
    return count_tokens(str(expand(find_scope(shell), text)), model)


def manage_cache(shell: Any, line: str) -> None:
    """Look after the recorded answers."""
    word, *rest = split_words(line) or ["stats"]
    argument = " ".join(rest)
    _check_cache_words(word, argument)
    store = session.store(session.settings())
    if word == "list":
        output.show(reports.store_list(), shell, about="session")
        return
    if word == "show":
        output.show(reports.store_record(argument), shell)
        return
    done = ""
    if word == "use":
        session.choose(cache_file_name=argument)
        done = f"answers are now read from and recorded in {argument}"
    elif word == "mode":
        session.choose(mode=str(Mode.of(argument)))
        done = f"the mode is now {session.mode(session.settings())}"
    elif word == "tidy":
        done = f"tidied: {maintenance.describe(store.tidy())}"
    elif word == "clear":
        done = maintenance.describe_cleared(store, store.clear())
    output.show(reports.store_stats(done), shell, about="session")


_CACHE_TAKES = {"stats": "", "list": "", "show": "KEY", "use": "PATH", "mode": "MODE", "tidy": "", "clear": ""}


def _check_cache_words(word: str, argument: str) -> None:
    """Refuse an unknown word, a missing argument, and one too many: ``clear KEY`` must not clear everything."""
    if word not in _CACHE_TAKES:
        elsewhere = f"`tinyllm-magic cache {word} FILE` does it in a shell." if word in maintenance.COMMANDS else ""
        hint = elsewhere or suggest(near(word, _CACHE_TAKES)) or f"Words are {', '.join(_CACHE_TAKES)}."
        raise OptionError(f"%llm_cache: unknown word '{word}'", option=word, hint=hint)
    wanted = _CACHE_TAKES[word]
    if wanted and not argument:
        raise OptionError(f"%llm_cache {word} requires a {wanted.lower()}", option=word, hint=f"Write `%llm_cache {word} {wanted}`.")
    if argument and not wanted:
        raise OptionError(f"%llm_cache {word} takes no argument, not '{argument}'", option=word)


def manage_chat(shell: Any, line: str) -> None:
    """Look after the conversations."""
    output.show(chat_reports.manage_chat(split_words(line)), shell, about="session")


def manage_batches(shell: Any, line: str) -> None:
    """Look after what was left with batch services."""
    output.show(batch_reports.manage_batches(split_words(line)), shell, about="session")


def show_history(shell: Any, line: str) -> None:
    """Show this session's calls."""
    scanner, count, words = options.Scanner(line), 20, ""
    while (word := scanner.word()) is not None:
        if word == "-n":
            value = scanner.word() or ""
            if not value.isdigit() or not int(value):
                raise OptionError(f"-n requires a whole number above 0, not '{value}'", option=word)
            count = int(value)
        elif word == "-g":
            words = scanner.rest()
            break
        else:
            raise OptionError(f"%llm_history: unknown option '{word}'", option=word, hint="Write `%llm_history [-n N] [-g WORDS]`.")
    output.show(reports.history(count, words), shell, about="session")


def show_usage(shell: Any, line: str) -> None:
    """Show tokens and cost by model; set or lift the budget."""
    scanner = options.Scanner(line)
    while (word := scanner.word()) is not None:
        if word == "--reset":
            session.budget.totals.clear()
        elif word == "--budget":
            session.budget.set_limit(scanner.word())
        else:
            raise OptionError(f"%llm_usage: unknown option '{word}'", option=word, hint="Write `%llm_usage [--reset] [--budget USD]`.")
    output.show(reports.usage_table(), shell, about="session")


def show_report(shell: Any, line: str) -> None:
    """Show the report of this notebook, or of the one that is named."""
    from .report_view import build_view  # it reads notebooks, which no other command does

    output.show(build_view(line.strip()), shell, about="session")


def show_panel(shell: Any, line: str) -> None:
    """Show the parameter panel."""
    refuse_arguments("llm_panel", line)
    panel.show(shell)


def split_words(line: str) -> list[str]:
    """The words of a line."""
    scanner, words = options.Scanner(line), []
    while (word := scanner.word()) is not None:
        words.append(word)
    return words


def refuse_arguments(name: str, line: str) -> None:
    """Refuse arguments where there are none to give."""
    if line.strip():
        raise OptionError(f"%{name} takes no arguments", option=line.strip())
