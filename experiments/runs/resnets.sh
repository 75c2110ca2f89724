#!/usr/bin/env bash
# The networks of the 2019 report (ResNet18, ResNet34), trained from random weights for many epochs
# on small images. The training uses distillation: its targets include the predictions of a
# teacher, the classifier of artists.sh, for the same mixed crops.
#
#   experiments/runs/resnets.sh PAINTINGS [OUT]
#
# On 8,987 paintings, the 80 epochs of ResNet18 took 65 minutes of one AVX-512 core (bf16), and the
# 48 epochs of ResNet34 took 77, while other jobs ran. You can interrupt the script at any time;
# the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/resnets} teacher=${TEACHER:-runs/artists/200/classifier}

learn() {  # learn MODEL EPOCHS
    uv run accelerate launch experiments/train_classifier.py --data "$paintings" --model "$1" \
        --weights none --teacher "$teacher" --min-paintings 200 --side 160 --first-side 96 \
        --last-side 128 --epochs "$2" --layer-decay 1 --min-area 0.3 --mix mixup --label-smoothing 0 \
        --degrade 0 --out "$out/$1" --resume
    uv run experiments/evaluate_classifier.py "$out/$1/classifier" --data "$paintings" \
        --splits train test --out "$out/$1/report"
}

learn resnet18 80
learn resnet34 48
