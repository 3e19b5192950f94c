"""A stranger's text in, HTML that can neither run nor load anything out: Markdown, code, JSON, HTML, tables.

Knows how text of each format may look, and how to draw a growing text at linear cost.
Does not know cards, answers, prices, the notebook or the network.
"""

from __future__ import annotations

import functools
import html
import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from markdown_it import MarkdownIt
    from markdown_it.renderer import RendererProtocol
    from markdown_it.rules_block import StateBlock
    from markdown_it.rules_core import StateCore
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

FORMATS = ("markdown", "text", "json", "code", "html")
QUIET = "tex2jax_ignore mathjax_ignore"  # MathJax 2, and 3 with 4: "$5 or $10" is no formula
_LOUD = "tex2jax_process mathjax_process"
_SCHEMES = re.compile(r"\s*(?:https?:|mailto:)", re.IGNORECASE)
_LINK = {"rel": "noopener noreferrer nofollow", "target": "_blank"}  # Colab and VS Code show outputs in frames
_CLOSING = {"$$": "$$", "\\[": "\\]", "\\(": "\\)"}
_LONGEST_FORMULA = 4000
# MathJax runs \href{javascript:…}, loads by \require, styles by \class, and keeps \def for the notebook's own formulas.
_TEX_REFUSED = re.compile(
    r"\\(?:href|url|require|style|class|cssId|data|mmlToken|unicode|includegraphics|csname"
    r"|[gex]?def|let|(?:re)?new(?:command|environment)|DeclareMathOperator|DeclarePaired\w*)(?![A-Za-z])"
)
_FENCED = re.compile(r"\s*(?P<fence>`{3,}|~{3,})(?P<info>[^\n`]*)\n(?P<code>.*?)\n?(?P=fence)\s*", re.DOTALL)
_NEWLINE = re.compile(r"\r\n?|\n")
_LANGUAGE = re.compile(r"[\w+#.-]{1,30}")
_LONGEST_HIGHLIGHT = 50_000
_SMALL_TAIL = 2000
_UNPRINTABLE = {c: None for c in (*range(32), *range(127, 160)) if c not in (9, 10)}
_TAG_NAMES = (
    "a abbr b blockquote br caption code dd del details div dl dt em figcaption figure h1 h2 h3 h4 h5 h6 hr i ins kbd li mark ol p "
    "pre q s samp small span strong sub summary sup table tbody td tfoot th thead tr u ul var"
)
_ATTRIBUTES = {"a": {"href", "title"}, "td": {"colspan", "rowspan"}, "th": {"colspan", "rowspan"}, "ol": {"start"}, "details": {"open"}}
_PROSE = 60  # characters
_DROPPED = {"script", "style", "title", "textarea", "iframe", "noscript", "noembed", "template", "object", "svg", "math"}


def escape(value: object) -> str:
    """Any value as HTML text that is safe between tags and inside quoted attributes."""
    return html.escape(str(value), quote=True)


def with_code(line: str) -> str:
    """A sentence of ours as HTML: escaped, with what stands in backticks as code."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(line))


def printable(text: str) -> str:
    """Text without control characters (but tab and newline): a terminal obeys none of a stranger's."""
    return text.translate(_UNPRINTABLE)


