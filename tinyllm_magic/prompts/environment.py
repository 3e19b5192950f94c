"""Jinja's classes as prompts need them: role tags, tag lines, strict names and a sandbox.

Jinja takes long to import, so this module is itself imported when the first template is made.
"""

from __future__ import annotations

import re
from array import array
from collections import defaultdict
from collections.abc import Hashable, Iterator, MutableMapping, MutableSequence, MutableSet, Sequence
from datetime import datetime
from functools import cached_property, lru_cache, partial, wraps
from pathlib import Path
from textwrap import dedent
from types import ModuleType
from typing import Any

import jinja2
from jinja2 import FunctionLoader, StrictUndefined, nodes
from jinja2 import Template as JinjaTemplate
from jinja2.compiler import CodeGenerator, Frame
from jinja2.ext import Extension
from jinja2.lexer import Lexer, Token
from jinja2.parser import Parser
from jinja2.runtime import Context, Macro, TemplateReference, Undefined
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import missing

from ..errors import PromptError, near, suggest
from . import filters
from .file_filters import build_file_filters
from .file_limits import name_forbidden
from .loader import load
from .roles import RENDERING, ROLE_TAGS, drop_tag_lines
from .stability import Cause, find_cause, is_unordered

ROLE_ATTRIBUTE_TAGS = ("chat", "message")  # `{% chat role="user" %}` of other libraries
_FRESH_METHODS = ("copy", "split", "rsplit", "splitlines")  # of text, lists and dicts: what they return is new
_FRESH_FILTERS = ("list", "sort", "dictsort")
_ORDERED_FILTERS = (
    *("batch", "first", "join", "last", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "slice", "unique"),
)
_PICKING = ("do_first", "do_join", "do_last")  # of these, Jinja's functions that make one text or take one item
_MODIFYING = frozenset(
    ("byteswap", "fill", "insert", "itemset", "partition", "pop", "put", "resize", "setflags", "setfield", "sort", "update")
)
_MODIFYING_COLLECTIONS = frozenset(  # of lists, dicts, sets, queues, arrays and their kin: Jinja's own list lacks some
    (
        *("add", "append", "appendleft", "byteswap", "clear", "difference_update", "discard", "extend", "extendleft", "frombytes"),
        *("fromfile", "fromlist", "fromunicode", "insert", "intersection_update", "move_to_end", "pop", "popitem", "popleft", "remove"),
        *("reverse", "rotate", "setdefault", "sort", "subtract", "symmetric_difference_update", "update"),
    )
)
_MODIFYING_POLARS = frozenset(("append", "drop_in_place", "extend", "insert_column", "replace_column"))
_MUTABLE = (MutableMapping, MutableSequence, MutableSet, array)
_FRAME_LIBRARIES = ("numpy", "pandas", "polars")


class MissingName(jinja2.UndefinedError):
    """An undefined name with the evidence that Jinja keeps from it: its hint, the object that was asked, the name."""

    def __init__(self, hint: str | None, owners: tuple[Any, ...], name: Any, message: str) -> None:
        super().__init__(message)
        self.hint, self.owners, self.name = hint, owners, name


class PromptUndefined(StrictUndefined):
    """A name that nothing defines: whatever is done with it fails, and says its name."""

    __slots__ = ()

    def __init__(self, hint: str | None = None, obj: Any = missing, name: Any = None, exc: Any = jinja2.UndefinedError) -> None:
        if exc is jinja2.UndefinedError:
            exc = partial(MissingName, hint, () if obj is missing else (obj,), name)
        super().__init__(hint, obj, name, exc)

    __repr__ = __index__ = __round__ = __abs__ = __bytes__ = __reversed__ = StrictUndefined._fail_with_undefined_error  # noqa: SLF001  # its base does the same


class PromptTemplate(JinjaTemplate):
    """A template whose imported files run for each rendering: none sees what another has left in it.

    ``self`` is the variable of that name, as a method has it, where the template has no blocks that it could stand for.
    """

    @classmethod
    def _from_namespace(cls, environment: Any, namespace: MutableMapping[str, Any], globals: MutableMapping[str, Any]) -> Any:  # noqa: A002
        namespace["TemplateReference"] = _resolve_self
        return super()._from_namespace(environment, namespace, globals)

    def _get_default_module(self, ctx: Any = None) -> Any:
        del ctx
        return self.make_module()


def _resolve_self(context: Context) -> Any:
    if context.blocks:
        return TemplateReference(context)
    return context.resolve("self")


