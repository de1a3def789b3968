"""``s3ec completion``: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from s3ec.cli.options import Command, Options, shared_options
from s3ec.cli.output import Output

__all__ = ["completion"]

_SHELLS = ("bash", "zsh", "fish")


@click.command(
    cls=Command,
    short_help="Print the script that completes in your shell.",
    examples=(
        "s3ec completion bash > ~/.local/share/bash-completion/completions/s3ec",
        "s3ec completion zsh > ~/.zfunc/_s3ec",
        "s3ec completion fish > ~/.config/fish/completions/s3ec.fish",
    ),
)
@click.argument("shell", type=click.Choice(_SHELLS))
@shared_options()
@click.pass_obj
def completion(output: Output, options: Options, shell: str) -> None:
    """Print the script that makes bash (4.4 or later), zsh or fish complete commands and options."""
    kind = get_completion_class(shell)
    root = click.get_current_context().find_root().command
    if kind is None:
        raise click.UsageError(f"no completion for {shell}", click.get_current_context())
    source = kind(root, {}, "s3ec", "_S3EC_COMPLETE")
    # Not by `source()`, which starts bash to ask for its version.
    output.stdout.write(source.source_template % source.source_vars() + "\n")
