// Choosing a token behind each wanted one, and moving its row on: mask, filters, chance, automaton, forced run.
//
// The same order as on the host: the constraint first, then top-k, top-p and min-p, then noise by seed, row, place and
// id; of equal ones the smaller id; a logit that is no number is as good as none.

// How tokens are chosen.
struct Sampling {
    double temperature, top_p, min_p;
    u64 seed; // mixed
    u32 top_k, _pad;
};

// What holds the rows.
struct Guide {
    // The exact template: by state, its first edge, how many there are (bit 31: a number may end here; bit 30: the draft
    // may come), and the first edge's token and target.
    const uint4 *states;
    const u32 *edge_tokens, *edge_targets;
    const u32 *columns;     // by edge: where its logit is
    const u32 *programs;    // roots behind the atoms of each job, or its positions
    const u32 *blocked;     // one bit an id
    const u32 *lists;       // ids allowed at the first, inner and last positions of a hole
    u32 list_ends[3];
    u32 separator, end, forces;
    u32 draft; // the token that is read before it is chosen, or NONE
    u32 kind;
};

static_assert(sizeof(Sampling) == SIZE_OF_SAMPLING && sizeof(Guide) == SIZE_OF_GUIDE, "the host has others");

enum Kind { FREE, BLOCKLIST, ALLOWLIST, EXACT };
enum Ended { RUNNING, COMPLETE, STOPPED, STUCK };
#define NONE 0xffffffffu
#define COUNT(bits) ((bits) & 0x3fffffffu)
#define FLAG 0x80000000u
#define DRAFTS 0x40000000u

__device__ __forceinline__ u64 mix(u64 value) {
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9ull;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebull;
    return value ^ (value >> 31);
}

__device__ __forceinline__ u64 join(u64 key, u64 part) {
    const u64 step = 0x9e3779b97f4a7c15ull;
    return mix((key + step) ^ mix(part + step));
}

__device__ double noise(u64 key, u32 id) {
    double unit = ((double)(join(key, id) >> 12) + 0.5) / 4503599627370496.0;
    return -log(-log(unit));
}

// Orders candidates: a larger logit first, of equal ones the smaller id.
__device__ __forceinline__ u64 rank_of(float logit, u32 id) {
    u32 bits = __float_as_uint(logit);
    bits = bits & FLAG ? ~bits : bits | FLAG;
    return (u64)bits << 32 | (0xffffffffu - id);
}

__device__ __forceinline__ float logit_of(u64 rank) {
    u32 bits = rank >> 32;
    return __uint_as_float(bits & FLAG ? bits & ~FLAG : ~bits);
}

__device__ __forceinline__ u32 id_of(u64 rank) { return 0xffffffffu - (u32)rank; }

__device__ __forceinline__ float sane(float logit) { return isnan(logit) ? -INFINITE : logit; }

// All ids but those that are blocked.
struct Wide {
    const elem *logits;
    const u32 *blocked; // or null
    u32 count;

    template <class F> __device__ void each(F f) const {
#pragma unroll 4
        for (u32 first = threadIdx.x * VEC; first < count; first += blockDim.x * VEC) {
            uint4 loaded = __ldg((const uint4 *)(logits + first));
            Vector values = *(const Vector *)&loaded;
#pragma unroll
            for (int i = 0; i < VEC; i++) {
                u32 id = first + i;
                if (id >= count || (blocked && blocked[id / 32] >> (id % 32) & 1)) continue;
                f(sane(up(values.at[i])), id, NONE);
            }
        }
    }
};

// The edges of a state, and of the root behind it.
struct Listed {
    const elem *logits;
    const u32 *tokens, *columns;
    u32 first, own, behind, count;

    template <class F> __device__ void each(F f) const {
        for (u32 i = threadIdx.x; i < count; i += blockDim.x) {
            u32 edge = i < own ? first + i : behind + (i - own);
            u32 id = tokens[edge], column = columns ? columns[edge] : id;
            f(column == NONE ? -INFINITE : sane(up(logits[column])), id, edge);
        }
    }
};

#define SMALL 1536 // candidates that fit in shared memory
#define GROUPS 256 // of candidates, whose largest ones bound the k-th largest of all
#define FEW 64     // enough of them for a small k

struct Shared {
    u64 ranks[SMALL], sorted[SMALL];
    double shares[SMALL];
    float group[GROUPS];
    double values[32];
    u64 keys[32];
    u32 count, kept, edge;
    float threshold;
};

