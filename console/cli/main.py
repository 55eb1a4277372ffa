"""The `andon` command: a table of subcommands, each imported only when it runs."""

from __future__ import annotations

import importlib
import io
import os
import sys
from typing import Any, cast

import click

from console.cli.options import Refused, Settings, common_options

# name -> (module, what it does in one line): the help is printed without importing any of them
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo", "A synthetic fleet with faults, collected live, in a throw-away store."),
    "collect": ("collect", "Tail log files into the store; the one process that writes it."),
    "status": ("status", "The board, once: fleet and agents over a window."),
    "sessions": ("sessions", "List sessions, by agent, user, time, status, tool or text."),
    "trace": ("trace", "One session as a tree of spans."),
    "blast": ("blast", "What a scope wrote outside, by system, in order."),
    "kill": ("stopping", "Stop a scope, and say how far the stop is proven."),
    "arm": ("stopping", "Let a scope that is off run again; takes a reason."),
    "switches": ("stopping", "Every standing stop and how far it is proven."),
    "export": ("bundle", "Export a scope or an incident as a hashed evidence bundle."),
    "verify": ("bundle", "Check a bundle: any changed byte is found."),
    "audit": ("audit", "Who did what; `andon audit verify` checks the chain."),
    "doctor": ("doctor", "What is wrong with installation, store, sources, switches and registry."),
}


class LazyGroup(click.Group):
    """A group whose subcommands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"console.cli.{entry[0]}")
        return cast("click.Command", getattr(module, f"{cmd_name}_command"))

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        del ctx
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=LazyGroup, invoke_without_command=True)
@click.version_option(package_name="andon", prog_name="andon")
@common_options
def andon(settings: Settings) -> None:
    """The on-call console for AI agents. Without a command it opens the console.

    Times are ISO 8601 or an age (90s, 15m, 1d). Scopes are `all`, or kind:value with agent, tenant, user,
    session or tool. Exit codes: 0 done, 1 a check failed or was refused, 2 usage or an unusable input.
    """
    ctx = click.get_current_context()
    if ctx.invoked_subcommand is None:
        from console.cli.open import open_console

        ctx.exit(open_console(settings))


def main() -> None:
    """Run the command line; an expected failure is one line on stderr, never a traceback."""
    from console.packages import misplaced

    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no ✔ shows ?, not a traceback
    problem = misplaced()
    if problem is not None:
        click.echo(f"andon: {problem}", err=True)
        sys.exit(2)
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """The exit code of `andon ARGUMENTS`."""
    from store.folder import StoreError

    try:
        result: Any = andon.main(args=arguments, prog_name="andon", standalone_mode=False)
    except click.exceptions.Exit as stop:
        return int(stop.exit_code)
    except click.Abort:
        click.echo("andon: interrupted", err=True)
        return 1
    except click.ClickException as error:
        error.show()
        return error.code if isinstance(error, Refused) else error.exit_code
    except StoreError as error:
        click.echo(f"andon: {error}", err=True)
        return 2
    except BrokenPipeError:  # `andon sessions | head` is no error
        # so that nothing is flushed into the closed pipe at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return int(result) if isinstance(result, int) else 0


if __name__ == "__main__":
    main()
