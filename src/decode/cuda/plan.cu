// Which tokens the next pass reads: made on the device, so that the host need not know what was chosen.

// The sum over the threads before this one; `all` gets the sum over all.
__device__ int scan(int value, int *all) {
    __shared__ int warps[32];
    int lane = threadIdx.x % 32, warp = threadIdx.x / 32, sum = value;
    for (int far = 1; far < 32; far *= 2) {
        int other = __shfl_up_sync(EVERY, sum, far);
        if (lane >= far) sum += other;
    }
    if (lane == 31) warps[warp] = sum;
    __syncthreads();
    int before = sum - value, total = 0;
    for (int w = 0; w < blockDim.x / 32; w++) {
        if (w < warp) before += warps[w];
        total += warps[w];
    }
    __syncthreads();
    *all = total;
    return before;
}

// One block, a thread a slot. Empty slots take the next jobs. Every row brings the tokens that the model has not read, and
// its draft: the first one whatever happens, the others as far as the pass has room; a draft comes with the token before it.
extern "C" __global__ void plan(Rows rows, int room) {
    int slot = threadIdx.x, all;
    bool is_slot = slot < rows.slots;
    int job = is_slot ? rows.job[slot] : 0;
    u32 next = rows.counters[NEXT];
    u32 read = is_slot ? rows.read[slot] : 0;
    int taken = next + scan(job < 0, &all);
    if (job < 0 && taken < rows.jobs) {
        job = taken;
        read = 0;
        rows.job[slot] = job;
        rows.state[slot] = rows.begin_state[job];
        rows.number[slot] = rows.begin_number[job];
    }
    int drafted = is_slot && job >= 0 ? rows.drafted[slot] : 0;
    int unread = is_slot && job >= 0 ? rows.length[job] - read + drafted : 0;
    int least = unread > 1 + drafted ? 1 : unread, all_least, more, packed;
    scan(least, &all_least);
    int before = scan(unread - least, &more);
    int count = least + max(0, min(unread - least, room - all_least - before));
    if (drafted && count == unread - 1) count--;
    int first = scan(count, &packed);
    int partial = __syncthreads_count(count < unread);
    if (is_slot) {
        bool chooses = count > 0 && count == unread;
        rows.read[slot] = read + count;
        rows.wanted[slot] = chooses ? first + count - 1 - drafted : -1;
        rows.wanted[rows.slots + slot] = chooses && drafted ? first + count - 1 : -1;
    }
    for (int i = 0; i < count; i++) {
        rows.packed[first + i] = rows.tokens[(size_t)job * rows.context + read + i];
        rows.position[first + i] = read + i;
        rows.slot[first + i] = slot;
    }
    for (int at = packed + threadIdx.x; at < room; at += blockDim.x) rows.slot[at] = -1;
    if (threadIdx.x == 0) {
        rows.counters[NEXT] = min(next + all, rows.jobs);
        rows.counters[PASSES] += packed > 0;
        rows.counters[READ] += packed;
        rows.counters[PARTIAL] += partial;
    }
}
