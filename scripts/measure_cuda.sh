#!/bin/sh
# What the tables of decoding on a GPU are made of, for one shape: JSON objects, one behind the other, on standard output; what
# runs and when, and the card, on standard error. Run it from the root of the repository.
#
#     scripts/setup-cuda.sh                                     # where there is no CUDA toolkit
#     cargo build --release --features cuda
#     python3 scripts/torch_shapes.py CK qwen3-0.6b --time 32   # makes the checkpoint; times PyTorch on the same card
#     scripts/measure_cuda.sh CK/qwen3-0.6b qwen3 > qwen.json
#
# TPLC names the program, PARTS what to run, BATCHES the rows side by side of `batches`. 512 rows of the Qwen3-0.6B shape are
# 101 GB of cells: BATCHES="1 8 128 256" on a card of 80.
set -eu
[ $# -eq 2 ] || { echo "usage: $0 FOLDER TOKENIZER" >&2; exit 2; }
model=$1
tokenizer=$2
tplc=${TPLC:-target/release/tplc}
parts=${PARTS:-sampled greedy free thousand trace batches}
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT
trap 'exit 130' INT TERM
{ nvidia-smi --query-gpu=name,driver_version --format=csv,noheader; git rev-parse HEAD || true; } >&2

run() {
    echo "$(date +%T) $*" >&2
    "$tplc" validate --model "$model" --tokenizer "$tokenizer" --device cuda:0 --dtype bf16 --format json "$@"
}

for part in $parts; do
    case $part in
    sampled) run --samples 64 --replay --repeat 5 ;;
    greedy) run --samples 64 --replay --repeat 5 --temperature 0 --strategy none,mask,restricted,drafted ;;
    free) run --samples 64 --repeat 1 ;;
    thousand) run --samples 1000 --batch 128 --strategy mask,forced,restricted,drafted ;;
    trace)
        run --samples 32 --replay --strategy none,blocklist,restricted,drafted --trace "$trace"
        "$tplc" trace "$trace" --format json
        ;;
    batches)
        for batch in ${BATCHES:-1 8 128 512}; do
            samples=$((batch < 16 ? 2 * batch + 2 : batch))
            run --samples "$samples" --batch "$batch" --replay --repeat 3 --strategy none,restricted,drafted
        done
        ;;
    *) echo "no part is called $part" >&2; exit 2 ;;
    esac
done
