//! The GPU as the rest of this folder sees it: kernels, matrix products, memory, recorded passes.
//!
//! All that is unsafe about it is here. Everything goes to one stream, in the order in which it is said; pointers are kept
//! alive by the [`Buffer`]s and tensors that the callers hold for as long as they launch anything.

#![allow(unsafe_code, reason = "launching kernels is")]

use std::{cell::RefCell, ffi::c_void, sync::Arc, time::Duration};

use candle_core::{
    CudaDevice, DType, Storage, Tensor,
    cuda_backend::{
        CudaStorageSlice,
        cudarc::{
            cublas::{CudaBlas, result::gemm_ex, sys as blas},
            driver::{
                CudaEvent, CudaFunction, CudaGraph, CudaModule, CudaSlice, CudaStream, DevicePtr, DeviceRepr,
                LaunchArgs, LaunchConfig, PushKernelArg, ValidAsZeroBits, sys,
            },
            nvrtc::{CompileOptions, compile_ptx_with_opts},
        },
    },
};

use crate::decode::DecodeError;

/// An address in the GPU's memory.
pub(super) type Pointer = u64;

/// One stream of one GPU, and what is compiled for it.
pub(super) struct Driver {
    stream: Arc<CudaStream>,
    blas: CudaBlas,
    module: Arc<CudaModule>,
    _workspace: CudaSlice<u8>,
    /// The events around each kernel, while they are asked for.
    timed: RefCell<Option<Vec<Timed>>>,
}

/// A kernel that ran between two events.
struct Timed {
    name: &'static str,
    begin: CudaEvent,
    end: CudaEvent,
}

/// A function of the compiled source.
pub(super) struct Kernel {
    name: &'static str,
    function: CudaFunction,
}

/// `outputs (rows, wide) = inputs (rows, deep) × weight (wide, deep)`, all of one type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Product {
    pub(super) name: &'static str,
    pub(super) dtype: DType,
    pub(super) rows: usize,
    pub(super) wide: usize,
    pub(super) deep: usize,
    pub(super) inputs: Pointer,
    pub(super) weight: Pointer,
    pub(super) outputs: Pointer,
    /// From one row of outputs to the next, in numbers.
    pub(super) stride: usize,
    /// Whether the product is added to what the outputs hold.
    pub(super) add: bool,
}

/// Memory of the GPU.
pub(super) struct Buffer<T> {
    slice: CudaSlice<T>,
    pointer: Pointer,
}

/// Arguments of a kernel that are passed by value.
///
/// # Safety
/// The type must lie in memory as the kernel's parameter does.
pub(super) unsafe trait Argument: Copy {}

#[repr(transparent)]
struct Passed<T>(T);

// SAFETY: the wrapper has no layout of its own.
unsafe impl<T: Argument> DeviceRepr for Passed<T> {}

/// A kernel and its arguments, in order.
pub(super) struct Launch<'d> {
    driver: &'d Driver,
    kernel: &'d Kernel,
    arguments: Vec<Box<dyn Push>>,
}

trait Push {
    fn push<'a>(&'a self, launch: &mut LaunchArgs<'a>);
}

impl<T: Argument> Push for Passed<T> {
    fn push<'a>(&'a self, launch: &mut LaunchArgs<'a>) {
        launch.arg(self);
    }
}

// SAFETY: numbers lie as C's do.
unsafe impl Argument for u32 {}
// SAFETY: as above.
unsafe impl Argument for i32 {}
// SAFETY: as above; addresses are 64 bits wide.
unsafe impl Argument for Pointer {}

/// A pass that is replayed as it was recorded.
pub(super) struct Recorded {
    graph: CudaGraph,
    /// Kernels in it.
    pub(super) kernels: u64,
}

/// What cuBLAS may use beside its operands, as NVIDIA advises for this generation.
const WORKSPACE: usize = 32 << 20;

