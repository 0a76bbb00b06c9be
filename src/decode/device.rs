//! Devices and number types by name.

use std::{fmt, str::FromStr};

use candle_core::{DType, Device};

use super::{DecodeError, UnknownName};

/// The type of a model's numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NumberType {
    /// 32 bits.
    #[default]
    F32,
    /// 16 bits, 5 of them exponent.
    F16,
    /// 16 bits, 8 of them exponent.
    Bf16,
}

/// Where a model runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeviceName {
    /// The processor.
    #[default]
    Cpu,
    /// A GPU by its number.
    Cuda(usize),
}

impl NumberType {
    /// As the tensor library calls it, if the device can multiply such numbers.
    ///
    /// # Errors
    /// [`DecodeError::Device`] if it cannot.
    pub fn on(self, device: &Device) -> Result<DType, DecodeError> {
        match self {
            Self::F32 => Ok(DType::F32),
            Self::F16 => Ok(DType::F16),
            Self::Bf16 if device.is_cpu() => Err(DecodeError::Device {
                device: "cpu".to_owned(),
                reason: "it does not multiply bf16; use f32, which holds every bf16 number".to_owned(),
            }),
            Self::Bf16 => Ok(DType::BF16),
        }
    }
}

impl DeviceName {
    /// Opens the device.
    ///
    /// # Errors
    /// [`DecodeError::Device`] if this build or this machine has none such.
    pub fn open(self) -> Result<Device, DecodeError> {
        match self {
            Self::Cpu => Ok(Device::Cpu),
            Self::Cuda(_) if !cfg!(feature = "cuda") => Err(DecodeError::Device {
                device: self.to_string(),
                reason: "this build runs on the CPU only; build it with `--features cuda` (docs/validate.md, also without a CUDA toolkit)"
                    .to_owned(),
            }),
            // A stream of its own: tensors of the per-thread default stream are not safe to read from another thread.
            Self::Cuda(number) => {
                let device = Device::new_cuda_with_stream(number).map_err(|error| DecodeError::Device {
                    device: self.to_string(),
                    reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
                })?;
                #[cfg(feature = "cuda")]
                super::cuda::keep_to_one_stream(device.as_cuda_device()?);
                Ok(device)
            }
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl FromStr for DeviceName {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let number = text.strip_prefix("cuda:").and_then(|number| number.parse().ok());
        match (text, number) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(number)) => Ok(Self::Cuda(number)),
            _ => Err(UnknownName::new(text, "cpu, cuda or cuda:N")),
        }
    }
}

impl fmt::Display for NumberType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::F32 => "f32",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
        })
    }
}

impl FromStr for NumberType {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let all = [Self::F32, Self::F16, Self::Bf16];
        all.into_iter()
            .find(|known| known.to_string() == text)
            .ok_or_else(|| UnknownName::new(text, "f32, f16 or bf16"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_go_by_their_names_alone() {
        assert_eq!("cpu".parse(), Ok(DeviceName::Cpu));
        assert_eq!("cuda".parse(), Ok(DeviceName::Cuda(0)));
        assert_eq!("cuda:7".parse(), Ok(DeviceName::Cuda(7)));
        for wrong in ["", "cuda:", "cuda7", "cuda-1", "cuda:x", "cudafoo", "CPU", "gpu"] {
            let fault = wrong.parse::<DeviceName>().unwrap_err();
            assert_eq!(
                (fault.given.as_str(), fault.to_string().as_str()),
                (wrong, "must be cpu, cuda or cuda:N")
            );
        }
    }
}