// The larger value, of equal ones the higher rank: over the block, in every thread. Neither inlined nor unrolled: a block that
// runs once waits for its own code.
__device__ __noinline__ u64 best(double value, u64 rank, Shared &shared) {
#pragma unroll 1
    for (int far = 16; far > 0; far /= 2) {
        double other = __shfl_xor_sync(EVERY, value, far);
        u64 other_rank = __shfl_xor_sync(EVERY, rank, far);
        if (other > value || (other == value && (u32)other_rank > (u32)rank)) value = other, rank = other_rank;
    }
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared.values[threadIdx.x / 32] = value, shared.keys[threadIdx.x / 32] = rank;
    __syncthreads();
    value = shared.values[0], rank = shared.keys[0];
#pragma unroll 1
    for (int warp = 1; warp < blockDim.x / 32; warp++) {
        double other = shared.values[warp];
        u64 other_rank = shared.keys[warp];
        if (other > value || (other == value && (u32)other_rank > (u32)rank)) value = other, rank = other_rank;
    }
    return rank;
}

__device__ double total(double value, Shared &shared) {
    for (int far = 16; far > 0; far /= 2) value += __shfl_xor_sync(EVERY, value, far);
    __syncthreads();
    if (threadIdx.x % 32 == 0) shared.values[threadIdx.x / 32] = value;
    __syncthreads();
    value = 0.0;
    for (int warp = 0; warp < blockDim.x / 32; warp++) value += shared.values[warp];
    return value;
}

// The share of a candidate relative to the likeliest.
__device__ __forceinline__ double share(float logit, float most, double temperature) {
    return exp(((double)logit - (double)most) / temperature);
}

// The lowest rank that is kept, where all that weigh less than `wanted` before them are. Halves the ranks until it is
// found: slow and exact, for settings that leave thousands of candidates.
template <class C, class F> __device__ u64 lowest(const C &candidates, double wanted, F weight, Shared &shared) {
    u64 low = 0, high = ~0ull;
    while (low < high) {
        u64 middle = low + (high - low) / 2;
        double before = 0.0;
        candidates.each([&](float logit, u32 id, u32) {
            u64 rank = rank_of(logit, id);
            if (rank > middle) before += weight(logit, rank);
        });
        if (total(before, shared) < wanted) high = middle; else low = middle + 1;
    }
    return low;
}

