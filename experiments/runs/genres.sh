#!/usr/bin/env bash
# One conditional GAN of all genres. The second command shows how to sample one genre afterwards.
#
#   experiments/runs/genres.sh PAINTINGS [OUT]
#   uv run experiments/sample.py runs/genres/generator --label portrait
#
# There are no published results of this GAN yet.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv run accelerate launch experiments/train_gan.py --data "$1" --model modern --condition genre \
    --width 32 --batch-size 16 --loss hinge --epochs 15 --out "${2:-runs/genres}" --resume
