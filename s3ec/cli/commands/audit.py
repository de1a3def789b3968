"""``s3ec audit``: what is in buckets, for people, programs, pipelines and auditors."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from s3ec.cli.audit_checks import Check, fail_on_option, list_option, open_list
from s3ec.cli.audit_view import show
from s3ec.cli.environment import Environment
from s3ec.cli.failures import ERRORS, ExitCode, Failure, FailureError, combined, describe
from s3ec.cli.identity import who_looks
from s3ec.cli.listing import nothing_there
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output
from s3ec.cli.progress import Progress
from s3ec.cli.urls import S3_URL, S3Url
from s3ec.migrate.audit.report import Audit
from s3ec.migrate.audit.survey import Survey

__all__ = ["audit"]


@click.command(
    cls=Command,
    short_help="Show what is in buckets, and what would block a migration.",
    examples=(
        "s3ec audit s3://payroll",
        "s3ec audit s3://payroll --html audit.html --json > audit.json",
        "s3ec audit --all-buckets --html account.html --list offenders.csv",
        "s3ec audit s3://payroll --fail-on plaintext --fail-on legacy",
    ),
)
@click.argument("urls", type=S3_URL, nargs=-1, metavar="[S3://BUCKET[/PREFIX]]...")
@click.option("--all-buckets", is_flag=True, help="Every bucket that this identity can list.")
@fail_on_option
@list_option
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Also write a page.")
@click.option("--all-versions", is_flag=True, help="Also look at old versions, one by one.")
@shared_options("connection", "workers", "json")
@click.pass_obj
def audit(
    output: Output,
    options: Options,
    urls: tuple[S3Url, ...],
    all_buckets: bool,
    fail_on: tuple[str, ...],
    list_file: Path | None,
    html: Path | None,
    all_versions: bool,
) -> ExitCode:
    """Survey buckets: formats, keys, server-side modes, versions, locks; what would block a migration.

    Needs no key, decrypts nothing and writes nothing. With --fail-on it ends with 1 if anything matches, or cannot
    be read: a check for a pipeline.
    """
    if bool(urls) == all_buckets:
        raise click.UsageError("name buckets (s3://bucket), or give --all-buckets", click.get_current_context())
    if options.json and str(list_file) == "-":
        problem = "standard output carries the document of --json: give --list FILE"
        raise click.UsageError(problem, click.get_current_context())
    environment = Environment(options, output)
    run = _Run(environment, all_versions, Check(fail_on))
    with open_list(list_file, output) as run.check.write:
        audits = list(run.all(_places(environment, urls)))
    documents = [{**each, **run.about} for each in audits]
    if html is not None and documents:
        from s3ec.migrate.audit.page import page

        html.write_text(page(*documents), encoding="utf-8")
        output.note(f"s3ec: the page is in {html}")
    code = combined(failure.code for failure in run.failures)
    if run.check.offenders:
        code = ExitCode.LEFT_UNDONE
    _print(output, documents, run, code, single=len(urls) == 1, is_list=str(list_file) == "-")
    return code


def _places(environment: Environment, urls: tuple[S3Url, ...]) -> Iterator[S3Url]:
    if urls:
        yield from urls
        return
    for page in environment.s3.get_paginator("list_buckets").paginate():
        yield from (S3Url(row["Name"]) for row in page["Buckets"])


@dataclass(slots=True)
class _Run:
    """The audits of one run, bucket after bucket."""

    environment: Environment
    all_versions: bool
    check: Check
    failures: list[Failure] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    def all(self, places: Iterator[S3Url]) -> Iterator[dict[str, Any]]:
        """Return the document of each place; a place that cannot be audited is a failure, and the others go on."""
        with Progress.of(self.environment.output, self.environment.options, "audited") as progress:
            for url in places:
                try:
                    document = self._one(url, progress)
                except FailureError as error:
                    self._failed(error.failure)
                    continue
                except BrokenPipeError:
                    raise
                except ERRORS as error:
                    self._failed(describe(error, str(url)))
                    continue
                self.about = self.about or who_looks(self.environment)
                yield document

    def _failed(self, failure: Failure) -> None:
        self.failures.append(failure)
        self.environment.output.note(f"s3ec: {failure.message}")

    def _one(self, url: S3Url, progress: Progress) -> dict[str, Any]:
        options = self.environment.options
        survey = Survey(
            self.environment.s3, url.bucket, url.key, workers=options.workers, all_versions=self.all_versions
        )
        result = Audit.begin(survey)
        for found in survey:
            result.add(found)
            self.check.look(url, found)
            progress.advance(found.size)
        result.close(survey)
        if url.key and not result.objects and not result.instruction_files and not survey.noncurrent:
            raise nothing_there(url)
        if self.all_versions and survey.versions_unreadable:
            self.check.unknown(url, "its old versions may not be listed (allow s3:ListBucketVersions)")
        return result.document()


def _print(
    output: Output, documents: list[dict[str, Any]], run: _Run, code: ExitCode, *, single: bool, is_list: bool
) -> None:
    checked = run.check.document()
    if output.as_json:
        if single and not documents:
            output.document({"error": run.failures[0].document()})
        elif single:
            output.document({**documents[0], **checked, "exit_code": int(code)})
        else:
            failed = [failure.document() for failure in run.failures]
            output.document({"audits": documents, "failed": failed, **checked, "exit_code": int(code)})
    elif not is_list:
        for number, document in enumerate(documents):
            if number:
                output.line("")
            show(output, document)
    for line in run.check.lines(len(run.failures)):
        output.note(line)