// The rank of the chosen candidate; 0 if there is none, or none of a finite logit. Whether or not it is chosen, the edge of `scripted` is noted.
template <class C>
__device__ u64 choose_among(const C &candidates, const Sampling &sampling, u64 key, u32 scripted, Shared &shared) {
    u64 first = 0;
    float group = -INFINITE;
    candidates.each([&](float logit, u32 id, u32 edge) {
        u64 rank = rank_of(logit, id);
        if (rank > first) first = rank;
        group = fmaxf(group, logit);
        if (id == scripted) shared.edge = edge;
    });
    bool any = first != 0;
    u64 likeliest = best(any ? (double)logit_of(first) : -INFINITE, first, shared);
    if (!__syncthreads_or(any)) return 0;
    float most = logit_of(likeliest);
    if (isinf(most)) return 0;
    if (sampling.temperature == 0.0) return likeliest;
    double temperature = sampling.temperature;
    bool filters = sampling.top_p < 1.0 || sampling.min_p > 0.0;
    u32 top_k = sampling.top_k > 0 && sampling.top_k < candidates.count ? sampling.top_k : 0;

    if (top_k || (filters && candidates.count <= SMALL)) {
        // At least top-k candidates are as large as the k-th largest of the largest ones of groups.
        float threshold = -INFINITE;
        if (top_k && top_k <= GROUPS) {
            int groups = top_k <= FEW / 2 ? FEW : GROUPS, width = blockDim.x / groups;
            for (int far = 1; far < width; far *= 2) group = fmaxf(group, __shfl_xor_sync(EVERY, group, far));
            if (threadIdx.x % width == 0) shared.group[threadIdx.x / width] = group;
            __syncthreads();
            if (threadIdx.x < groups) {
                float mine = shared.group[threadIdx.x];
                u32 before = 0;
                for (int other = 0; other < groups; other++) {
                    float theirs = shared.group[other];
                    before += theirs > mine || (theirs == mine && other < threadIdx.x);
                }
                if (before == top_k - 1) shared.threshold = mine;
            }
            __syncthreads();
            threshold = shared.threshold;
        }
        if (threadIdx.x == 0) shared.count = 0;
        __syncthreads();
        candidates.each([&](float logit, u32 id, u32) {
            if (logit < threshold) return;
            u32 at = atomicAdd(&shared.count, 1);
            if (at < SMALL) shared.ranks[at] = rank_of(logit, id);
        });
        __syncthreads();
        u32 count = shared.count;
        if (count <= SMALL) {
            for (u32 at = threadIdx.x; at < count; at += blockDim.x) {
                u64 rank = shared.ranks[at];
                u32 before = 0;
                for (u32 other = 0; other < count; other++) before += shared.ranks[other] > rank;
                shared.sorted[before] = rank;
                shared.shares[before] = share(logit_of(rank), most, temperature);
            }
            __syncthreads();
            if (threadIdx.x == 0) {
                u32 kept = top_k ? min(top_k, count) : count;
                if (sampling.top_p < 1.0) {
                    double sum = 0.0, before = 0.0;
                    for (u32 at = 0; at < kept; at++) sum += shared.shares[at];
                    double wanted = sampling.top_p * sum;
                    u32 at = 0;
                    while (at < kept && before < wanted) before += shared.shares[at++];
                    kept = max(at, 1);
                }
                while (kept > 0 && shared.shares[kept - 1] < sampling.min_p) kept--;
                shared.kept = kept;
            }
            __syncthreads();
            double value = -(double)INFINITE;
            u64 chosen = shared.sorted[0];
            for (u32 at = threadIdx.x; at < shared.kept; at += blockDim.x) {
                u64 rank = shared.sorted[at];
                double mine = (double)logit_of(rank) / temperature + noise(key, id_of(rank));
                if (mine > value || (mine == value && (u32)rank > (u32)chosen)) value = mine, chosen = rank;
            }
            return best(value, chosen, shared);
        }
    }
    // Too many to sort.
    u64 least = 0;
    if (top_k) least = lowest(candidates, top_k, [](float, u64) { return 1.0; }, shared);
    if (sampling.top_p < 1.0) {
        auto weight = [&](float logit, u64 rank) {
            return rank >= least ? share(logit, most, temperature) : 0.0;
        };
        double all = 0.0;
        candidates.each([&](float logit, u32 id, u32) { all += weight(logit, rank_of(logit, id)); });
        u64 by_share = lowest(candidates, sampling.top_p * total(all, shared), weight, shared);
        least = max(least, by_share);
    }
    double value = -(double)INFINITE;
    u64 chosen = likeliest;
    candidates.each([&](float logit, u32 id, u32) {
        u64 rank = rank_of(logit, id);
        if (rank < least || share(logit, most, temperature) < sampling.min_p) return;
        double mine = (double)logit / temperature + noise(key, id);
        if (mine > value || (mine == value && (u32)rank > (u32)chosen)) value = mine, chosen = rank;
    });
    return best(value, chosen, shared);
}

// The root behind a number: a separator within a hole, else what follows the atom.
__device__ __forceinline__ u32 root_behind(const Guide &guide, const u32 *program, u32 number) {
    return number % 3 < 2 ? guide.separator : program[number / 3];
}

// Where the row of a block stands.
struct Standing {
    u32 state, number, length, ended;
    bool again;
};

