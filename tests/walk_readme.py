"""Run the commands of README.md from top to bottom, as a reader would paste them.

    git clone . ../walk
    uv run python tests/walk_readme.py ../walk --paintings ../paintings --other ../second --short

The first argument is a fresh clone, in which everything happens. What the commands expect of a
reader is placed there before: a Painter-by-Numbers folder, a second collection of paintings by some
of its artists, and pictures of the demo's examples. --short trains a few steps instead of many; all
else runs as it is written. A server is stopped as soon as it answers. `uv run pytest` is left out.

The script prints the seconds of each command, and ends with 1 if one failed. With --short it takes
about 40 minutes on two cores.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from urllib.request import urlopen

if __package__:
    from tests.documents import commands
else:
    from documents import commands

SHORTER = {
    r"(train_(gan|enlarger)\.py(?!.*--(steps|minutes))\b)": r"\1 --steps 4",
    r"--steps \d+": "--steps 4",
    r"--minutes (\d+)": lambda found: f"--minutes {int(found[1]) / 300:.2f}",
    r"--warmup \d+": "--warmup 1",
    r"--eval-every \d+": "--eval-every 2",
    r"--epochs \d+": "--epochs 1",
    r"--budget \d+": "--budget 0.1",
}
"""What --short replaces in a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the commands; return 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("clone", type=Path)
    parser.add_argument("--paintings", type=Path, required=True, help="as Painter-by-Numbers")
    parser.add_argument("--other", type=Path, required=True, help="a second collection")
    parser.add_argument("--short", action="store_true", help="train a few steps only")
    parser.add_argument("--first", type=int, default=1, help="begin with this command")
    given = parser.parse_args(arguments)
    bring_pictures(given.clone, given.paintings, given.other)
    failed = []
    for number, command in enumerate(commands(given.clone / "README.md"), start=1):
        if number < given.first or command == "uv run pytest":
            continue
        line = shorter(command) if given.short else command
        print(f"\n[{number}] {line}", flush=True)
        start = time.perf_counter()
        code = serve(line, given.clone) if is_server(line) else run(line, given.clone)
        print(f"[{number}] exit code {code}, {time.perf_counter() - start:.0f} s", flush=True)
        if code:
            failed.append(line)
    print("\nfailed:\n" + "\n".join(failed) if failed else "\nevery command worked")
    return bool(failed)


def bring_pictures(clone: Path, paintings: Path, other: Path) -> None:
    """Place what the commands expect of a reader: paintings, and folders of pictures."""
    examples = sorted((clone / "packages/demo/src/brushwork_demo/examples").glob("*.jpg"))
    for name in ("pictures", "photographs", "fakes"):
        (clone / name).mkdir(exist_ok=True)
        for example in examples:
            shutil.copy(example, clone / name)
    shutil.copy(examples[0], clone / "painting.jpg")
    (clone / "data").mkdir(exist_ok=True)
    for name, folder in (("painter-by-numbers", paintings), ("data/other-collection", other)):
        if not (clone / name).exists():
            (clone / name).symlink_to(folder.resolve())


def shorter(command: str) -> str:
    """Shorten the training of a command.

    >>> shorter("uv run experiments/train_gan.py --steps 5000 --out runs/landscapes")
    'uv run experiments/train_gan.py --steps 4 --out runs/landscapes'
    """
    for pattern, replacement in SHORTER.items():
        command = re.sub(pattern, replacement, command)
    return command


def is_server(command: str) -> bool:
    """Say whether a command serves the page."""
    return "brushwork-demo" in command and " space " not in command


def run(command: str, clone: Path) -> int:
    """Run a command in the clone; return its exit code."""
    return subprocess.run(command, shell=True, cwd=clone, env=environment()).returncode


def serve(command: str, clone: Path) -> int:
    """Start a server, wait until it answers, and stop it; return 1 if it ended before."""
    port = 7890
    process = subprocess.Popen(
        f"exec {command} --port {port}", shell=True, cwd=clone, env=environment()
    )
    try:
        while process.poll() is None:
            with suppress(OSError), urlopen(f"http://127.0.0.1:{port}/health") as answer:
                return answer.status != 200
            time.sleep(0.5)
        return 1
    finally:
        process.terminate()
        process.wait(60)


def environment() -> dict[str, str]:
    """Return the environment of a new shell, so that uv makes one for the clone."""
    return {name: value for name, value in os.environ.items() if name != "VIRTUAL_ENV"}


if __name__ == "__main__":
    sys.exit(main())