class PromptLexer(Lexer):
    """Jinja's lexer without lines of tags, and with comments that are told from text such as LaTeX's ``{#1}``."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        """Jinja's tokens, where neither a line of tags nor a brace of text is one."""
        mark = next(chr(c) for c in range(0xFDD0, 0xFDF0) if chr(c) not in source)
        tokens = super().tokeniter(mask_braces(source, mark), name, filename, state)
        return iter(drop_tag_lines((line, kind, value.replace(mark, "#")) for line, kind, value in tokens))


_BEFORE_BRACE = re.compile(r"[^{}\n]*")


def mask_braces(source: str, mark: str) -> str:
    r"""The source with ``mark`` for the ``#`` of each ``{#`` that opens no comment.

    A comment has white space or ``-`` at both inner ends, or a space at one of them.

    >>> mask_braces(r"\\x{#1} {# a #} {#- b -#} {#c #} {#d#}", "?")
    '\\\\x{?1} {# a #} {#- b -#} {#c #} {?d#}'
    """
    pieces: list[str] = []
    end = closing = done = 0
    for found in re.finditer(r"\{#", source):
        start = found.start()
        if start < end:
            continue
        if 0 <= closing < start + 2:
            closing = source.find("#}", start + 2)
        if _is_comment(source, start + 2, closing):
            end = closing + 2
        else:
            pieces += [source[done:start], "{", mark]
            done = start + 2
    return "".join([*pieces, source[done:]])


def _is_comment(source: str, start: int, end: int) -> bool:
    first = source[start : start + 1]
    if end < 0:
        return first == " "  # never closed: Jinja says so
    last = source[end - 1] if end > start else ""
    if first == " " or (first and last and (first.isspace() or first == "-") and (last.isspace() or last == "-")):
        return True
    found = _BEFORE_BRACE.match(source, start)
    return last == " " and found is not None and found.end() == end + 1  # the `#` before its brace


class PromptParser(Parser):
    """Jinja's parser; an imported file sees what the importing one sees, as an included file does."""

    def parse_import_context(self, node: Any, default: bool) -> Any:
        """An ``{% import %}`` is with context, unless it says that it is without."""
        del default
        return super().parse_import_context(node, True)

    def parse_for(self) -> nodes.For:
        """A ``{% for %}`` whose body prints; a set that it goes through is noted."""
        node = super().parse_for()
        if any(map(_prints_value, node.find_all(nodes.Output))) or node.find(nodes.Include):
            noting = nodes.EnvironmentAttribute("note_order", lineno=node.lineno)
            node.iter = nodes.Call(noting, [node.iter], [], None, None, lineno=node.lineno)
        return node

    def parse_from(self) -> nodes.FromImport:
        """A ``{% from … import … %}`` is always with context: Jinja's node does not tell whether it was written."""
        node = super().parse_from()
        node.with_context = True
        return node


def _prints_value(node: nodes.Output) -> bool:
    return any(name.name != "loop" for name in node.find_all(nodes.Name))


class PromptGenerator(CodeGenerator):
    """Jinja's compiler; lists and dicts that a template writes are noted as its own."""

    def visit_List(self, node: nodes.List, frame: Frame) -> None:  # noqa: N802  # Jinja names it by the node
        """A list of the template's own."""
        self.write("environment.own(")
        super().visit_List(node, frame)
        self.write(")")

    def visit_Dict(self, node: nodes.Dict, frame: Frame) -> None:  # noqa: N802  # the same
        """A dict of the template's own."""
        self.write("environment.own(")
        super().visit_Dict(node, frame)
        self.write(")")

    def visit_Getitem(self, node: nodes.Getitem, frame: Frame) -> None:  # noqa: N802  # the same
        """A part of a list is a new one; Jinja takes it without asking its environment."""
        is_part = isinstance(node.arg, nodes.Slice)
        self.write("environment.own(" if is_part else "")
        super().visit_Getitem(node, frame)
        self.write(")" if is_part else "")