def storable(text: str) -> str:
    """Text without lone surrogates, which no notebook file can hold."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def render(text: str, form: str = "markdown") -> str:
    """A finished text as HTML in one of ``FORMATS``, highlighted; unknown formats are shown as text."""
    if form == "markdown":
        return str(_parser(final=True).render(text))
    if form == "html":
        return _sanitised(unfence(text)[1])
    if form == "json":
        return _pre(_highlighted(pretty_json(text), "json"))
    if form == "code":
        language, code = unfence(text)
        return _pre(_highlighted(code, language))
    return f'<pre class="tlm-text">{escape(text)}</pre>'


def has_math(text: str) -> bool:
    """Whether a text holds one of the unmistakable delimiters of a formula."""
    return any(mark in text for mark in _CLOSING)


def unfence(text: str) -> tuple[str, str]:
    r"""The language and content of a text that is one fenced block; else no language and the text.

    >>> unfence("```python\nx = 1\n```")
    ('python', 'x = 1')
    """
    match = _FENCED.fullmatch(text)
    if match is None or re.search(rf"^\s*{match['fence']}", match["code"], re.MULTILINE):
        return "", text
    return match["info"].strip(), match["code"]


def pretty_json(text: str) -> str:
    """JSON text with line breaks and indents; a text that is no JSON as it is."""
    bare = unfence(text)[1]
    try:
        return json.dumps(json.loads(bare), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return bare


class Growing:
    """Draws a text that grows, in linear time: finished blocks are drawn once and kept.

    Nothing is highlighted or typeset before the end. A block that has become long is drawn anew
    only after it has grown by a quarter; what came since then stands below it as plain text.
    ``drawn`` counts the characters drawn so far.
    """

    def __init__(self, form: str = "markdown") -> None:
        self._blocks = form == "markdown"
        self.drawn = 0
        self._begin()

    def _begin(self) -> None:
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
        if self._blocks and new and (size + since <= _SMALL_TAIL or since * 4 >= size):
            self._redraw()
        elif new:
            self._rest.append(escape(new))
            self.drawn += len(new)
        rest = "".join(self._rest)
        if not self._blocks:
            return f'<pre class="tlm-text">{rest}</pre>'
        return "".join((*self._parts, self._tail, f'<span class="tlm-text">{rest}</span>' if rest else ""))

    def _redraw(self) -> None:
        parser = _parser(final=False)
        pending = self._text[self._settled :]
        self.drawn += len(pending)
        tokens = parser.parse(pending)
        lines = [0, *(m.end() for m in _NEWLINE.finditer(pending))]
        # The last block may grow, and so may the one before a line that still grows: "2" may yet be the list's "2. b".
        starts = [i for i, t in enumerate(tokens) if t.level == 0 and t.nesting >= 0 and t.map and t.map[0] < len(lines) - 1]
        cut = starts[-1] if starts else 0
        if cut:
            self._parts.append(parser.renderer.render(tokens[:cut], parser.options, {}))
            self._settled += lines[(tokens[cut].map or [0])[0]]
        self._tail = parser.renderer.render(tokens[cut:], parser.options, {})
        self._seen, self._rest = len(self._text), []


def table_html(columns: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """An accessible table, everything in it escaped; columns of numbers stand right, of prose are wide, ``None`` is an empty cell."""
    rows = list(rows)
    kinds = [' class="tlm-num"' if _numeric(column) else "" for column in zip(*rows, strict=True)] or [""] * len(columns)
    wide = [' style="min-width:18em"' if _is_prose(column) else "" for column in zip(*rows, strict=True)] or kinds
    head = "".join(f'<th scope="col"{k}{w}>{escape(c)}</th>' for c, k, w in zip(columns, kinds, wide, strict=True))
    cells = ("".join(f"<td{k}>{_cell(v)}</td>" for v, k in zip(row, kinds, strict=True)) for row in rows)
    body = "".join(f"<tr>{row}</tr>" for row in cells)
    title = f"<caption>{escape(caption)}</caption>" if caption else ""
    return f'<div class="tlm-scroll"><table>{title}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def table_text(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """The same table as aligned plain text."""
    lines = [[printable(_shown(v)).replace("\n", " ") for v in row] for row in (columns, *rows)]
    widths = [max(map(_width, column)) for column in zip(*lines, strict=True)]
    lines.insert(1, ["-" * w for w in widths])
    padded = ("  ".join(c + " " * (w - _width(c)) for c, w in zip(line, widths, strict=True)) for line in lines)
    return "\n".join(line.rstrip() for line in padded)


@dataclass(frozen=True)
class Bar:
    """A share as a table's cell: a bar, and the same in words.

    >>> print(Bar(3, 4))
    ██████░░ 75%
    """

    part: float
    whole: float

    @property
    def words(self) -> str:
        """The share in percent; empty where there is nothing to share."""
        return f"{self.part / self.whole:.0%}" if self.whole else ""

    def __str__(self) -> str:
        full = round(8 * self.part / self.whole) if self.whole else 0
        return f"{'█' * full}{'░' * (8 - full)} {self.words}" if self.whole else ""


def _cell(value: object) -> str:
    if not isinstance(value, Bar) or not value.whole:
        return escape(_shown(value))
    return f'<label><meter min="0" max="{value.whole:.9g}" value="{value.part:.9g}">{value.words}</meter> {value.words}</label>'


def _shown(value: object) -> str:
    return "" if value is None else str(value)


def _is_prose(column: Sequence[object]) -> bool:
    """Whether a column holds sentences, which would else be squeezed into the width of a word."""
    return any(isinstance(v, str) and len(v) > _PROSE for v in column)


def _numeric(column: Sequence[object]) -> bool:
    given = [v for v in column if v is not None]
    return bool(given) and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in given)


def _width(text: str) -> int:
    return sum(0 if unicodedata.combining(c) else 2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pre(inner: str) -> str:
    return f"<pre><code>{inner}</code></pre>\n"


def _highlighted(code: str, info: str) -> str:
    language = _LANGUAGE.match(info)
    if language is None or len(code) > _LONGEST_HIGHLIGHT:
        return escape(code)
    # pygments ships no types
    from pygments import highlight  # type: ignore[import-untyped]
    from pygments.formatters.html import HtmlFormatter  # type: ignore[import-untyped]
    from pygments.lexers import get_lexer_by_name  # type: ignore[import-untyped]
    from pygments.util import ClassNotFound  # type: ignore[import-untyped]

    try:
        lexer = get_lexer_by_name(language[0], stripnl=False, ensurenl=False)
    except ClassNotFound:
        return escape(code)
    return str(highlight(code, lexer, HtmlFormatter(nowrap=True, classprefix="tlm-")))


def _sanitised(text: str) -> str:
    import nh3

    return nh3.clean(
        text,
        tags=set(_TAG_NAMES.split()),
        clean_content_tags=_DROPPED,
        attributes=_ATTRIBUTES,
        attribute_filter=lambda _tag, name, value: None if name == "href" and not _SCHEMES.match(value) else value,
        link_rel=_LINK["rel"],
        set_tag_attribute_values={"a": {"target": _LINK["target"]}},
        url_schemes={"http", "https", "mailto"},
    )


@functools.cache
def _parser(*, final: bool) -> MarkdownIt:
    from markdown_it import MarkdownIt

    # breaks: a poem keeps its lines. maxNesting: the preset's 20 would lose the text of deep lists.
    parser = MarkdownIt("commonmark", {"html": False, "breaks": True, "maxNesting": 100}).enable(["table", "strikethrough"])
    parser.validateLink = lambda url: _SCHEMES.match(url) is not None  # type: ignore[method-assign]  # its documented hook
    parser.block.ruler.before("fence", "formula", _formula_block, {"alt": ["paragraph", "reference", "blockquote", "list"]})
    parser.inline.ruler.before("escape", "formula", _formula_inline)
    parser.core.ruler.push("links", _tame_links)
    rules: dict[str, Callable[[Token], str]] = {
        "fence": lambda token: _pre(_highlighted(token.content, token.info.strip()) if final else escape(token.content)),
        "code_block": lambda token: _pre(escape(token.content)),
        "formula": lambda token: _formula(token, final=final),
        "table_open": lambda _: '<div class="tlm-scroll"><table>\n',
        "table_close": lambda _: "</table></div>\n",
    }
    for name, rule in rules.items():
        parser.add_render_rule(name, _by_token(rule))
    return parser


def _by_token(rule: Callable[[Token], str]) -> Callable[..., str]:
    def rendered(_self: RendererProtocol, tokens: Sequence[Token], at: int, _options: Any, _env: Any) -> str:
        return rule(tokens[at])

    return rendered


def _formula(token: Token, *, final: bool) -> str:
    tag = "div" if token.block else "span"
    loud = f" {_LOUD}" if final and not _TEX_REFUSED.search(token.content) else ""
    return f'<{tag} class="tlm-math{loud}">{escape(token.content)}</{tag}>'


def _formula_inline(state: StateInline, silent: bool) -> bool:
    closing = _CLOSING.get(state.src[state.pos : state.pos + 2])
    end = state.src.find(closing, state.pos + 2, state.pos + _LONGEST_FORMULA) if closing else -1
    if end <= state.pos + 2:
        return False
    if not silent:
        state.push("formula", "", 0).content = state.src[state.pos : end + 2]
    state.pos = end + 2
    return True


def _formula_block(state: StateBlock, start: int, end: int, silent: bool) -> bool:
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
            block.children = _tamed(block.children)


def _tamed(tokens: Sequence[Token]) -> list[Token]:
    """Links that tell nothing to the page they lead to; an image becomes a link, for loading it would be a request."""
    from markdown_it.token import Token

    out: list[Token] = []
    depth = 0
    for token in tokens:
        depth += token.nesting if token.type.startswith("link_") else 0
        if token.type == "link_open":
            token.attrs.update(_LINK)
        if token.type != "image":
            out.append(token)
            continue
        label = Token("text", "", 0, content=f"image: {token.content or token.attrs.get('src', '')}")
        link = Token("link_open", "a", 1, attrs={"href": str(token.attrs.get("src", "")), **_LINK})
        out += [label] if depth else [link, label, Token("link_close", "a", -1)]
    return out
