"""`brushwork-demo`: serve the page, export or publish it, bundle checkpoints."""

import argparse
import atexit
import os
import shlex
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path

from brushwork.errors import BrushworkError, install, report_errors
from brushwork.machine import keep_freed_memory, limit_memory_arenas
from brushwork_demo.foyer import close_foyer, open_foyer
from brushwork_demo.network import bare_host, url_host


def parser() -> argparse.ArgumentParser:
    """Build the parser of all commands and flags."""
    top = argparse.ArgumentParser(
        "brushwork-demo",
        description="Serve a page that identifies the artist of a painting and generates new ones.",
    )
    top.add_argument(
        "--generator",
        action="append",
        default=[],
        metavar="FOLDER",
        help="checkpoint folder, bundled name or Hub name, instead of all bundled generators; "
        "may be repeated",
    )
    top.add_argument(
        "--classifier",
        metavar="FOLDER",
        help="checkpoint folder, bundled name or Hub name, instead of the bundled classifier",
    )
    top.add_argument(
        "--host",
        default="127.0.0.1",
        help="address to listen on; 0.0.0.0 accepts other machines (default: %(default)s)",
    )
    top.add_argument("--port", type=int, help="by default 7860, or the next free port")
    top.add_argument(
        "--share", action="store_true", help="also serve a public gradio.live address for a week"
    )
    top.add_argument("--auth", metavar="NAME:PASSWORD", help="require a name and a password")
    top.add_argument("--mcp", action="store_true", help="also offer the API as MCP tools")
    top.add_argument(
        "--pictures",
        metavar="FOLDER",
        help="real pictures for the quiz and as examples; those of one genre may be in a folder of "
        "its name, such as landscape",
    )
    top.add_argument(
        "--engine",
        choices=("auto", "torch", "onnx"),
        default="auto",
        help="what computes: torch, or onnxruntime for checkpoints of export.py; auto decides by "
        "each checkpoint (default: %(default)s)",
    )
    commands = top.add_subparsers(title="other commands", metavar="COMMAND", dest="command")

    space = commands.add_parser("space", help="export or publish the page as a Hugging Face Space")
    actions = space.add_subparsers(metavar="export|publish", dest="action", required=True)
    export = actions.add_parser("export", help="write a folder that runs without this repository")
    export.add_argument("folder", metavar="DIR")
    publish = actions.add_parser("publish", help="create the Space, or update it")
    publish.add_argument("name", metavar="USER/NAME")
    publish.add_argument(
        "--hardware", help="hardware of a new Space; free accounts can use zero-a10g"
    )
    model = commands.add_parser("publish-model", help="publish a checkpoint as a model on the Hub")
    model.add_argument("checkpoint", metavar="FOLDER")
    model.add_argument("name", metavar="USER/NAME")
    for command in (export, publish):
        command.add_argument(
            "--static",
            action="store_true",
            help="a page that computes in the visitor's browser and needs no server with Python",
        )
        command.add_argument(
            "--generator",
            action="append",
            default=[],
            dest="more_generators",  # beside those before the command
            metavar="FOLDER",
            help="include this checkpoint instead of the bundled ones; may be repeated",
        )
        command.add_argument(
            "--classifier",
            # Otherwise an absent flag here would reset the one before the command.
            default=argparse.SUPPRESS,
            metavar="FOLDER",
            help="include this checkpoint instead of the bundled one",
        )
    for command in (publish, model):
        command.add_argument("--private", action="store_true", help="visible only to its owner")
        command.add_argument(
            "--dry-run", action="store_true", help="list the files and send nothing"
        )

    bundle = commands.add_parser(
        "bundle", help="copy a checkpoint into this package, in half precision"
    )
    bundle.add_argument("checkpoint", metavar="FOLDER")
    bundle.add_argument("name", metavar="NAME", help="the painter's name on the page")
    bundle.add_argument(
        "--stages",
        type=int,
        default=4,
        help="earlier checkpoints of the run (kept/) to include (default: %(default)s)",
    )
    bundle.add_argument(
        "--report", type=Path, help="report.json of evaluate_gan.py; the page shows its metrics"
    )
    bundle.add_argument(
        "--cover",
        type=int,
        metavar="SEED",
        help="seed of the picture that stands for a generator on the page (default: 0)",
    )
    bundle.add_argument(
        "--appearance",
        default="",
        metavar="TEXT",
        help="what the pictures show, and what is wrong with them, for the model card",
    )
    bundle.add_argument(
        "--about",
        metavar="DATA",
        help="data, as train_classifier.py takes it, from which to describe each artist in a line",
    )
    return top


def flag_names(top: argparse.ArgumentParser) -> set[str]:
    """List the parameters of a parser and its commands that have flags."""

    def names(parser: argparse.ArgumentParser) -> Iterator[str]:
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                for command in action.choices.values():
                    yield from names(command)
            elif action.option_strings:
                yield action.dest

    return set(names(top))


def main(arguments: Sequence[str] | None = None) -> None:
    """Parse the command line and run the command."""
    top = parser()
    args = top.parse_args(arguments)
    with report_errors(flag_names(top)):
        if args.command is None:
            serve(args)
            return
        _refuse_unused_flags(top, args)
        if args.command == "bundle":
            if args.stages < 0:
                raise BrushworkError(f"`stages` is {args.stages}; it must be at least 0")
            from brushwork_demo.bundle import bundle

            folder = bundle(
                args.checkpoint,
                args.name,
                num_stages=args.stages,
                report=args.report,
                about=args.about,
                cover=args.cover,
                appearance=args.appearance,
            )
            print(folder)
        else:
            print(_export_or_publish(args))


