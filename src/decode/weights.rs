//! The weights of a checkpoint, taken tensor by tensor and held to the shapes that its configuration gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use candle_core::{DType, Device, Tensor, safetensors::BufferedSafetensors};
use serde::Deserialize;

use super::{DecodeError, random::Draws};

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";

/// Where a decoder takes its tensors from.
pub struct Weights {
    source: Source,
    origin: String,
    device: Device,
    dtype: DType,
}

enum Source {
    Loaded(BTreeMap<String, Loaded>),
    /// Drawn when they are asked for, by seed and name.
    Random(u64),
}

/// A tensor of a file.
enum Loaded {
    Floats(Tensor),
    /// Of this type; whether it is needed is told when it is asked for.
    Other(String),
}

/// The index of a checkpoint in several files.
#[derive(Deserialize)]
struct Index {
    weight_map: BTreeMap<String, String>,
}

impl Weights {
    /// Reads `model.safetensors`, or all files that `model.safetensors.index.json` names.
    ///
    /// # Errors
    /// [`DecodeError`] if there are none, or a file is damaged.
    pub fn read(folder: &Path, device: &Device, dtype: DType) -> Result<Self, DecodeError> {
        let mut loaded = BTreeMap::new();
        for file in files(folder)? {
            let path = folder.join(&file);
            let bytes = fs::read(&path).map_err(|source| DecodeError::Read { path: path.clone(), source })?;
            Self::read_file(bytes, &path, device, dtype, &mut loaded)?;
        }
        let origin = folder.display().to_string();
        Ok(Self { source: Source::Loaded(loaded), origin, device: device.clone(), dtype })
    }

    /// Reads one safetensors file that is in memory; `name` tells it in errors.
    ///
    /// # Errors
    /// [`DecodeError::Damaged`] if it is no safetensors file.
    pub fn from_bytes(bytes: &[u8], name: &str, device: &Device, dtype: DType) -> Result<Self, DecodeError> {
        let mut loaded = BTreeMap::new();
        Self::read_file(bytes.to_vec(), Path::new(name), device, dtype, &mut loaded)?;
        Ok(Self { source: Source::Loaded(loaded), origin: name.to_owned(), device: device.clone(), dtype })
    }

    /// Weights drawn by this seed: a model that wants anything but coordinates.
    #[must_use]
    pub fn random(seed: u64, device: &Device, dtype: DType) -> Self {
        let origin = format!("random weights of seed {seed}");
        Self { source: Source::Random(seed), origin, device: device.clone(), dtype }
    }

    /// The device that the tensors are on.
    #[must_use]
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The type that the tensors have.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// Takes a tensor of this shape.
    pub(super) fn take(&mut self, name: &str, shape: &[usize]) -> Result<Tensor, DecodeError> {
        let tensor = match &mut self.source {
            &mut Source::Random(seed) => return self.drawn(seed, name, shape),
            Source::Loaded(loaded) => loaded.remove(name),
        };
        let (origin, name) = (self.origin.clone(), name.to_owned());
        let tensor = match tensor {
            Some(Loaded::Floats(tensor)) => tensor,
            Some(Loaded::Other(found)) => return Err(DecodeError::WrongType { origin, name, found }),
            None => return Err(DecodeError::MissingTensor { origin, name }),
        };
        if tensor.dims() != shape {
            let (found, expected) = (tensor.dims().to_vec(), shape.to_vec());
            return Err(DecodeError::WrongShape { origin, name, found, expected });
        }
        Ok(tensor)
    }

    fn read_file(
        bytes: Vec<u8>,
        path: &Path,
        device: &Device,
        dtype: DType,
        loaded: &mut BTreeMap<String, Loaded>,
    ) -> Result<(), DecodeError> {
        let damaged = |error: candle_core::Error| DecodeError::Damaged {
            path: path.to_owned(),
            reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
        };
        let file = BufferedSafetensors::new(bytes).map_err(damaged)?;
        for (name, view) in file.tensors() {
            let is_float = DType::try_from(view.dtype()).is_ok_and(|dtype| dtype.is_float());
            let tensor = match is_float {
                // Converted at once, so that a large checkpoint is not held twice.
                true => Loaded::Floats(placed(
                    &file.load(&name, &Device::Cpu).map_err(damaged)?,
                    &name,
                    device,
                    dtype,
                )?),
                false => Loaded::Other(format!("{:?}", view.dtype()).to_lowercase()),
            };
            loaded.insert(name, tensor);
        }
        Ok(())
    }

    fn drawn(&self, seed: u64, name: &str, shape: &[usize]) -> Result<Tensor, DecodeError> {
        // Norms begin as ones; all else is drawn so that every layer keeps the size of what it is given.
        if name.ends_with("norm.weight") {
            return Ok(Tensor::ones(shape, self.dtype, &self.device)?);
        }
        let mut draws = Draws::named(seed, name);
        let inputs = if name.contains("embed") { 1 } else { shape.last().copied().unwrap_or(1) };
        let scale = (3.0 / inputs as f64).sqrt();
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| ((draws.uniform() * 2.0 - 1.0) * scale) as f32).collect();
        Ok(Tensor::from_vec(values, shape, &self.device)?.to_dtype(self.dtype)?)
    }
}

/// A tensor where it is needed, as it is needed.
fn placed(tensor: &Tensor, name: &str, device: &Device, dtype: DType) -> Result<Tensor, DecodeError> {
    let full = |error: candle_core::Error| DecodeError::NoRoom {
        name: name.to_owned(),
        mebibytes: (tensor.elem_count() * dtype.size_in_bytes()) >> 20,
        reason: error.to_string().lines().next().unwrap_or_default().to_owned(),
    };
    tensor.to_device(device).and_then(|tensor| tensor.to_dtype(dtype)).map_err(full)
}

/// The files of weights in a folder.
fn files(folder: &Path) -> Result<BTreeSet<String>, DecodeError> {
    let path = folder.join(INDEX);
    if path.is_file() {
        let json = fs::read(&path).map_err(|source| DecodeError::Read { path: path.clone(), source })?;
        let index: Index = serde_json::from_slice(&json).map_err(|error| DecodeError::Invalid {
            path,
            what: "index of weights",
            reason: error.to_string(),
        })?;
        return Ok(index.weight_map.into_values().collect());
    }
    if folder.join(SINGLE).is_file() {
        return Ok(BTreeSet::from([SINGLE.to_owned()]));
    }
    Err(DecodeError::NoWeights { folder: folder.to_owned() })
}
