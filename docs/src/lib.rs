//! The documents of the project. This crate exists so that `cargo test` compiles their code blocks.

#![doc = include_str!("../../README.md")]

#[doc = include_str!("../adding-a-contender.md")]
pub mod adding_a_contender {}
#[doc = include_str!("../architecture.md")]
pub mod architecture {}
#[doc = include_str!("../benchmarks.md")]
pub mod benchmarks {}
#[doc = include_str!("../comparing.md")]
pub mod comparing {}
#[doc = include_str!("../external-contender.md")]
pub mod external_contender {}
#[doc = include_str!("../doctor.md")]
pub mod doctor {}
#[doc = include_str!("../layout.md")]
pub mod layout {}
#[doc = include_str!("../memory-ordering.md")]
pub mod memory_ordering {}
#[doc = include_str!("../peers.md")]
pub mod peers {}
#[doc = include_str!("../protocol-mpmc.md")]
pub mod protocol_mpmc {}
#[doc = include_str!("../protocols.md")]
pub mod protocols {}
#[doc = include_str!("../recovery.md")]
pub mod recovery {}
#[doc = include_str!("../workloads.md")]
pub mod workloads {}

#[cfg(test)]
mod tests {
    #[test]
    fn the_contender_of_ones_own_is_the_example_that_is_built_and_short() {
        let document = include_str!("../adding-a-contender.md");
        let example = include_str!("../../bench-harness/examples/packet_pipe.rs");
        assert!(document.contains(example));
        assert!(example.lines().count() < 100);
    }

    #[test]
    fn the_readme_shows_the_examples_that_are_built() {
        let readme = include_str!("../../README.md");
        for example in [
            include_str!("../../ringbuf/examples/producer.rs"),
            include_str!("../../ringbuf/examples/consumer.rs"),
        ] {
            let (_summary, code) = example.split_once('\n').unwrap();
            assert!(readme.contains(code.trim_end()), "README.md lacks:\n{code}");
        }
    }
}