class RoleTags(Extension):
    """``{% system %}…{% endsystem %}`` and its kin, and ``{% chat role="system" %}…{% endchat %}`` of other libraries."""

    tags = {*ROLE_TAGS, *ROLE_ATTRIBUTE_TAGS}  # noqa: RUF012  # declared so by the base

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The nodes of one role block: a mark, its body, a mark."""
        tag = next(parser.stream)
        role = nodes.Const(tag.value) if tag.value in ROLE_TAGS else self._parse_role(parser, tag)
        body = parser.parse_statements((f"name:end{tag.value}",), drop_needle=True)
        for node in body:
            for inner in node.find_all(nodes.ExtensionAttribute):
                if inner.identifier == self.identifier and inner.name == "begin":
                    parser.fail("a role block stands inside another role block; close that one first", inner.lineno)
        begin = self.call_method("begin", [role], lineno=tag.lineno)
        end = self.call_method("end", lineno=parser.stream.current.lineno)
        return [nodes.Output([begin], lineno=tag.lineno), *body, nodes.Output([end], lineno=tag.lineno)]

    def _parse_role(self, parser: Parser, tag: Token) -> nodes.Expr:
        if not parser.stream.current.test("name:role") or parser.stream.look().type != "assign":
            parser.fail(f'{{% {tag.value} %}} wants a role: {{% {tag.value} role="user" %}}', tag.lineno)
        next(parser.stream)
        next(parser.stream)
        role = parser.parse_expression()
        if isinstance(role, nodes.Const) and role.value not in ROLE_TAGS:
            parser.fail(_describe_unknown_role(role.value), tag.lineno)
        return role

    def begin(self, role: Any) -> str:
        """The mark that begins a block of this role."""
        if role not in ROLE_TAGS:
            raise PromptError(_describe_unknown_role(role))
        return RENDERING.get().open(role)

    def end(self) -> str:
        """The mark that ends a role block."""
        return RENDERING.get().close()


class RoleLine(Extension):
    """``{% role "user" %}``: what comes after it, up to the next such tag, is of this role."""

    tags = {"role"}  # noqa: RUF012  # declared so by the base

    def parse(self, parser: Parser) -> nodes.Node:
        """The node of the mark."""
        tag = next(parser.stream)
        return nodes.Output([self.call_method("switch", [parser.parse_expression()])], lineno=tag.lineno)

    def switch(self, role: Any) -> str:
        """The mark that begins this role."""
        if str(role).lower() not in ROLE_TAGS:
            raise PromptError(_describe_unknown_role(role))
        return RENDERING.get().switch(str(role).lower())


def _describe_unknown_role(role: Any) -> str:
    similar = suggest(near(str(role), ROLE_TAGS))
    return f"unknown role {role!r}. {similar or 'Roles are ' + ', '.join(ROLE_TAGS) + '.'}"


class Generation(Extension):
    """``{% generation %}…{% endgeneration %}`` of chat templates: its body."""

    tags = {"generation"}  # noqa: RUF012  # declared so by the base

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The nodes of the body."""
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


class PromptContext(Context):
    """The names that a template sees; a file sees no module."""

    environment: PromptEnvironment

    def resolve_or_missing(self, key: str) -> Any:
        """The value of a name; raises ``SecurityError`` where it is one that a file may not use."""
        value = super().resolve_or_missing(key)
        if isinstance(value, ModuleType) and self.environment.limits(self):
            raise jinja2.exceptions.SecurityError(_describe_limit(f"use the module `{key}`"))
        return value


