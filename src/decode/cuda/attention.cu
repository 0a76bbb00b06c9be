// Packed tokens over the cells of their own rows, each up to itself.
//
// A block takes a few tokens of one row that follow each other, the queries of all their heads that share a head of keys,
// and a part of that head's cells: so forced runs read the cells once. The block that is done last joins the parts, in
// their order.

// A block has WARPS warps, a part PART cells. On tensor cores there is room for several queries, so for several tokens.
#if !defined(F32) && HEAD_DIM % 64 == 0 && GROUP <= QUERIES_AT_ONCE
#define TENSOR 1
#define QUERIES QUERIES_AT_ONCE
#define TOKENS (QUERIES / GROUP)
#else
#define TENSOR 0
#define QUERIES GROUP
#define TOKENS 1
#endif

// What a part comes to before it is divided: by query, the largest score, the total of the shares, and the values.
struct Part {
    float most[QUERIES], total[QUERIES], sum[QUERIES][HEAD_DIM];
};

// Which tokens, and which cells.
struct Span {
    int token, tokens, position, kv, begin, end, count;
    size_t cells;
};

// The work of this block; without tokens there is none.
__device__ __forceinline__ Span span_of(const Rows &rows) {
    Span span = {};
    int token = blockIdx.x / KV_HEADS, all = gridDim.x / KV_HEADS;
    int slot = rows.slot[token];
    if (slot < 0) return span;
    int position = rows.position[token];
    // Tokens are taken together up to multiples of TOKENS; only the first of them has a block that works.
    if (position % TOKENS != 0 && token > 0 && rows.slot[token - 1] == slot) return span;
    int tokens = 1;
    while (tokens < TOKENS && (position + tokens) % TOKENS != 0 && token + tokens < all &&
           rows.slot[token + tokens] == slot)
        tokens++;
    int seen = position + tokens;
    span.count = gridDim.y > 1 ? (seen + PART - 1) / PART : 1;
    if (blockIdx.y >= span.count) return span;
    span.token = token;
    span.tokens = tokens;
    span.position = position;
    span.kv = blockIdx.x % KV_HEADS;
    span.begin = blockIdx.y * PART;
    span.end = span.count > 1 ? min(seen, span.begin + PART) : seen;
    span.cells = ((size_t)slot * KV_HEADS + span.kv) * rows.context * HEAD_DIM;
    return span;
}

// Adds up what warps came to, then what blocks came to, and divides.
__device__ __forceinline__ void join_parts(const Part *warps, const Span &span, Part *parts, u32 *done, elem *out) {
    int queries = span.tokens * GROUP;
    Part *own = parts + (size_t)blockIdx.x * gridDim.y;
    elem *to = out + ((size_t)span.token * HEADS + span.kv * GROUP) * HEAD_DIM;
    const Part *from = warps;
    int joined = WARPS;
    for (bool whole = span.count == 1;; whole = true) {
        __syncthreads();
        for (int at = threadIdx.x; at < queries * HEAD_DIM; at += WARPS * 32) {
            int q = at / HEAD_DIM, i = at % HEAD_DIM;
            float highest = -INFINITE, sum = 0.0f, total = 0.0f;
            for (int part = 0; part < joined; part++) highest = fmaxf(highest, from[part].most[q]);
            for (int part = 0; part < joined; part++) {
                float scale = from[part].most[q] == -INFINITE ? 0.0f : __expf(from[part].most[q] - highest);
                sum += scale * from[part].sum[q][i];
                total += scale * from[part].total[q];
            }
            if (whole) {
                to[((size_t)(q / GROUP) * HEADS + q % GROUP) * HEAD_DIM + i] = down(sum / total);
                continue;
            }
            own[blockIdx.y].sum[q][i] = sum;
            if (i == 0) {
                own[blockIdx.y].most[q] = highest;
                own[blockIdx.y].total[q] = total;
            }
        }
        if (whole) return;
        __shared__ bool last;
        __threadfence();
        __syncthreads();
        if (threadIdx.x == 0) last = atomicAdd(&done[blockIdx.x], 1) == span.count - 1;
        __syncthreads();
        if (!last) return;
        __threadfence();
        if (threadIdx.x == 0) done[blockIdx.x] = 0;
        from = own;
        joined = span.count;
    }
}

#if TENSOR

#if defined(BF16)
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
#define PACK "cvt.rn.bf16x2.f32 %0, %1, %2;"
#else
#define MMA "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 "
#define PACK "cvt.rn.f16x2.f32 %0, %1, %2;"
#endif

