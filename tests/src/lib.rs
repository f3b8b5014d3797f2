//! End-to-end tests of the cifar program, and parity with PyTorch
