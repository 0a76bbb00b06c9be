//! The model on the GPU: its weights, the cells of its rows, and the kernels of one pass in their order.

use candle_core::{CudaDevice, DType, Device, Tensor};

use super::{
    driver::{self, Buffer, Driver, Kernel, Pointer, Product},
    layout::{Guide, Rows, Sampling},
};
use crate::decode::{
    DecodeError,
    config::{Family, ModelConfig},
    rotary::Rotary,
    tensors::{LayerTensors, Projection, Tensors},
    weights::Weights,
};

const SOURCE: &str = concat!(
    include_str!("common.cu"),
    include_str!("trunk.cu"),
    include_str!("attention.cu"),
    include_str!("plan.cu"),
    include_str!("choose.cu"),
);

/// A model, ready to run.
pub(super) struct Trunk {
    pub(super) driver: Driver,
    pub(super) config: ModelConfig,
    pub(super) dtype: DType,
    pub(super) context: usize,
    /// Cells of a part of a row, which a block of `attention` takes.
    part: usize,
    kernels: Kernels,
    layers: Vec<Layer>,
    embedding: Pointer,
    norm: Pointer,
    head: Pointer,
    cos: Pointer,
    sin: Pointer,
    work: Work,
    /// What the pointers point into.
    _tensors: Tensors,
    _rotary: Rotary,
}

struct Kernels {
    embed: Kernel,
    norm: Kernel,
    norm_wanted: Kernel,
    heads: Kernel,
    attention: Kernel,
    gated: Kernel,
    add_bias: Kernel,
    gather: Kernel,
}

struct Layer {
    /// Without one, its weights are folded into those of the product.
    attention_norm: Option<Pointer>,
    qkv: Pointer,
    qkv_bias: Pointer,
    query_norm: Pointer,
    key_norm: Pointer,
    output: Pointer,
    output_bias: Option<Pointer>,
    feed_norm: Option<Pointer>,
    gate_up: Pointer,
    down: Pointer,
    keys: Buffer<u8>,
    values: Buffer<u8>,
}

/// What a pass writes and reads on its way, as large as the largest pass.
struct Work {
    stream: Buffer<u8>,
    normed: Buffer<u8>,
    qkv: Buffer<u8>,
    queries: Buffer<u8>,
    attended: Buffer<u8>,
    gate_up: Buffer<u8>,
    product: Buffer<u8>,
    wanted: Buffer<u8>,
    /// What parts of a token's cells come to, and how many parts are done.
    parts: Buffer<f32>,
    done: Buffer<u32>,
}

/// The output layer, or rows of it, and room for what it says.
pub(super) struct Head {
    rows: Pointer,
    logits: Buffer<u8>,
    /// For how many tokens.
    count: usize,
    /// How many logits.
    pub(super) width: usize,
    /// From one row of logits to the next: a multiple of 16 bytes.
    pub(super) stride: usize,
    _own: Option<Buffer<u8>>,
}

/// The kernels read 16 bytes at once.
const ALIGNED: usize = 8;

/// Whether the kernels have the sizes of this model.
pub(super) fn check(config: &ModelConfig) -> Result<(), DecodeError> {
    let &ModelConfig { hidden, head_dim, intermediate, heads, kv_heads, .. } = config;
    let refuse = |what| Err(DecodeError::Sizes { what });
    if hidden % ALIGNED != 0 || intermediate % ALIGNED != 0 {
        return refuse(format!(
            "hidden and feed-forward sizes of {hidden} and {intermediate}, only multiples of {ALIGNED}"
        ));
    }
    if !(ALIGNED..=256).contains(&head_dim) || !head_dim.is_power_of_two() {
        return refuse(format!("heads of {head_dim} numbers, only of {ALIGNED}, 16, 32, … 256"));
    }
    if shared(config, warps(config)) > SHARED {
        let group = heads / kv_heads;
        return refuse(format!("{group} heads of {head_dim} numbers to one of keys and values"));
    }
    Ok(())
}

