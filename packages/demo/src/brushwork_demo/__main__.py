"""`brushwork-demo`: what the demo will be, and what there is until then."""

import sys

MESSAGE = """\
The web demo of brushwork is not written yet. It will open a page that names the artist of a
painting and paints new ones. Until then, from a checkout:
  uv run accelerate launch experiments/train_gan.py     train a painter
  uv run experiments/sample.py runs/gan/generator       let it paint"""


def main() -> None:
    """Say that there is no page yet; the exit status is 1, since nothing was shown."""
    print(MESSAGE, file=sys.stderr)
    raise SystemExit(1)


if __name__ == "__main__":
    main()
