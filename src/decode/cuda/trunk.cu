// The layers of the model but for its matrix products, over packed tokens. Padding is left as it lies.

// The rows of the embedding.
extern "C" __global__ void embed(Rows rows, const elem *table, elem *stream) {
    int token = blockIdx.x;
    if (rows.slot[token] < 0) return;
    const Vector *from = (const Vector *)(table + (size_t)rows.packed[token] * HIDDEN);
    Vector *to = (Vector *)(stream + (size_t)token * HIDDEN);
    for (int at = threadIdx.x; at < HIDDEN / VEC; at += blockDim.x) to[at] = from[at];
}

// The rows of these ids, one behind the other.
extern "C" __global__ void gather(const u32 *ids, const elem *table, elem *to) {
    for (int at = threadIdx.x; at < HIDDEN / VEC; at += blockDim.x)
        ((Vector *)to)[(size_t)blockIdx.x * (HIDDEN / VEC) + at] =
            ((const Vector *)table)[(size_t)ids[blockIdx.x] * (HIDDEN / VEC) + at];
}

// One row divided by its root mean square, times the weights.
__device__ __forceinline__ void norm_row(const elem *from, const elem *weight, elem *to) {
    float sum = 0.0f;
    for (int at = threadIdx.x; at < HIDDEN / VEC; at += blockDim.x) {
        Vector values = ((const Vector *)from)[at];
        for (int i = 0; i < VEC; i++) sum += up(values.at[i]) * up(values.at[i]);
    }
    float scale = rsqrtf(block_sum(sum) / HIDDEN + EPS);
    for (int at = threadIdx.x; at < HIDDEN / VEC; at += blockDim.x) {
        Vector values = ((const Vector *)from)[at], weights = ((const Vector *)weight)[at], out;
        for (int i = 0; i < VEC; i++) out.at[i] = down(up(values.at[i]) * scale * up(weights.at[i]));
        ((Vector *)to)[at] = out;
    }
}

#if FOLDED
// What the norm before a product divides by, where its weights are folded into the product's: over one warp.
__device__ __forceinline__ float scale_of(const elem *from) {
    float sum = 0.0f;
    for (int at = threadIdx.x % 32; at < HIDDEN / VEC; at += 32) {
        Vector values = ((const Vector *)from)[at];
        for (int i = 0; i < VEC; i++) sum += up(values.at[i]) * up(values.at[i]);
    }
    return rsqrtf(warp_sum(sum) / HIDDEN + EPS);
}
#else
__device__ __forceinline__ float scale_of(const elem *) { return 1.0f; }
#endif

extern "C" __global__ void norm_all(Rows rows, const elem *from, const elem *weight, elem *to) {
    size_t token = blockIdx.x;
    if (rows.slot[token] >= 0) norm_row(from + token * HIDDEN, weight, to + token * HIDDEN);
}

// The same for the token of each slot that a token is to be chosen behind.
extern "C" __global__ void norm_wanted(Rows rows, const elem *from, const elem *weight, elem *to) {
    int token = rows.wanted[blockIdx.x];
    if (token >= 0) norm_row(from + (size_t)token * HIDDEN, weight, to + (size_t)blockIdx.x * HIDDEN);
}

// One warp a head: scale, bias and norm, rotary position, and keys and values into the cells of their row.
extern "C" __global__ void heads(Rows rows, const elem *stream, const elem *qkv, const elem *bias,
                                 const elem *query_norm, const elem *key_norm, const float *cos,
                                 const float *sin, elem *queries, elem *keys, elem *values) {
    const int half = HEAD_DIM / 2, per_lane = (half + 31) / 32;
    int token = blockIdx.x, lane = threadIdx.x % 32;
    int head = blockIdx.y * (blockDim.x / 32) + threadIdx.x / 32;
    int slot = rows.slot[token];
    if (slot < 0 || head >= HEADS + 2 * KV_HEADS) return;
    const elem *from = qkv + ((size_t)token * (HEADS + 2 * KV_HEADS) + head) * HEAD_DIM;
    bool is_value = head >= HEADS + KV_HEADS, is_query = head < HEADS;
    u32 position = rows.position[token];

    float low[per_lane], high[per_lane], squares = 0.0f, scale = scale_of(stream + (size_t)token * HIDDEN);
    for (int i = 0; i < per_lane; i++) {
        int at = lane + 32 * i;
        low[i] = at < half ? up(from[at]) * scale : 0.0f;
        high[i] = at < half ? up(from[at + half]) * scale : 0.0f;
#if QKV_BIAS
        if (at < half) {
            low[i] += up(bias[head * HEAD_DIM + at]);
            high[i] += up(bias[head * HEAD_DIM + at + half]);
        }
#endif
        squares += low[i] * low[i] + high[i] * high[i];
    }
    if (!is_value) {
#if QK_NORM
        const elem *weight = is_query ? query_norm : key_norm;
        float scale = rsqrtf(warp_sum(squares) / HEAD_DIM + EPS);
        for (int i = 0; i < per_lane; i++) {
            int at = lane + 32 * i;
            if (at >= half) continue;
            low[i] *= scale * up(weight[at]);
            high[i] *= scale * up(weight[at + half]);
        }
#endif
        for (int i = 0; i < per_lane; i++) {
            int at = lane + 32 * i;
            if (at >= half) continue;
            float c = cos[position * half + at], s = sin[position * half + at];
            float turned = low[i] * c - high[i] * s;
            high[i] = high[i] * c + low[i] * s;
            low[i] = turned;
        }
    }
    elem *to;
    if (is_query) {
        to = queries + ((size_t)token * HEADS + head) * HEAD_DIM;
    } else {
        int kv = (head - HEADS) % KV_HEADS;
        size_t cell = ((size_t)slot * KV_HEADS + kv) * rows.context + position;
        to = (is_value ? values : keys) + cell * HEAD_DIM;
    }
    for (int i = 0; i < per_lane; i++) {
        int at = lane + 32 * i;
        if (at >= half) continue;
        to[at] = down(low[i]);
        to[at + half] = down(high[i]);
    }
}

