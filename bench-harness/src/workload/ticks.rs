//! Market data: 20,000 ticks of 48 bytes in a second, in bursts of up to 512.

use super::Table;
use super::draws::Draws;
use super::timetable::{SECOND_NS, Timetable};

/// How many ticks there are.
pub const RECORDS: usize = 20_000;
/// How long they last.
pub const LAP_NS: u64 = SECOND_NS;

const LEN: usize = 48;
const INSTRUMENTS: u64 = 256;
/// A burst has `BURST_LEAST / u` ticks for a `u` that lies evenly between 0 and 1: half of them no more than twice the least.
const BURST_LEAST: u64 = 4;
const BURST_MOST: u64 = 512;
/// Within a burst, from a tick to the next one.
const WITHIN_NS: (u64, u64) = (100, 900);
/// From the last tick of a burst to the next burst, in the mean.
const BETWEEN_NS: u64 = 1_200_000;

/// ```text
///  0       8        16       20      24      32        40
///  +-------+--------+--------+-------+-------+---------+----------+
///  | tick  | time   | instru | flags | price | quantity| order    |    all little-endian
///  | u64   | ns u64 | ment32 | u32   | u64   | u64     | u64      |
///  +-------+--------+--------+-------+-------+---------+----------+
/// ```
pub fn table(seed: u64) -> Table {
    let mut draws = Draws::new(seed);
    let timetable = Timetable::of_distances(&distances(&mut draws), LAP_NS);
    let mut prices = vec![0; INSTRUMENTS as usize];
    for price in &mut prices {
        *price = draws.between(10_000, 1_000_000);
    }
    let mut bytes = Vec::with_capacity(RECORDS * LEN);
    for (number, at_ns) in timetable.moments_ns().iter().enumerate() {
        let instrument = draws.below(INSTRUMENTS);
        // A walk of single steps that stays above zero.
        let price = &mut prices[instrument as usize];
        *price = (*price + draws.below(3)).max(2) - 1;
        let flags = draws.below(4) as u32;
        let quantity = 100 * draws.between(1, 50);
        bytes.extend((number as u64 + 1).to_le_bytes());
        bytes.extend(at_ns.to_le_bytes());
        bytes.extend((instrument as u32).to_le_bytes());
        bytes.extend(flags.to_le_bytes());
        bytes.extend(price.to_le_bytes());
        bytes.extend(quantity.to_le_bytes());
        bytes.extend(draws.next().to_le_bytes());
    }
    Table {
        bytes,
        lens: vec![LEN; RECORDS],
        timetable,
    }
}

/// The distances before the ticks.
fn distances(draws: &mut Draws) -> Vec<u64> {
    let mut distances = Vec::with_capacity(RECORDS);
    while distances.len() < RECORDS {
        distances.push(draws.exponential(BETWEEN_NS));
        let draw = (draws.next() >> 32) + 1;
        let burst = ((BURST_LEAST << 32) / draw).min(BURST_MOST);
        for _ in 1..burst {
            distances.push(draws.between(WITHIN_NS.0, WITHIN_NS.1));
        }
    }
    distances.truncate(RECORDS);
    distances
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_come_in_bursts_far_above_their_mean_rate() {
        let table = table(1);
        let rhythm = table.timetable.rhythm();
        assert!((rhythm.mean_rate_per_second - 20_000.0).abs() < 1e-9);
        assert!(rhythm.peak_rate_per_second >= 400_000.0, "{rhythm:?}");
        let moments = table.timetable.moments_ns();
        let short = moments.windows(2).filter(|pair| pair[1] - pair[0] < 2_000);
        assert!(short.count() > RECORDS * 8 / 10);
    }

    #[test]
    fn every_tick_says_its_number_and_its_moment() {
        let table = table(9);
        for (number, tick) in table.bytes.chunks(LEN).enumerate() {
            let word = |at: usize| u64::from_le_bytes(tick[at..at + 8].try_into().unwrap());
            assert_eq!(word(0), number as u64 + 1);
            assert_eq!(word(8), table.timetable.moments_ns()[number]);
            assert!(word(24) > 0 && word(32) % 100 == 0);
        }
    }
}
