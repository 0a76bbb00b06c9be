#!/bin/sh
# Exact strategies against every model and the four ways of sampling: JSON objects, one behind the other, on standard output;
# stops at the first fault. The first argument is the number of rows, the others are model folders to try too (models/tiny, say).
# TPLC names the program; DEVICE=cuda:0 for models on a GPU.
set -eu
rows=${1:-10000}
[ $# -gt 0 ] && shift
tplc=${TPLC:-target/release/tplc}
tokenizer=${TOKENIZER:-models/tiny}
for folder in "$@"; do
    [ -d "$folder" ] || { echo "there is no folder $folder" >&2; exit 2; }
done
for model in random anything brackets letters endless end "$@"; do
    own="--tokenizer $tokenizer"
    [ -d "$model" ] && own=
    for sampling in \
        "--temperature 0" \
        "--temperature 0.7 --top-p 0.8 --top-k 20" \
        "--temperature 1 --top-p 0.4 --top-k 0" \
        "--temperature 1 --top-p 1 --top-k 0 --min-p 0.05"; do
        # shellcheck disable=SC2086
        "$tplc" validate --model "$model" $own --number-format trimmed4 --strategy mask,forced,restricted,drafted \
            --samples "$rows" --batch "${BATCH:-64}" --device "${DEVICE:-cpu}" $sampling --format json
    done
done
