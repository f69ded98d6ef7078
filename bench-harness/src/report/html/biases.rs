//! What still bends the figures, as far as the data itself tells.

use super::super::document::{Figures, Report};
use super::super::numbers::{figure, percent, time, whole};
use crate::transport::{Class, WaitMode};

impl Report {
    /// A sentence or two for each bias.
    pub fn biases(&self) -> Vec<String> {
        let mut biases = vec![
            self.on_machine(),
            self.on_sharing(),
            self.on_cores(),
            self.on_clock(),
            self.on_floor(),
        ];
        biases.extend(self.on_loops());
        biases.push(
            "Classes don't compare: a stream carries bytes and is framed here, a message mechanism keeps the boundaries itself, and what notifies \
             carries nothing; what works between threads needs neither names nor memory that others can reach. Spinning buys its latency with a whole core; the column of CPU time shows the price."
                .to_owned(),
        );
        biases.extend(self.on_capacities());
        biases.push(
            "Every contender runs through the same loops, which fill, number, read and check each message: that adds the same few nanoseconds to \
             all, and so makes the fastest look less different than they are."
                .to_owned(),
        );
        biases.push(format!(
            "One build of one program: where its code and its memory lie can be worth several per cent, and every round has the same layout of code. \
             Figures of another build, kernel or processor may rank otherwise. This was version {}, {}.",
            self.environment.harness_version, self.environment.architecture
        ));
        biases.push(format!(
            "Windows last {}: what happens more rarely than that, as heat, reclaiming of memory or migration, shows by chance or not at all.",
            time(self.settings.stream_window_ns as f64)
        ));
        biases.extend(self.on_pooled());
        biases.extend(self.on_missing());
        biases
    }

    fn on_machine(&self) -> String {
        let stolen = time(self.quietness.stolen_ns as f64);
        if self.environment.is_virtual {
            format!(
                "A virtual machine: the hypervisor decides when the cores run (it took {stolen} of them, as far as it tells), wake-ups leave the \
                 guest and cost more than on bare metal, and the frequency can't be seen or held."
            )
        } else {
            "The processor chooses its own frequency, by load and temperature; figures are of whatever it chose.".to_owned()
        }
    }

    fn on_sharing(&self) -> String {
        let quietness = &self.quietness;
        let share = quietness
            .ran_together_share
            .map_or_else(String::new, |share| {
                format!(
                    " Where both sides spin they ran together for at least {} of the time.",
                    percent(share)
                )
            });
        format!(
            "Other work had the cores at times: {} involuntary switches inside the windows, {} sessions disturbed, {} of them measured once more \
             (both count).{share}",
            whole(Some(quietness.involuntary_switches)),
            quietness.disturbed_sessions,
            quietness.repeated_sessions
        )
    }

    fn on_cores(&self) -> String {
        let cores: Vec<String> = self
            .environment
            .measured_cores
            .iter()
            .map(ToString::to_string)
            .collect();
        let near = if self.environment.measured_cores_are_siblings {
            " They are hardware threads of one core, which share its caches and its units."
        } else {
            ""
        };
        format!(
            "Both sides were pinned, to cores {}: a scheduler that moves them, or cores farther apart, give other figures.{near}",
            cores.join(", ")
        )
    }

    fn on_clock(&self) -> String {
        let clock = self.environment.clock;
        let shortest = self
            .results
            .iter()
            .filter_map(|row| row.round_trip_ns.p50)
            .min();
        let share = shortest.map_or_else(String::new, |ns| {
            let share = clock.read_cost_ns / ns.max(1) as f64;
            format!(
                ", {} of the shortest median round trip here",
                percent(share)
            )
        });
        format!(
            "Each timed message contains about one reading of the clock, {} ns{share}; nothing is subtracted. The clock steps by {} ns.",
            figure(Some(clock.read_cost_ns)),
            clock.granularity_ns
        )
    }

    fn on_floor(&self) -> String {
        let largest = self
            .noise
            .iter()
            .max_by(|a, b| a.floor.half_width.total_cmp(&b.floor.half_width));
        let Some(largest) = largest else {
            return "Nothing was entered twice in this run, so it doesn't know its own noise."
                .to_owned();
        };
        let settled = || self.noise.iter().filter(|noise| noise.floor.is_settled());
        let strayed = settled().filter(|noise| !noise.holds_its_own).count();
        let told = match settled().count() {
            0 => "there were too few rounds to say how many strayed outside their own".to_owned(),
            pairs => format!("{strayed} of {pairs} pairs strayed outside their own"),
        };
        format!(
            "Equal things differed, too: the widest noise floor (A/A) is {}, of {}; {told}. Differences below the floor aren't told as such, though \
             they may exist.",
            percent(largest.floor.half_width),
            largest.contender,
        )
    }

    fn on_loops(&self) -> Option<String> {
        let has_trips = self.results.iter().any(|row| row.round_trip_ns.samples > 0);
        has_trips.then(|| {
            "Round trips are a closed loop and flatter whoever stalls: no message is due while one is under way. Only latency at a fixed rate counts \
             the wait of all messages."
                .to_owned()
        })
    }

    fn on_capacities(&self) -> Option<String> {
        let carries = |row: &&Figures| !matches!(row.class, Class::Limit | Class::Notify);
        let mut capacities: Vec<(usize, String)> = Vec::new();
        for row in self
            .results
            .iter()
            .filter(carries)
            .filter(|row| !row.is_twin)
        {
            let Some(capacity) = row.capacity else {
                continue;
            };
            if !capacities.iter().any(|(_, name)| *name == row.full_name()) {
                capacities.push((capacity, row.full_name()));
            }
        }
        let (least, most) = (capacities.iter().min()?, capacities.iter().max()?);
        (least.0 != most.0).then(|| {
            format!(
                "Links don't hold the same: from {} messages ({}) to {} ({}), as the system allows. A deeper link lets the sender run ahead farther.",
                whole(Some(least.0 as u64)),
                least.1,
                whole(Some(most.0 as u64)),
                most.1
            )
        })
    }

    fn on_pooled(&self) -> Option<String> {
        let has_pooled = |row: &&Figures| {
            !row.round_trip_ns.pooled.is_empty() || !row.paced_ns.times.pooled.is_empty()
        };
        let count = self.results.iter().filter(has_pooled).count();
        (count > 0).then(|| {
            format!(
                "In {count} rows a far percentile is that of all rounds together, as no single round had ten samples beyond it: one bad round can make it."
            )
        })
    }

    fn on_missing(&self) -> Option<String> {
        let is_missing = |row: &&Figures| row.reason.is_some();
        let count = self.results.iter().filter(is_missing).count();
        let spins = self.results.iter().any(|row| row.wait != WaitMode::Park);
        (count > 0 || !spins).then(|| match count {
            0 => "Nothing that spins was measured.".to_owned(),
            count => format!("{count} rows have no figures, for the reasons above: a comparison is only among those that were measured."),
        })
    }
}
