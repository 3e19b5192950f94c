"""What each command does; a command imports what it needs when it is run."""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from collections import Counter

from .printing import ProgressLine, print_lines, write_file
from .weights import fetch_weights


def run_verify(chosen: argparse.Namespace) -> int:
    """Verify notebooks: verdicts on standard output, progress on standard error."""
    from ..verify import pruning, report
    from ..verify.runner import VerifyOptions, find, verify

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
    progress = ProgressLine(sys.stderr)
    for verdict in verify(found, options, progress=progress.show):
        done.append(verdict)
        progress.clear()
        print_lines(report.describe(verdict, whole_path=names[verdict.path.name] > 1))
    if len(done) > 1:
        failed = sum(bool(v.exit_code) for v in done)
        print(f"{len(done)} notebooks: {len(done) - failed} passed, {failed} failed")
    if chosen.prune:
        print_lines(pruning.prune(done))
    if chosen.junit is not None:
        write_file(chosen.junit, report.junit(done))
    return report.exit_code(done)


def run_drift(chosen: argparse.Namespace) -> int:
    """Ask recorded questions again: the plan first, then the verdicts; progress on standard error."""
    from ..changes import drift, drift_report

    run = drift.plan_drift(chosen.notebook, drift.DriftOptions(chosen.sample, chosen.budget, chosen.seed, chosen.allow_unpriced))
    print_lines(drift_report.describe_plan(run))
    progress = ProgressLine(sys.stderr)
    run.ask(progress.show)
    progress.clear()
    print_lines(drift_report.describe(run))
    if chosen.junit is not None:
        write_file(chosen.junit, drift_report.junit(run))
    if run.stopped:
        raise KeyboardInterrupt
    return drift_report.exit_code(run)


def run_report(chosen: argparse.Namespace) -> int:
    """Report on notebooks: on standard output, or into files."""
    from ..reporting.report import build_report
    from ..reporting.writing import save_reports, write_reports
    from ..verify.runner import find

    reports = [build_report(path) for path in find(chosen.places)]
    if chosen.out is None:
        sys.stdout.write(write_reports(reports, chosen.format))
    else:
        print_lines(map(str, save_reports(reports, chosen.format, chosen.out)))
    return 0


def run_diff(chosen: argparse.Namespace) -> int:
    """Compare two versions, and write what differs."""
    from ..changes import diff, diff_html, diff_markdown, diff_text

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
        write_file(chosen.out, text.encode("utf-8", "replace"))
    return int(chosen.exit_code and any(d.is_different for d in found))


def run_mark(chosen: argparse.Namespace) -> int:
    """Write ``vscode.languageId`` into prompt cells, or take it out."""
    from ..notebook.language_marks import mark_notebook
    from ..verify.runner import find

    for path in find(chosen.places):
        changed = mark_notebook(path, remove=chosen.remove)
        told = f"{changed} cell{'s' * (changed != 1)} changed" if changed else "nothing to change"
        print_lines([f"{path}: {told}"])
    return 0


def run_publish(chosen: argparse.Namespace) -> int:
    """Write a site; what its notebooks cannot have in a browser is said first."""
    from ..static_site.build import PublishOptions, plan_site, write_site
    from ..verify.runner import find

    progress = ProgressLine(sys.stderr)
    options = PublishOptions(title=chosen.title, distribution=chosen.pyodide, renew=chosen.renew)
    plan = plan_site(find(chosen.places), options, progress.show)
    progress.clear()
    print_lines(plan.warnings())
    print_lines(write_site(plan, chosen.output))
    return 0


def run_cache(chosen: argparse.Namespace) -> int:
    """Do one thing to a store, or to several."""
    from ..recording import maintenance

    lines, code = maintenance.COMMANDS[chosen.what]([*chosen.files])
    print_lines(lines)
    return code


def run_textconv(chosen: argparse.Namespace) -> int:
    """Print a store as ``git diff`` shows it."""
    from ..recording.record_text import write_store

    print_lines(write_store(chosen.file))
    return 0


def run_models(chosen: argparse.Namespace) -> int:
    """List the named models, or fetch the embedded model's weights."""
    if chosen.what == "fetch":
        print(fetch_weights().name)
        return 0
    from ..notebook import reports

    print(reports.models_table()["text/plain"])
    return 0