// Each token over the cells of its own row up to itself. A block takes a token, a head of keys, whose cells are read once
// for the whole group of queries, and a part of the cells; the block that is done last joins the parts, in their order.
// LANES lanes share a cell, 16 bytes at a time; each group of lanes takes every so many tiles of cells.
#define SPAN 8
#define LANES (HEAD_DIM / SPAN)
#define PIECE (VEC < SPAN ? VEC : SPAN)
#define TILE 4
#define WARPS 8
#define TILES (WARPS * (32 / LANES))
#define PART 256

struct Span {
    Vector at[SPAN / PIECE];
};

__device__ __forceinline__ Span load_span(const elem *from) {
    Span span;
#pragma unroll
    for (int p = 0; p < SPAN / PIECE; p++) span.at[p] = ((const Vector *)from)[p * LANES];
    return span;
}

// The place in a head of number i of a lane's span.
__device__ __forceinline__ int place_of(int sub, int i) { return (i / PIECE * LANES + sub) * PIECE + i % PIECE; }

// A part's sums, before they are divided: by query, the largest score, the total of the shares, and the values.
struct Part {
    float most[GROUP], total[GROUP], sum[GROUP][HEAD_DIM];
};

extern "C" __global__ void __launch_bounds__(WARPS * 32, GROUP <= 4 ? 2 : 1)
    attention(Rows rows, const elem *queries, const elem *keys, const elem *values, elem *out, Part *parts,
              u32 *done) {
    int token = blockIdx.x / KV_HEADS, kv = blockIdx.x % KV_HEADS;
    int slot = rows.slot[token];
    if (slot < 0) return;
    int seen = rows.position[token] + 1;
    int count = gridDim.y > 1 ? (seen + PART - 1) / PART : 1;
    if (blockIdx.y >= count) return;
    int begin = blockIdx.y * PART, end = count > 1 ? min(seen, begin + PART) : seen;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, sub = lane % LANES;
    int tile = warp * (32 / LANES) + lane / LANES;
    size_t cells = ((size_t)slot * KV_HEADS + kv) * rows.context * HEAD_DIM + sub * PIECE;

    float query[GROUP][SPAN], sum[GROUP][SPAN], most[GROUP], total[GROUP];
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
        Span span = load_span(queries + ((size_t)token * HEADS + kv * GROUP + g) * HEAD_DIM + sub * PIECE);
        most[g] = -INFINITE;
        total[g] = 0.0f;
#pragma unroll
        for (int i = 0; i < SPAN; i++) {
            query[g][i] = up(span.at[i / PIECE].at[i % PIECE]) * rsqrtf((float)HEAD_DIM);
            sum[g][i] = 0.0f;
        }
    }
    for (int first = begin + tile * TILE; __any_sync(EVERY, first < end); first += TILES * TILE) {
        Span key[TILE], value[TILE];
#pragma unroll
        for (int t = 0; t < TILE; t++) {
            // Cells behind the end are read as the last one and count nothing.
            size_t cell = min(first + t, end - 1);
            key[t] = load_span(keys + cells + cell * HEAD_DIM);
            value[t] = load_span(values + cells + cell * HEAD_DIM);
        }
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
            float score[TILE], highest = most[g];
#pragma unroll
            for (int t = 0; t < TILE; t++) {
                float dot = 0.0f;
#pragma unroll
                for (int i = 0; i < SPAN; i++) dot += query[g][i] * up(key[t].at[i / PIECE].at[i % PIECE]);
#pragma unroll
                for (int far = 1; far < LANES; far *= 2) dot += __shfl_xor_sync(EVERY, dot, far);
                score[t] = first + t < end ? dot : -INFINITE;
                highest = fmaxf(highest, score[t]);
            }
            if (first >= end) continue;
            float scale = __expf(most[g] - highest);
            most[g] = highest;
            total[g] *= scale;
#pragma unroll
            for (int i = 0; i < SPAN; i++) sum[g][i] *= scale;
#pragma unroll
            for (int t = 0; t < TILE; t++) {
                float share = __expf(score[t] - highest);
                total[g] += share;
#pragma unroll
                for (int i = 0; i < SPAN; i++) sum[g][i] += share * up(value[t].at[i / PIECE].at[i % PIECE]);
            }
        }
    }
    // The groups of a warp, then the warps of the block.
    __shared__ Part warps[WARPS];
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
        float highest = most[g];