impl Trunk {
    /// A model with the cells of `slots` rows of `context` tokens, and room for passes of `room` tokens.
    pub(super) fn new(
        config: &ModelConfig,
        mut weights: Weights,
        slots: usize,
        context: usize,
        room: usize,
    ) -> Result<Self, DecodeError> {
        let (device, dtype) = (weights.device().clone(), weights.dtype());
        let part = part(config, slots, context, driver::multiprocessors(cuda(&device)?)?);
        let driver = Driver::new(cuda(&device)?, SOURCE, &definitions(config, dtype, part))?;
        let mut tensors = Tensors::take(config, &mut weights)?;
        if folds(dtype) {
            for layer in &mut tensors.layers {
                fold(&layer.attention_norm, &mut layer.qkv.weight)?;
                fold(&layer.feed_norm, &mut layer.gate_up.weight)?;
            }
        }
        let rotary = Rotary::new(config, context, &device)?;
        let cells = slots * config.kv_heads * context * config.head_dim * dtype.size_in_bytes();
        let layers = tensors.layers.iter().map(|tensors| Layer::new(&driver, tensors, cells));
        let layers = layers.collect::<Result<_, _>>()?;
        let bytes = |count: usize| driver.zeros::<u8>(count * dtype.size_in_bytes());
        let heads = config.heads * config.head_dim;
        let work = Work {
            stream: bytes(room * config.hidden)?,
            normed: bytes(room * config.hidden)?,
            qkv: bytes(room * (heads + 2 * config.kv_heads * config.head_dim))?,
            queries: bytes(room * heads)?,
            attended: bytes(room * heads)?,
            gate_up: bytes(room * 2 * config.intermediate)?,
            product: bytes(room * config.intermediate)?,
            // Behind the token of each slot, and behind its draft.
            wanted: bytes(2 * slots * config.hidden)?,
            parts: driver.zeros(
                MOST_PARTED
                    * config.kv_heads
                    * context.div_ceil(part)
                    * queries(config)
                    * (config.head_dim + 2),
            )?,
            done: driver.zeros(MOST_PARTED * config.kv_heads)?,
        };
        let kernels = Kernels {
            embed: driver.kernel("embed")?,
            norm: driver.kernel("norm_all")?,
            norm_wanted: driver.kernel("norm_wanted")?,
            heads: driver.kernel("heads")?,
            attention: driver.kernel("attention")?,
            gated: driver.kernel("gated")?,
            add_bias: driver.kernel("add_bias")?,
            gather: driver.kernel("gather")?,
        };
        let (cos, sin) = rotary.tables();
        Ok(Self {
            embedding: driver.pointer(&tensors.embedding)?,
            norm: driver.pointer(&tensors.norm)?,
            head: driver.pointer(&tensors.head)?,
            cos: driver.pointer(cos)?,
            sin: driver.pointer(sin)?,
            config: config.clone(),
            dtype,
            context,
            part,
            kernels,
            layers,
            work,
            driver,
            _tensors: tensors,
            _rotary: rotary,
        })
    }

    /// The whole output layer, for up to `count` tokens.
    pub(super) fn whole_head(&self, count: usize) -> Result<Head, DecodeError> {
        self.head(self.head, self.config.vocabulary, count, None)
    }

    fn head(
        &self,
        rows: Pointer,
        width: usize,
        count: usize,
        own: Option<Buffer<u8>>,
    ) -> Result<Head, DecodeError> {
        let stride = width.next_multiple_of(ALIGNED);
        let logits = self.driver.zeros(count * stride * self.dtype.size_in_bytes())?;
        Ok(Head { rows, logits, count, width, stride, _own: own })
    }

    /// The rows of these ids, for up to `count` tokens.
    pub(super) fn head_of(&self, ids: &[u32], count: usize) -> Result<Head, DecodeError> {
        let (driver, width) = (&self.driver, ids.len());
        let rows = driver.zeros(width * self.config.hidden * self.dtype.size_in_bytes())?;
        let ids = driver.upload(ids)?;
        let gather = driver.launch(&self.kernels.gather).with(ids.pointer()).with(self.head);
        gather.with(rows.pointer()).over([width, 1], 128)?;
        driver.wait()?;
        self.head(rows.pointer(), width, count, Some(rows))
    }

