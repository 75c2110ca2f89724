"""`brushwork-demo`: the page, and what publishes it."""

import argparse
import atexit
import os
import shutil
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence

from brushwork.errors import BrushworkError, errors_in_words


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
    return top


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command."""
    args = parser().parse_args(arguments)
    with errors_in_words():
        serve(args)


def serve(args: argparse.Namespace) -> None:
    """Open the page.

    Raises:
        BrushworkError: a model is not there, or a flag makes no sense.
    """
    auth = None
    if args.auth is not None:
        name, _, password = args.auth.partition(":")
        if not (name and password):
            raise BrushworkError(f"--auth {args.auth!r} is not NAME:PASSWORD")
        auth = (name, password)
    if args.port is not None:
        _check_port(args.host, args.port)
    _own_folder()

    from brushwork_demo import app, studio  # torch and gradio take seconds; --help does not

    app.launch(
        studio.open_studio(args.generator, args.classifier),
        host=args.host,
        port=args.port,
        share=args.share,
        auth=auth,
        mcp=args.mcp,
    )


def _check_port(host: str, port: int) -> None:
    if not 1 <= port <= 65535:
        raise BrushworkError(f"--port {port} is not between 1 and 65535")
    family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
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
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


if __name__ == "__main__":
    main()
