//! SimpleNet and SmallResNet as layer graphs, their initialisation and weights