    /// Reads the packed tokens of `rows`: a pass with room for `room` of them.
    pub(super) fn read(&self, rows: Rows, room: usize) -> Result<(), DecodeError> {
        let Self { driver, kernels, work, config, dtype, .. } = self;
        let &ModelConfig { hidden, intermediate, heads, kv_heads, head_dim, .. } = config;
        let (stream, normed) = (work.stream.pointer(), work.normed.pointer());
        let (queries, attended) = (work.queries.pointer(), work.attended.pointer());
        let all_heads = heads + 2 * kv_heads;
        let parts = if room <= MOST_PARTED { self.context.div_ceil(self.part) } else { 1 };
        let threads = (hidden / ALIGNED).next_multiple_of(32).min(1024);
        let embed = driver.launch(&kernels.embed).with(rows).with(self.embedding).with(stream);
        embed.over([room, 1], threads)?;
        // Where the weights of norms are folded into products, what follows the product divides.
        let before = |weight: Option<Pointer>| match weight {
            None => Ok(stream),
            Some(weight) => {
                let norm = driver.launch(&kernels.norm).with(rows).with(stream).with(weight).with(normed);
                norm.over([room, 1], threads).map(|()| normed)
            }
        };
        let product = |name, [wide, deep]: [usize; 2], inputs, weight, outputs| Product {
            name,
            dtype: *dtype,
            rows: room,
            wide,
            deep,
            inputs,
            weight,
            outputs,
            stride: wide,
            add: outputs == stream,
        };
        let (qkv, gate_up, fed) = (work.qkv.pointer(), work.gate_up.pointer(), work.product.pointer());
        for layer in &self.layers {
            let inputs = before(layer.attention_norm)?;
            driver.multiply(product("gemm_qkv", [all_heads * head_dim, hidden], inputs, layer.qkv, qkv))?;
            driver
                .launch(&kernels.heads)
                .with(rows)
                .with(stream)
                .with(qkv)
                .with(layer.qkv_bias)
                .with(layer.query_norm)
                .with(layer.key_norm)
                .with(self.cos)
                .with(self.sin)
                .with(queries)
                .with(layer.keys.pointer())
                .with(layer.values.pointer())
                .over([room, all_heads.div_ceil(HEADS_A_BLOCK)], HEADS_A_BLOCK * 32)?;
            driver
                .launch(&kernels.attention)
                .with(rows)
                .with(queries)
                .with(layer.keys.pointer())
                .with(layer.values.pointer())
                .with(attended)
                .with(work.parts.pointer())
                .with(work.done.pointer())
                .over([room * kv_heads, parts], warps(config) * 32)?;
            let sizes = [hidden, heads * head_dim];
            driver.multiply(product("gemm_output", sizes, attended, layer.output, stream))?;
            if let Some(bias) = layer.output_bias {
                let add = driver.launch(&kernels.add_bias).with(rows).with(bias).with(stream);
                add.over([room, 1], 256)?;
            }
            let inputs = before(layer.feed_norm)?;
            let sizes = [2 * intermediate, hidden];
            driver.multiply(product("gemm_gate_up", sizes, inputs, layer.gate_up, gate_up))?;
            let gated = driver.launch(&kernels.gated).with(rows).with(stream).with(gate_up).with(fed);
            gated.over([room, intermediate.div_ceil(self.vector() * 128)], 128)?;
            driver.multiply(product("gemm_down", [hidden, intermediate], fed, layer.down, stream))?;
        }
        Ok(())
    }

    /// The logits behind the first so many wanted tokens.
    pub(super) fn tell(&self, rows: Rows, count: usize, head: &Head) -> Result<Pointer, DecodeError> {
        if count > head.count {
            let reason =
                format!("logits of {count} tokens are more than the {} that there is room for", head.count);
            return Err(DecodeError::Gpu { doing: "computing logits", reason });
        }
        let Self { driver, kernels, work, config, dtype, .. } = self;
        let (wanted, logits) = (work.wanted.pointer(), head.logits.pointer());
        let norm = driver.launch(&kernels.norm_wanted).with(rows).with(work.stream.pointer());
        norm.with(self.norm).with(wanted).over([count, 1], 128)?;
        driver.multiply(Product {
            name: "gemm_head",
            dtype: *dtype,
            rows: count,
            wide: head.width,
            deep: config.hidden,
            inputs: wanted,
            weight: head.rows,
            outputs: logits,
            stride: head.stride,
            add: false,
        })?;
        Ok(logits)
    }

    /// The first `count` numbers of what a head said.
    pub(super) fn logits(&self, head: &Head, count: usize) -> Result<Vec<f32>, DecodeError> {
        let bytes = self.driver.read(&head.logits)?;
        let size = self.dtype.size_in_bytes();
        let logits = Tensor::from_raw_buffer(&bytes[..count * size], self.dtype, &[count], &Device::Cpu)?;
        Ok(logits.to_dtype(DType::F32)?.to_vec1()?)
    }

    /// Numbers that a kernel reads at once.
    fn vector(&self) -> usize {
        16 / self.dtype.size_in_bytes()
    }
}

const HEADS_A_BLOCK: usize = 8;
/// What the tables of a block may take without being asked for.
const SHARED: usize = 48 << 10;
/// The tokens of a pass up to which there may be more blocks of `attention` than one for a token's cells: more tokens fill the
/// GPU as they are.
const MOST_PARTED: usize = 320;
/// What a tensor core takes.
const QUERIES_AT_ONCE: usize = 8;
/// Cells that a warp of `attention` takes at a time on tensor cores.
const CELLS_A_WARP: usize = 16;
/// Blocks of `attention` that a multiprocessor has room for at least, on tensor cores.
const BLOCKS_AT_ONCE: usize = 2;

