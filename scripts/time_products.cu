// Times the matrix products of a pass of few rows, in CUDA graphs: cublasGemmEx, and every algorithm that cublasLt proposes.
//
//     nvcc -O2 -std=c++17 -arch=sm_90 scripts/time_products.cu -o time_products -lcublasLt -lcublas && ./time_products

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include <cublasLt.h>
#include <cublas_v2.h>
#include <cuda_bf16.h>

#define CHECK(call)                                                              \
    do {                                                                         \
        int status = (int)(call);                                                \
        if (status) {                                                            \
            std::fprintf(stderr, "%s: error %d in line %d\n", #call, status, __LINE__); \
            std::exit(2);                                                        \
        }                                                                        \
    } while (0)

// So many weights one behind the other do not fit in the cache.
const int LAYERS = 24, REPEAT = 3;
const size_t WORKSPACE = 32 << 20;

struct Shape {
    const char *name;
    int wide, deep;
    bool add;
};

const Shape SHAPES[] = {
    {"qwen3-0.6b qkv", 4096, 1024, false},     {"qwen3-0.6b output", 1024, 2048, true},
    {"qwen3-0.6b gate_up", 6144, 1024, false}, {"qwen3-0.6b down", 1024, 3072, true},
    {"llama-380m qkv", 2048, 1024, false},     {"llama-380m output", 1024, 1024, true},
    {"llama-380m gate_up", 8192, 1024, false}, {"llama-380m down", 1024, 4096, true},
};

static cudaStream_t stream;

// Microseconds of one product, the median of five runs of a graph of them; negative if it cannot be launched.
template <class F> static float timed(F product) {
    for (int layer = 0; layer < LAYERS; layer++)
        if (product(layer)) return -1.0f;
    CHECK(cudaStreamSynchronize(stream));
    cudaGraph_t graph;
    cudaGraphExec_t recorded;
    CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    for (int i = 0; i < REPEAT * LAYERS; i++) product(i % LAYERS);
    CHECK(cudaStreamEndCapture(stream, &graph));
    CHECK(cudaGraphInstantiate(&recorded, graph, 0));
    cudaEvent_t begin, end;
    CHECK(cudaEventCreate(&begin));
    CHECK(cudaEventCreate(&end));
    std::vector<float> times;
    for (int run = 0; run < 6; run++) {
        float milliseconds;
        CHECK(cudaEventRecord(begin, stream));
        CHECK(cudaGraphLaunch(recorded, stream));
        CHECK(cudaEventRecord(end, stream));
        CHECK(cudaEventSynchronize(end));
        CHECK(cudaEventElapsedTime(&milliseconds, begin, end));
        if (run > 0) times.push_back(milliseconds * 1000 / (LAYERS * REPEAT));
    }
    CHECK(cudaEventDestroy(begin));
    CHECK(cudaEventDestroy(end));
    CHECK(cudaGraphExecDestroy(recorded));
    CHECK(cudaGraphDestroy(graph));
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

int main() {
    CHECK(cudaStreamCreate(&stream));
    cublasHandle_t blas;
    cublasLtHandle_t lt;
    void *workspace;
    CHECK(cudaMalloc(&workspace, WORKSPACE));
    CHECK(cublasCreate(&blas));
    CHECK(cublasSetStream(blas, stream));
    CHECK(cublasSetWorkspace(blas, workspace, WORKSPACE));
    CHECK(cublasLtCreate(&lt));
    cublasLtMatmulPreference_t preference;
    CHECK(cublasLtMatmulPreferenceCreate(&preference));
    CHECK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE, sizeof WORKSPACE));
    cublasLtMatmulDesc_t product;
    cublasOperation_t turned = CUBLAS_OP_T;
    CHECK(cublasLtMatmulDescCreate(&product, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    CHECK(cublasLtMatmulDescSetAttribute(product, CUBLASLT_MATMUL_DESC_TRANSA, &turned, sizeof turned));

    for (const Shape &shape : SHAPES)
        for (int rows : {32, 48, 64}) {
            int wide = shape.wide, deep = shape.deep;
            size_t weight = (size_t)wide * deep;
            __nv_bfloat16 *weights, *inputs, *outputs;
            CHECK(cudaMalloc(&weights, LAYERS * weight * 2));
            CHECK(cudaMalloc(&inputs, (size_t)rows * deep * 2));
            CHECK(cudaMalloc(&outputs, (size_t)rows * wide * 2));
            CHECK(cudaMemset(weights, 0x3c, LAYERS * weight * 2));
            CHECK(cudaMemset(inputs, 0x3c, (size_t)rows * deep * 2));
            CHECK(cudaMemset(outputs, 0, (size_t)rows * wide * 2));
            float one = 1.0f, kept = shape.add ? 1.0f : 0.0f;
            float usual = timed([&](int layer) {
                return (int)cublasGemmEx(blas, CUBLAS_OP_T, CUBLAS_OP_N, wide, rows, deep, &one, weights + layer * weight, CUDA_R_16BF, deep,
                                         inputs, CUDA_R_16BF, deep, &kept, outputs, CUDA_R_16BF, wide, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
            });
            cublasLtMatrixLayout_t a, b, c;
            CHECK(cublasLtMatrixLayoutCreate(&a, CUDA_R_16BF, deep, wide, deep));
            CHECK(cublasLtMatrixLayoutCreate(&b, CUDA_R_16BF, deep, rows, deep));
            CHECK(cublasLtMatrixLayoutCreate(&c, CUDA_R_16BF, wide, rows, wide));
            std::vector<cublasLtMatmulHeuristicResult_t> proposed(200);
            int count = 0;
            CHECK(cublasLtMatmulAlgoGetHeuristic(lt, product, a, b, c, c, preference, (int)proposed.size(), proposed.data(), &count));
            float best = -1.0f;
            for (int i = 0; i < count; i++) {
                float time = timed([&](int layer) {
                    return (int)cublasLtMatmul(lt, product, &one, weights + layer * weight, a, inputs, b, &kept, outputs, c, outputs, c,
                                               &proposed[i].algo, workspace, WORKSPACE, stream);
                });
                if (time > 0 && (best < 0 || time < best)) best = time;
            }
            std::printf("%-20s %d rows: cublasGemmEx %.2f us, the best of %d algorithms %.2f us\n", shape.name, rows, usual, count, best);
            cublasLtMatrixLayoutDestroy(a);
            cublasLtMatrixLayoutDestroy(b);
            cublasLtMatrixLayoutDestroy(c);
            cudaFree(weights);
            cudaFree(inputs);
            cudaFree(outputs);
        }
}
