//! The ONNX operators that are written here, each with its attributes.
//!
//! One type serves both ways: what [`Operator::attributes`] writes is what [`Operator::read`]
//! takes, and nothing else.

use super::proto::{Attribute, AttributeType, DataType};

/// An operator of opset 17. Spatial attributes are the same for height and width.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Operator {
    Add,
    AveragePool(Window),
    BatchNormalization {
        epsilon: f32,
    },
    /// To f32.
    Cast,
    Conv {
        window: Window,
        padding: i64,
        groups: i64,
    },
    Div,
    Erf,
    /// All but the first dimension into one.
    Flatten,
    /// `x W^T (+ b)`.
    Gemm,
    GlobalAveragePool,
    LeakyRelu {
        alpha: f32,
    },
    MaxPool(Window),
    Mul,
    Relu,
    Sigmoid,
    /// `(N, H, W, C)` to `(N, C, H, W)`.
    Transpose,
}

/// What an operator looks at, at once and next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Window {
    /// Side, pixels.
    pub(super) kernel: i64,
    /// Distance to the next, pixels.
    pub(super) stride: i64,
}

/// `(N, H, W, C)` to `(N, C, H, W)`.
const CHANNELS_FIRST: [i64; 4] = [0, 3, 1, 2];

impl Operator {
    /// ONNX's name.
    pub(super) fn kind(self) -> &'static str {
        match self {
            Self::Add => "Add",
            Self::AveragePool(_) => "AveragePool",
            Self::BatchNormalization { .. } => "BatchNormalization",
            Self::Cast => "Cast",
            Self::Conv { .. } => "Conv",
            Self::Div => "Div",
            Self::Erf => "Erf",
            Self::Flatten => "Flatten",
            Self::Gemm => "Gemm",
            Self::GlobalAveragePool => "GlobalAveragePool",
            Self::LeakyRelu { .. } => "LeakyRelu",
            Self::MaxPool(_) => "MaxPool",
            Self::Mul => "Mul",
            Self::Relu => "Relu",
            Self::Sigmoid => "Sigmoid",
            Self::Transpose => "Transpose",
        }
    }

    pub(super) fn attributes(self) -> Vec<Attribute> {
        match self {
            Self::Add
            | Self::Div
            | Self::Erf
            | Self::GlobalAveragePool
            | Self::Mul
            | Self::Relu
            | Self::Sigmoid => Vec::new(),
            Self::AveragePool(window) | Self::MaxPool(window) => window.attributes().into(),
            Self::BatchNormalization { epsilon } => vec![float("epsilon", epsilon)],
            Self::Cast => vec![int("to", (DataType::Float as i32).into())],
            Self::Conv { window, padding, groups } => {
                let [kernel, strides] = window.attributes();
                vec![int("group", groups), kernel, ints("pads", &[padding; 4]), strides]
            }
            Self::Flatten => vec![int("axis", 1)],
            Self::LeakyRelu { alpha } => vec![float("alpha", alpha)],
            Self::Gemm => vec![int("transB", 1)],
            Self::Transpose => vec![ints("perm", &CHANNELS_FIRST)],
        }
    }

    /// The operator of that name with exactly those attributes; `None` if it is not one of these.
    pub(super) fn read(kind: &str, attributes: &[Attribute]) -> Option<Self> {
        let operator = match kind {
            "Add" => Self::Add,
            "AveragePool" => Self::AveragePool(Window::read(attributes)?),
            "BatchNormalization" => {
                Self::BatchNormalization { epsilon: find(attributes, "epsilon")?.f? }
            }
            "Cast" => Self::Cast,
            "Conv" => Self::Conv {
                window: Window::read(attributes)?,
                padding: *find(attributes, "pads")?.ints.first()?,
                groups: find(attributes, "group")?.i?,
            },
            "Div" => Self::Div,
            "Erf" => Self::Erf,
            "Flatten" => Self::Flatten,
            "Gemm" => Self::Gemm,
            "GlobalAveragePool" => Self::GlobalAveragePool,
            "LeakyRelu" => Self::LeakyRelu { alpha: find(attributes, "alpha")?.f? },
            "MaxPool" => Self::MaxPool(Window::read(attributes)?),
            "Mul" => Self::Mul,
            "Relu" => Self::Relu,
            "Sigmoid" => Self::Sigmoid,
            "Transpose" => Self::Transpose,
            _ => return None,
        };
        (operator.attributes() == attributes).then_some(operator)
    }
}

impl Window {
    fn attributes(self) -> [Attribute; 2] {
        [ints("kernel_shape", &[self.kernel; 2]), ints("strides", &[self.stride; 2])]
    }

    fn read(attributes: &[Attribute]) -> Option<Self> {
        let first = |name| find(attributes, name)?.ints.first().copied();
        Some(Self { kernel: first("kernel_shape")?, stride: first("strides")? })
    }
}

fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.as_deref() == Some(name))
}

fn attribute(name: &str, r#type: AttributeType) -> Attribute {
    Attribute { name: Some(name.to_owned()), r#type: Some(r#type.into()), ..Attribute::default() }
}

fn float(name: &str, value: f32) -> Attribute {
    Attribute { f: Some(value), ..attribute(name, AttributeType::Float) }
}

fn int(name: &str, value: i64) -> Attribute {
    Attribute { i: Some(value), ..attribute(name, AttributeType::Int) }
}

fn ints(name: &str, values: &[i64]) -> Attribute {
    Attribute { ints: values.to_vec(), ..attribute(name, AttributeType::Ints) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One of each, with attributes that no default of ONNX equals.
    const ALL: [Operator; 16] = [
        Operator::Add,
        Operator::AveragePool(Window { kernel: 3, stride: 2 }),
        Operator::BatchNormalization { epsilon: 1e-12 },
        Operator::Cast,
        Operator::Conv { window: Window { kernel: 3, stride: 2 }, padding: 1, groups: 4 },
        Operator::Div,
        Operator::Erf,
        Operator::Flatten,
        Operator::Gemm,
        Operator::GlobalAveragePool,
        Operator::LeakyRelu { alpha: 0.3 },
        Operator::MaxPool(Window { kernel: 2, stride: 3 }),
        Operator::Mul,
        Operator::Relu,
        Operator::Sigmoid,
        Operator::Transpose,
    ];

    #[test]
    fn what_is_written_is_read() {
        for operator in ALL {
            assert_eq!(Operator::read(operator.kind(), &operator.attributes()), Some(operator));
        }
    }

    #[test]
    fn nothing_else_is_read() {
        assert_eq!(Operator::read("Loop", &[]), None);
        assert_eq!(Operator::read("Add", &[int("axis", 1)]), None);
        assert_eq!(Operator::read("Cast", &[int("to", 10)]), None);
        assert_eq!(Operator::read("Flatten", &[]), None);
        let conv =
            Operator::Conv { window: Window { kernel: 3, stride: 1 }, padding: 1, groups: 1 };
        for left_out in 0..4 {
            let mut attributes = conv.attributes();
            attributes.remove(left_out);
            assert_eq!(Operator::read("Conv", &attributes), None);
        }
        let mut uneven = conv.attributes();
        uneven[1].ints = vec![3, 5];
        assert_eq!(Operator::read("Conv", &uneven), None);
        let nan = Operator::BatchNormalization { epsilon: f32::NAN };
        assert_eq!(Operator::read("BatchNormalization", &nan.attributes()), None);
    }
}
