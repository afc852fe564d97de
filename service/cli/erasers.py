"""`clearway erasers …`: train, show, evaluate, activate, retire and roll back versions."""

from __future__ import annotations

import json
from pathlib import Path
from shlex import quote
from typing import Annotated, Any, NoReturn

import typer

from service.cli.connection import DataDirOption, KeyOption, UrlOption, connect
from service.cli.generate import INTERRUPTED_EXIT_CODE
from service.cli.hints import in_commands
from service.cli.output import JsonOption, ShownAsJson, print_json
from service.cli.versions import VersionArgument, parse_version, print_versions
from workers.contract import MAX_SEED, ConceptKind

app = typer.Typer(help="Train, list, show, evaluate, cancel, activate, retire and delete erasers.", no_args_is_help=True)


@app.command()
def train(
    concept: Annotated[str, typer.Argument(help="What to take out.")],
    method: Annotated[str | None, typer.Option(help="Erasure method; the service's default.")] = None,
    kind: Annotated[
        ConceptKind | None,
        typer.Option(help="What the concept is, which decides the sentences that it is trained on; object."),
    ] = None,
    description: Annotated[str | None, typer.Option(help="The concept in words.")] = None,
    synonym: Annotated[list[str] | None, typer.Option(help="Another word for it. Repeatable.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A neighbour that must survive. Repeatable.")] = None,
    pairs: Annotated[Path | None, typer.Option(help='JSON lines {"positive", "negative"}: prompts with and without it.')] = None,
    model: Annotated[str | None, typer.Option(help="Model; the service's default.")] = None,
    config: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=VALUE", help="A setting of the method, as in iterations=500; JSON or text. Repeatable."),
    ] = None,
    seed: Annotated[int | None, typer.Option(min=0, max=MAX_SEED, help="Same seed, same eraser.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Train a new version and wait for its numbers. It becomes a candidate; `activate` puts it to use. Ctrl-C ends the waiting
    and not the training."""
    from service import terminal
    from service.client import JobFailed

    options: dict[str, Any] = {
        "kind": kind,
        "method": method,
        "description": description,
        "synonyms": synonym,
        "keep": keep,
        "pairs": _pairs(pairs) if pairs else None,
        "model": model,
        "config": dict(map(_setting, config)) if config else None,
        "seed": seed,
    }
    request = {"concept": concept, **{name: value for name, value in options.items() if value is not None}}
    with connect(url, key, data_dir) as client:
        accepted = client.train(request)
        for warning in accepted["warnings"]:
            typer.echo(f"Warning: {in_commands(warning['message'])}", err=True)
        name, version = accepted["concept"], accepted["version"]
        if (seconds := accepted["estimated_seconds"]) is not None:
            typer.echo(f"Trainings like this one took about {max(1, round(seconds))} seconds.", err=True)
        try:
            terminal.show(client.follow_training(name, version), f"{name}@{version}")
        except KeyboardInterrupt:
            _goes_on("training", name, version)
        trained = client.version(name, version)
        if trained["status"] == "failed":
            raise JobFailed(f"training of {name}@{version}", "failed", trained["error"])
        gate = client.report(name, version)["gate"]
    print_versions([trained])
    _print_gate(gate)
    if gate["passed"]:
        typer.echo(f"To use it: clearway erasers activate '{name}@{version}'")


@app.command("list")
def list_(as_json: JsonOption = False, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """List every version of every concept."""
    with connect(url, key, data_dir) as client:
        versions = [version for concept in client.erasers() for version in concept["versions"]]
    if as_json:
        print_json(versions)
    else:
        print_versions(versions)


@app.command()
def show(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT[@VERSION]")],
    as_json: ShownAsJson = True,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """One concept or one version, whole, as JSON."""
    with connect(url, key, data_dir) as client:
        found = client.version(*parse_version(concept)) if "@" in concept else client.eraser(concept)
    print_json(found)


@app.command()
def report(
    version: VersionArgument,
    as_json: ShownAsJson = True,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Print the numbers of a version and the gate's verdict as JSON."""
    with connect(url, key, data_dir) as client:
        print_json(client.report(*parse_version(version)))


@app.command()
def evaluate(
    version: VersionArgument,
    synonym: Annotated[list[str] | None, typer.Option(help="Another word that must be erased too. Repeatable.")] = None,
    keep: Annotated[list[str] | None, typer.Option(help="A neighbour that must survive. Repeatable.")] = None,
    pairs: Annotated[Path | None, typer.Option(help='JSON lines {"positive", "negative"}: prompts with and without it.')] = None,
    seed: Annotated[int | None, typer.Option(help="Same seed, same prompts.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Measure a version on this service's model, wait for the numbers, and print what the gate says of them."""
    from service import terminal
    from service.client import JobFailed

    options: dict[str, Any] = {"synonyms": synonym, "keep": keep, "pairs": _pairs(pairs) if pairs else None, "seed": seed}
    name, number = parse_version(version)
    with connect(url, key, data_dir) as client:
        client.evaluate(name, number, {option: value for option, value in options.items() if value is not None})
        try:
            terminal.show(client.follow_training(name, number), version)
        except KeyboardInterrupt:
            _goes_on("evaluation", name, number)
        measured = client.version(name, number)
        report = client.report(name, number)
    job = measured["evaluation_job"]
    if job["status"] != "succeeded":
        raise JobFailed(f"evaluation of {version}", job["status"], job["error"])
    print_versions([measured])
    _print_gate(report["gate"])


@app.command()
def activate(
    version: VersionArgument,
    override: Annotated[
        bool, typer.Option("--override", help="Even if its numbers do not pass the gate. Needs --reason.")
    ] = False,
    reason: Annotated[str | None, typer.Option(help="Why the gate is overridden; kept in the audit log.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Use a version from now on. The one that was active before retires."""
    if override != bool(reason):
        raise typer.BadParameter("--override and --reason 'TEXT' go together", param_hint="--override")
    with connect(url, key, data_dir) as client:
        print_versions([client.activate(*parse_version(version), override_reason=reason)])


@app.command()
def cancel(version: VersionArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Cancel the training or the evaluation of a version. A trainer that runs it stops within one step."""
    with connect(url, key, data_dir) as client:
        print_versions([client.cancel_eraser_job(*parse_version(version))])


@app.command()
def retire(version: VersionArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Use a version no more."""
    with connect(url, key, data_dir) as client:
        retired = client.retire(*parse_version(version))
    print_versions([retired])
    if retired["generations"]:
        typer.echo(f"{retired['generations']} generations have it pinned: clearway erasers used-by '{version}'")


@app.command()
def delete(version: VersionArgument, url: UrlOption = None, key: KeyOption = None, data_dir: DataDirOption = None) -> None:
    """Delete a failed version or a candidate, for good. Its number is never used again."""
    with connect(url, key, data_dir) as client:
        client.delete_version(*parse_version(version))


@app.command()
def rollback(
    concept: Annotated[str, typer.Argument(metavar="CONCEPT[@VERSION]", help="With a version that one; it was active once.")],
    model: Annotated[str | None, typer.Option(help="Whose text encoder is meant; the service's default model.")] = None,
    url: UrlOption = None,
    key: KeyOption = None,
    data_dir: DataDirOption = None,
) -> None:
    """Use the version from before again, and the present one no more."""
    name, version = parse_version(concept) if "@" in concept else (concept, None)
    with connect(url, key, data_dir) as client:
        print_versions([client.roll_back(name, version, model=model)])


def _goes_on(what: str, concept: str, version: int) -> NoReturn:
    """After Ctrl-C: a training may have run for hours, so it is not cancelled unasked."""
    name = quote(f"{concept}@{version}")
    typer.echo(f"The {what} of {name} goes on. To see how far it is: clearway erasers show {name}", err=True)
    typer.echo(f"To cancel it: clearway erasers cancel {name}", err=True)
    raise typer.Exit(INTERRUPTED_EXIT_CODE) from None


def _pairs(path: Path) -> list[Any]:
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8-sig").split("\n") if line.strip()]
    except (OSError, ValueError) as wrong:
        raise typer.BadParameter(f"{path}: {wrong}") from wrong


def _setting(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise typer.BadParameter(f"{text!r} is not of the form NAME=VALUE, as in iterations=500", param_hint="--config")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value  # a word needs no quotes


def _print_gate(gate: dict[str, Any]) -> None:
    typer.echo(f"The gate: {'passed' if gate['passed'] else 'not passed'}")
    for reason in gate["reasons"]:
        typer.echo(f"  {reason}")