class PromptEnvironment(SandboxedEnvironment):
    """A sandbox in which a template changes nothing but what it has made itself, and a file calls no code but the notebook's."""

    template_class = PromptTemplate
    context_class = PromptContext
    folders: Sequence[Path] = ()
    code_generator_class = PromptGenerator
    intercepted_binops = frozenset(("+", "*", "%"))
    lexer = cached_property(PromptLexer)

    def _parse(self, source: str, name: str | None, filename: str | None) -> nodes.Template:
        return PromptParser(self, source, name, filename).parse()

    def limits(self, context: Context) -> bool:
        """Whether a template comes from a file whose folders are not all trusted."""
        rendering = RENDERING.get(None)
        is_file = context.name is not None and not context.name.startswith("<")
        return is_file and not (rendering is not None and all(map(rendering.trusts, self.folders)))

    def own(self, value: Any) -> Any:
        """The value, noted as made by the template that renders."""
        rendering = RENDERING.get(None)
        if rendering is not None and type(value) in (list, dict):
            rendering.made[id(value)] = value
        return value

    @staticmethod
    def note_order(value: Any) -> Any:
        """What a loop goes through, as it is; a set is noted."""
        _note_unordered(value)
        return value

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may use this attribute: private ones and those that change the notebook's values are refused."""
        return super().is_safe_attribute(obj, attr, value) and not _would_change(obj, attr)

    def unsafe_undefined(self, obj: Any, attribute: str) -> Undefined:
        """What stands for an attribute that is refused; using it raises."""
        if not _would_change(obj, attribute):
            return super().unsafe_undefined(obj, attribute)
        return self.undefined(_describe_refusal(obj, f".{attribute}"), obj=obj, name=attribute, exc=jinja2.exceptions.SecurityError)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]``; an argument that nothing defines is the error, not what is made of it."""
        if isinstance(argument, Undefined):
            argument._fail_with_undefined_error()  # noqa: SLF001  # so do Jinja's own filters
        return self._default_of(obj, argument) if _would_insert(obj, argument) else super().getitem(obj, argument)

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``obj.attribute``, or the item of that name."""
        if _would_insert(obj, attribute) and not hasattr(obj, attribute):
            return self._default_of(obj, attribute)
        return super().getattr(obj, attribute)

    def _default_of(self, obj: Any, name: Any) -> Any:
        """What a ``defaultdict`` gives for a key that it lacks, without putting it in."""
        if obj.default_factory is None:
            return self.undefined(obj=obj, name=name)
        return self.own(obj.default_factory())

    def call(self, __context: Context, __obj: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: PYI063  # named as in the base
        """Call what a template calls; an argument that nothing defines is an error before."""
        if not isinstance(__obj, Macro):
            for argument in (*args, *kwargs.values()):
                if isinstance(argument, Undefined):
                    argument._fail_with_undefined_error()  # noqa: SLF001  # so do Jinja's own filters
        if (forbidden := name_forbidden(__obj, args, kwargs)) and self.limits(__context):
            raise jinja2.exceptions.SecurityError(_describe_limit(f"call `{forbidden}`"))
        owner = getattr(__obj, "__self__", None)
        if type(owner) is str and __obj.__name__ == "join" and args:
            _note_unordered(args[0])
        if getattr(__obj, "__name__", "") == "format_map":
            args = tuple(dict(a) if isinstance(a, defaultdict) else a for a in args)
        if (kwargs.get("inplace") or kwargs.get("in_place")) and type(owner).__module__.partition(".")[0] in _FRAME_LIBRARIES:
            raise jinja2.exceptions.SecurityError(_describe_refusal(owner, f".{__obj.__name__}(inplace=true)"))
        if "numpy" in (type(owner).__module__, str(getattr(__obj, "__module__", "")).partition(".")[0]):
            args, kwargs = tuple(map(_read_only, args)), {name: _read_only(value) for name, value in kwargs.items()}
        value = super().call(__context, __obj, *args, **kwargs)
        fresh = type(owner) in (str, list, dict) and getattr(__obj, "__name__", "") in _FRESH_METHODS
        return self.own(value) if fresh or __obj is dict else value

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        """The sum, product or formatted text; a new list is the template's own."""
        if operator == "%" and isinstance(left, str) and isinstance(right, defaultdict):
            right = dict(right)
        return self.own(super().call_binop(context, operator, left, right))


def _would_change(obj: Any, attribute: str) -> bool:
    """Whether this method changes a value that the template has not made; one of a class may be called with any value."""
    rendering = RENDERING.get(None)
    if rendering is not None and id(obj) in rendering.made:
        return False
    kind = obj if isinstance(obj, type) else type(obj)
    library = kind.__module__.partition(".")[0]
    if library in _FRAME_LIBRARIES:
        return attribute in _MODIFYING or (library == "polars" and attribute in _MODIFYING_POLARS)
    return attribute in _MODIFYING_COLLECTIONS and issubclass(kind, _MUTABLE)


def _would_insert(obj: Any, key: Any) -> bool:
    """Whether looking this key up puts it into the dict."""
    return isinstance(obj, defaultdict) and isinstance(key, Hashable) and key not in obj


def _read_only(value: Any) -> Any:
    """A numpy array that numpy cannot write its result into; anything else as it is."""
    if type(value).__module__ == "numpy" and hasattr(value, "setflags"):
        value = value.view()
        value.setflags(write=False)
    return value


def _describe_limit(what: str) -> str:
    return f"only a cell, or a file of a trusted folder, may {what}. Make its value a variable, or run `%llm_config trust` there once"


def _describe_refusal(obj: Any, what: str) -> str:
    return (
        f"`{what}` would change a {(obj if isinstance(obj, type) else type(obj)).__name__} of the notebook. "
        "Change it in Python, or change a copy: {% set own = x | list %} makes a list, dict(x) a dict"
    )


def _demand_defined(test: Any) -> Any:
    """A test of Jinja that takes no undefined name for an answer."""

    @wraps(test)
    def demand(value: Any, *args: Any, **kwargs: Any) -> Any:
        if isinstance(value, Undefined):
            value._fail_with_undefined_error()  # noqa: SLF001  # so do Jinja's own filters
        return test(value, *args, **kwargs)

    return demand


def _print(value: Any) -> Any:
    """The text of what a template prints; data frames are remembered, for their text is often a cut view, and what does not stay."""
    if isinstance(value, (int, float)) or (isinstance(value, str) and " at 0x" not in value and not value.startswith("{")):
        return value
    rendering = RENDERING.get(None)
    text = str(value)
    if rendering is None:  # a constant, while the template is compiled
        return text
    members = value.values() if type(value) is dict else value if type(value) in (list, tuple) else ()
    rendering.frames += (v for v in (value, *members) if type(v).__module__.partition(".")[0] in _FRAME_LIBRARIES)
    origin = rendering.unordered.get(id(value))
    cause = find_cause(value, text) if origin is None else Cause.SET
    known = isinstance(value, str) and any(str(e) in text for _, e in rendering.unstable if e is not None)  # what a macro has printed
    if cause is not None and not known:
        rendering.unstable.append((cause, value if origin is None else origin[1]))
    return text


def _find_origin(value: Any) -> Any:
    """The set, or what reads one, that gave a value its order; ``None`` where no set did."""
    rendering = RENDERING.get(None)
    if rendering is not None and id(value) in rendering.unordered:
        return rendering.unordered[id(value)][1]
    return value if is_unordered(value) else None


def _note_unordered(value: Any) -> None:
    rendering, origin = RENDERING.get(None), _find_origin(value)
    if rendering is not None and origin is not None:
        rendering.unstable.append((Cause.SET, origin))


def _keep_order(function: Any) -> Any:
    """A filter whose result has the order of its value; a set's order is remembered, or noted where the result is one text or one item."""
    position = 1 if hasattr(function, "jinja_pass_arg") else 0

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        rendering, origin = RENDERING.get(None), _find_origin(args[position])
        result = function(*args, **kwargs)
        if rendering is not None and origin is not None:
            if function.__name__ in _PICKING:
                rendering.unstable.append((Cause.SET, origin))
            else:
                rendering.unordered[id(result)] = (result, origin)
        return result

    return call


def _note_always(cause: Cause, function: Any) -> Any:
    """A function whose result is another at each run."""

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        rendering = RENDERING.get(None)
        if rendering is not None:
            rendering.unstable.append((cause, None))
        return function(*args, **kwargs)

    return call


def _cut(value: Any, limit: Any) -> str:
    return filters.tokens(value, limit, cut=RENDERING.get().cut)


def _dedent(value: Any) -> str:
    return dedent(str(value))


def raise_exception(message: Any) -> str:
    """Stop rendering with this message, as chat templates do."""
    raise PromptError(f"the template says: {message}")


def strftime_now(format: str) -> str:  # noqa: A002  # named as in chat templates
    """The local time now, in the form of ``strftime``."""
    return datetime.now().astimezone().strftime(format)


@lru_cache(maxsize=32)
def build_environment(folders: Sequence[Path], *, role_lines: bool = False) -> PromptEnvironment:
    """The environment of templates that find their files in these folders; with ``role_lines`` they know ``{% role … %}``."""
    environment = PromptEnvironment(
        autoescape=False,
        optimized=False,  # else lists of constants are made once, for all renderings
        undefined=PromptUndefined,
        finalize=_print,
        extensions=[RoleTags, *([RoleLine] if role_lines else []), Generation, "jinja2.ext.do", "jinja2.ext.loopcontrols"],
        loader=FunctionLoader(partial(load, folders)),
    )
    environment.folders = tuple(folders)
    environment.filters.update(table=filters.table, code=filters.code, tojson=filters.tojson, tokens=_cut, dedent=_dedent)
    environment.filters.update(build_file_filters(RENDERING.get))
    for name in _ORDERED_FILTERS:
        environment.filters[name] = _keep_order(environment.filters[name])
    environment.filters["random"] = _note_always(Cause.CHANCE, environment.filters["random"])
    for name in _FRESH_FILTERS:
        environment.filters[name] = _note_owned(environment, environment.filters[name])
    for name, test in environment.tests.items():
        if name not in ("defined", "undefined", "filter", "test"):
            environment.tests[name] = _demand_defined(test)
    environment.globals.update(
        raise_exception=raise_exception,
        strftime_now=_note_always(Cause.CLOCK, strftime_now),
        lipsum=_note_always(Cause.CHANCE, environment.globals["lipsum"]),
    )
    return environment


def _note_owned(environment: PromptEnvironment, function: Any) -> Any:
    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return environment.own(function(*args, **kwargs))

    return call
