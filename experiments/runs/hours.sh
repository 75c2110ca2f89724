#!/usr/bin/env bash
# Landscapes of 64 pixels for an hour, also by DC-GAN, then of 128 pixels, and Claude Monet at 64 pixels; landscapes and
# Monet enlarged to 256 pixels; all without a pretrained network.
#
#   experiments/runs/hours.sh PAINTINGS [OUT]
#
# The first five trainings take 60, 57, 75, about 8 and 20 minutes of one core (bf16); the last one was
# not measured. You can interrupt the script at any time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/hours}

paint() {  # paint NAME FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --out "$out/$1" --resume \
        --augment ada "${@:2}"
}

hour=(--genre landscape --decay linear --ema-half-life 20000 --keep-every 10000)
paint landscapes --recipe modern "${hour[@]}" --minutes 60
paint dcgan --recipe dcgan "${hour[@]}" --minutes 57
paint larger --recipe modern "${hour[@]}" --minutes 75 --side 128 --width 16 --start "$out/landscapes"
paint monet --recipe modern --steps 4000 --artist "Claude Monet" --start "$out/landscapes"

enlarge() {  # enlarge NAME FLAGS...
    uv run accelerate launch experiments/train_enlarger.py --generator "$out/$1" --data "$paintings" \
        --out "$out/enlarged-$1" --resume "${@:2}"
}

enlarge landscapes --genre landscape
enlarge monet --artist "Claude Monet" --start "$out/enlarged-landscapes" --steps 2500
uv run experiments/evaluate_gan.py "$out/landscapes" "$out/dcgan" "$out/larger" --data "$paintings" \
    --genre landscape --out "$out/report"
uv run experiments/evaluate_gan.py "$out/enlarged-landscapes" --data "$paintings" \
    --genre landscape --spaces texture:256 --out "$out/enlarged-report"
