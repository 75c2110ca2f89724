#!/usr/bin/env bash
# The networks of the 2019 report without pretrained weights, trained for many epochs at small
# sides with distillation: their answers to mixed crops are compared with those of the classifier
# of artists.sh.
#
#   experiments/runs/resnets.sh PAINTINGS [OUT]
#
# On 8,987 paintings the 80 epochs of ResNet18 took 65 minutes of one AVX-512 core (bf16) beside
# other jobs, the 48 of ResNet34 77. Interrupt it at any time; the same command continues. Numbers
# to expect: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/resnets} teacher=${TEACHER:-runs/artists/200/classifier}

learn() {  # learn MODEL EPOCHS
    uv run accelerate launch experiments/train_classifier.py --data "$paintings" --model "$1" \
        --weights none --teacher "$teacher" --min-paintings 200 --side 160 --first-side 96 \
        --last-side 128 --epochs "$2" --layer-decay 1 --min-area 0.3 --mix mixup --label-smoothing 0 \
        --out "$out/$1" --resume
    uv run experiments/evaluate_classifier.py "$out/$1/classifier" --data "$paintings" \
        --splits train test --out "$out/$1/report"
}

learn resnet18 80
learn resnet34 48