extern "C" __global__ void __launch_bounds__(1024)
    choose(Rows rows, Guide guide, Sampling sampling, const elem *all_logits, u32 width, u32 row_stride) {
    __shared__ Shared shared;
    __shared__ Standing row;
    int slot = blockIdx.x;
    if (rows.wanted[slot] < 0) return;
    int job = rows.job[slot];
    u32 prompt = rows.prompt[job], longest = rows.longest[job];
    const u32 *program = guide.programs + rows.program[job];
    u32 *tokens = rows.tokens + (size_t)job * rows.context;
    const u32 *script = rows.script ? rows.script + (size_t)job * rows.context : 0;
    bool exact = guide.kind == EXACT, drafted = rows.wanted[rows.slots + slot] >= 0;
    if (threadIdx.x == 0) row = {rows.state[slot], rows.number[slot], rows.length[job], RUNNING, false};

    // Once, and once more behind a draft that was chosen.
    for (int turn = 0; turn == 0 || row.again; turn++) {
        __syncthreads();
        u32 state = row.state, number = row.number, length = row.length, said = length - prompt;
        const elem *logits = all_logits + (size_t)(turn * rows.slots + slot) * row_stride;
        u32 scripted = script ? script[said] : NONE;
        u64 key = join(join(sampling.seed, rows.row[job]), said);
        if (threadIdx.x == 0) shared.edge = NONE;
        __syncthreads();

        u64 chosen = 0;
        u32 given = guide.kind == BLOCKLIST || guide.kind == ALLOWLIST ? program[number] : 0;
        u32 place = given >> 30; // COPY, first, inner, last
        if (exact) {
            uint4 at = guide.states[state];
            Listed listed = {logits, guide.edge_tokens, guide.columns, at.x, COUNT(at.y), 0, COUNT(at.y)};
            if (at.y & FLAG) {
                uint4 root = guide.states[root_behind(guide, program, number)];
                listed.behind = root.x;
                listed.count += COUNT(root.y);
            }
            chosen = choose_among(listed, sampling, key, scripted, shared);
        } else if (guide.kind == ALLOWLIST && place > 0) {
            u32 first = place > 1 ? guide.list_ends[place - 2] : 0;
            u32 count = guide.list_ends[place - 1] - first;
            Listed listed = {logits, guide.lists, 0, first, count, 0, count};
            chosen = choose_among(listed, sampling, key, scripted, shared);
        } else if (guide.kind == FREE || place > 0) {
            Wide wide = {logits, guide.kind == FREE ? 0 : guide.blocked, width};
            chosen = choose_among(wide, sampling, key, scripted, shared);
        } else {
            chosen = rank_of(0.0f, given & 0x3fffffffu);
        }

        // The edge of what was chosen.
        u32 token = script ? scripted : id_of(chosen);
        if (exact && !script && chosen) {
            uint4 at = guide.states[state];
            for (u32 i = threadIdx.x; i < COUNT(at.y); i += blockDim.x)
                if (guide.edge_tokens[at.x + i] == token) shared.edge = at.x + i;
            if (at.y & FLAG) {
                uint4 root = guide.states[root_behind(guide, program, number)];
                for (u32 i = threadIdx.x; i < COUNT(root.y); i += blockDim.x)
                    if (guide.edge_tokens[root.x + i] == token) shared.edge = root.x + i;
            }
        }
        __syncthreads();
        if (threadIdx.x == 0) {
            u32 ended = RUNNING, before = length;
            if (!chosen || (exact && shared.edge == NONE)) {
                ended = STUCK;
            } else {
                tokens[length++] = token;
                if (exact) {
                    uint4 at = guide.states[state];
                    if (shared.edge < at.x || shared.edge >= at.x + COUNT(at.y)) number++;
                    state = guide.edge_targets[shared.edge] & ~FLAG;
                    while (state != 0 && guide.forces) {
                        uint4 at = guide.states[state];
                        if (at.y & FLAG) {
                            if (COUNT(at.y) > 0) break;
                            at = guide.states[root_behind(guide, program, number)];
                            if (at.y != 1) break;
                            number++;
                        }
                        if (at.y != 1) break;
                        tokens[length++] = at.z;
                        state = at.w & ~FLAG;
                    }
                    if (state == 0) ended = COMPLETE;
                } else {
                    number++;
                    if (script) ended = length - prompt == rows.script_length[job] ? COMPLETE : RUNNING;
                    else if (guide.kind == FREE) ended = token == guide.end ? COMPLETE : RUNNING;
                    else if (number == rows.program[job + 1] - rows.program[job]) ended = COMPLETE;
                }
                if (ended == RUNNING && length - prompt >= longest) ended = STOPPED;
            }
            bool drawn = turn == 0 && drafted;
            if (drawn && token != guide.draft) rows.read[slot]--;
            bool again = drawn && token == guide.draft && ended == RUNNING && length == before + 1;
            row = {state, number, length, ended, again};
        }
        __syncthreads();
    }
    if (threadIdx.x > 0) return;

    rows.length[job] = row.length;
    rows.passes[job]++;
    rows.state[slot] = row.state;
    rows.number[slot] = row.number;
    bool drafts = exact && row.ended == RUNNING && guide.draft != NONE && guide.states[row.state].y & DRAFTS;
    if (drafts) tokens[row.length] = guide.draft;
    rows.drafted[slot] = drafts;
    if (row.ended != RUNNING) {
        rows.ended[job] = row.ended;
        rows.job[slot] = -1;
        atomicAdd(&rows.counters[FINISHED], 1);
    }
}
