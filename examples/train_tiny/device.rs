//! The device to train on.

use candle_core::{Device, Result};

/// `cpu`, or `cuda` for the first GPU.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Cpu,
    Cuda,
}

impl Place {
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda => cuda(),
        }
    }
}

#[cfg(feature = "cuda")]
#[allow(unsafe_code)]
fn cuda() -> Result<Device> {
    let device = Device::new_cuda_with_stream(0)?;
    // SAFETY: events order work between streams, and everything here goes to this one stream.
    unsafe { device.as_cuda_device()?.disable_event_tracking() };
    // Ten bits of mantissa are enough for gradients, and the tensor cores take them several times faster.
    candle_core::cuda::set_gemm_reduced_precision_f32(true);
    Ok(device)
}

#[cfg(not(feature = "cuda"))]
fn cuda() -> Result<Device> {
    candle_core::bail!("this build has no CUDA: build it with --features cuda, see scripts/setup-cuda.sh")
}