impl Driver {
    /// Compiles `source`, in which `definitions` are known.
    pub(super) fn new(
        device: &CudaDevice,
        source: &str,
        definitions: &[(&str, String)],
    ) -> Result<Self, DecodeError> {
        let stream = device.cuda_stream();
        let context = stream.context();
        let (major, minor) = context.compute_capability().map_err(failed("asking what it can do"))?;
        let mut options = vec![format!("--gpu-architecture=sm_{major}{minor}"), "--std=c++17".to_owned()];
        options.extend(definitions.iter().map(|(name, value)| format!("-D{name}={value}")));
        let compiled = compile_ptx_with_opts(source, CompileOptions { options, ..CompileOptions::default() })
            .map_err(failed("compiling kernels"))?;
        let module = context.load_module(compiled).map_err(failed("loading kernels"))?;
        let blas = CudaBlas::new(Arc::clone(&stream)).map_err(failed("opening cuBLAS"))?;
        let workspace = stream.alloc_zeros::<u8>(WORKSPACE).map_err(failed("taking memory"))?;
        let pointer = workspace.device_ptr(&stream).0;
        // SAFETY: the workspace lives as long as the handle.
        unsafe { blas::cublasSetWorkspace_v2(*blas.handle(), pointer as *mut c_void, WORKSPACE) }
            .result()
            .map_err(failed("giving cuBLAS memory"))?;
        Ok(Self { stream, blas, module, _workspace: workspace, timed: RefCell::default() })
    }

    /// A kernel by its name.
    pub(super) fn kernel(&self, name: &'static str) -> Result<Kernel, DecodeError> {
        let function = self.module.load_function(name).map_err(failed("looking for a kernel"))?;
        Ok(Kernel { name, function })
    }

    /// A launch without arguments yet.
    pub(super) fn launch<'d>(&'d self, kernel: &'d Kernel) -> Launch<'d> {
        Launch { driver: self, kernel, arguments: Vec::new() }
    }

    /// Times every kernel from now on, or none.
    pub(super) fn time_kernels(&self, timed: bool) {
        *self.timed.borrow_mut() = timed.then(Vec::new);
    }

    /// The kernels that were timed since [`Driver::time_kernels`], with the time from the first one's begin to the begin and
    /// the end of each, once they have run.
    pub(super) fn timed_kernels(&self) -> Result<Vec<(&'static str, Duration, Duration)>, DecodeError> {
        self.wait()?;
        let timed = self.timed.borrow_mut().take().unwrap_or_default();
        let Some(first) = timed.first() else { return Ok(Vec::new()) };
        let since = |event: &CudaEvent| {
            let milliseconds = first.begin.elapsed_ms(event).map_err(failed("timing kernels"))?;
            Ok::<_, DecodeError>(Duration::from_secs_f64(f64::from(milliseconds.max(0.0)) / 1000.0))
        };
        timed.iter().map(|kernel| Ok((kernel.name, since(&kernel.begin)?, since(&kernel.end)?))).collect()
    }

    /// Runs `launch`, with events around it if kernels are timed.
    fn timing(
        &self,
        name: &'static str,
        launch: impl FnOnce() -> Result<(), DecodeError>,
    ) -> Result<(), DecodeError> {
        if self.timed.borrow().is_none() {
            return launch();
        }
        let event = || {
            let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
            self.stream.record_event(Some(flags)).map_err(failed("timing kernels"))
        };
        let begin = event()?;
        launch()?;
        let end = event()?;
        if let Some(timed) = self.timed.borrow_mut().as_mut() {
            timed.push(Timed { name, begin, end });
        }
        Ok(())
    }

    /// Multiplies.
    pub(super) fn multiply(&self, product: Product) -> Result<(), DecodeError> {
        self.timing(product.name, || self.multiply_now(product))
    }

