//! What is told, as the messages that TensorBoard reads.

use std::collections::BTreeMap;
use std::io;

use image::codecs::png::CompressionType;
use prost::Message;

use super::histogram::Histogram;
use super::proto::{
    self, Dim, HParamsPluginData, HistogramProto, Image, JsonValue, PluginData, SessionEndInfo,
    SessionStartInfo, Summary, SummaryMetadata, TensorProto, TensorShapeProto, Value,
};
use crate::drawing::{Drawing, write_png};

/// A hyperparameter's value.
#[derive(Debug, Clone, PartialEq)]
pub enum Hparam {
    /// A number; TensorBoard can filter by a range of it.
    Number(f64),
    /// Yes or no.
    Bool(bool),
    /// Anything else.
    Text(String),
}

/// Scalars of one step: tag and value.
pub(super) fn scalars(values: &[(&str, f32)]) -> Summary {
    let value = |&(tag, value): &(&str, f32)| Value {
        tag: tag.to_owned(),
        simple_value: Some(value),
        ..Value::default()
    };
    Summary { value: values.iter().map(value).collect() }
}

/// A picture, as PNG. Pictures of a run are many and looked at once, so they are packed quickly
/// rather than tightly.
pub(super) fn image(tag: String, drawing: &Drawing) -> io::Result<Summary> {
    let picture = drawing.to_image();
    let mut encoded_image_string = Vec::new();
    write_png(&picture, &mut encoded_image_string, CompressionType::Fast)?;
    let (width, height) = (picture.width() as i32, picture.height() as i32);
    let image = Image { height, width, colorspace: 3, encoded_image_string };
    Ok(one(Value { tag, image: Some(image), ..Value::default() }))
}

/// A histogram.
pub(super) fn histogram(tag: String, histogram: &Histogram) -> Summary {
    let Histogram { min, max, n_values, sum, sum_squares, ref buckets } = *histogram;
    let (bucket_limit, bucket) = buckets.iter().map(|&(limit, n)| (limit, n as f64)).unzip();
    let num = n_values as f64;
    let histo = HistogramProto { min, max, num, sum, sum_squares, bucket_limit, bucket };
    one(Value { tag, histo: Some(histo), ..Value::default() })
}

/// Text in Markdown, for the plugin `text`: a scalar tensor of a string (one of rank 1 would be
/// shown as a table).
pub(super) fn text(tag: String, markdown: String) -> Summary {
    let shape = Some(TensorShapeProto::default());
    let tensor =
        TensorProto { dtype: proto::STRING, tensor_shape: shape, string_val: vec![markdown] };
    let metadata = metadata("text", Vec::new());
    one(Value { tag, tensor: Some(tensor), metadata: Some(metadata), ..Value::default() })
}

/// The hyperparameters of a run that starts.
///
/// There is no `Experiment` message with their types and with the metrics: TensorBoard takes the
/// first one it finds for all runs, and without any it puts one together that covers them all.
pub(super) fn session_start(hparams: &[(String, Hparam)], wall_time: f64) -> Summary {
    let value = |hparam: &Hparam| match hparam {
        Hparam::Number(number) => JsonValue { number_value: Some(*number), ..JsonValue::default() },
        Hparam::Bool(bool) => JsonValue { bool_value: Some(*bool), ..JsonValue::default() },
        Hparam::Text(text) => {
            JsonValue { string_value: Some(text.clone()), ..JsonValue::default() }
        }
    };
    let hparams: BTreeMap<_, _> = hparams.iter().map(|(k, v)| (k.clone(), value(v))).collect();
    let start = SessionStartInfo { hparams, start_time_secs: wall_time };
    let data = HParamsPluginData { session_start_info: Some(start), session_end_info: None };
    hparams_plugin("_hparams_/session_start_info", &data)
}

/// The end of a run that came to its end.
pub(super) fn session_end(wall_time: f64) -> Summary {
    let end = SessionEndInfo { status: 1, end_time_secs: wall_time };
    let data = HParamsPluginData { session_start_info: None, session_end_info: Some(end) };
    hparams_plugin("_hparams_/session_end_info", &data)
}

/// The plugin reads its metadata alone; the tensor that a summary must have is empty.
fn hparams_plugin(tag: &str, data: &HParamsPluginData) -> Summary {
    let shape = TensorShapeProto { dim: vec![Dim { size: 0 }] };
    let tensor =
        TensorProto { dtype: proto::FLOAT, tensor_shape: Some(shape), string_val: Vec::new() };
    let metadata = metadata("hparams", data.encode_to_vec());
    let tag = tag.to_owned();
    one(Value { tag, tensor: Some(tensor), metadata: Some(metadata), ..Value::default() })
}

fn metadata(plugin: &str, content: Vec<u8>) -> SummaryMetadata {
    SummaryMetadata { plugin_data: Some(PluginData { plugin_name: plugin.to_owned(), content }) }
}

fn one(value: Value) -> Summary {
    Summary { value: vec![value] }
}
