//! The vocabulary of an architecture: one struct per kind of layer, one enum over them.
//!
//! Fields and constructors follow `torch.nn`, so that a net reads like the module it mirrors.

pub use cifar_kernels::activation::{Activation, LEAKY_SLOPE};

/// A layer and the name it has in its parent, as in PyTorch's `named_children`.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Unique among its siblings, not empty, without a dot: it becomes one part of a path.
    pub name: String,
    /// What the node computes.
    pub layer: Layer,
}

impl Node {
    /// Names a layer.
    pub fn new(name: impl Into<String>, layer: impl Into<Layer>) -> Self {
        Self { name: name.into(), layer: layer.into() }
    }
}

/// What one node computes. `N` is the batch size throughout.
#[derive(Clone, Debug, PartialEq)]
pub enum Layer {
    /// Two-dimensional cross-correlation, `(N, C, H, W)` to `(N, K, H', W')`.
    Conv2d(Conv2d),
    /// Batch normalisation per channel; the shape stays.
    BatchNorm2d(BatchNorm2d),
    /// A function of each value alone; the shape stays.
    Activation(Activation),
    /// Maximum over windows of a feature map.
    MaxPool2d(MaxPool2d),
    /// Mean over windows of a feature map.
    AvgPool2d(AvgPool2d),
    /// Mean of each channel, `(N, C, H, W)` to `(N, C, 1, 1)`; PyTorch's `AdaptiveAvgPool2d(1)`.
    GlobalAvgPool,
    /// Affine map of a vector, `(N, in)` to `(N, out)`.
    Linear(Linear),
    /// `(N, C, H, W)` to `(N, C*H*W)`, channels outermost.
    Flatten,
    /// Every value times a constant; the shape stays.
    Scale(f64),
    /// In training each value is left out with this probability, in `0..1`, and the others grow so
    /// that the mean stays (Srivastava et al. 2014); in evaluation nothing happens.
    Dropout(f64),
    /// Nodes one after another.
    Sequential(Sequential),
    /// `activation(body(x) + shortcut(x))`.
    Residual(Residual),
}

impl Layer {
    /// What the layer is called in tables: PyTorch's class name where there is one.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Conv2d(_) => "Conv2d",
            Self::BatchNorm2d(_) => "BatchNorm2d",
            Self::Activation(activation) => activation.name(),
            Self::MaxPool2d(_) => "MaxPool2d",
            Self::AvgPool2d(_) => "AvgPool2d",
            Self::GlobalAvgPool => "GlobalAvgPool",
            Self::Linear(_) => "Linear",
            Self::Flatten => "Flatten",
            Self::Scale(_) => "Scale",
            Self::Dropout(_) => "Dropout",
            Self::Sequential(_) => "Sequential",
            Self::Residual(_) => "Residual",
        }
    }

    /// The nodes inside this one, in PyTorch's registration order; empty for a plain layer.
    pub fn children(&self) -> Vec<&Node> {
        match self {
            Self::Sequential(sequential) => sequential.nodes.iter().collect(),
            Self::Residual(residual) => {
                std::iter::once(&*residual.body).chain(residual.shortcut.as_deref()).collect()
            }
            Self::Conv2d(_)
            | Self::BatchNorm2d(_)
            | Self::Activation(_)
            | Self::MaxPool2d(_)
            | Self::AvgPool2d(_)
            | Self::GlobalAvgPool
            | Self::Linear(_)
            | Self::Flatten
            | Self::Scale(_)
            | Self::Dropout(_) => Vec::new(),
        }
    }
}

/// Convolution with a square kernel, the same stride and zero padding on both axes.
///
/// Parameters: `weight (K, C / groups, kernel, kernel)`, `bias (K)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conv2d {
    /// Channels of the input, `C`.
    pub in_channels: usize,
    /// Channels of the output, `K`.
    pub out_channels: usize,
    /// Side of the kernel, pixels.
    pub kernel: usize,
    /// Distance between windows, pixels.
    pub stride: usize,
    /// Zeros added on each side, pixels.
    pub padding: usize,
    /// Parts that input and output channels are cut into, each convolved by itself.
    pub groups: usize,
    /// Whether a value per output channel is added.
    pub bias: bool,
    /// What the weight begins with.
    pub init: WeightInit,
    /// Whether the weight stays as it begins: PyTorch's `weight.requires_grad = False`.
    pub weight_frozen: bool,
}

impl Conv2d {
    /// Stride 1, no padding, one group, with bias: the defaults of `torch.nn.Conv2d`.
    pub fn new(in_channels: usize, out_channels: usize, kernel: usize) -> Self {
        Self {
            in_channels,
            out_channels,
            kernel,
            stride: 1,
            padding: 0,
            groups: 1,
            bias: true,
            init: WeightInit::Uniform,
            weight_frozen: false,
        }
    }

    /// Sets the distance between windows.
    pub fn stride(self, stride: usize) -> Self {
        Self { stride, ..self }
    }

    /// Sets the zeros added on each side.
    pub fn padding(self, padding: usize) -> Self {
        Self { padding, ..self }
    }

    /// Sets the number of groups; as many as channels make it depthwise.
    pub fn groups(self, groups: usize) -> Self {
        Self { groups, ..self }
    }

    /// Leaves the bias out, as is usual before a batch norm, which would cancel it.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Sets what the weight begins with.
    pub fn init(self, init: WeightInit) -> Self {
        Self { init, ..self }
    }

