//! Small synthetic data sets in the official CIFAR-10 layout, for tests
