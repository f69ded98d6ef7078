//! The documents of the project. This crate exists so that `cargo test` compiles their code blocks.

#![doc = include_str!("../../README.md")]

#[doc = include_str!("../architecture.md")]
pub mod architecture {}
#[doc = include_str!("../benchmarks.md")]
pub mod benchmarks {}
#[doc = include_str!("../layout.md")]
pub mod layout {}
#[doc = include_str!("../memory-ordering.md")]
pub mod memory_ordering {}
#[doc = include_str!("../protocols.md")]
pub mod protocols {}
#[doc = include_str!("../recovery.md")]
pub mod recovery {}