    /// Keeps the weight as it begins; the bias is trained all the same.
    pub fn freeze_weight(self) -> Self {
        Self { weight_frozen: true, ..self }
    }
}

/// What the weight of a convolution or linear layer begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WeightInit {
    /// PyTorch's default, see [`Init::Uniform`](crate::Init::Uniform).
    Uniform,
    /// PyTorch's default, then the first `C / groups` filters pass their channel on unchanged, as
    /// by `torch.nn.init.dirac_(weight[:weight.size(1)])` (Zagoruyko and Komodakis 2017,
    /// arXiv:1706.00388).
    Dirac,
    /// PyTorch's default divided by its standard deviation.
    UnitStd,
}

/// Batch normalisation over `(N, H, W)` (Ioffe and Szegedy 2015, arXiv:1502.03167).
///
/// Parameters: `weight (C)`, `bias (C)`; buffers: `running_mean (C)`, `running_var (C)`,
/// `num_batches_tracked ()`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BatchNorm2d {
    /// Channels of input and output, `C`.
    pub channels: usize,
    /// Added to the variance before the square root.
    pub eps: f64,
    /// Share of the new batch in the running statistics, in `0..=1`.
    pub momentum: f64,
    /// Whether the weight stays 1: PyTorch's `weight.requires_grad = False`.
    pub weight_frozen: bool,
}

impl BatchNorm2d {
    /// `eps` 1e-5 and `momentum` 0.1: the defaults of `torch.nn.BatchNorm2d`.
    pub fn new(channels: usize) -> Self {
        Self { channels, eps: 1e-5, momentum: 0.1, weight_frozen: false }
    }

    /// Sets what is added to the variance before the square root.
    pub fn eps(self, eps: f64) -> Self {
        Self { eps, ..self }
    }

    /// Sets the share of the new batch in the running statistics.
    pub fn momentum(self, momentum: f64) -> Self {
        Self { momentum, ..self }
    }

    /// Keeps the weight at 1; the bias is trained all the same.
    pub fn freeze_weight(self) -> Self {
        Self { weight_frozen: true, ..self }
    }
}

/// Maximum over square windows; windows that would leave the map are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxPool2d {
    /// Side of the window, pixels.
    pub kernel: usize,
    /// Distance between windows, pixels.
    pub stride: usize,
}

impl MaxPool2d {
    /// Windows side by side: stride equal to the kernel, the default of `torch.nn.MaxPool2d`.
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: kernel }
    }
}

/// Mean over square windows; windows that would leave the map are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AvgPool2d {
    /// Side of the window, pixels.
    pub kernel: usize,
    /// Distance between windows, pixels.
    pub stride: usize,
}

impl AvgPool2d {
    /// Windows side by side: stride equal to the kernel, the default of `torch.nn.AvgPool2d`.
    pub fn new(kernel: usize) -> Self {
        Self { kernel, stride: kernel }
    }
}

/// `x W^T + b`. Parameters: `weight (out, in)`, `bias (out)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Linear {
    /// Length of the input vector.
    pub in_features: usize,
    /// Length of the output vector.
    pub out_features: usize,
    /// Whether `b` is there.
    pub bias: bool,
    /// What the weight begins with; [`WeightInit::Dirac`] takes it for that of a 1×1 convolution.
    pub init: WeightInit,
}

impl Linear {
    /// With bias, as in `torch.nn.Linear(in_features, out_features)`.
    pub fn new(in_features: usize, out_features: usize) -> Self {
        Self { in_features, out_features, bias: true, init: WeightInit::Uniform }
    }

    /// Leaves the bias out.
    pub fn without_bias(self) -> Self {
        Self { bias: false, ..self }
    }

    /// Sets what the weight begins with.
    pub fn init(self, init: WeightInit) -> Self {
        Self { init, ..self }
    }
}

/// Nodes one after another.
#[derive(Clone, Debug, PartialEq)]
pub struct Sequential {
    /// In execution order.
    pub nodes: Vec<Node>,
}

impl Sequential {
    /// Names the layers `0`, `1`, … as `torch.nn.Sequential` does.
    pub fn of(layers: impl IntoIterator<Item = Layer>) -> Self {
        let numbered = layers.into_iter().enumerate();
        Self { nodes: numbered.map(|(idx, layer)| Node::new(idx.to_string(), layer)).collect() }
    }
}

/// `activation(body(x) + shortcut(x))` (He et al. 2015, arXiv:1512.03385, section 3).
#[derive(Clone, Debug, PartialEq)]
pub struct Residual {
    /// The learned difference.
    pub body: Box<Node>,
    /// A projection to the body's shape; `None` passes `x` on unchanged.
    pub shortcut: Option<Box<Node>>,
    /// Applied to the sum.
    pub activation: Activation,
}

impl Residual {
    /// A block whose shortcut is the identity.
    pub fn new(body: Node, activation: Activation) -> Self {
        Self { body: Box::new(body), shortcut: None, activation }
    }

    /// Replaces the identity by a projection.
    pub fn shortcut(self, projection: Node) -> Self {
        Self { shortcut: Some(Box::new(projection)), ..self }
    }
}

macro_rules! layer_from {
    ($($kind:ident),*) => {
        $(impl From<$kind> for Layer {
            fn from(layer: $kind) -> Self {
                Self::$kind(layer)
            }
        })*
    };
}
layer_from!(Conv2d, BatchNorm2d, Activation, MaxPool2d, AvgPool2d, Linear, Sequential, Residual);
