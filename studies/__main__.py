"""The command line of studies: run, status, resume, report, query, list."""

from __future__ import annotations

import argparse
import sys
import warnings
from collections.abc import Sequence

from model_adapters import AdapterError
from studies.errors import DamagedStudy, StudyError
from studies.spec import read_study
from studies.store import Store


def main(given: Sequence[str] | None = None) -> int:
    """Do what was asked; 0 where it worked, 1 with one sentence where not, 130 where it was stopped."""
    asked = _parser().parse_args(given)
    try:
        asked.do(asked)
    except (StudyError, AdapterError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("Stopped. What is finished is kept; `resume` goes on.\n")
        return 130
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m studies", description="The same questions over a data set.")
    commands = parser.add_subparsers(required=True, metavar="command")
    run = commands.add_parser("run", help="run a study file, or go on with it")
    run.add_argument("file", help="a YAML file, such as docs/examples/study.yaml")
    run.add_argument("--store", help="where the results go, instead of where the file says")
    again = commands.add_parser("resume", help="go on with the study in a store")
    for command, do in ((run, _run), (again, _resume)):
        command.add_argument("--engine", default="local", help="local (default) or ray")
        command.add_argument("--address", help="of a Ray cluster")
        command.set_defaults(do=do)
    status = commands.add_parser("status", help="how far a study is")
    report = commands.add_parser("report", help="what came of it, as Markdown")
    sql = commands.add_parser("query", help="ask its tables with SQL, or a ready query by name")
    for command in (again, status, report, sql):
        command.add_argument("store", help="path or URL of the study's folder")
    for command, do in ((status, _status), (report, _report), (sql, _query)):
        command.set_defaults(do=do)
    sql.add_argument("sql")
    listed = commands.add_parser("list", help="the studies in a folder")
    listed.add_argument("folder", nargs="?", default="studies-results")
    listed.set_defaults(do=_list)
    return parser


def _run(asked: argparse.Namespace) -> None:
    from dataclasses import replace

    from studies.conduct import conduct

    study = read_study(asked.file)
    study = replace(study, store=asked.store) if asked.store else study
    conduct(study, _engine(asked), _Told())
    _say(f"Results in {study.store}: python -m studies report {study.store}")


def _resume(asked: argparse.Namespace) -> None:
    from studies.conduct import resume

    resume(asked.store, _engine(asked), _Told())
    _say(f"Results in {asked.store}: python -m studies report {asked.store}")


def _status(asked: argparse.Namespace) -> None:
    from studies.telling import status

    found = status(Store(asked.store))
    _say(found.line)
    for note in (*found.lacking, *found.notes):
        _say(note)


def _report(asked: argparse.Namespace) -> None:
    from studies.telling import report

    _say(report(Store(asked.store)).rstrip())


def _query(asked: argparse.Namespace) -> None:
    from studies.reading import QUERIES, lacking, query
    from studies.telling import table

    store = Store(asked.store)
    store.manifest()
    for sentence in lacking(store, QUERIES.get(asked.sql, asked.sql)):
        _say(sentence)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DamagedStudy)  # said above
        found = query(store, asked.sql)
    for line in table(*found):
        _say(line)


def _list(asked: argparse.Namespace) -> None:
    from studies.telling import listed

    found = listed(asked.folder)
    for one in found:
        _say(f"{one.line} ({one.url})")
        for sentence in one.lacking:
            _say(f"  {sentence}")
    if not found:
        _say(f"No studies in {asked.folder}.")


def _engine(asked: argparse.Namespace):  # noqa: ANN202  the protocol is imported when it is needed
    from studies.engine import engine_named

    return engine_named(asked.engine, address=asked.address)


class _Told:
    """Progress as lines."""

    def __init__(self) -> None:
        self.before: int | None = None

    def __call__(self, progress) -> None:  # noqa: ANN001
        from studies.telling import duration

        if self.before is None:
            self.before = progress.done
        told = f"{progress.done} of {progress.shards} shards"
        if progress.last is not None:
            left = progress.remaining(self.before)
            told += f", {progress.rate:.1f} records/s" + (f", {progress.broken} broken" if progress.broken else "")
            told += f", about {duration(left)} left" if left else ""
            told += "".join(f"\n  {note}" for note in progress.last.notes)
        _say(told)


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
