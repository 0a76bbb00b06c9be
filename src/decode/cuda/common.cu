// What all kernels share. The sizes of the model and its number type come as definitions from the host:
// F16, BF16 or F32; HIDDEN, HEADS, KV_HEADS, HEAD_DIM, INTERMEDIATE, EPS; QK_NORM, QKV_BIAS and FOLDED, 0 or 1. So do
// those of blocks, and of the structures that both sides know.

typedef unsigned int u32;
typedef unsigned long long u64;

#if defined(F32)
typedef float elem;
__device__ __forceinline__ float up(elem value) { return value; }
__device__ __forceinline__ elem down(float value) { return value; }
#define VEC 4
#else
typedef unsigned short elem;
#define VEC 8
#if defined(BF16)
__device__ __forceinline__ float up(elem value) { return __uint_as_float((u32)value << 16); }
__device__ __forceinline__ elem down(float value) {
    elem bits;
    asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#else
__device__ __forceinline__ float up(elem value) {
    float wide;
    asm("cvt.f32.f16 %0, %1;" : "=f"(wide) : "h"(value));
    return wide;
}
__device__ __forceinline__ elem down(float value) {
    elem bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(value));
    return bits;
}
#endif
#endif

#define GROUP (HEADS / KV_HEADS)
#define EVERY 0xffffffffu
#define INFINITE __int_as_float(0x7f800000)

// VEC numbers, which fill 16 bytes.
struct __align__(16) Vector {
    elem at[VEC];
};

__device__ __forceinline__ float warp_sum(float value) {
    for (int far = 16; far > 0; far /= 2) value += __shfl_xor_sync(EVERY, value, far);
    return value;
}

// The sum over a block of up to 1024 threads, in every thread.
__device__ __forceinline__ float block_sum(float value) {
    __shared__ float sums[32];
    value = warp_sum(value);
    if (threadIdx.x % 32 == 0) sums[threadIdx.x / 32] = value;
    __syncthreads();
    float sum = 0.0f;
    for (int warp = 0; warp < (blockDim.x + 31) / 32; warp++) sum += sums[warp];
    return sum;
}

// Where the rows stand, and what they have to say: made once by the host, kept up by `plan` and `choose`.
struct Rows {
    // By job: a text to write. Its tokens begin with its prompt and what is forced behind it.
    u32 *tokens;        // context a job
    const u32 *script;  // context a job: what is said whatever was chosen; null for free choice
    const u32 *script_length;
    u32 *length;        // of its tokens
    const u32 *prompt;  // the length of its prompt
    const u32 *longest; // how many tokens it may say
    const u64 *row;     // its number in the whole run
    const u32 *begin_state;
    const u32 *begin_number;
    const u64 *program; // where its roots or positions begin
    u32 *passes;        // in which it chose a token
    u32 *ended;         // 1: it came to its end; 2: it was stopped; 3: it had nothing to choose from

    // By slot: the row that is being written there.
    int *job;      // -1: none
    u32 *read;     // tokens that the model has read
    u32 *state;
    u32 *number;   // numbers behind it, or positions
    u32 *drafted;  // whether a draft lies behind its tokens
    int *wanted;   // the packed token behind which it chooses; -1: not in this pass. Then the same of drafts

    // By packed token.
    u32 *packed;
    u32 *position;
    int *slot;     // -1: padding

    // Of all.
    u32 *counters; // the next job, finished jobs, passes, tokens read, times that a row brought only a part of its own
    int slots, jobs, context; // the last is of cells in a slot, and of tokens in a job
};

static_assert(sizeof(Rows) == SIZE_OF_ROWS, "the host has other rows");

enum Counter { NEXT, FINISHED, PASSES, READ, PARTIAL };
