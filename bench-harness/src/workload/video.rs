//! Video: four seconds of 60 frames each, of which every sixtieth is a key frame of 128 to 256 KiB and the others have 4 to 32 KiB.

use super::Table;
use super::draws::Draws;
use super::timetable::{SECOND_NS, Timetable};

const FRAMES_PER_SECOND: usize = 60;
/// From a key frame to the next one.
const GROUP: usize = 60;
const KEY_FRAME_LEN: (u64, u64) = (128 << 10, 256 << 10);
/// The exponents of two between which the lengths of the other frames lie: each octave has as many.
const OTHER_FRAME_OCTAVES: (u64, u64) = (12, 15);

/// How many frames there are.
pub const RECORDS: usize = 4 * FRAMES_PER_SECOND;
/// How long they last.
pub const LAP_NS: u64 = 4 * SECOND_NS;

/// A frame is its number and its time in nanoseconds (64 bits each, little-endian), and then draws: compressed pictures look like noise.
pub fn table(seed: u64) -> Table {
    let mut draws = Draws::new(seed);
    let timetable = Timetable::regular(RECORDS, LAP_NS);
    let mut bytes = Vec::new();
    let mut lens = Vec::with_capacity(RECORDS);
    for (number, at_ns) in timetable.moments_ns().iter().enumerate() {
        let len = len_of(number, &mut draws);
        let end = bytes.len() + len;
        bytes.extend((number as u64 + 1).to_le_bytes());
        bytes.extend(at_ns.to_le_bytes());
        while bytes.len() < end {
            bytes.extend(draws.next().to_le_bytes());
        }
        bytes.truncate(end);
        lens.push(len);
    }
    Table {
        bytes,
        lens,
        timetable,
    }
}

fn len_of(number: usize, draws: &mut Draws) -> usize {
    if number.is_multiple_of(GROUP) {
        return draws.between(KEY_FRAME_LEN.0, KEY_FRAME_LEN.1) as usize;
    }
    let (least, most) = OTHER_FRAME_OCTAVES;
    let octave = draws.between(least, most - 1);
    ((1 << octave) + draws.below(1 << octave)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_sixtieth_frame_is_large() {
        let table = table(1);
        for (number, &len) in table.lens.iter().enumerate() {
            let (least, most) = if number % 60 == 0 {
                (128 << 10, 256 << 10)
            } else {
                (4 << 10, (32 << 10) - 1)
            };
            assert!((least..=most).contains(&len), "{number}: {len}");
        }
    }

    #[test]
    fn frames_come_sixty_times_a_second() {
        let rhythm = table(1).timetable.rhythm();
        assert!((rhythm.mean_rate_per_second - 60.0).abs() < 1e-9);
        assert!((rhythm.peak_rate_per_second - 1_000.0).abs() < 1e-9);
    }
}