/// The queries that a block of `attention` takes at most.
fn queries(config: &ModelConfig) -> usize {
    (config.heads / config.kv_heads).max(QUERIES_AT_ONCE)
}

/// Bytes of shared memory in which each warp of a block has what its queries come to.
fn shared(config: &ModelConfig, warps: usize) -> usize {
    warps * queries(config) * (config.head_dim + 2) * size_of::<f32>()
}

/// Warps of a block of `attention`: eight, where what they come to fits.
fn warps(config: &ModelConfig) -> usize {
    if shared(config, 8) > SHARED { 4 } else { 8 }
}

/// Cells of a part: rows have as many parts as give the GPU no more blocks than it runs at once, for parts must be joined at the
/// end; none is smaller than what a block takes at a time.
fn part(config: &ModelConfig, slots: usize, context: usize, multiprocessors: usize) -> usize {
    let parts = (multiprocessors * BLOCKS_AT_ONCE / (slots * config.kv_heads).max(1)).max(1);
    context.div_ceil(parts).max(1).next_multiple_of(warps(config) * CELLS_A_WARP)
}

impl Layer {
    fn new(driver: &Driver, tensors: &LayerTensors, cells: usize) -> Result<Self, DecodeError> {
        let weight = |projection: &Projection| driver.pointer(&projection.weight);
        let bias =
            |projection: &Projection| projection.bias.as_ref().map(|bias| driver.pointer(bias)).transpose();
        let norm = |weight: &Tensor| match folds(weight.dtype()) {
            true => Ok(None),
            false => driver.pointer(weight).map(Some),
        };
        let [query_norm, key_norm] = match &tensors.head_norms {
            Some([query, key]) => [driver.pointer(query)?, driver.pointer(key)?],
            None => [0, 0],
        };
        Ok(Self {
            attention_norm: norm(&tensors.attention_norm)?,
            qkv: weight(&tensors.qkv)?,
            qkv_bias: bias(&tensors.qkv)?.unwrap_or(0),
            query_norm,
            key_norm,
            output: weight(&tensors.output)?,
            output_bias: bias(&tensors.output)?,
            feed_norm: norm(&tensors.feed_norm)?,
            gate_up: weight(&tensors.gate_up)?,
            down: weight(&tensors.down)?,
            keys: driver.zeros(cells)?,
            values: driver.zeros(cells)?,
        })
    }
}

/// Whether the weights of norms are folded into the products behind them. Not where a product of what is not yet divided
/// could be too large for the type.
fn folds(dtype: DType) -> bool {
    dtype != DType::F16
}

/// Scales the inputs of a matrix.
fn fold(norm: &Tensor, weight: &mut Tensor) -> Result<(), DecodeError> {
    let exact = weight.to_dtype(DType::F32)?.broadcast_mul(&norm.to_dtype(DType::F32)?)?;
    *weight = exact.to_dtype(weight.dtype())?;
    Ok(())
}

/// What the kernels must know of a model.
fn definitions(config: &ModelConfig, dtype: DType, part: usize) -> Vec<(&'static str, String)> {
    let kind = match dtype {
        DType::F16 => "F16",
        DType::BF16 => "BF16",
        _ => "F32",
    };
    vec![
        (kind, "1".to_owned()),
        ("HIDDEN", config.hidden.to_string()),
        ("HEADS", config.heads.to_string()),
        ("KV_HEADS", config.kv_heads.to_string()),
        ("HEAD_DIM", config.head_dim.to_string()),
        ("INTERMEDIATE", config.intermediate.to_string()),
        ("EPS", format!("{:e}f", config.norm_eps)),
        ("QK_NORM", u32::from(config.family == Family::Qwen3).to_string()),
        ("QKV_BIAS", u32::from(config.qkv_bias).to_string()),
        ("FOLDED", u32::from(folds(dtype)).to_string()),
        ("WARPS", warps(config).to_string()),
        ("BLOCKS_AT_ONCE", BLOCKS_AT_ONCE.to_string()),
        ("PART", part.to_string()),
        ("QUERIES_AT_ONCE", QUERIES_AT_ONCE.to_string()),
        ("SIZE_OF_ROWS", size_of::<Rows>().to_string()),
        ("SIZE_OF_GUIDE", size_of::<Guide>().to_string()),
        ("SIZE_OF_SAMPLING", size_of::<Sampling>().to_string()),
    ]
}

/// The device, if it is a GPU.
pub(super) fn cuda(device: &Device) -> Result<&CudaDevice, DecodeError> {
    Ok(device.as_cuda_device()?)
}
