"""The formats in which the body of a card can be shown; a module of its own, so that loading the magics draws nothing in."""

FORMATS = ("markdown", "text", "json", "code", "html")
