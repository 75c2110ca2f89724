#!/usr/bin/env bash
# The report's networks without pretrained weights: what they answer to mixed crops is compared with
# what the classifier of artists.sh says of them, for many epochs at small sides.
#
#   experiments/runs/resnets.sh PAINTINGS [OUT]
#
# On 8,987 paintings the 80 epochs of ResNet18 took 65 minutes of one AVX-512 core (bf16) beside other
# jobs; ResNet34 was not run this way. Stop it at will; the same line goes on. The numbers to expect are
# in RESULTS.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/resnets} teacher=${TEACHER:-runs/artists/200/classifier}

for model in resnet18 resnet34; do
    uv run accelerate launch experiments/train_classifier.py --data "$paintings" --model $model \
        --weights none --teacher "$teacher" --min-paintings 200 --side 160 --first-side 96 \
        --last-side 128 --epochs 80 --layer-decay 1 --min-area 0.3 --mix mixup --label-smoothing 0 \
        --out "$out/$model" --resume
    uv run experiments/evaluate_classifier.py "$out/$model/classifier" --data "$paintings" \
        --splits train test --out "$out/$model/report"
done
