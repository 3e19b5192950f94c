"""One line of progress in a terminal, few in a log."""

import io

from tinyllm_magic.batch.progress import ProgressLine
from tinyllm_magic.batch.table import Table
from tinyllm_magic.row_results import RunProgress


def test_a_log_gets_a_line_every_tenth(capsys):
    tick = ProgressLine()
    for done in range(100):
        tick(Table([], RunProgress(total=100, live=done, seconds=1.0)))
    tick.close(Table([], RunProgress(total=100, live=100, seconds=1.0)))

    assert len(capsys.readouterr().err.splitlines()) == 11


def test_a_terminal_has_one_line_that_never_wraps(monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    monkeypatch.setenv("COLUMNS", "40")
    tick = ProgressLine(Terminal())
    states = [Table([], RunProgress(total=100_000, live=done, tokens_in=10**6, cost=1.5, seconds=9.0)) for done in (1, 50_000, 100_000)]
    tick(states[0])
    tick(states[1])
    tick.close(states[2])

    lines = tick._out.getvalue().removesuffix("\n").split("\r")[1:]
    assert len(lines) == 3
    assert max(map(len, lines)) < 40