// sums (16, 8) += a (16, 16) × b (16, 8), spread over a warp as the instruction has it.
__device__ __forceinline__ void multiply(float *sums, u32 a0, u32 a1, u32 a2, u32 a3, u32 b0, u32 b1) {
    asm(MMA "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a0), "r"(a1), "r"(a2), "r"(a3), "r"(b0), "r"(b1));
}

// Two numbers in one register, and eight by eight of them turned.
__device__ __forceinline__ u32 turned(float low, float high) {
    u32 packed, out;
    asm(PACK : "=r"(packed) : "f"(high), "f"(low));
    asm("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(out) : "r"(packed));
    return out;
}

__device__ __forceinline__ uint4 load(const elem *from) { return *(const uint4 *)from; }

__device__ __forceinline__ u32 word(const uint4 &from, int at) {
    return at == 0 ? from.x : at == 1 ? from.y : at == 2 ? from.z : from.w;
}

// Keys times queries, values times shares, sixteen cells a warp at a time. Loads are of 16 bytes, straight into the
// operands: the order of what is summed over is free, so it is chosen to be that of the bytes.
extern "C" __global__ void __launch_bounds__(WARPS * 32, BLOCKS_AT_ONCE)
    attention(Rows rows, const elem *queries, const elem *keys, const elem *values, elem *out, Part *parts,
              u32 *done) {
    Span span = span_of(rows);
    if (span.tokens == 0) return;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, four = lane / 4, in_four = lane % 4;
    const int deep = HEAD_DIM / 32, wide = HEAD_DIM / 64;
    keys += span.cells + in_four * 8;
    values += span.cells + four * 8;

    // Query `four`, where there is one.
    uint4 query[deep];
    bool exists = four < span.tokens * GROUP;
    int head = span.kv * GROUP + four % GROUP, token = span.token + four / GROUP;
    const elem *from = queries + ((size_t)(exists ? token : span.token) * HEADS + head) * HEAD_DIM + in_four * 8;
#pragma unroll
    for (int k = 0; k < deep; k++) query[k] = exists ? load(from + k * 32) : make_uint4(0, 0, 0, 0);

    float sums[wide][4][4] = {}, most[2] = {-INFINITE, -INFINITE}, total[2] = {0.0f, 0.0f};
    for (int first = span.begin + warp * 16; first < span.end; first += WARPS * 16) {
        // Cells behind the end are read as the last one and count nothing.
        uint4 low[deep], high[deep], value[wide][4];
        size_t cell_low = min(first + four, span.end - 1), cell_high = min(first + four + 8, span.end - 1);
#pragma unroll
        for (int k = 0; k < deep; k++) {
            low[k] = load(keys + cell_low * HEAD_DIM + k * 32);
            high[k] = load(keys + cell_high * HEAD_DIM + k * 32);
        }
#pragma unroll
        for (int v = 0; v < 4; v++) {
            size_t cell = min(first + in_four * 2 + v % 2 + v / 2 * 8, span.end - 1);
#pragma unroll
            for (int w = 0; w < wide; w++) value[w][v] = load(values + cell * HEAD_DIM + w * 64);
        }
        float score[4] = {};
#pragma unroll
        for (int k = 0; k < deep; k++) {
            multiply(score, low[k].x, high[k].x, low[k].y, high[k].y, query[k].x, query[k].y);
            multiply(score, low[k].z, high[k].z, low[k].w, high[k].w, query[k].z, query[k].w);
        }
        // Scores are of cells `four` and `four + 8`, queries `2 in_four` and `2 in_four + 1`.
        float share[4], scale[2];
#pragma unroll
        for (int q = 0; q < 2; q++) {
            int seen = span.position + (in_four * 2 + q) / GROUP + 1;
            float highest = most[q];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                float &one = score[half * 2 + q];
                one = first + four + half * 8 < min(seen, span.end) ? one * rsqrtf((float)HEAD_DIM) : -INFINITE;
                highest = fmaxf(highest, one);
            }
#pragma unroll
            for (int far = 4; far < 32; far *= 2)
                highest = fmaxf(highest, __shfl_xor_sync(EVERY, highest, far));
            float base = highest == -INFINITE ? 0.0f : highest;
            scale[q] = __expf(most[q] - base);
            most[q] = highest;
            total[q] *= scale[q];
#pragma unroll
            for (int half = 0; half < 2; half++) {
                share[half * 2 + q] = __expf(score[half * 2 + q] - base);
                total[q] += share[half * 2 + q];
            }
        }
        u32 b0 = turned(share[0], share[1]), b1 = turned(share[2], share[3]);
#pragma unroll
        for (int w = 0; w < wide; w++) {
#pragma unroll
            for (int m = 0; m < 4; m++) {
#pragma unroll
                for (int i = 0; i < 4; i++) sums[w][m][i] *= scale[i % 2];
                u32 one = word(value[w][0], m), two = word(value[w][1], m);
                u32 three = word(value[w][2], m), last = word(value[w][3], m);
                // Numbers 2 m and 2 m + 1 of a lane's eight, each of two cells.
                multiply(sums[w][m], __byte_perm(one, two, 0x5410), __byte_perm(one, two, 0x7632),
                         __byte_perm(three, last, 0x5410), __byte_perm(three, last, 0x7632), b0, b1);
            }
        }
    }
    __shared__ Part warps[WARPS];
#pragma unroll
    for (int q = 0; q < 2; q++) {
        int column = in_four * 2 + q;
#pragma unroll
        for (int far = 4; far < 32; far *= 2) total[q] += __shfl_xor_sync(EVERY, total[q], far);
        if (four == 0) {
            warps[warp].most[column] = most[q];
            warps[warp].total[column] = total[q];
        }
#pragma unroll
        for (int w = 0; w < wide; w++)
#pragma unroll
            for (int m = 0; m < 4; m++)
#pragma unroll
                for (int half = 0; half < 2; half++)
                    warps[warp].sum[column][w * 64 + four * 8 + m * 2 + half] = sums[w][m][half * 2 + q];
    }
    join_parts(warps, span, parts, done, out);
}

#else

// Without tensor cores: LANES lanes share a cell, 16 bytes at a time; each group of lanes takes every so many tiles.
#define WIDTH 8
#define LANES (HEAD_DIM / WIDTH)
#define PIECE (VEC < WIDTH ? VEC : WIDTH)
#define TILE 4

struct Piece {
    Vector at[WIDTH / PIECE];
};

__device__ __forceinline__ Piece load_piece(const elem *from) {
    Piece piece;
#pragma unroll
    for (int p = 0; p < WIDTH / PIECE; p++) piece.at[p] = ((const Vector *)from)[p * LANES];
    return piece;
}

extern "C" __global__ void __launch_bounds__(WARPS * 32)
    attention(Rows rows, const elem *queries, const elem *keys, const elem *values, elem *out, Part *parts,
              u32 *done) {
    Span span = span_of(rows);
    if (span.tokens == 0) return;
    int warp = threadIdx.x / 32, lane = threadIdx.x % 32, sub = lane % LANES;
    int tile = warp * (32 / LANES) + lane / LANES;
    keys += span.cells + sub * PIECE;
    values += span.cells + sub * PIECE;

    float query[GROUP][WIDTH], sum[GROUP][WIDTH] = {}, most[GROUP], total[GROUP] = {};
#pragma unroll
    for (int g = 0; g < GROUP; g++) {
        size_t head = (size_t)span.token * HEADS + span.kv * GROUP + g;
        Piece piece = load_piece(queries + head * HEAD_DIM + sub * PIECE);
        most[g] = -INFINITE;
#pragma unroll
        for (int i = 0; i < WIDTH; i++) query[g][i] = up(piece.at[i / PIECE].at[i % PIECE]) * rsqrtf((float)HEAD_DIM);
    }
    const int step = WARPS * (32 / LANES) * TILE;
    for (int first = span.begin + tile * TILE; __any_sync(EVERY, first < span.end); first += step) {
        Piece key[TILE], value[TILE];
#pragma unroll
        for (int t = 0; t < TILE; t++) {
            // Cells behind the end are read as the last one and count nothing.
            size_t cell = min(first + t, span.end - 1);
            key[t] = load_piece(keys + cell * HEAD_DIM);
            value[t] = load_piece(values + cell * HEAD_DIM);
        }
#pragma unroll
        for (int g = 0; g < GROUP; g++) {
            float score[TILE], highest = most[g];
#pragma unroll
            for (int t = 0; t < TILE; t++) {
                float dot = 0.0f;
#pragma unroll
                for (int i = 0; i < WIDTH; i++) dot += query[g][i] * up(key[t].at[i / PIECE].at[i % PIECE]);
#pragma unroll
                for (int far = 1; far < LANES; far *= 2) dot += __shfl_xor_sync(EVERY, dot, far);
                score[t] = first + t < span.end ? dot : -INFINITE;
                highest = fmaxf(highest, score[t]);
            }
            if (first >= span.end) continue;
            float scale = __expf(most[g] - highest);
            most[g] = highest;
            total[g] *= scale;
#pragma unroll
            for (int i = 0; i < WIDTH; i++) sum[g][i] *= scale;
#pragma unroll
            for (int t = 0; t < TILE; t++) {
                float share = __expf(score[t] - highest);
                total[g] += share;
#pragma unroll
                for (int i = 0; i < WIDTH; i++) sum[g][i] += share * up(value[t].at[i / PIECE].at[i % PIECE]);
            }
        }
    }
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
        for (int i = 0; i < WIDTH; i++) {
            float part = sum[g][i] * scale;
#pragma unroll
            for (int far = LANES; far < 32; far *= 2) part += __shfl_xor_sync(EVERY, part, far);
            if (lane < LANES) warps[warp].sum[g][(i / PIECE * LANES + sub) * PIECE + i % PIECE] = part;
        }
        if (lane == 0) {
            warps[warp].most[g] = highest;
            warps[warp].total[g] = total[g];
        }
    }
    join_parts(warps, span, parts, done, out);
}

#endif
