r"""Template text and variables become messages with roles.

What is particular to these templates:

- Values are rendered once, are not escaped and can open no role, whatever text they hold; the
  notebook's values are not changed.
- A line on which nothing but ``{% … %}`` tags and comments stands is dropped, with its line
  break, so that a loop or a role block written over several lines leaves no blank lines.
  Everything else, also a line break after a tag at the end of a text, arrives as typed; line
  ends become ``\n``. ``{%+ … +%}`` keeps such a line, ``{%- … -%}`` strips as ever in Jinja.
- ``{% include %}`` stands for the file's text without its last line break.
- A comment has white space or ``-`` at both inner ends, or a space at one of them.
"""

from __future__ import annotations

import builtins
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from ..errors import EmptyPromptError, PromptError, UndefinedError, near
from ..garbage_collection import pause_garbage_collection
from ..messages import Message
from . import dialects
from .diagnostics import (
    NAMED_HINTS,
    RAW_HINT,
    UNREADABLE,
    describe_missing,
    diagnose,
    explain_builtin,
    explain_undefined,
    find_name_column,
    find_unknown,
    join_hints,
    members,
)
from .frames import describe_cut
from .loader import leads_out, list_names, load, read
from .roles import RENDERING, ROLE_TAGS, Prompt, Rendering
from .stability import note_unstable

if TYPE_CHECKING:
    from jinja2 import TemplateSyntaxError

    from .environment import PromptEnvironment

_OPENING = re.compile(r"\{[{%#]")
CHARACTERS_PER_TOKEN = 4  # the usual estimate for English where no tokenizer is at hand
_SHELL_NAMES = ("In", "Out", "get_ipython", "exit", "quit")  # what IPython puts among the notebook's variables
_TAGS = (
    *("if", "elif", "else", "for", "set", "macro", "call", "filter", "block", "raw", "with", "do", "break", "continue"),
    *("include", "import", "from", "extends", "autoescape", "generation", *ROLE_TAGS),
)


def estimate_cut(text: str, limit: int) -> str:
    """About the first ``limit`` tokens of a text, four characters each."""
    return text[: limit * CHARACTERS_PER_TOKEN]


def is_text(source: str) -> bool:
    """Whether nothing in a template's source can be a tag, an expression or a comment: it stands for itself, whatever its folders."""
    return _OPENING.search(source) is None


