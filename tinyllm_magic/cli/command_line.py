"""Reads the arguments of a command, runs it, and gives its exit code."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from ..errors import TinyLLMError
from .commands import run_cache, run_diff, run_drift, run_mark, run_models, run_publish, run_report, run_textconv, run_verify
from .demo import run_demo
from .printing import plain_line, print_in_any_encoding

_IRI_PARSER = "rfc3987_syntax"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (2: it could not be done, and standard error says why)."""
    print_in_any_encoding()
    _leave_out_iri_parser()
    parser = _parser()
    chosen = parser.parse_args(arguments)
    if not hasattr(chosen, "run"):
        parser.print_help()
        return 2
    try:
        return int(chosen.run(chosen))
    except TinyLLMError as error:
        print(f"tinyllm-magic: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tinyllm-magic: stopped", file=sys.stderr)
        return 130


def _leave_out_iri_parser() -> None:
    """Keep jsonschema from its optional parser of IRIs: nothing of a notebook is one, and every command would wait 2 s for its import."""
    sys.modules.setdefault(_IRI_PARSER, None)  # type: ignore[arg-type]  # so an import is refused


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints repeat what was typed, or what a pattern of file names became, without control characters."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with 2."""
        super().error(plain_line(message))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="tinyllm-magic", description="The reproducible prompt cell, from a shell.")
    commands = parser.add_subparsers(title="commands")
    demo = commands.add_parser("demo", help="run the first notebook on the embedded model and show every answer")
    demo.add_argument("--folder", type=Path, default=Path("tinyllm-demo"), help="where the executed notebook goes (default: %(default)s)")
    demo.set_defaults(run=run_demo)
    _add_verify(commands)
    _add_drift(commands)
    _add_report(commands)
    _add_diff(commands)
    _add_cache(commands)
    _add_mark(commands)
    _add_publish(commands)
    _add_textconv(commands)
    named = commands.add_parser("models", help="named models; fetch the embedded model's weights")
    named.add_argument("what", nargs="?", choices=("list", "fetch"), default="list")
    named.set_defaults(run=run_models)
    return parser


def _add_verify(commands: Any) -> None:
    parser = commands.add_parser(
        "verify",
        help="run notebooks from their stores, offline, and compare every answer with the saved one",
        description="Runs notebooks in strict replay (no key, no network) and compares the outputs of every cell with the saved ones. "
        "Exit code: 0 all the same, 1 something differs or is missing, 2 could not run. The environment is an allow-list "
        "and the network is closed to Python, but this is no sandbox: run only notebooks that you would run yourself.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="NOTEBOOK_OR_FOLDER")
    does_more = parser.add_mutually_exclusive_group()
    does_more.add_argument("--record", action="store_true", help="run live where an answer is missing, record it, and write the outputs")
    prune_help = "after a run in which every cell passed, move the records that no notebook of the folder asked for to NAME.cleared"
    does_more.add_argument("--prune", action="store_true", help=prune_help)
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML, too")
    parser.add_argument("--workers", type=_positive, default=2, metavar="N", help="notebooks side by side (default: %(default)s)")
    parser.add_argument("--timeout", type=_positive, default=600, metavar="SECONDS", help="for each cell (default: %(default)s)")
    parser.add_argument("--allow-errors", action="store_true", help="a cell may fail, as if all were tagged `raises-exception`")
    parser.add_argument("--allow-empty", action="store_true", help="accept prompt cells that were never run and have no recorded answer")
    env_help = "let this variable through to the notebook; repeatable, and never for one that looks secret"
    parser.add_argument("--env", action="append", default=[], metavar="NAME", help=env_help)
    parser.set_defaults(run=run_verify)


def _add_drift(commands: Any) -> None:
    parser = commands.add_parser(
        "drift",
        help="ask some recorded questions again: does the model still answer as recorded?",
        description="Asks recorded questions of a notebook again and says of each: same, changed or could not tell, by the model that "
        "answers, its fingerprint, the text, and over several samples a test. The store and the notebook stay as they are. "
        "Exit code: 0 nothing has changed, 1 something has, 2 nothing could be told, or strict replay forbids to ask.",
    )
    parser.add_argument("notebook", type=Path, metavar="NOTEBOOK")
    parser.add_argument("--sample", type=_positive, default=10, metavar="K", help="how many questions (default: %(default)s)")
    budget_help = "the most that may be spent (default: 0, which asks models on this machine alone)"
    parser.add_argument("--budget", type=_dollars, default=0.0, metavar="USD", help=budget_help)
    seed_help = "which questions are chosen: the same seed, the same ones (default: %(default)s)"
    parser.add_argument("--seed", type=int, default=0, metavar="N", help=seed_help)
    parser.add_argument("--allow-unpriced", action="store_true", help="also ask models whose price is unknown: no budget holds them")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="write the verdicts as JUnit XML, too")
    parser.set_defaults(run=run_drift)