#pragma unroll
        for (int far = LANES; far < 32; far *= 2)
            highest = fmaxf(highest, __shfl_xor_sync(EVERY, highest, far));
        float scale = most[g] == -INFINITE ? 0.0f : __expf(most[g] - highest);
        total[g] *= scale;
#pragma unroll
        for (int far = LANES; far < 32; far *= 2) total[g] += __shfl_xor_sync(EVERY, total[g], far);
#pragma unroll
        for (int i = 0; i < SPAN; i++) {
            float part = sum[g][i] * scale;
#pragma unroll
            for (int far = LANES; far < 32; far *= 2) part += __shfl_xor_sync(EVERY, part, far);
            if (lane < LANES) warps[warp].sum[g][place_of(sub, i)] = part;
        }
        if (lane == 0) {
            warps[warp].most[g] = highest;
            warps[warp].total[g] = total[g];
        }
    }
    __syncthreads();
    Part *own = parts + (size_t)blockIdx.x * gridDim.y;
    elem *to = out + ((size_t)token * HEADS + kv * GROUP) * HEAD_DIM;
    const Part *from = warps;
    int joined = WARPS;
    for (int round = 0;; round++) {
        for (int at = threadIdx.x; at < GROUP * HEAD_DIM; at += WARPS * 32) {
            int g = at / HEAD_DIM, i = at % HEAD_DIM;
            float highest = -INFINITE, sum = 0.0f, total = 0.0f;
            for (int part = 0; part < joined; part++) highest = fmaxf(highest, from[part].most[g]);
            for (int part = 0; part < joined; part++) {
                float scale = from[part].most[g] == -INFINITE ? 0.0f : __expf(from[part].most[g] - highest);
                sum += scale * from[part].sum[g][i];
                total += scale * from[part].total[g];
            }
            if (count == 1 || round == 1) {
                to[at] = down(sum / total);
                continue;
            }
            own[blockIdx.y].sum[g][i] = sum;
            if (i == 0) {
                own[blockIdx.y].most[g] = highest;
                own[blockIdx.y].total[g] = total;
            }
        }
        if (count == 1 || round == 1) return;
        __shared__ bool last;
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) last = atomicAdd(&done[blockIdx.x], 1) == count - 1;
        __syncthreads();
        if (!last) return;
        __threadfence();
        if (threadIdx.x == 0) done[blockIdx.x] = 0;
        from = own;
        joined = count;
    }
}

// The gate through SiLU, times what it lets through.
extern "C" __global__ void gated(Rows rows, const elem *stream, const elem *gate_up, elem *out) {
    size_t token = blockIdx.x;
    int at = blockIdx.y * blockDim.x + threadIdx.x;
    if (rows.slot[token] < 0) return;
    float scale = scale_of(stream + token * HIDDEN);
    if (at >= INTERMEDIATE / VEC) return;
    Vector gate = ((const Vector *)(gate_up + token * 2 * INTERMEDIATE))[at];
    Vector through = ((const Vector *)(gate_up + token * 2 * INTERMEDIATE + INTERMEDIATE))[at], product;
    for (int i = 0; i < VEC; i++) {
        float value = up(gate.at[i]) * scale;
        product.at[i] = down(value / (1.0f + __expf(-value)) * up(through.at[i]) * scale);
    }
    ((Vector *)(out + token * INTERMEDIATE))[at] = product;
}

// The output projection's bias, for models that have one.
extern "C" __global__ void add_bias(Rows rows, const elem *bias, elem *stream) {
    size_t token = blockIdx.x;
    if (rows.slot[token] < 0) return;
    for (int at = threadIdx.x; at < HIDDEN; at += blockDim.x)
        stream[token * HIDDEN + at] = down(up(stream[token * HIDDEN + at]) + up(bias[at]));
}
