"""A stranger's text as HTML that can neither run nor load anything: Markdown, code, JSON, HTML, plain text.

Drawing any text ends: what is not done at its ``Deadline``, and what a library is known to take badly, is shown as it was written.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..web_page import THREAD_CLOCK
from . import formulas
from .deadline import Clock, Deadline, TookTooLong
from .dollar_math import find_dollar_formula
from .highlighting import highlight
from .html_text import escape
from .sanitizer import LINK, SCHEMES, is_too_deep, sanitize

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token


_LOUD = "tex2jax_process mathjax_process"
_TASK = re.compile(r"\[([ xX])\] ")
_LONGEST_JSON = 20_000  # characters; each line that may begin one is tried
_CLOSING = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_LONGEST_FORMULA = 4000
_FENCE = re.compile(r"(`{3,}|~{3,})([^\n`]*)")
_PLAIN_LINE = re.compile(r"""[^\W\d_](?:[^\W_]|[ ,.;:?!'"()/%-])*""")
_NEWLINE = re.compile(r"\r\n?|\n")
_SMALL_TAIL = 2000
_DEEPEST = 100  # levels of lists and quotes
_LONGEST = 300_000  # characters; between two looks at the clock, work grows with the text
_KEPT: dict[str, str] = {}  # Markdown and its HTML, which hangs on nothing else: an answer is drawn again whenever its cell is run
_MOST_KEPT, _LONGEST_KEPT = 256, 20_000  # texts, and characters of one
_DEADLINE = "deadline"  # its key in the parser's environment


def render(text: str, form: str = "markdown", clock: Clock = THREAD_CLOCK) -> str:
    """A finished text as HTML in one of ``formats.FORMATS``, highlighted; unknown formats are shown as text.

    So is what cannot be drawn within half a second of ``clock``, and Markdown of more than 300,000 characters.
    """
    if form == "markdown":
        return _draw_markdown(text, clock)
    if form == "html":
        page = unfence(text)[1]
        return _draw_text(text) if is_too_deep(page) else _draw_html(page)
    if form == "json":
        code, is_json = format_json(text)
        return _draw_code(code, "json", Deadline(clock), wrapped=True) if is_json else _draw_text(code)
    if form == "code":
        language, code = unfence(text)
        return _draw_code(code, language, Deadline(clock))
    return _draw_text(text)


def _draw_html(page: str) -> str:
    try:
        return sanitize(page)
    except ImportError:  # it has no build for a web page
        return f"<p><em>HTML is shown as text here: what would make it safe, nh3, is not to be had.</em></p>{_draw_text(page)}"


def _draw_text(text: str) -> str:
    return f'<pre class="tlm-text">{escape(text)}</pre>'


def _draw_markdown(text: str, clock: Clock) -> str:
    """Parsing has one deadline, and the highlighting of all code blocks together another."""
    if len(text) > _LONGEST_KEPT or clock is not THREAD_CLOCK:
        return _draw_once(text, clock)[0]
    html = _draw_plain_line(text) or _KEPT.get(text)
    if html is None:
        html, is_whole = _draw_once(text, clock)
        if is_whole:
            if len(_KEPT) >= _MOST_KEPT:
                _KEPT.clear()
            _KEPT[text] = html
    return html


def _draw_plain_line(text: str) -> str:
    """One line in which no sign means anything in Markdown, drawn without its parser, which it takes 50 µs; else nothing."""
    if not _PLAIN_LINE.fullmatch(text):
        return ""
    said = text.rstrip(" ").replace('"', "&quot;")
    return f"<p>{said}</p>\n"


def _draw_once(text: str, clock: Clock) -> tuple[str, bool]:
    """Markdown as HTML, and whether all of it was drawn in time."""
    parser = _build_parser(final=True)
    try:
        tokens = _parse(parser, text, clock)
    except TookTooLong:
        return _draw_text(text), False
    deadline = Deadline(clock)
    html = str(parser.renderer.render(tokens, parser.options, {_DEADLINE: deadline}))
    return html, not deadline.has_passed


def _parse(parser: MarkdownIt, text: str, clock: Clock) -> list[Token]:
    """The tokens of a text; raises ``TookTooLong`` also for what is nested so deep that the parser would drop it."""
    if len(text) > _LONGEST:
        raise TookTooLong
    tokens = parser.parse(text, {_DEADLINE: Deadline(clock)})
    if any(token.level >= _DEEPEST - 1 for token in tokens):
        raise TookTooLong
    return tokens


def has_math(html: str) -> bool:
    """Whether drawn Markdown holds a formula that is to be typeset."""
    return f'class="tlm-math {_LOUD}"' in html


def unfence(text: str) -> tuple[str, str]:
    r"""The language and content of a text that is one fenced block; else no language and the text.

    >>> unfence("```python\nx = 1\n```")
    ('python', 'x = 1')
    """
    head, newline, rest = text.strip().partition("\n")
    match = _FENCE.fullmatch(head)
    lines = rest.split("\n")
    if match is None or not newline or lines[-1].strip() != match[1] or any(line.lstrip().startswith(match[1]) for line in lines[:-1]):
        return "", text
    return match[2].strip(), "\n".join(lines[:-1])


def format_json(text: str) -> tuple[str, bool]:
    """JSON text with line breaks and indents; a text that is no JSON as it is; and whether it is JSON."""
    bare = unfence(text)[1]
    try:
        return json.dumps(json.loads(bare), indent=2, ensure_ascii=False), True
    except (ValueError, RecursionError):
        return text, False


class IncrementalRenderer:
    """Draws a text that grows, in linear time: finished blocks are drawn once and kept.

    Nothing is highlighted or typeset before the end. A block that has become long is drawn anew
    only after it has grown by a quarter; what came since then stands below it as plain text.
    A block that cannot be drawn in time is text from then on, and so is what follows it.
    ``drawn`` counts the characters drawn so far.
    """

    def __init__(self, form: str = "markdown", clock: Clock = THREAD_CLOCK) -> None:
        self._blocks = form == "markdown"
        self._clock = clock
        self.drawn = 0
        self._begin()

    def _begin(self) -> None:
        self._gave_up = False
        self._text = ""
        self._parts: list[str] = []  # HTML of finished blocks,
        self._settled = 0  # which are so many characters of the text
        self._tail = ""  # HTML of what follows them,
        self._seen = 0  # up to here
        self._rest: list[str] = []  # and the escaped text after that

    def html(self, text: str) -> str:
        """The HTML of the text so far; a text that does not continue the last one begins anew."""
        if not text.startswith(self._text):
            self._begin()
        new = text[len(self._text) :]
        self._text = text
        size, since = self._seen - self._settled, len(text) - self._seen
        if self._blocks and new and not self._gave_up and (size + since <= _SMALL_TAIL or since * 4 >= size):
            self._try_to_redraw()
        elif new:
            self._rest.append(escape(new))
            self.drawn += len(new)
        rest = "".join(self._rest)
        if not self._blocks:
            return f'<pre class="tlm-text">{rest}</pre>'
        return "".join((*self._parts, self._tail, f'<span class="tlm-text">{rest}</span>' if rest else ""))

    def _try_to_redraw(self) -> None:
        try:
            self._redraw()
        except TookTooLong:
            self._gave_up = True
            self._tail, self._seen = "", len(self._text)
            self._rest = [escape(self._text[self._settled :])]

    def _redraw(self) -> None:
        pending = self._text[self._settled :]
        self.drawn += len(pending)
        if line := _draw_plain_line(pending):
            self._tail, self._seen, self._rest = line, len(self._text), []
            return
        parser = _build_parser(final=False)
        tokens = _parse(parser, pending, self._clock)
        lines = [0, *(m.end() for m in _NEWLINE.finditer(pending))]
        # The last block may grow, and so may the one before a line that still grows: "2" may yet be the list's "2. b".
        starts = [i for i, t in enumerate(tokens) if t.level == 0 and t.nesting >= 0 and t.map and t.map[0] < len(lines) - 1]
        cut = starts[-1] if starts else 0
        if cut:
            self._parts.append(parser.renderer.render(tokens[:cut], parser.options, {}))
            self._settled += lines[(tokens[cut].map or [0])[0]]
        self._tail = parser.renderer.render(tokens[cut:], parser.options, {})
        self._seen, self._rest = len(self._text), []


def _wrap_code(inner: str, *, wrapped: bool = False) -> str:
    mark = ' class="tlm-wrap"' if wrapped else ""
    return f"<pre{mark}><code>{inner}</code></pre>\n"


def _draw_code(code: str, language: str, deadline: Deadline, *, wrapped: bool = False) -> str:
    """Code with its words coloured, or plain where that takes too long; long lines scroll unless they are ``wrapped``."""
    try:
        return _wrap_code(highlight(code, language, deadline.check) or escape(code), wrapped=wrapped)
    except TookTooLong:
        return _wrap_code(escape(code), wrapped=wrapped)


@functools.cache
def _build_parser(*, final: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    # breaks: a poem keeps its lines. maxNesting: the preset's 20 would lose the text of deep lists; what is deeper is shown as text.
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": _DEEPEST}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: SCHEMES.match(url) is not None  # type: ignore[method-assign]  # its documented hook
    parser.block.ruler.before("fence", "formula", _read_formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.block.ruler.before("fence", "json", _read_json, {"alt": ["paragraph", "reference"]})
    parser.inline.ruler.before("escape", "formula", _read_inline_formula)
    parser.core.ruler.push("links", _tame_links)
    parser.core.ruler.push("tasks", _mark_tasks)
    # Rules are tried at every step, also where another one looks ahead: a good place to look at the clock.
    parser.block.ruler.before("table", "deadline", _check_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.inline.ruler.before("text", "deadline", _check_inline)
    rules: dict[str, Callable[[Token, Any], str]] = {
        "fence": lambda token, env: (
            _draw_code(token.content, token.info.strip(), env[_DEADLINE]) if final else _wrap_code(escape(token.content))
        ),
        "code_block": lambda token, _: _wrap_code(escape(token.content)),
        "formula": lambda token, _: _draw_formula(token, final=final),
        "json": lambda token, env: (
            _draw_code(token.content, "json", env[_DEADLINE], wrapped=True) if final else _wrap_code(escape(token.content), wrapped=True)
        ),
        "task": lambda token, _: f'<span role="img" aria-label="{token.info}">{"☑" if token.info == "done" else "☐"}</span> ',
        "table_open": lambda _token, _env: '<div class="tlm-scroll"><table>\n',
        "table_close": lambda _token, _env: "</table></div>\n",
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, _adapt_rule(rule))
    return parser


def _adapt_rule(rule: Callable[[Token, Any], str]) -> Callable[..., str]:
    def render_token(_self: RendererProtocol, tokens: Sequence[Token], at: int, _options: Any, env: Any) -> str:
        return rule(tokens[at], env)

    return render_token


def _check_block(state: StateBlock, _start: int, _end: int, _silent: bool) -> bool:
    state.env[_DEADLINE].check()
    return False


def _check_inline(state: StateInline, _silent: bool) -> bool:
    state.env[_DEADLINE].check()
    return False


def _draw_formula(token: Token, *, final: bool) -> str:
    tag = "div" if token.block else "span"
    if not (final and formulas.is_harmless(token.content)):
        return f'<{tag} class="tlm-math">{escape(token.content)}</{tag}>'
    return f'<{tag} class="tlm-math {_LOUD}">{escape(formulas.drop_numbers(token.content))}</{tag}>'


def _read_inline_formula(state: StateInline, silent: bool) -> bool:
    closing = _CLOSING.get(state.src[state.pos : state.pos + 2])
    if closing is None:
        return _read_dollar_formula(state, silent)
    end = state.src.find(closing, state.pos + 2, state.pos + _LONGEST_FORMULA)
    if end <= state.pos + 2:
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[state.pos : end + 2]
    state.pos = end + 2
    return True


def _read_dollar_formula(state: StateInline, silent: bool) -> bool:
    end = find_dollar_formula(state.src, state.pos)
    if end is None:
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[state.pos : end]
    state.pos = end
    return True


def _read_json(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    """An object or a list of several lines that stands in the text as JSON: its indentation is kept."""
    begin = state.bMarks[start] + state.tShift[start]
    if state.src[begin : begin + 1] not in ("{", "[") or state.is_code_block(start) or state.blkIndent:
        return False
    try:
        _, length = json.JSONDecoder().raw_decode(state.src[begin : begin + _LONGEST_JSON])
    except (ValueError, RecursionError):
        return False
    last = start
    while last < end and state.eMarks[last] < begin + length:
        last += 1
    if last == start or last >= end or state.src[begin + length : state.eMarks[last]].strip():
        return False
    if not silent:
        token = state.push("json", "", 0)
        token.block, token.map = True, [start, last + 1]
        token.content = state.src[state.bMarks[start] : state.eMarks[last]]
    state.line = last + 1
    return True


def _mark_tasks(state: StateCore) -> None:
    """Items of a list that begin with ``[ ]`` or ``[x]`` as open and done tasks: a mark, and no control that does nothing."""
    from markdown_it.token import Token

    for item, paragraph, block in zip(state.tokens, state.tokens[1:], state.tokens[2:], strict=False):
        if (item.type, paragraph.type) != ("list_item_open", "paragraph_open") or not block.children:
            continue
        first = block.children[0]
        found = _TASK.match(first.content) if first.type == "text" else None
        if found is not None:
            first.content = first.content[found.end() :]
            item.attrs["class"] = "tlm-task"
            block.children.insert(0, Token("task", "", 0, info="open" if found[1] == " " else "done"))


def _read_formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
    begin = state.bMarks[start] + state.tShift[start]
    closing = _CLOSING.get(state.src[begin : begin + 2])
    if closing is None or closing == "\\)" or state.is_code_block(start):
        return False
    if state.src.find(closing, begin + 2, begin + _LONGEST_FORMULA) < 0:
        return False
    for line in range(start, end):
        text = state.getLines(line, line + 1, state.blkIndent, keepLastLF=False).strip()
        if not text or state.sCount[line] < state.blkIndent:
            return False
        rest = text[2:] if line == start else text
        if closing in rest:
            if not rest.endswith(closing):
                return False
            if not silent:
                token = state.push("formula", "", 0)
                token.block, token.map = True, [start, line + 1]
                token.content = state.getLines(start, line + 1, state.blkIndent, keepLastLF=False).strip()
            state.line = line + 1
            return True
    return False


def _tame_links(state: StateCore) -> None:
    for block in state.tokens:
        if block.children:
            block.children = _tame(block.children)


def _tame(tokens: Sequence[Token]) -> list[Token]:
    """Links that tell nothing to the page they lead to; an image becomes a link, for loading it would be a request."""
    from markdown_it.token import Token

    out: list[Token] = []
    depth = 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("link_") else 0
        if token.type == "link_open":
            token.attrs.update(LINK)
        if token.type != "image":
            out.append(token)
            continue
        label = Token("text", "", 0, content=f"image: {token.content or token.attrs.get('src', '')}")
        link = Token("link_open", "a", 1, attrs={"href": str(token.attrs.get("src", "")), **LINK})
        out += [label] if depth else [link, label, Token("link_close", "a", -1)]
    return out
