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
