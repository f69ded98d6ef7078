//! Which core each measured process stays on.

use std::collections::BTreeSet;

use crate::fan::{Fan, Seat};
use crate::machine::{choose_cores, show_cores};
use crate::report::numbers::counted;
use crate::shared::Side;

/// The cores of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// Two at least: the first ones of each side.
    pool: Vec<usize>,
}

impl Placement {
    /// Chooses the cores: those asked for; else two that are no siblings of each other, and as many more as there are processes.
    ///
    /// # Errors
    /// One sentence, when a core that was asked for can't be had.
    pub fn choose(
        asked: Option<&[usize]>,
        allowed: &[usize],
        fan: Fan,
        siblings: impl Fn(usize) -> BTreeSet<usize>,
    ) -> Result<Self, String> {
        if let Some(asked) = asked.filter(|_| !fan.is_pair()) {
            return Self::named(asked, allowed, fan);
        }
        let cores = choose_cores(asked, allowed, siblings)?;
        let mut pool = vec![cores.left, cores.right];
        if !fan.is_pair() {
            pool.extend(
                allowed
                    .iter()
                    .filter(|&cpu| ![cores.left, cores.right].contains(cpu)),
            );
            pool.truncate(fan.processes());
        }
        Ok(Self { pool })
    }

    /// All cores, or those that were asked for: of rows that name theirs.
    ///
    /// # Errors
    /// One sentence, when a core that was asked for can't be had, or there is only one.
    pub fn all(asked: Option<&[usize]>, allowed: &[usize]) -> Result<Self, String> {
        let pool = asked.unwrap_or(allowed).to_vec();
        if let Some(cpu) = pool.iter().find(|cpu| !allowed.contains(cpu)) {
            return Err(format!(
                "--cpus names core {cpu} and this process may use only {}; choose some of those",
                show_cores(allowed)
            ));
        }
        if pool.len() < 2 {
            return Err(format!(
                "pairs of cores need two at least, and there is only {}; allow this process more, or name more with --cpus",
                show_cores(&pool)
            ));
        }
        Ok(Self { pool })
    }

    /// These two.
    pub fn pair(cores: [usize; 2]) -> Self {
        Self {
            pool: cores.to_vec(),
        }
    }

    /// The cores that the user named for more than two processes.
    fn named(asked: &[usize], allowed: &[usize], fan: Fan) -> Result<Self, String> {
        let processes = fan.processes();
        if asked.len() < 2 || asked.len() > processes {
            return Err(format!(
                "--cpus names {} and takes from two (one for those who send, one for those who receive) to {processes}, one \
                 for each process",
                counted(asked.len(), "core")
            ));
        }
        match asked.iter().find(|cpu| !allowed.contains(cpu)) {
            Some(cpu) => Err(format!(
                "--cpus names core {cpu} and this process may use only {}; choose some of those",
                show_cores(allowed)
            )),
            None => Ok(Self {
                pool: asked.to_vec(),
            }),
        }
    }

    /// The cores in the order in which they are given out: two at least, even if they are the same.
    pub fn pool(&self) -> &[usize] {
        &self.pool
    }

    /// The cores, each once.
    pub fn cores(&self) -> Vec<usize> {
        let mut seen = BTreeSet::new();
        let mut cores = self.pool.clone();
        cores.retain(|cpu| seen.insert(*cpu));
        cores
    }

    /// The first core of each side.
    pub fn first_two(&self) -> [usize; 2] {
        [self.pool[0], self.pool[1]]
    }

    /// Where a process stays: on a core of its own if there are enough. Otherwise the cores are given to the two sides in turn, so that with two
    /// cores those who send share one and those who receive the other.
    pub fn core_of(&self, seat: Seat, fan: Fan) -> usize {
        let rank = seat.rank as usize;
        let side = match seat.side {
            Side::Left => 0,
            Side::Right => 1,
        };
        if self.pool.len() >= fan.processes() {
            // The first of each side have the first two cores.
            let further = [2, 1 + fan.producers as usize][side];
            let place = if rank == 0 { side } else { further + rank - 1 };
            return self.pool[place];
        }
        let of_side: Vec<usize> = self.pool.iter().copied().skip(side).step_by(2).collect();
        of_side[rank % of_side.len()]
    }

    /// Whether some processes share a core.
    pub fn is_crowded(&self, fan: Fan) -> bool {
        let distinct: BTreeSet<usize> = fan.seats().map(|seat| self.core_of(seat, fan)).collect();
        distinct.len() < fan.processes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fan(producers: u32, consumers: u32) -> Fan {
        Fan {
            producers,
            consumers,
        }
    }

    fn placed(asked: Option<&[usize]>, allowed: &[usize], fan: Fan) -> (Vec<usize>, bool) {
        let nobody_is_near = |_| BTreeSet::new();
        let placement = Placement::choose(asked, allowed, fan, nobody_is_near).unwrap();
        let cores = fan.seats().map(|seat| placement.core_of(seat, fan));
        (cores.collect(), placement.is_crowded(fan))
    }

    #[test]
    fn a_pair_has_the_two_cores_that_were_chosen() {
        assert_eq!(placed(None, &[0, 1, 2], Fan::PAIR), (vec![0, 1], false));
        assert_eq!(
            placed(Some(&[2, 0]), &[0, 1, 2], Fan::PAIR),
            (vec![2, 0], false)
        );
        assert_eq!(placed(None, &[5], Fan::PAIR), (vec![5, 5], true));
    }

    #[test]
    fn on_two_cores_each_side_has_one() {
        assert_eq!(
            placed(None, &[0, 1], fan(3, 2)),
            (vec![0, 0, 0, 1, 1], true)
        );
        assert_eq!(placed(Some(&[1, 0]), &[0, 1], fan(1, 2)).0, [1, 0, 0]);
    }

    #[test]
    fn each_process_has_a_core_where_there_are_enough() {
        let all: Vec<usize> = (0..8).collect();
        assert_eq!(placed(None, &all, fan(3, 2)), (vec![0, 2, 3, 1, 4], false));
        assert_eq!(
            placed(None, &all[..4], fan(3, 2)),
            (vec![0, 2, 0, 1, 3], true)
        );
    }

    #[test]
    fn too_many_or_unknown_cores_are_refused() {
        for (asked, part) in [
            (&[0][..], "from two"),
            (&[0, 1, 2, 3], "to 3"),
            (&[0, 9], "core 9"),
        ] {
            let refused = Placement::named(asked, &[0, 1, 2, 3], fan(2, 1));
            assert!(refused.unwrap_err().contains(part), "{asked:?}");
        }
    }
}
