//! Draws by whole numbers alone: a logarithm of floating point may differ in its last bit from one C library to the next.

/// Where the numbers come from: `SplitMix64` (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", 2014).
#[derive(Debug, Clone)]
pub struct Draws {
    state: u64,
}

impl Draws {
    /// Those of a seed.
    pub fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// Any number.
    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, by multiplication: the upper half of the product.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// A number from `least` to `most`, both possible.
    pub fn between(&mut self, least: u64, most: u64) -> u64 {
        least + self.below(most - least + 1)
    }

    /// Nearly exponentially distributed with this mean: with `k` leading zeros in the draw and `f` what follows the first one, as a fraction,
    /// it is `mean * (k + 1 - f) * 2 / 3`. That is the logarithm to base two, interpolated linearly between the powers.
    pub fn exponential(&mut self, mean: u64) -> u64 {
        const UNIT: u128 = 1 << 32;
        // The least significant bit is set, so that there is a first one.
        let draw = self.next() | 1;
        let zeros = draw.leading_zeros();
        let fraction = u128::from((draw << zeros) << 1) >> 32;
        let octaves = u128::from(zeros + 1) * UNIT - fraction;
        (u128::from(mean) * octaves * 2 / (3 * UNIT)) as u64
    }

    /// How long something is whose logarithm is nearly normally distributed: the four quarters of a draw are added up to `s`, from 0 to
    /// nearly 4, and `x = 4 + 2 s` is the logarithm to base two, interpolated linearly. So it lies from 16 to 4095, the median is 256.
    pub fn log_normal(&mut self) -> u64 {
        const BITS: u32 = 16;
        let draw = self.next();
        let quarters = (0..4).map(|part| (draw >> (BITS * part)) & 0xFFFF);
        let octaves = (4 << BITS) + 2 * quarters.sum::<u64>();
        let fraction = octaves & 0xFFFF;
        (((1 << BITS) + fraction) << (octaves >> BITS)) >> BITS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sorted(draw: impl FnMut() -> u64) -> Vec<u64> {
        let mut drawn: Vec<u64> = std::iter::repeat_with(draw).take(100_000).collect();
        drawn.sort_unstable();
        drawn
    }

    #[test]
    fn the_numbers_are_those_that_are_published_for_the_generator() {
        let mut source = Draws::new(1_234_567);
        let drawn: Vec<u64> = std::iter::repeat_with(|| source.next()).take(5).collect();
        // From Rosetta Code, "Pseudo-random numbers/Splitmix64".
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(drawn, published);
    }

    #[test]
    fn numbers_in_a_range_reach_both_ends() {
        let mut source = Draws::new(1);
        let drawn = sorted(|| source.between(3, 9));
        assert_eq!((drawn[0], drawn[drawn.len() - 1]), (3, 9));
        let threes = drawn.iter().filter(|&&number| number == 3).count();
        assert!(threes.abs_diff(100_000 / 7) < 1_000, "{threes}");
    }

    #[test]
    fn distances_have_their_mean_and_a_long_tail() {
        let mut source = Draws::new(2);
        let drawn = sorted(|| source.exponential(1_000_000));
        let mean = drawn.iter().sum::<u64>() / drawn.len() as u64;
        assert!(mean.abs_diff(1_000_000) < 20_000, "{mean}");
        // Of an exponential distribution 63.2 % lie below the mean and 95 % below three times the mean.
        for (limit, share) in [(1_000_000, 0.632), (3_000_000, 0.95)] {
            let below = drawn.partition_point(|&drawn| drawn < limit) as f64 / 100_000.0;
            assert!((below - share).abs() < 0.03, "{limit}: {below}");
        }
    }

    #[test]
    fn lengths_have_their_median_and_their_ends() {
        let mut source = Draws::new(3);
        let drawn = sorted(|| source.log_normal());
        assert!(drawn[50_000].abs_diff(256) < 8, "{}", drawn[50_000]);
        assert!(drawn[0] >= 16 && drawn[drawn.len() - 1] <= 4095);
        // The logarithm is symmetric: as many below half an octave under the median as above half an octave over it.
        let short = drawn.partition_point(|&len| len < 192);
        let long = drawn.len() - drawn.partition_point(|&len| len < 384);
        assert!(short.abs_diff(long) < 4_000, "{short}, {long}");
    }
}
