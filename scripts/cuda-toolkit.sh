#!/bin/sh
# Lays out a CUDA 13.0 toolkit from Python wheels under DIR, for a machine without one, so that
# `cargo build --release --features cuda` works there. Then run `. DIR/env.sh`. See docs/gpu.md.
#
# usage: scripts/cuda-toolkit.sh DIR
set -eu
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1"
dir=$(cd "$1" && pwd)

python3 -m venv "$dir/venv"
# nvcc and its parts, the runtime's headers and libraries, cuBLAS; for candle, cuRAND and NVRTC. The minor versions must
# agree.
"$dir/venv/bin/pip" install --quiet \
    'nvidia-cuda-nvcc==13.0.*' 'nvidia-nvvm==13.0.*' 'nvidia-cuda-crt==13.0.*' \
    'nvidia-cuda-runtime==13.0.*' 'nvidia-cuda-cccl==13.0.*' 'nvidia-cublas==13.0.*' \
    'nvidia-curand==10.4.*' 'nvidia-cuda-nvrtc==13.0.*'
cuda=$(echo "$dir"/venv/lib/python3*/site-packages/nvidia/cu13)

# The wheels hold versioned names only, and lib where a toolkit has lib64.
ln -sfn lib "$cuda/lib64"
for name in cudart cublas cublasLt nvrtc; do
    ln -sf "lib$name.so.13" "$cuda/lib/lib$name.so"
done
ln -sf libcurand.so.10 "$cuda/lib/libcurand.so"

# llama-cpp-sys-2 links these three statically, and the wheels do not have them. rustc packs a
# static library into the crate and so wants a real archive: an empty one. Their functions come
# from the shared libcublas instead, which RUSTFLAGS below names.
for name in cublas_static cublasLt_static culibos; do
    rm -f "$cuda/lib/lib$name.a"
    ar cr "$cuda/lib/lib$name.a"
done

# The driver's library comes with the driver, not with a toolkit. A toolkit has a stub of it to link
# with. This one defines every function that cuda.h declares, each doing nothing but failing.
mkdir -p "$cuda/lib/stubs"
echo '#include <cuda.h>' | cc -E -P -I"$cuda/include" - |
    grep -o '\bcu[A-Z][A-Za-z0-9_]*(' | tr -d '(' | sort -u |
    sed 's/.*/int &(void) { return 34; } \/* CUDA_ERROR_STUB_LIBRARY *\//' |
    cc -x c -shared -fPIC -Wl,-soname,libcuda.so.1 -o "$cuda/lib/stubs/libcuda.so" -
ln -sf libcuda.so "$cuda/lib/stubs/libcuda.so.1"

cat > "$dir/env.sh" <<END
export CUDA_PATH="$cuda" CUDAToolkit_ROOT="$cuda" CUDA_LIBRARY_PATH="$cuda"
export CMAKE_CUDA_COMPILER="$cuda/bin/nvcc" CUDA_HOME="$cuda" PATH="$cuda/bin:\$PATH"
export RUSTFLAGS="\${RUSTFLAGS:+\$RUSTFLAGS }-L native=$cuda/lib -L native=$cuda/lib/stubs -C link-arg=-lcublas"
END
echo "$dir/env.sh"
