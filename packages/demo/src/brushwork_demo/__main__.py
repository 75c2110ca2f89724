"""`brushwork-demo`: the page, and what publishes it."""

import argparse
import atexit
import ctypes
import os
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from brushwork.errors import BrushworkError, report_errors


def parser() -> argparse.ArgumentParser:
    """All the commands and their flags."""
    top = argparse.ArgumentParser(
        "brushwork-demo", description="A page that names a painting's artist and paints new ones."
    )
    top.add_argument(
        "--generator",
        action="append",
        default=[],
        metavar="FOLDER",
        help="a generator's checkpoint or a name on the Hub, instead of those bundled; repeat it",
    )
    top.add_argument("--classifier", metavar="FOLDER", help="likewise, of an artist classifier")
    top.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    top.add_argument("--port", type=int, help="7860 or the next free one by default")
    top.add_argument("--share", action="store_true", help="a public address for a week")
    top.add_argument("--auth", metavar="NAME:PASSWORD", help="ask visitors for these")
    top.add_argument("--mcp", action="store_true", help="offer the API as tools of MCP too")
    commands = top.add_subparsers(title="other commands", metavar="COMMAND", dest="command")

    space = commands.add_parser("space", help="the page as a Hugging Face Space")
    deeds = space.add_subparsers(metavar="export|publish", dest="deed", required=True)
    export = deeds.add_parser("export", help="write a folder that runs by itself")
    export.add_argument("folder", metavar="DIR")
    publish = deeds.add_parser("publish", help="create the Space, or bring it up to date")
    publish.add_argument("name", metavar="USER/NAME")
    publish.add_argument("--hardware", help="of a new Space; zero-a10g is what free accounts get")
    model = commands.add_parser("publish-model", help="a checkpoint as a model of the Hub")
    model.add_argument("checkpoint", metavar="FOLDER")
    model.add_argument("name", metavar="USER/NAME")
    for command in (export, publish):
        # SUPPRESS: else an absent flag here would undo one given before the command.
        command.add_argument(
            "--generator",
            action="append",
            default=argparse.SUPPRESS,
            metavar="FOLDER",
            help="take this along instead of those bundled; repeat it",
        )
        command.add_argument("--classifier", default=argparse.SUPPRESS, metavar="FOLDER")
    for command in (publish, model):
        command.add_argument("--private", action="store_true", help="only for you to see")
        command.add_argument("--dry-run", action="store_true", help="only say what would be sent")

    bundle = commands.add_parser("bundle", help="put a checkpoint into this package, halved")
    bundle.add_argument("checkpoint", metavar="FOLDER")
    bundle.add_argument("name", metavar="NAME", help="what visitors choose it by")
    bundle.add_argument("--stages", type=int, default=4, help="of its run's kept/ to take along")
    bundle.add_argument("--report", type=Path, help="report.json of evaluate_gan.py, to be shown")
    bundle.add_argument("--about", metavar="DATA", help="paintings, for a line on each artist")
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parser().parse_args(arguments)
    with report_errors():
        if args.command is None:
            serve(args)
        elif args.command == "bundle":
            from brushwork_demo.bundle import bundle

            print(bundle(args.checkpoint, args.name, args.stages, args.report, args.about))
        else:
            print(_share(args))


def _share(args: argparse.Namespace) -> str:
    """Export or publish, and say what was done."""
    from brushwork_demo import space

    if args.command == "publish-model":
        return space.publish_model(args.checkpoint, args.name, args.private, args.dry_run)
    if args.deed == "export":
        files = space.export(args.folder, args.generator, args.classifier)
        return f"{args.folder}: {len(files)} files; try it with `python {args.folder}/app.py`"
    taken = args.generator, args.classifier
    return space.publish_space(args.name, *taken, args.private, args.dry_run, args.hardware)


def serve(args: argparse.Namespace) -> None:
    """Open the page, until the process is told to stop.

    Raises:
        BrushworkError: a model is not there, or a flag makes no sense.
    """
    auth = None
    if args.auth is not None:
        name, _, password = args.auth.partition(":")
        if not (name and password):
            raise BrushworkError(f"--auth {args.auth!r} is not NAME:PASSWORD")
        auth = (name, password)
    if args.mcp and find_spec("mcp") is None:
        raise BrushworkError('--mcp needs `pip install "brushwork-demo[mcp]"`')
    if args.port is not None:
        _check_port(args.host, args.port)
    _own_folder()
    _share_freed_memory()
    stop = _told_to_stop()

    from brushwork_demo import app, studio  # torch and gradio take seconds; --help does not

    app.launch(
        studio.open_studio(args.generator, args.classifier),
        host=args.host,
        port=args.port,
        share=args.share,
        auth=auth,
        mcp=args.mcp,
    )
    while not stop:
        time.sleep(0.2)


def _told_to_stop() -> list[int]:
    """A list that gets the signal to stop.

    An exception out of the signal's handler could break into an import in the midst, and leave its
    lock to nobody. Told twice, the process stops at once.
    """
    told: list[int] = []

    def note(number: int, _frame: object) -> None:
        told.append(number)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return told


def _share_freed_memory() -> None:
    """Keep what threads free in two heaps rather than eight a core, which never shrink (glibc)."""
    arena_max = -8  # M_ARENA_MAX of malloc.h
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).mallopt(arena_max, 2)


def _check_port(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise BrushworkError(f"--port {port} is not between 1 and 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise BrushworkError(f"--host {host} is no address of this machine") from error
    with socket.socket(family, socket.SOCK_STREAM) as attempt:
        attempt.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            attempt.bind(address)
        except OSError as error:
            raise BrushworkError(
                f"cannot listen on {host}:{port} ({error.strerror}); choose another --port"
            ) from error


def _own_folder() -> None:
    """Keep all that visitors send or are shown in one folder, which goes when the server does."""
    folder = tempfile.mkdtemp(prefix="brushwork-demo-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    os.environ["GRADIO_TEMP_DIR"] = tempfile.tempdir = folder


if __name__ == "__main__":
    main()
