"""`andon export` and `andon verify`: evidence that can leave the machine."""

from __future__ import annotations

from pathlib import Path

import click

from console.cli.options import Refused, Settings, common_options
from console.cli.output import json_option, print_json, say


@click.command("export")
@click.argument("scope")
@click.option("-o", "--output", "out", type=click.Path(path_type=Path), help="The new file (default: named here).")
@json_option
@common_options
def export_command(settings: Settings, scope: str, out: Path | None, as_json: bool) -> int:
    """Export a scope, or incident:ID, as a bundle: redacted, hashed, made anew byte by byte from the same store."""
    from runbooks.incidents.bundle import BundleError, default_name, export_bundle
    from store.control.actor import Actor

    text = scope if scope.startswith("incident:") else str(settings.stored_scope(settings.raw_scope(scope)))
    with settings.reader() as reader:
        as_of_ns = settings.moment_ns(reader)
    target = out or Path(default_name(text, as_of_ns))
    redact = settings.enricher().text if settings.folder.redact_key.exists() else None
    try:
        result = export_bundle(
            settings.folder,
            text,
            target,
            registry=settings.registry(),
            as_of_ns=as_of_ns,
            actor=Actor.current(),
            redact=redact,
        )
    except (BundleError, ValueError) as error:
        raise Refused(str(error), exit_code=2) from None
    for warning in result.warnings:
        click.echo(f"andon: {warning}", err=True)
    if as_json:
        from console.cli.schemas import ExportShape

        print_json(
            ExportShape(
                path=str(result.path),
                scope=text,
                sha256=result.sha256,
                manifest_sha256=result.manifest_sha256,
                members=list(result.members),
                spans=result.spans,
                effects=result.effects,
            )
        )
    else:
        say(f"{result.path}  {result.size_bytes:,} bytes  {result.spans:,} spans  {result.effects:,} effects")
        say(f"manifest sha256 {result.manifest_sha256}")
        click.echo("Keep the manifest's sum apart from the file; andon verify prints it again.")
    return 0


@click.command("verify")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
@common_options
def verify_command(settings: Settings, file: Path, as_json: bool) -> int:
    """Check every byte of a bundle; exit 1 where one was changed."""
    del settings
    from runbooks.incidents.verify import verify_bundle

    result = verify_bundle(file)
    if as_json:
        from console.cli.schemas import VerifyShape

        print_json(
            VerifyShape(
                path=str(file),
                ok=result.ok,
                problems=list(result.problems),
                members=list(result.members),
                manifest_sha256=result.manifest_sha256,
            )
        )
    elif result.ok:
        say(f"{file}: sound, {len(result.members)} members")
        say(f"manifest sha256 {result.manifest_sha256}")
    else:
        say(f"{file}: REFUSED")
        for problem in result.problems:
            say(f"  {problem}")
    return 0 if result.ok else 1
