"""The command line ``tinyllm-magic``: reads arguments, runs one command, prints what came of it."""

from __future__ import annotations

import argparse
import codecs
import math
import os
import shutil
import sys
import textwrap
import threading
from collections import Counter
from collections.abc import Iterable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any, NoReturn, TextIO

from .errors import TinyLLMError
from .models.catalog import EMBEDDED
from .text_format import format_progress, printable

FIRST_NOTEBOOK = "01_first_cell.ipynb"
_PLAIN_SIGNS = {
    "✓": "ok",
    "✗": "FAILED",
    "●": "*",
    "–": "-",
    "→": "->",
    "≈": "~",
    "…": "...",
    "─": "-",
    "·": "-",
    "⏎": "|",
    "█": "#",
    "░": ".",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code (2: it could not be done, and standard error says why)."""
    _print_in_any_encoding()
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


def _print_in_any_encoding() -> None:
    """Let what a stream cannot encode be written otherwise: no command fails because a sign is not in the code page."""
    codecs.register_error("tinyllm_magic.plain", _write_plain)
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="tinyllm_magic.plain")


def _write_plain(error: UnicodeError) -> tuple[str, int]:
    """Our own signs in ASCII, a question mark for every other one."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return "".join(_PLAIN_SIGNS.get(sign, "?") for sign in error.object[error.start : error.end]), error.end


class _Parser(argparse.ArgumentParser):
    """A parser whose complaints repeat what was typed, or what a pattern of file names became, without control characters."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, and exit with 2."""
        super().error(_plain_line(message))


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


def run_verify(chosen: argparse.Namespace) -> int:
    """Verify notebooks: verdicts on standard output, progress on standard error."""
    from .verify import pruning, report
    from .verify.runner import VerifyOptions, find, verify

    found = pruning.add_neighbours(find(chosen.places)) if chosen.prune else find(chosen.places)
    names = Counter(path.name for path in found)
    options = VerifyOptions(
        record=chosen.record,
        timeout=chosen.timeout,
        workers=chosen.workers,
        allow_errors=chosen.allow_errors,
        allow_empty=chosen.allow_empty,
        environ=tuple(chosen.env),
    )
    done: list[report.NotebookVerdict] = []
    progress = _ProgressLine(sys.stderr)
    for verdict in verify(found, options, progress=progress.show):
        done.append(verdict)
        progress.clear()
        _print_lines(report.describe(verdict, whole_path=names[verdict.path.name] > 1))
    if len(done) > 1:
        failed = sum(bool(v.exit_code) for v in done)
        print(f"{len(done)} notebooks: {len(done) - failed} passed, {failed} failed")
    if chosen.prune:
        _print_lines(pruning.prune(done))
    if chosen.junit is not None:
        _write_file(chosen.junit, report.junit(done))
    return report.exit_code(done)


def _write_file(path: Path, content: bytes) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    except OSError as error:
        raise TinyLLMError(f"{path} cannot be written: {error.strerror}") from error


def _print_lines(lines: Iterable[str]) -> None:
    print("\n".join(map(_plain_line, lines)), flush=True)


def _plain_line(text: str) -> str:
    """One line, whatever names it holds: they can neither command a terminal nor feign a line of ours."""
    return " ".join(printable(text).splitlines())


class _ProgressLine:
    """Progress lines: one that overwrites itself in a terminal, else one for each notebook."""

    def __init__(self, out: TextIO) -> None:
        self._out, self._seen = out, set[str]()
        self._lock = threading.Lock()

    def show(self, line: str) -> None:
        """Show how far a notebook has come."""
        with self._lock:
            line = _plain_line(line)
            name = line.rpartition(":")[0]
            if self._out.isatty():
                self._out.write(f"\r\x1b[K{line[: shutil.get_terminal_size().columns - 1]}")
            elif name not in self._seen:
                self._seen.add(name)
                self._out.write(f"running {name} …\n")
            self._out.flush()

    def clear(self) -> None:
        """Make room for a line that stays."""
        if self._out.isatty():
            self._out.write("\r\x1b[K")
            self._out.flush()


def run_drift(chosen: argparse.Namespace) -> int:
    """Ask recorded questions again: the plan first, then the verdicts; progress on standard error."""
    from .publishing import drift, drift_report

    run = drift.plan_drift(chosen.notebook, drift.DriftOptions(chosen.sample, chosen.budget, chosen.seed, chosen.allow_unpriced))
    _print_lines(drift_report.describe_plan(run))
    progress = _ProgressLine(sys.stderr)
    run.ask(progress.show)
    progress.clear()
    _print_lines(drift_report.describe(run))
    if chosen.junit is not None:
        _write_file(chosen.junit, drift_report.junit(run))
    if run.stopped:
        raise KeyboardInterrupt
    return drift_report.exit_code(run)


def run_report(chosen: argparse.Namespace) -> int:
    """Report on notebooks: on standard output, or into files."""
    from .reporting.report import build_report
    from .reporting.writing import save_reports, write_reports
    from .verify.runner import find

    reports = [build_report(path) for path in find(chosen.places)]
    if chosen.out is None:
        sys.stdout.write(write_reports(reports, chosen.format))
    else:
        _print_lines(map(str, save_reports(reports, chosen.format, chosen.out)))
    return 0


def run_diff(chosen: argparse.Namespace) -> int:
    """Compare two versions, and write what differs."""
    from .publishing import diff, diff_html, diff_markdown, diff_text

    found = diff.compare(chosen.before, chosen.after)
    if chosen.format == "html":
        text = diff_html.draw_page(found)
    elif chosen.format == "md":
        text = diff_markdown.write_markdown(found)
    else:
        paint = chosen.out is None and sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        text = diff_text.write_text(found, paint=paint, width=shutil.get_terminal_size((100, 24)).columns)
    if chosen.out is None:
        print(text, end="", flush=True)
    else:
        _write_file(chosen.out, text.encode("utf-8", "replace"))
    return int(chosen.exit_code and any(d.is_different for d in found))


def run_mark(chosen: argparse.Namespace) -> int:
    """Write ``vscode.languageId`` into prompt cells, or take it out."""
    from .notebook.language_marks import mark_notebook
    from .verify.runner import find

    for path in find(chosen.places):
        changed = mark_notebook(path, remove=chosen.remove)
        told = f"{changed} cell{'s' * (changed != 1)} changed" if changed else "nothing to change"
        _print_lines([f"{path}: {told}"])
    return 0


def run_publish(chosen: argparse.Namespace) -> int:
    """Write a site; what its notebooks cannot have in a browser is said first."""
    from .static_site.build import PublishOptions, plan_site, write_site
    from .verify.runner import find

    progress = _ProgressLine(sys.stderr)
    options = PublishOptions(title=chosen.title, distribution=chosen.pyodide, renew=chosen.renew)
    plan = plan_site(find(chosen.places), options, progress.show)
    progress.clear()
    _print_lines(plan.warnings())
    _print_lines(write_site(plan, chosen.output))
    return 0


def run_cache(chosen: argparse.Namespace) -> int:
    """Do one thing to a store, or to several."""
    from .recording import maintenance

    lines, code = maintenance.COMMANDS[chosen.what]([*chosen.files])
    _print_lines(lines)
    return code


def run_textconv(chosen: argparse.Namespace) -> int:
    """Print a store as ``git diff`` shows it."""
    from .recording.record_text import write_store

    _print_lines(write_store(chosen.file))
    return 0


def run_demo(chosen: argparse.Namespace) -> int:
    """Execute the first notebook live on the embedded model, show each cell, write notebook and page."""
    from .recording.names import store_beside
    from .verify import kernels

    fetch_weights()
    folder: Path = chosen.folder
    folder.mkdir(parents=True, exist_ok=True)
    notebook = kernels.read(first_notebook())
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    store = store_beside(folder / FIRST_NOTEBOOK)
    store.unlink(missing_ok=True)  # the demonstration is live, every time
    environ = {"TINYLLM_API_TYPE": "local", "TINYLLM_MODEL": EMBEDDED, "TINYLLM_MODE": "auto", "TINYLLM_STORE": str(store.absolute())}
    print(f"Running {FIRST_NOTEBOOK} on a model inside this machine: no key, no network.\n")
    _print_markdown(notebook.cells, -1)
    try:
        kernels.execute(
            notebook,
            folder,
            {**os.environ, **environ},
            started=lambda _index, cell: print(_frame(cell.source), flush=True),
            finished=lambda index, cell: _print_outputs(notebook.cells, index, cell),
        )
    finally:
        kernels.write(notebook, folder / FIRST_NOTEBOOK)
    page = folder / f"{Path(FIRST_NOTEBOOK).stem}.html"
    page.write_text(kernels.to_html(notebook), encoding="utf-8")
    print(f"Written: {folder / FIRST_NOTEBOOK}, {page} (open it in a browser) and the answers in {store}.")
    print("Run the notebook again and every answer comes from that file, at once and unchanged.")
    return 0


def first_notebook() -> Path:
    """The first notebook: packaged with an installation, or of the checkout that this package runs from."""
    packaged = Path(str(resources.files(__package__).joinpath("static", FIRST_NOTEBOOK)))
    checkout = Path(__file__).parent.parent / "notebooks" / FIRST_NOTEBOOK
    return packaged if packaged.exists() else checkout


def _frame(source: str) -> str:
    bar = "─" * min(shutil.get_terminal_size().columns, 78)
    return f"{bar}\n{textwrap.indent(source, '  ')}\n{bar}"


def _print_outputs(cells: list[Any], index: int, cell: Any) -> None:
    """Print a cell's outputs as a terminal would, and the headings that follow it."""
    for output in cell.outputs:
        text = output.get("text") or output.get("data", {}).get("text/plain") or "\n".join(output.get("traceback", []))
        if text:
            print(f"{printable(text).rstrip()}\n", flush=True)
    _print_markdown(cells, index)


def _print_markdown(cells: list[Any], index: int) -> None:
    for cell in cells[index + 1 :]:
        if cell.cell_type != "markdown":
            return
        print(f"{cell.source}\n", flush=True)


def run_models(chosen: argparse.Namespace) -> int:
    """List the named models, or fetch the embedded model's weights."""
    if chosen.what == "fetch":
        print(fetch_weights().name)
        return 0
    from .notebook import reports

    print(reports.models_table()["text/plain"])
    return 0


def fetch_weights() -> Path:
    """The embedded model's weights, fetched on first use with a progress line on standard error."""
    from .providers import llamacpp_server, weights
    from .settings.paths import cache_folder

    llamacpp_server.require()
    found = weights.find(cache_folder=cache_folder())
    if found is not None:
        return found
    try:
        return weights.fetch(cache_folder(), _progress_line)
    finally:
        if sys.stderr.isatty():
            print(file=sys.stderr)


def _progress_line(message: str, done: int, total: int) -> None:
    end = "\r" if sys.stderr.isatty() else os.linesep
    if sys.stderr.isatty() or done in (0, total):
        print(format_progress(message, done, total), end=end, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
