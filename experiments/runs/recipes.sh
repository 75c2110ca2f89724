#!/usr/bin/env bash
# Landscapes of 64 pixels without a pretrained network, DC-GAN in the same time, and Claude Monet,
# initialised from the landscapes.
#
#   experiments/runs/landscapes.sh PAINTINGS [OUT]
#
# Each training takes 4 to 5 minutes of one AMX core (bf16). You can interrupt the script at any
# time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/landscapes}

paint() {  # paint NAME FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --out "$out/$1" --resume \
        "${@:2}"
}

paint ours --recipe modern --genre landscape
paint dcgan --recipe dcgan --genre landscape
paint monet --recipe one-artist --artist "Claude Monet" --start "$out/ours"
uv run experiments/evaluate_gan.py "$out/ours" "$out/dcgan" --data "$paintings" --genre landscape \
    --out "$out/report"
