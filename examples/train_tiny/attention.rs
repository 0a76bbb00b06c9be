//! Attention whose gradient is worked out by hand.
//!
//! Left to automatic differentiation, every step of the softmax would keep a tensor of the size of the scores, which is
//! nearly all memory and most of the time of a model this small. Here only queries, keys and values are kept, and the
//! scores are made again on the way back.

use candle_core::{
    CpuStorage, CudaStorage, CustomOp3, D, Layout, Result, Shape, Storage, Tensor, backend::BackendStorage,
    bail,
};

/// What each query sees: `softmax(q kᵀ / √d + bias) v`.
///
/// `q` is (batch, heads, queries, d); `k` and `v` are (batch, fewer heads, keys, d), each shared by a group of query heads;
/// `bias` is broadcast over (batch, heads, queries, keys) and has no gradient.
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let out = weights(&q.detach(), &k.detach(), bias)?.matmul(&v.detach())?;
    let grouped = grouped(q, k)?;
    let known = Known { out, bias: bias.detach() };
    grouped.apply_op3(k, v, known)?.reshape(q.shape())
}

/// Query heads that share a key head, one below the other: (batch, key heads, group x queries, d).
fn grouped(q: &Tensor, k: &Tensor) -> Result<Tensor> {
    let (batch, heads, queries, width) = q.dims4()?;
    let shared = k.dim(1)?;
    q.reshape((batch, shared, heads / shared * queries, width))
}

/// Where each query looks, in the grouped form.
fn weights(q: &Tensor, k: &Tensor, bias: &Tensor) -> Result<Tensor> {
    let (batch, shared, rows, width) = grouped(q, k)?.dims4()?;
    let (queries, keys) = (bias.dim(D::Minus2)?, k.dim(2)?);
    let scores = (grouped(q, k)? * (width as f64).powf(-0.5))?.matmul(&k.t()?)?;
    let scores = scores.reshape((batch, shared * rows / queries, queries, keys))?.broadcast_add(bias)?;
    candle_nn::ops::softmax_last_dim(&scores)?.reshape((batch, shared, rows, keys))
}

/// An operation whose result is known already, and whose gradient is not.
struct Known {
    out: Tensor,
    bias: Tensor,
}

impl CustomOp3 for Known {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        match &*self.out.storage_and_layout().0 {
            Storage::Cpu(out) => Ok((out.clone(), self.out.shape().clone())),
            _ => bail!("attention was given tensors of two devices"),
        }
    }

    fn cuda_fwd(
        &self,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
        _: &CudaStorage,
        _: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.out.storage_and_layout();
        match &*storage {
            Storage::Cuda(out) => Ok((out.try_clone(layout)?, self.out.shape().clone())),
            _ => bail!("attention was given tensors of two devices"),
        }
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let [q, k, v, out] = [q, k, v, out].map(Tensor::detach);
        let grad = grad.contiguous()?;
        let weights = weights(&q, &k, &self.bias)?;
        let grad_v = weights.t()?.matmul(&grad)?;
        // The softmax subtracts from each gradient their mean under the weights, which is grad · out.
        let mean = (&grad * &out)?.sum_keepdim(D::Minus1)?;
        let scale = (q.dim(D::Minus1)? as f64).powf(-0.5);
        let grad_scores = grad.matmul(&v.t()?)?.broadcast_sub(&mean)?.mul(&weights)?;
        let grad_q = (grad_scores.matmul(&k)? * scale)?;
        let grad_k = (grad_scores.t()?.matmul(&q)? * scale)?;
        Ok((Some(grad_q), Some(grad_k), Some(grad_v)))
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// The same by operations that differentiate themselves.
    fn plain(q: &Tensor, k: &Tensor, v: &Tensor, bias: &Tensor) -> Result<Tensor> {
        let (batch, heads, queries, width) = q.dims4()?;
        let group = heads / k.dim(1)?;
        let repeat = |x: &Tensor| -> Result<Tensor> {
            let (batch, shared, keys, width) = x.dims4()?;
            x.unsqueeze(2)?.expand((batch, shared, group, keys, width))?.reshape((batch, heads, keys, width))
        };
        let scores = (q.matmul(&repeat(k)?.t()?)? / (width as f64).sqrt())?.broadcast_add(bias)?;
        let out = candle_nn::ops::softmax(&scores, D::Minus1)?.matmul(&repeat(v)?)?;
        out.reshape((batch, heads, queries, width))
    }

    fn largest(from: &Tensor, to: &Tensor) -> f32 {
        let difference = (from - to).unwrap().abs().unwrap();
        difference.flatten_all().unwrap().max(0).unwrap().to_scalar().unwrap()
    }

    #[test]
    fn results_and_gradients_are_those_of_automatic_differentiation() {
        let device = Device::Cpu;
        let draw = |shape: (usize, usize, usize, usize)| {
            Var::from_tensor(&Tensor::randn(0_f32, 1.0, shape, &device).unwrap()).unwrap()
        };
        let (q, k, v) = (draw((2, 4, 7, 8)), draw((2, 2, 7, 8)), draw((2, 2, 7, 8)));
        let causal: Vec<f32> = (0..49).map(|at| if at % 7 > at / 7 { -1e9 } else { 0.0 }).collect();
        let bias = Tensor::from_vec(causal, (1, 1, 7, 7), &device).unwrap();
        let weight = Tensor::randn(0_f32, 1.0, (2, 4, 7, 8), &device).unwrap();
        let run = |out: Tensor| {
            let grads = (&out * &weight).unwrap().sum_all().unwrap().backward().unwrap();
            [&q, &k, &v]
                .map(|var| grads.get(var).unwrap().clone())
                .into_iter()
                .chain([out])
                .collect::<Vec<_>>()
        };
        let fast = run(attention(&q, &k, &v, &bias).unwrap());
        let slow = run(plain(&q, &k, &v, &bias).unwrap());
        for (fast, slow) in fast.iter().zip(&slow) {
            assert!(largest(fast, slow) < 1e-5, "{}", largest(fast, slow));
        }
    }
}