    fn multiply_now(&self, product: Product) -> Result<(), DecodeError> {
        let Product { dtype, rows, wide, deep, inputs, weight, outputs, stride, add, .. } = product;
        let kind = match dtype {
            DType::F16 => blas::cudaDataType_t::CUDA_R_16F,
            DType::BF16 => blas::cudaDataType_t::CUDA_R_16BF,
            _ => blas::cudaDataType_t::CUDA_R_32F,
        };
        let (one, kept) = (1.0_f32, if add { 1.0_f32 } else { 0.0 });
        // cuBLAS counts columns first, so that the product is of the turned matrices.
        // SAFETY: the callers' buffers are as large as the sizes say.
        unsafe {
            gemm_ex(
                *self.blas.handle(),
                blas::cublasOperation_t::CUBLAS_OP_T,
                blas::cublasOperation_t::CUBLAS_OP_N,
                wide as i32,
                rows as i32,
                deep as i32,
                (&raw const one).cast(),
                weight as *const c_void,
                kind,
                deep as i32,
                inputs as *const c_void,
                kind,
                deep as i32,
                (&raw const kept).cast(),
                outputs as *mut c_void,
                kind,
                stride as i32,
                blas::cublasComputeType_t::CUBLAS_COMPUTE_32F,
                blas::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
            )
        }
        .map_err(failed("multiplying"))
    }

    /// Memory full of zeros.
    pub(super) fn zeros<T: DeviceRepr + ValidAsZeroBits>(
        &self,
        count: usize,
    ) -> Result<Buffer<T>, DecodeError> {
        let slice = self.stream.alloc_zeros::<T>(count.max(1)).map_err(|error| {
            let size = (count * size_of::<T>()) >> 20;
            let reason = format!("{size} MiB more: {error:?}; fewer rows side by side need less");
            DecodeError::Gpu { doing: "taking memory", reason }
        })?;
        Ok(self.buffer(slice))
    }

    /// Memory that holds these values.
    pub(super) fn upload<T: DeviceRepr>(&self, values: &[T]) -> Result<Buffer<T>, DecodeError> {
        let slice = self.stream.clone_htod(values).map_err(failed("copying to it"))?;
        Ok(self.buffer(slice))
    }

    /// Memory that holds these values, or a zero if there are none: memory of no bytes cannot be had.
    pub(super) fn upload_padded<T: DeviceRepr + Default>(
        &self,
        values: &[T],
    ) -> Result<Buffer<T>, DecodeError> {
        let zero = [T::default()];
        self.upload(if values.is_empty() { &zero } else { values })
    }

    /// All values of a buffer, once everything before is done.
    pub(super) fn read<T: DeviceRepr>(&self, buffer: &Buffer<T>) -> Result<Vec<T>, DecodeError> {
        self.stream.clone_dtoh(&buffer.slice).map_err(failed("copying from it"))
    }

    /// Waits until everything before is done.
    pub(super) fn wait(&self) -> Result<(), DecodeError> {
        self.stream.synchronize().map_err(failed("waiting for it"))
    }

    /// Records what `pass` launches instead of running it.
    pub(super) fn record(
        &self,
        pass: impl FnOnce() -> Result<(), DecodeError>,
    ) -> Result<Recorded, DecodeError> {
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        self.stream.begin_capture(mode).map_err(failed("recording a pass"))?;
        let launched = pass();
        let flags = sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH;
        let graph = self.stream.end_capture(flags).map_err(failed("recording a pass"));
        launched?;
        let graph = graph?.ok_or_else(|| failed::<&str>("recording a pass")("nothing was launched"))?;
        let kernels = kernels_of(&graph)?;
        graph.upload().map_err(failed("recording a pass"))?;
        Ok(Recorded { graph, kernels })
    }

