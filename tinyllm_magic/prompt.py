r"""Template text and variables come in; messages with roles go out.

Knows Jinja, the role tags and where template files lie; says which variables a template needs.
Does not know models, settings, answers or the notebook.

What is particular to these templates:

- Values are rendered once, are not escaped and can open no role, whatever text they hold.
- A line on which nothing but ``{% … %}`` tags and comments stands is dropped, with its line
  break, so that a loop or a role block written over several lines leaves no blank lines.
  Everything else, also a line break after a tag at the end of a text, arrives as typed; line
  ends become ``\n``. ``{%+ … +%}`` keeps such a line, ``{%- … -%}`` strips as ever in Jinja.
- ``{% include %}`` stands for the file's text without its last line break.
- Only ``{# … #}`` with spaces is a comment.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache, cached_property, lru_cache, partial
from pathlib import Path
from textwrap import dedent
from traceback import walk_tb
from typing import TYPE_CHECKING, Any

from . import filters
from .dialect import (
    RAW_HINT,
    ROLE_TAGS,
    Rendering,
    builtin_hint,
    describe_missing,
    diagnose,
    did_you_mean,
    drop_tag_lines,
    members,
    name_column,
)
from .errors import EmptyPromptError, PromptError, UndefinedError, near
from .folders import find_template, is_inline, load, names_in, read
from .messages import Message

if TYPE_CHECKING:
    from jinja2 import TemplateSyntaxError, Undefined
    from jinja2.ext import Extension
    from jinja2.lexer import Lexer
    from jinja2.nodes import Node
    from jinja2.parser import Parser
    from jinja2.sandbox import SandboxedEnvironment

__all__ = ["Template", "find_template", "is_inline"]

_RENDERING: ContextVar[Rendering] = ContextVar("rendering")
_TAGS = (
    *("if", "elif", "else", "for", "set", "macro", "call", "filter", "block", "raw", "with"),
    *("include", "import", "from", "extends", "autoescape", *ROLE_TAGS),
)


class Template:
    """A parsed cell or file with open variables.

    ``folders`` are searched by ``{% include %}`` and its kin. Raises ``PromptError`` with line
    and, where it can be found, column if the source cannot be read.

    >>> Template("{% system %}Be brief.{% endsystem %} Write about {{ topic }}.").render({"topic": "rain"})
    [Message(role='system', content='Be brief.', ...), Message(role='user', content='Write about rain.', ...)]
    """

    def __init__(self, source: str, *, name: str = "<cell>", folders: Sequence[Path] = ()) -> None:
        from jinja2 import TemplateSyntaxError, nodes

        self.source = source
        self.name = name
        self.folders = tuple(Path(f).absolute() for f in folders)
        environment = self._environment = _environment(self.folders)
        try:
            tree = environment.parse(source, name, name)
            refers = (nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)
            self.refers = any(tree.find(kind) for kind in refers)
            self._names = {n.name for n in tree.find_all(nodes.Name)} | {n.name for n in tree.find_all(nodes.NSRef)}
            self._bound = {n.name for n in tree.find_all(nodes.Name) if n.ctx != "load"}
            self._compiled = environment.template_class.from_code(
                environment, environment.compile(tree, name, name), environment.make_globals(None)
            )
        except TemplateSyntaxError as error:
            raise self._unreadable(error) from error
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
    def variables(self) -> frozenset[str]:
        """The names this template needs; names that included files need are not among them."""
        from jinja2 import meta

        return frozenset(meta.find_undeclared_variables(self._environment.parse(self.source)))

    def render(
        self,
        variables: Mapping[str, Any],
        *,
        count: Callable[[str], int] | None = None,
        cut: Callable[[str, int], str] | None = None,
    ) -> list[Message]:
        """The messages, each stripped at both ends, empty ones dropped.

        ``cut(text, n)`` and ``count(text)`` serve the filter ``tokens(n)``. Raises
        ``UndefinedError`` for a name that nothing defines, ``EmptyPromptError`` where no
        message is left, and ``PromptError`` (with the cause) for what else goes wrong.
        """
        rendering = Rendering(count, cut, roles=True)
        messages = rendering.split(self._run(variables, rendering))
        if not messages:
            raise EmptyPromptError(
                "the template rendered to no message: there is nothing to send",
                hint="Write some text, or check the {% if %} and {% for %} blocks around it.",
            )
        return messages

    def render_text(self, variables: Mapping[str, Any]) -> str:
        """The text of one message, stripped at both ends; a role tag in it is a ``PromptError``."""
        return self._run(variables, Rendering(None, None, roles=False)).strip()

    def _run(self, variables: Mapping[str, Any], rendering: Rendering) -> str:
        # Jinja copies the mapping in loops, so it gets the names it may ask for; an included file may ask for any.
        wanted = variables if self.refers else {n: variables[n] for n in self._names if n in variables}
        known = {**self._compiled.globals, **wanted}
        token = _RENDERING.set(rendering)
        try:
            return "".join(self._compiled.root_render_func(self._compiled.new_context(known, shared=True)))
        except Exception as error:  # a template calls what the user gave it, and that may raise anything
            raise self._failed(error, variables) from error
        finally:
            _RENDERING.reset(token)

    def _place(self, line: int | None, file: str | None = None, column: int | None = None) -> str:
        if line is None:
            return ""
        own = file is None or file.startswith("<")
        return f" (line {line}{f', column {column}' if column else ''}{'' if own else f' of {file}'})"

    def _unreadable(self, error: TemplateSyntaxError) -> PromptError:
        name = _short(error.name or self.name, self.folders)
        included = None if name == self.name else load(self.folders, name)
        source = included[0] if included else self.source
        message, hint, line, column = diagnose(error.message or "", source, error.lineno, self._reads)
        unknown = re.match(r"Encountered unknown tag '(\w+)'|No (?:filter|test) named '([\w.]+)'", message)
        similar: tuple[str, ...] = ()
        if unknown:
            known = {*self._environment.filters, *self._environment.tests} if unknown[2] else {*_TAGS, *(f"end{t}" for t in _TAGS)}
            similar = near(unknown[1] or unknown[2], known)
        return PromptError(
            f"{message}{self._place(line, name, column)}", hint=did_you_mean(similar, hint, RAW_HINT), line=line, column=column
        )

    def _reads(self, piece: str) -> bool:
        from jinja2 import TemplateSyntaxError

        try:
            self._environment.parse(piece)
        except TemplateSyntaxError:
            return False
        return True

    def _failed(self, error: Exception, variables: Mapping[str, Any]) -> PromptError:
        """The error to raise for one that was met while rendering, with its line."""
        import jinja2

        file, line = _where(error)
        place = self._place(line, file)
        if isinstance(error, jinja2.TemplateSyntaxError):
            return self._unreadable(error)
        if isinstance(error, jinja2.UndefinedError):
            return self._undefined(error, variables, file, line)
        if isinstance(error, jinja2.TemplateNotFound):
            return self._not_found(error, place, line)
        if isinstance(error, jinja2.exceptions.SecurityError):
            return PromptError(f"a template may not do this: {str(error).rstrip('.')}{place}", line=line)
        if isinstance(error, PromptError) and error.line is None:
            return PromptError(f"{error.message}{place}", hint=error.hint, line=line)
        return PromptError(
            f"an expression of the template failed: {type(error).__name__}: {error}{place}",
            hint="errors.show_traceback() shows where.",
            line=line,
        )

    def _undefined(self, error: Exception, variables: Mapping[str, Any], file: str | None, line: int | None) -> UndefinedError:
        hint, owners, name = getattr(error, "evidence", (str(error), (), None))
        similar: tuple[str, ...] = ()
        remedy = ""
        column = name_column(str(name), self.source, line, inner=bool(owners)) if line and file == self.name else None
        if hint:
            message = hint
        elif owners:
            message, similar = describe_missing(name, owners[0]), near(str(name), members(owners[0]))
        else:
            message, remedy = f"{name!r} is not defined", builtin_hint(str(name))
            known = {n for n in map(str, (*variables, *self._bound)) if not n.startswith("_")}
            similar = () if remedy else near(str(name), known)
        return UndefinedError(
            f"{message}{self._place(line, file, column)}",
            hint=did_you_mean(similar, remedy, RAW_HINT),
            variable=None if name is None else str(name),
            near=similar,
            line=line,
            column=column,
        )

    def _not_found(self, error: Any, place: str, line: int | None) -> PromptError:
        names = [str(n) for n in error.templates or [error.name]]
        similar = near(names[-1], names_in(self.folders))
        outside = "A path may not lead out of these folders." if any(".." in n for n in names) else ""
        places = ", ".join(map(str, self.folders)) or "no folder"
        return PromptError(
            f"there is no template file {' or '.join(map(repr, names))}; looked in {places}{place}",
            hint=did_you_mean(similar, outside),
            line=line,
        )


def _short(name: str, folders: Sequence[Path]) -> str:
    """The name by which a file was included, where Jinja tells its path."""
    folder = next((f for f in folders if Path(name).is_relative_to(f)), None)
    return Path(name).relative_to(folder).as_posix() if folder else name


def _where(error: BaseException) -> tuple[str | None, int | None]:
    """Name and line of the innermost template the traceback goes through."""
    place: tuple[str | None, int | None] = (None, None)
    for frame, lineno in walk_tb(error.__traceback__):
        template = frame.f_globals.get("__jinja_template__")
        if template is not None:
            place = (template.name, template.get_corresponding_lineno(lineno))
    return place


@lru_cache(maxsize=32)
def _environment(folders: tuple[Path, ...]) -> SandboxedEnvironment:
    from jinja2 import FunctionLoader

    environment = _environment_class()(
        autoescape=False,
        comment_start_string="{# ",
        comment_end_string=" #}",
        undefined=_undefined_class(),
        extensions=[_roles_class()],
        loader=FunctionLoader(partial(load, folders)),
    )
    environment.filters.update(table=filters.table, code=filters.code, tojson=filters.tojson, tokens=_tokens, dedent=_dedent)
    return environment


def _tokens(value: Any, limit: int) -> str:
    rendering = _RENDERING.get()
    return filters.tokens(value, limit, count=rendering.count, cut=rendering.cut)


def _dedent(value: Any) -> str:
    return dedent(str(value))


# Jinja is imported on first use: its subclasses are therefore made inside functions.


@cache
def _environment_class() -> type[SandboxedEnvironment]:
    from jinja2 import Template as JinjaTemplate
    from jinja2.sandbox import SandboxedEnvironment

    class FreshTemplate(JinjaTemplate):
        def _get_default_module(self, ctx: Any = None) -> Any:
            """An imported file is run for each rendering: none sees what another left in it."""
            self._module = None
            keys = ctx.globals_keys - self.globals.keys() if ctx is not None else ()
            return self.make_module({k: ctx.parent[k] for k in keys})

    class PromptEnvironment(SandboxedEnvironment):
        template_class = FreshTemplate

        lexer = cached_property(_lexer_class())

    return PromptEnvironment


@cache
def _lexer_class() -> type[Lexer]:
    from jinja2.lexer import Lexer

    class TagLineLexer(Lexer):
        def tokeniter(
            self, source: str, name: str | None, filename: str | None = None, state: str | None = None
        ) -> Iterator[tuple[int, str, str]]:
            return iter(drop_tag_lines(super().tokeniter(source, name, filename, state)))

    return TagLineLexer


@cache
def _undefined_class() -> type[Undefined]:
    import jinja2
    from jinja2.utils import missing

    class Evident(jinja2.UndefinedError):
        def __init__(self, evidence: tuple[Any, ...], message: str) -> None:
            super().__init__(message)
            self.evidence = evidence

    class EvidentUndefined(jinja2.StrictUndefined):
        __slots__ = ()

        def __init__(self, hint: str | None = None, obj: Any = missing, name: str | None = None, exc: Any = jinja2.UndefinedError) -> None:
            if exc is jinja2.UndefinedError:
                exc = partial(Evident, (hint, () if obj is missing else (obj,), name))
            super().__init__(hint, obj, name, exc)

    return EvidentUndefined


@cache
def _roles_class() -> type[Extension]:
    from jinja2 import nodes
    from jinja2.ext import Extension

    class Roles(Extension):
        tags = set(ROLE_TAGS)  # noqa: RUF012  # declared so by the base

        def parse(self, parser: Parser) -> list[Node]:
            tag = next(parser.stream)
            body = parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)
            for node in body:
                for inner in node.find_all(nodes.ExtensionAttribute):
                    if inner.name == "begin":
                        parser.fail("a role block stands inside another role block; close that one first", inner.lineno)
            begin = self.call_method("begin", [nodes.Const(tag.value)], lineno=tag.lineno)
            end = self.call_method("end", lineno=parser.stream.current.lineno)
            return [nodes.Output([begin], lineno=tag.lineno), *body, nodes.Output([end], lineno=tag.lineno)]

        @staticmethod
        def begin(role: str) -> str:
            return _RENDERING.get().open(role)

        @staticmethod
        def end() -> str:
            return _RENDERING.get().close()

    return Roles