def _refuse_unused_flags(top: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Refuse flags of the page that the given command does not use.

    Raises:
        BrushworkError: a flag before the command has no effect.
    """
    used, command = (), args.command
    if command == "space":
        used, command = ("generator", "classifier"), f"space {args.action}"
    for flag in top._actions:
        given = getattr(args, flag.dest, flag.default) != flag.default
        if flag.option_strings and given and flag.dest not in used:
            raise BrushworkError(f"`{flag.dest}` has no effect on {command}; leave it out")


def _export_or_publish(args: argparse.Namespace) -> str:
    """Run a command of `space.py` and return its message."""
    from brushwork_demo import space

    if args.command == "space":
        args.generator = [*args.generator, *args.more_generators]
    if args.command == "publish-model":
        return space.publish_model(
            args.checkpoint, args.name, private=args.private, dry_run=args.dry_run
        )
    if args.action == "export" and args.static:
        from brushwork_demo.static_page import export_static

        files = export_static(args.folder, args.generator, args.classifier)
        num_bytes = sum((Path(args.folder) / file).stat().st_size for file in files)
        return (
            f"{args.folder}: {len(files)} files, {num_bytes / 1e6:.1f} MB; try it with "
            f"`{shlex.join(['python', '-m', 'http.server', '--directory', str(args.folder)])}`"
        )
    if args.action == "export":
        files = space.export(args.folder, args.generator, args.classifier)
        app = Path(args.folder) / "app.py"
        run = shlex.join(["uv", "run", "python", str(app)])
        return f"{args.folder}: {len(files)} files; try it with `{run}`"
    return space.publish_space(
        args.name,
        args.generator,
        args.classifier,
        private=args.private,
        dry_run=args.dry_run,
        hardware=args.hardware,
        static=args.static,
    )


def serve(args: argparse.Namespace) -> None:
    """Serve the page until the process gets a signal to stop.

    Raises:
        BrushworkError: a checkpoint is missing, or a flag is not valid.
    """
    auth = None
    if args.auth is not None:
        name, _, password = args.auth.partition(":")
        if not (name and password):
            raise BrushworkError(f"`auth` is {args.auth!r}; it must be NAME:PASSWORD")
        auth = (name, password)
    if args.mcp and find_spec("mcp") is None:
        raise BrushworkError(f"`mcp` needs another package: {install('brushwork-demo[mcp]')}")
    _check_address(args.host, args.port)
    # `host` replaces it, and Gradio looks for a free port at this address with IPv4 only.
    os.environ.pop("GRADIO_SERVER_NAME", None)
    _use_own_temporary_folder()
    # The page computes in threads. Only the main arena, which with one arena all of them share, can
    # keep what is freed.
    limit_memory_arenas(1)
    keep_freed_memory()
    received = catch_stop_signals()

    try:
        foyer = open_foyer(bare_host(args.host), args.port)
    except OSError as error:
        raise BrushworkError(f"no free port ({error}); choose another `port`") from error
    print(f"* starting on http://{url_host(args.host)}:{foyer.server_port}", flush=True)
    print("* loading the libraries", flush=True)
    # They take seconds to import, which --help and wrong flags need not wait for.
    from brushwork_demo import app
    from brushwork_demo.models import find_models

    app.launch(
        find_models(args.generator, args.classifier, args.pictures),
        host=args.host,
        port=foyer.server_port,
        share=args.share,
        auth=auth,
        mcp=args.mcp,
        engine=args.engine,
        ready=lambda: close_foyer(foyer),
    )
    while not received:
        time.sleep(0.2)


def catch_stop_signals() -> list[int]:
    """Note SIGINT and SIGTERM instead of raising an exception; a second signal kills the process.

    An exception from a signal handler could interrupt an import and leave its lock held for ever.

    Returns:
        A list to which the handler adds the signal that it receives.
    """
    received: list[int] = []

    def note(number: int, _frame: object) -> None:
        received.append(number)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return received


def _check_address(host: str, port: int | None) -> None:
    """Check that the page can listen on an address; without a port, check the host."""
    if port is not None and not 1 <= port <= 65535:
        raise BrushworkError(f"`port` is {port}; it must be between 1 and 65535")
    try:
        found = socket.getaddrinfo(bare_host(host), port or 0, type=socket.SOCK_STREAM)
        family, *_, address = found[0]
    except (OSError, UnicodeError) as error:
        raise BrushworkError(
            f"`host` is {host}, which is not an address of this machine; use 127.0.0.1 or 0.0.0.0"
        ) from error
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(address)
        except OSError as error:
            place = url_host(host) if port is None else f"{url_host(host)}:{port}"
            cure = "use another `host`" if port is None else "choose another `port`"
            raise BrushworkError(f"cannot listen on {place} ({error.strerror}); {cure}") from error


def _use_own_temporary_folder() -> None:
    """Keep all uploads and results in one folder, which is deleted when the server stops."""
    folder = tempfile.mkdtemp(prefix="brushwork-demo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = folder


if __name__ == "__main__":
    main()
