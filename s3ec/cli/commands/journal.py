"""``s3ec journal``: the books of bucket jobs, listed and removed."""

from __future__ import annotations

from pathlib import Path

import click

from s3ec.cli.failures import ERRORS, ExitCode, Failure, combined, describe
from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output, Table
from s3ec.cli.pages import Group
from s3ec.migrate.journal.file import private_folder
from s3ec.migrate.journal.listing import ENDING, journals, remove_journal

__all__ = ["journal"]


@click.group(
    cls=Group,
    short_help="The books of bucket jobs: list and remove them.",
    examples=("s3ec journal ls", "s3ec journal rm migrate-payroll-1a2b3c4d5e6f.journal"),
)
def journal() -> None:
    """The books of bucket jobs: which plans there are, how far each is, and how to remove them."""


@journal.command(
    "ls",
    cls=Command,
    short_help="Each journal, its plan and how far it is.",
    examples=("s3ec journal ls", "s3ec journal ls ./journals --json"),
)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@shared_options("json")
@click.pass_obj
def list_journals(output: Output, options: Options, folder: Path | None) -> None:
    """Show the journals of FOLDER, by default those of the user's state folder. Nothing about them changes."""
    if folder is not None and not folder.is_dir():
        raise click.UsageError(f"{folder} is not a folder", click.get_current_context())
    place = folder or private_folder()
    found = journals(place)
    if output.as_json:
        output.document({"folder": str(place), "journals": [each.to_dict() for each in found]})
        return
    output.line(f"{place}: {len(found)} journal{'' if len(found) == 1 else 's'}")
    if not found:
        return
    table = Table(("Journal", "Plan", "State", ">Done", ">Failed", ">Open"))
    for each in found:
        plan = f"{each.action} {each.source}{f' -> {each.destination}' if each.destination else ''}, {each.key}"
        plan = each.problem if each.state == "unreadable" else plan
        table.add(Path(each.path).name, plan, each.state, each.done, each.failed, each.open)
    output.table(table)


@journal.command(
    "rm",
    cls=Command,
    short_help="Remove journals whose plan is finished.",
    examples=(
        "s3ec journal rm migrate-payroll-1a2b3c4d5e6f.journal",
        "s3ec journal rm ./old.journal --force",
    ),
)
@click.argument("names", nargs=-1, required=True, metavar="JOURNAL...")
@click.option("--force", is_flag=True, help="Also one whose plan is not finished: the next run starts from the bucket.")
@shared_options("json")
@click.pass_obj
def remove(output: Output, options: Options, names: tuple[str, ...], force: bool) -> ExitCode:
    """Remove journals, by their path or by their name as `journal ls` shows it. Other files are never removed."""
    removed: list[str] = []
    failures: list[Failure] = []
    for name in names:
        path = _path(name)
        try:
            removed.append(remove_journal(path, force=force).path)
        except ERRORS as error:
            failure = describe(error, str(path))
            failures.append(failure)
            advice = "; --force removes it all the same" if "is not finished" in failure.message else ""
            output.note(f"s3ec: {failure.message}{advice}")
            continue
        if not output.as_json:
            output.line(f"removed {path}")
    if output.as_json:
        output.document({"removed": removed, "failed": [failure.document() for failure in failures]})
    return combined(failure.code for failure in failures)


def _path(name: str) -> Path:
    """Return the path of a journal that is named by its path, or by its name in the user's state folder."""
    given, known = Path(name), private_folder() / name
    is_bare_name = given.name == name and name.endswith(ENDING)
    return known if is_bare_name and not given.exists() else given