    /// The address of a tensor's first number.
    pub(super) fn pointer(&self, tensor: &Tensor) -> Result<Pointer, DecodeError> {
        if !tensor.is_contiguous() {
            return Err(failed::<&str>("placing a tensor")("it has gaps"));
        }
        let (storage, layout) = tensor.storage_and_layout();
        let Storage::Cuda(storage) = &*storage else {
            return Err(failed::<&str>("placing a tensor")("it is not on the GPU"));
        };
        let start = match &storage.slice {
            CudaStorageSlice::BF16(slice) => slice.device_ptr(&self.stream).0,
            CudaStorageSlice::F16(slice) => slice.device_ptr(&self.stream).0,
            CudaStorageSlice::F32(slice) => slice.device_ptr(&self.stream).0,
            _ => return Err(failed::<&str>("placing a tensor")("it has numbers of another type")),
        };
        Ok(start + (layout.start_offset() * tensor.dtype().size_in_bytes()) as Pointer)
    }

    fn buffer<T>(&self, slice: CudaSlice<T>) -> Buffer<T> {
        let pointer = slice.device_ptr(&self.stream).0;
        Buffer { slice, pointer }
    }
}

impl<T> Buffer<T> {
    /// Its address.
    pub(super) fn pointer(&self) -> Pointer {
        self.pointer
    }
}

impl Launch<'_> {
    /// Adds an argument.
    pub(super) fn with(mut self, argument: impl Argument + 'static) -> Self {
        self.arguments.push(Box::new(Passed(argument)));
        self
    }

    /// Launches: so many blocks, each of so many threads.
    pub(super) fn over(self, [x, y]: [usize; 2], threads: usize) -> Result<(), DecodeError> {
        let config = LaunchConfig {
            grid_dim: (x as u32, y as u32, 1),
            block_dim: (threads as u32, 1, 1),
            shared_mem_bytes: 0,
        };
        self.driver.timing(self.kernel.name, || {
            let mut builder = self.driver.stream.launch_builder(&self.kernel.function);
            self.arguments.iter().for_each(|argument| argument.push(&mut builder));
            // SAFETY: each call names the arguments of its kernel in their order.
            unsafe { builder.launch(config) }.map(drop).map_err(failed("launching a kernel"))
        })
    }
}

impl Recorded {
    /// Runs the pass again.
    pub(super) fn replay(&self) -> Result<(), DecodeError> {
        self.graph.launch().map_err(failed("replaying a pass"))
    }
}

/// The kernels of a graph, in which there may be other nodes.
fn kernels_of(graph: &CudaGraph) -> Result<u64, DecodeError> {
    let counting = failed("counting kernels");
    let mut count = 0_usize;
    // SAFETY: the graph is alive; without a place for them, nodes are only counted.
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), std::ptr::null_mut(), &raw mut count) }
        .result()
        .map_err(&counting)?;
    let mut nodes = vec![std::ptr::null_mut(); count];
    // SAFETY: there is a place for each node.
    unsafe { sys::cuGraphGetNodes(graph.cu_graph(), nodes.as_mut_ptr(), &raw mut count) }
        .result()
        .map_err(&counting)?;
    let mut kernels = 0;
    for node in nodes {
        let mut kind = sys::CUgraphNodeType::CU_GRAPH_NODE_TYPE_EMPTY;
        // SAFETY: the node is one of a graph that is alive.
        unsafe { sys::cuGraphNodeGetType(node, &raw mut kind) }.result().map_err(&counting)?;
        kernels += u64::from(kind == sys::CUgraphNodeType::CU_GRAPH_NODE_TYPE_KERNEL);
    }
    Ok(kernels)
}

/// How many multiprocessors it has.
pub(super) fn multiprocessors(device: &CudaDevice) -> Result<usize, DecodeError> {
    let count = sys::CUdevice_attribute_enum::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
    let count = device.cuda_stream().context().attribute(count).map_err(failed("asking what it can do"))?;
    Ok(count.unsigned_abs() as usize)
}

/// Uses the device from one stream alone, which saves an event a tensor.
pub(in crate::decode) fn keep_to_one_stream(device: &CudaDevice) {
    // SAFETY: nothing of this program uses a second stream.
    unsafe { device.disable_event_tracking() };
}

fn failed<E: std::fmt::Debug>(doing: &'static str) -> impl Fn(E) -> DecodeError {
    move |error| DecodeError::Gpu { doing, reason: format!("{error:?}") }
}
