//! End-to-end tests of the `cifar` program.
