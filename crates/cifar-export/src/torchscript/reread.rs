//! Reading an archive back: its code says which layers there are, its pickle which tensors.
//!
//! Only the dialect that is written here is understood. The reader trusts nothing: records are not
//! compressed, so memory follows the size of the file; nothing is imported or called; how deep and how
//! many modules there are is limited.

mod evaluate;
mod forward;
mod objects;
mod parse;

use candle_core::{DType, Device, Tensor};
use cifar_net::Net;

use super::{CODE, FORMAT, archive};
use crate::reread::RereadNet;
use crate::{ExportError, Normalization, Reread};

/// What `bytes` hold, for images of the size and as many classes as `like` is for, which
/// TorchScript does not say.
pub(crate) fn reread(bytes: &[u8], like: &Net) -> Result<Box<dyn Reread>, ExportError> {
    let damaged = |reason: String| ExportError::Damaged { format: FORMAT, reason };
    let records = archive::read(bytes).map_err(damaged)?;
    let record = |name: &str| {
        records.get(name).map(Vec::as_slice).ok_or_else(|| damaged(format!("no record {name}")))
    };
    for needed in ["constants.pkl", "version"] {
        record(needed)?;
    }
    let code = str::from_utf8(record(CODE)?).map_err(|error| damaged(error.to_string()))?;
    let classes = parse::classes(code).map_err(damaged)?;
    let pickle = cifar_pickle::load(record("data.pkl")?, &objects::TorchScript);
    let pickle = pickle.map_err(|error| damaged(format!("data.pkl: {error}")))?;
    let found = evaluate::evaluate(&pickle, &classes, &records).map_err(damaged)?;
    let net = Net { layers: found.layers, ..like.clone() };
    let net = RereadNet::new(&net, found.tensors)?;
    Ok(match found.normalization {
        None => Box::new(net),
        Some(normalization) => Box::new(Preprocessed { normalization, net }),
    })
}

/// A net that takes RGB bytes.
struct Preprocessed {
    normalization: Normalization,
    net: RereadNet,
}

impl Reread for Preprocessed {
    fn logits(&self, images: &Tensor) -> Result<Tensor, ExportError> {
        let per_channel =
            |values: [f32; 3]| Tensor::new(&values, &Device::Cpu)?.reshape((1, 3, 1, 1));
        let Normalization { mean, std } = self.normalization;
        let planes = images.permute((0, 3, 1, 2))?.to_dtype(DType::F32)?;
        let scaled = planes
            .broadcast_div(&Tensor::new(255f32, &Device::Cpu)?)?
            .broadcast_sub(&per_channel(mean)?)?;
        self.net.logits(&scaled.broadcast_div(&per_channel(std)?)?.contiguous()?)
    }
}