def _add_report(commands: Any) -> None:
    parser = commands.add_parser(
        "report",
        help="what a reader or reviewer must know of a notebook's answers, from it and its store",
        description="Reports models as asked and as answered, dates, parameters, samples, prompts by cell, tokens and cost, what could not "
        "be pinned, a methods paragraph, the items of published checklists, and the commands that prove it. Reads the notebook and its "
        "store alone: nothing is run, and no network is used.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="NOTEBOOK_OR_FOLDER")
    parser.add_argument("--format", choices=("md", "html", "json", "ro-crate"), default="md", help="default: %(default)s")
    parser.add_argument("-o", "--out", type=Path, metavar="PATH", help="write a file, or for several notebooks files in this folder")
    parser.set_defaults(run=run_report)


def _add_diff(commands: Any) -> None:
    parser = commands.add_parser(
        "diff",
        help="what changed between two versions of a notebook: prompts, parameters, answers, scores, cost",
        description="Compares two notebooks, each with its store. A version is a notebook, REV:PATH, or a revision of git alone, which "
        "is of the other's path: `diff HEAD~1 analysis.ipynb`. Of two folders, and of two revisions alone, every notebook that differs. "
        "Exit code: 0, with --exit-code 1 where something differs; 2 where a version cannot be read.",
    )
    parser.add_argument("before", metavar="A")
    parser.add_argument("after", metavar="B")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--format", choices=("text", "html", "md"), default="text", help="how it is written (default: %(default)s)")
    for name, const, what in (("html", "html", "one page that loads nothing"), ("markdown", "md", "Markdown for a pull request")):
        form.add_argument(f"--{name}", dest="format", action="store_const", const=const, help=what)
    parser.add_argument("-o", "--out", type=Path, metavar="FILE", help="write it there (default: standard output)")
    parser.add_argument("--exit-code", action="store_true", help="exit with 1 where something differs, as `git diff` does")
    parser.set_defaults(run=run_diff)


def _add_cache(commands: Any) -> None:
    parser = commands.add_parser(
        "cache",
        help="look after stores of recorded answers",
        description="stats, list, check, tidy and clear take stores; show takes a store and the beginnings of keys; "
        "merge takes a store and others whose records are merged into it. check exits with 1 on damaged lines.",
    )
    parser.add_argument("what", choices=("stats", "list", "show", "tidy", "merge", "check", "clear"))
    parser.add_argument("files", nargs="+", metavar="FILE")
    parser.set_defaults(run=run_cache)


def _add_mark(commands: Any) -> None:
    parser = commands.add_parser("mark", help="mark prompt cells as Markdown, which colours them in VS Code; it changes no answer")
    parser.add_argument("places", nargs="+", type=Path, metavar="NOTEBOOK_OR_FOLDER")
    parser.add_argument("--remove", action="store_true", help="take the marks out")
    parser.set_defaults(run=run_mark)


def _add_textconv(commands: Any) -> None:
    parser = commands.add_parser(
        "textconv",
        help="print a store as text, for git diff",
        description="Prints a store of recorded answers as text, one block a call, so that `git diff` is readable: "
        "put `*.llm.jsonl diff=llm` into .gitattributes, and run `git config diff.llm.textconv 'tinyllm-magic textconv'`.",
    )
    parser.add_argument("file", type=Path, metavar="FILE")
    parser.set_defaults(run=run_textconv)


def _add_publish(commands: Any) -> None:
    parser = commands.add_parser(
        "publish",
        help="write a static site in which a reader re-runs notebooks in the browser, from their stores",
        description="Writes a site that any web server or GitHub Pages shows: each notebook as it was saved, and beside it the notebook "
        "in JupyterLite, where Python runs inside the reader's page and every prompt is answered from the notebook's store. "
        "What a notebook needs that a browser cannot have is said before anything is written.",
    )
    parser.add_argument("places", nargs="+", type=Path, metavar="NOTEBOOK_OR_FOLDER")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where the site goes; a site there is replaced")
    parser.add_argument("--title", default="Notebooks", help="of the first page (default: %(default)s)")
    pyodide_help = "a folder with Pyodide's own distribution, which has what is not on PyPI for the browser (numpy, pandas …)"
    parser.add_argument("--pyodide", type=Path, metavar="FOLDER", help=pyodide_help)
    parser.add_argument("--renew", action="store_true", help="look for packages anew, where they were found before")
    parser.set_defaults(run=run_publish)


def _positive(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"'{text}' is not a whole number above 0")
    return int(text)


def _dollars(text: str) -> float:
    try:
        amount = float(text.removeprefix("$"))
    except ValueError:
        amount = math.nan
    if not 0 <= amount < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is no amount in US dollars")
    return amount
