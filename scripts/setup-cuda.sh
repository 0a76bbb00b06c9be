#!/usr/bin/env bash
# What it takes to build `--features cuda` where there is no CUDA toolkit and no GPU: a compiler and headers from PyPI,
# and stand-ins for the libraries that come with the driver. 105 MB to download, 270 MB on disk, no root.
#
#   cargo fetch                          # the stand-ins are made from cudarc's source
#   scripts/setup-cuda.sh ~/cuda-13
#   . ~/cuda-13/env.sh
#   cargo build --release --features cuda
#
# The program then needs a GPU of the H100 generation (CUDA_COMPUTE_CAP=90; set another before sourcing env.sh) and a
# driver for CUDA 13. It starts without a GPU, for its CPU path, with LD_LIBRARY_PATH=$CUDA_HOME/lib/stubs:$CUDA_HOME/lib.
set -euo pipefail

[ $# -eq 1 ] || { sed -n '2,11s/^# \{0,1\}//p' "$0"; exit 2; }
mkdir -p "$1"
target=$(cd "$1" && pwd)
cuda=$target/nvidia/cu13

# 13.0 writes what drivers from 580 on can load; a newer compiler may write what they cannot.
python3 -m pip install --quiet --target "$target" --upgrade --no-deps --only-binary=:all: \
    nvidia-cuda-nvcc==13.0.88 nvidia-cuda-crt==13.0.88 nvidia-nvvm==13.0.88 \
    nvidia-cuda-runtime==13.0.96 nvidia-cuda-cccl==13.0.85

# The wheels lay things out a little differently from an installed toolkit.
ln -sfn lib "$cuda/lib64"
ln -sf libcudart.so.13 "$cuda/lib/libcudart.so"

# A stand-in library defines every function that cudarc may call, under the name of the real library, and does
# nothing: linking needs the names, and the real library is found where the program runs.
sources=("${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/cudarc-0.19.*)
bindings=${sources[-1]}/src
[ -d "$bindings" ] || { echo "no source of cudarc 0.19: run \`cargo fetch\` first" >&2; exit 2; }
stubs=$cuda/lib/stubs
mkdir -p "$stubs"
stand_in() {
    local module=$1 name=$2 version=$3
    sed -nE 's/.*pub (unsafe )?fn ((cu|nvrtc)[A-Za-z0-9_]*).*/\2/p' "$bindings/$module/sys/mod.rs" | sort -u |
        sed 's/.*/void &(void) {}/' |
        cc -x c - -w -shared -fPIC -Wl,-soname,"lib$name.so.$version" -o "$stubs/lib$name.so"
    ln -sf "lib$name.so" "$stubs/lib$name.so.$version"
}
stand_in driver cuda 1
stand_in cublas cublas 13
stand_in cublaslt cublasLt 13
stand_in curand curand 10
stand_in nvrtc nvrtc 13

# Most of the build is candle's kernels for quantized and mixture-of-experts models, which tplc never calls. This
# compiler leaves those unoptimized and unassembled (a third less time) and is the real one for everything else.
cat >"$cuda/bin/nvcc-fast" <<'WRAPPER'
#!/usr/bin/env bash
nvcc=$(dirname "$0")/nvcc
unused=no
for argument; do
    case $argument in */mmq_gguf/*.cu | */mmvq_gguf.cu | */moe/*.cu) unused=yes ;; esac
done
[ $unused = yes ] || exec "$nvcc" "$@"
capability=${CUDA_COMPUTE_CAP:-90}
case $capability in 90 | 100) capability+=a ;; esac
kept=()
for argument; do
    case $argument in -gencode=*) ;; *) kept+=("$argument") ;; esac
done
exec "$nvcc" "-gencode=arch=compute_$capability,code=compute_$capability" -Xcicc -O0 "${kept[@]}"
WRAPPER
chmod +x "$cuda/bin/nvcc-fast"

cat >"$target/env.sh" <<ENVIRONMENT
export CUDA_HOME="$cuda"
export PATH="\$CUDA_HOME/bin:\$PATH"
export NVCC="\$CUDA_HOME/bin/nvcc-fast" # unset it for a program that does run quantized models
export CUDA_COMPUTE_CAP="\${CUDA_COMPUTE_CAP:-90}"
export CUDAFORGE_THREADS="\${CUDAFORGE_THREADS:-\$(nproc)}"
ENVIRONMENT
"$cuda/bin/nvcc" --version | tail -2
echo "Ready. Source $target/env.sh, then build with --features cuda."
