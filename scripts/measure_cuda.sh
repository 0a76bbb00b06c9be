#!/bin/sh
# Everything that the records of decoding on a GPU are made of, for one shape: one JSON object a run on standard output, what
# runs and when on standard error. Checkpoints come from scripts/torch_shapes.py.
#
#     scripts/measure_cuda.sh CK/qwen3-0.6b qwen3 > qwen.jsonl
#
# TPLC names the program (built with --features cuda), PARTS what to run.
set -eu
model=$1
tokenizer=$2
tplc=${TPLC:-target/release/tplc}
parts=${PARTS:-sampled greedy free thousand batches trace}
trace=$(mktemp)
trap 'rm -f "$trace"' EXIT

run() {
    echo "$(date +%T) $*" >&2
    "$tplc" validate --model "$model" --tokenizer "$tokenizer" --device cuda:0 --dtype bf16 --format json "$@"
}

for part in $parts; do
    case $part in
    sampled) run --samples 64 --replay --repeat 5 --strategy none,blocklist,mask,forced,restricted,drafted ;;
    greedy) run --samples 64 --replay --repeat 5 --temperature 0 --strategy none,mask,restricted,drafted ;;
    free) run --samples 64 ;;
    thousand) run --samples 1000 --batch 128 --strategy mask,forced,restricted,drafted ;;
    batches)
        run --samples 4 --batch 1 --replay --strategy none,restricted,drafted
        run --samples 16 --batch 8 --replay --strategy none,restricted,drafted
        run --samples 256 --batch 128 --replay --strategy none,restricted,drafted
        run --samples 512 --batch 512 --replay --strategy none,restricted,drafted
        ;;
    trace)
        run --samples 32 --replay --strategy none,blocklist,restricted,drafted --trace "$trace"
        "$tplc" trace "$trace" --format json
        ;;
    *) echo "no part is called $part" >&2; exit 2 ;;
    esac
done