class Template:
    """A parsed cell or file with open variables.

    ``folders`` are searched by ``{% include %}`` and its kin; ``first_line`` is the number of the
    source's first line where it was written; ``role_lines`` says that the source has tags for role lines.
    Raises ``PromptError`` with line and, where it can be found, column if the source cannot be read.

    >>> Template("{% system %}Be brief.{% endsystem %} Write about {{ topic }}.").render({"topic": "rain"})
    [Message(role='system', content='Be brief.', ...), Message(role='user', content='Write about rain.', ...)]
    """

    def __init__(
        self, source: str, *, name: str = "<cell>", folders: Sequence[Path] = (), first_line: int = 1, role_lines: bool = False
    ) -> None:
        self.source = source
        self.name = name
        self.first_line = first_line
        self.folders = tuple(Path(f).absolute() for f in folders)
        self._role_lines = role_lines
        self.refers = self.attaches = False
        self._names: set[str] = set()
        self._bound: set[str] = set()
        self._compiled: Any = None  # of text there is nothing to compile, which takes Jinja half a millisecond
        if not is_text(source):
            self._compile()

    def _compile(self) -> None:
        from jinja2 import TemplateSyntaxError, nodes

        environment, source, name = self._environment, self.source, self.name
        try:
            tree = environment.parse(source, name, name)
            refers = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
            self.refers = any(tree.find(kind) for kind in refers)
            named = [f.name for f in tree.find_all(nodes.Filter)] + [c.value for c in tree.find_all(nodes.Const)]  # of `map("image")`
            self.attaches = any(name in ("image", "file") for name in named)
            self._names = {n.name for n in tree.find_all(nodes.Name)} | {n.name for n in tree.find_all(nodes.NSRef)}
            self._bound = {n.name for n in tree.find_all(nodes.Name) if n.ctx != "load"}
            self._compiled = environment.template_class.from_code(
                environment, environment.compile(tree, name, name), environment.make_globals(None)
            )
            self._globals = dict(self._compiled.globals)  # a ChainMap is slow to read
        except TemplateSyntaxError as error:
            raise self._explain_syntax_error(error) from error
        except (RecursionError, SyntaxError, ValueError, OverflowError) as error:
            raise PromptError(f"the template cannot be read: {error}", hint=RAW_HINT) from error

    @classmethod
    def from_file(cls, path: Path | str, folders: Sequence[Path] = ()) -> Template:
        """The template in a UTF-8 file; it finds other files beside itself, then in ``folders``."""
        path = Path(path)
        return cls(read(path), name=path.name, folders=(path.parent, *folders))

    def __repr__(self) -> str:
        return f"Template({self.name!r})"

    @cached_property
    def _environment(self) -> PromptEnvironment:
        with pause_garbage_collection():
            from .environment import build_environment

        return build_environment(self.folders, role_lines=self._role_lines)

    @cached_property
    def variables(self) -> frozenset[str]:
        """The names this template needs; names that included files need are not among them."""
        from jinja2 import meta

        return frozenset(meta.find_undeclared_variables(self._environment.parse(self.source)))

    @property
    def globals(self) -> frozenset[str]:
        """The names that every template knows."""
        return frozenset(self._environment.globals)

    def render(
        self,
        variables: Mapping[str, Any],
        *,
        cut: Callable[[str, int], str] = estimate_cut,
    ) -> list[Message]:
        """The messages of ``render_prompt``; raises what that raises, and ``EmptyPromptError`` where no message is left."""
        messages = list(self.render_prompt(variables, cut=cut).messages)
        if not messages:
            raise EmptyPromptError(
                "the template rendered to no message: there is nothing to send",
                hint="Write some text, or check the {% if %} and {% for %} blocks around it.",
            )
        return messages

    def render_text(self, variables: Mapping[str, Any], *, cut: Callable[[str, int], str] = estimate_cut) -> str:
        """The text of one message, without blank lines at both ends; a role tag in it is a ``PromptError``."""
        return "".join(m.text for m in self.render_prompt(variables, cut=cut, role="user", files=False).messages)

    def render_prompt(
        self,
        variables: Mapping[str, Any],
        *,
        cut: Callable[[str, int], str] = estimate_cut,
        role: str | None = None,
        trusts: Callable[[Path], bool] = lambda _: False,
        files: bool = True,
        fetch: Callable[[str], Any] | None = None,
    ) -> Prompt:
        """The messages, each without blank lines at both ends, empty ones dropped, and notes.

        ``role`` is the role of all the text, which then has no role tags; ``cut(text, n)`` serves the filter ``tokens(n)``,
        ``trusts(folder)`` says whether files of a folder may call what they like; without ``files`` the text can hold no image
        or file, ``fetch`` gets what stands at a web address. Raises ``UndefinedError`` for a name that nothing defines and
        ``PromptError`` (with the cause) for what else goes wrong.
        """
        places = (self.folders or (Path.cwd(),)) if files and self._compiled is not None else None
        rendering = Rendering(cut, roles=role is None, trusts=trusts, folders=places, limit=self._limit_reading, fetch=fetch)
        text = self._run(variables, rendering)
        messages = rendering.make_message(role, text) if role else rendering.split(text)
        return Prompt(tuple(messages), self._list_notes(variables, rendering))

    def _list_notes(self, variables: Mapping[str, Any], rendering: Rendering) -> tuple[str, ...]:
        if not (self._single_braces or rendering.frames or rendering.unstable):
            return self._text_notes
        notes = (
            *self._text_notes,
            *dialects.note_single_braces(self._single_braces, variables),
            *dialects.note_cut_frames(rendering.frames, variables, describe_cut),
            *note_unstable(rendering.unstable, variables),
        )
        return tuple(dict.fromkeys(notes))

    def _limit_reading(self, name: str | None) -> Path | None:
        """The folder below which the template of this name may read files; ``None`` where it is the cell, or written in code."""
        if name == self.name:
            return None if name.startswith("<") else self.folders[0]
        included = load(self.folders, name or "")
        return Path(included[1]).parent if included else self.folders[0]

    @cached_property
    def _text(self) -> str:
        """What stands outside of tags, expressions and comments."""
        if self._compiled is None:
            return re.sub("\r\n?", "\n", self.source).removesuffix("\n")
        return "".join(value for _, kind, value in self._environment.lex(self.source) if kind == "data")

    @cached_property
    def _single_braces(self) -> list[tuple[str, str, str]]:
        return dialects.find_single_braces(self._text)

    @cached_property
    def _text_notes(self) -> tuple[str, ...]:
        return tuple(dialects.note_role_lines(self._text))

    def evaluate(self, variables: Mapping[str, Any]) -> Any:
        """The value of a template that is one ``{{ expression }}`` and nothing else, whatever its type; the text of any other."""
        from jinja2 import Undefined

        source = self._lone_expression()
        if source is None:
            return self.render_text(variables)
        token = RENDERING.set(Rendering(estimate_cut, roles=False))
        try:
            known = {n: variables[n] for n in self._names if n in variables}
            value = self._environment.compile_expression(source, undefined_to_none=False)(known)
            return str(value) if isinstance(value, Undefined) else value  # a name that nothing defines fails here
        except Exception as error:  # what the user's values raise
            raise self._explain_failure(error, variables) from error
        finally:
            RENDERING.reset(token)

    def _lone_expression(self) -> str | None:
        from jinja2 import nodes

        body = self._environment.parse(self.source).body
        parts = body[0].nodes if len(body) == 1 and isinstance(body[0], nodes.Output) else []
        bare = self.source.strip()
        if len(parts) != 1 or isinstance(parts[0], nodes.TemplateData) or not (bare.startswith("{{") and bare.endswith("}}")):
            return None
        first, last = 2 + (bare[2] in "-+"), len(bare) - 2 - (bare[-3] in "-+")
        return bare[first:last]

    def _run(self, variables: Mapping[str, Any], rendering: Rendering) -> str:
        if self._compiled is None:
            return self._text
        # Jinja copies the mapping in loops, so it gets the names it may ask for; an included file may ask for any.
        wanted = variables if self.refers else {n: variables[n] for n in self._names if n in variables}
        known, made = {**self._globals, **wanted}, self._compiled
        token = RENDERING.set(rendering)
        try:  # a context as `new_context` of the template makes it; the names of globals are for other templates alone
            names = self._globals if self.refers else None
            context = self._environment.context_class(self._environment, known, made.name, made.blocks, names)
            return "".join(made.root_render_func(context))
        except Exception as error:  # a template calls what the user gave it, and that may raise anything
            raise self._explain_failure(error, variables) from error
        finally:
            RENDERING.reset(token)

    def _format_place(self, line: int | None, file: str | None = None, column: int | None = None) -> str:
        if line is None:
            return ""
        own = file is None or file.startswith("<")
        line = self._count_line(line, file)
        return f" (line {line}{f', column {column}' if column else ''}{'' if own else f' of {file}'})"

    def _count_line(self, line: int | None, file: str | None) -> int | None:
        """The line as its editor counts: a cell's text begins below its magic."""
        return line if line is None or file not in (None, self.name) else line + self.first_line - 1

    def _explain_syntax_error(self, error: TemplateSyntaxError) -> PromptError:
        name = _shorten_path(error.name or self.name, self.folders)
        source = self._source_of(name) or self.source
        message, hint, line, column = diagnose(error.message or "", source, error.lineno, self._is_readable)
        unknown = find_unknown(message)
        similar: tuple[str, ...] = ()
        if not hint:
            hint = dialects.explain_dialect(source, line)
        if not hint and unknown:
            kind, word = unknown
            similar = near(word, {"tag": [*_TAGS, *(f"end{t}" for t in _TAGS)], **self._named}[kind])
            hint = "" if similar else NAMED_HINTS.get(kind, RAW_HINT)
        elif not hint and message.startswith(UNREADABLE):
            hint = RAW_HINT
        return PromptError(
            f"{message}{self._format_place(line, name, column)}",
            hint=join_hints(similar, hint),
            line=self._count_line(line, name),
            column=column,
        )

    @property
    def _named(self) -> dict[str, list[str]]:
        """The names of filters and tests."""
        return {"filter": sorted(self._environment.filters), "test": sorted(self._environment.tests)}

    def _is_readable(self, piece: str) -> bool:
        from jinja2 import TemplateSyntaxError

        try:
            self._environment.parse(piece)
        except TemplateSyntaxError:
            return False
        return True

    def _explain_failure(self, error: Exception, variables: Mapping[str, Any]) -> PromptError:
        """The error to raise for one that was met while rendering, with its line."""
        import jinja2

        file, within = _find_place(error)
        place, line = self._format_place(within, file), self._count_line(within, file)
        if isinstance(error, jinja2.TemplateSyntaxError):
            return self._explain_syntax_error(error)
        if isinstance(error, jinja2.UndefinedError):
            return self._explain_undefined(error, variables, file, within)
        if isinstance(error, jinja2.TemplateNotFound):
            return self._explain_missing_file(error, place, line)
        if isinstance(error, jinja2.exceptions.SecurityError):
            return PromptError(f"a template may not do this: {str(error).rstrip('.')}{place}", line=line)
        if isinstance(error, PromptError) and error.line is None:
            return PromptError(f"{error.message}{place}", hint=error.hint, line=line)
        unknown = find_unknown(str(error)) if isinstance(error, jinja2.TemplateRuntimeError) else None
        if unknown:  # as in `map("upper")`, which is looked up late
            similar = near(unknown[1], self._named[unknown[0]])
            return PromptError(
                f"{str(error).rstrip('.')}{place}", hint=join_hints(similar, "" if similar else NAMED_HINTS[unknown[0]]), line=line
            )
        return PromptError(
            f"an expression of the template failed: {type(error).__name__}: {error}{place}",
            hint="errors.show_traceback() shows where.",
            line=line,
        )

    def _explain_undefined(self, error: Exception, variables: Mapping[str, Any], file: str | None, line: int | None) -> UndefinedError:
        hint, owners, name = getattr(error, "hint", str(error)), getattr(error, "owners", ()), getattr(error, "name", None)
        similar: tuple[str, ...] = ()
        remedy = ""
        source = self._source_of(file)
        column = find_name_column(str(name), source, line, inner=bool(owners)) if line and file == self.name else None
        if hint:
            message = hint
            remedy = explain_undefined(str(name), "", line, tested=self._is_tested(str(name), source, line))
        elif owners:
            message, similar = describe_missing(name, owners[0]), near(str(name), members(owners[0]))
            remedy = "" if similar else dialects.explain_dialect(source, line)
        else:
            message, remedy = f"{name!r} is not defined", explain_builtin(str(name))
            names = map(str, (*variables, *self._bound))
            known = {n for n in names if not n.startswith("_") and not hasattr(builtins, n) and n not in _SHELL_NAMES}
            similar = () if remedy else near(str(name), known)
            remedy = remedy or dialects.explain_dialect(source, line)
            remedy = remedy or explain_undefined(str(name), source, line, tested=self._is_tested(str(name), source, line))
        return UndefinedError(
            f"{message}{self._format_place(line, file, column)}",
            hint=join_hints(similar, remedy),
            variable=None if name is None else str(name),
            near=similar,
            line=self._count_line(line, file),
            column=column,
        )

    def _source_of(self, file: str | None) -> str:
        """The text of this template or of one of its files; empty where it cannot be found."""
        if file in (None, self.name):
            return self.source
        found = load(self.folders, str(file))
        return found[0] if found else ""

    def _is_tested(self, name: str, source: str, line: int | None) -> bool:
        """Whether this line of a template asks the name only for being true: in an ``if``, or before ``or`` and ``and``."""
        from jinja2 import nodes

        tree = self._environment.parse(source)
        tests = [n.test for n in tree.find_all(nodes.If)] + [n.test for n in tree.find_all(nodes.CondExpr)]
        tests += [n.left for kind in (nodes.Or, nodes.And) for n in tree.find_all(kind)]
        found = (n for test in tests for n in ([test] if isinstance(test, nodes.Name) else test.find_all(nodes.Name)))
        return any(n.name == name and n.lineno == line for n in found)

    def _explain_missing_file(self, error: Any, place: str, line: int | None) -> PromptError:
        names = [str(n) for n in error.templates or [error.name]]
        similar = near(names[-1], list_names(self.folders))
        out = any(".." in n or leads_out(f, f / n) for n in names for f in self.folders)
        outside = "A path may not lead out of these folders, nor may a link." if out else ""
        places = ", ".join(map(str, self.folders)) or "no folder"
        return PromptError(
            f"there is no template file {' or '.join(map(repr, names))}; looked in {places}{place}",
            hint=join_hints(similar, outside),
            line=line,
        )


def _shorten_path(name: str, folders: Sequence[Path]) -> str:
    """The name by which a file was included, where Jinja tells its path."""
    folder = next((f for f in folders if Path(name).is_relative_to(f)), None)
    return Path(name).relative_to(folder).as_posix() if folder else name


def _find_place(error: BaseException) -> tuple[str | None, int | None]:
    """Name and line of the innermost template the traceback goes through."""
    place: tuple[str | None, int | None] = (None, None)
    for frame, lineno in walk_tb(error.__traceback__):
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            place = (template.name, template.get_corresponding_lineno(lineno))
    return place
