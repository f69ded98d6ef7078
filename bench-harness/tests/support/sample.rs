//! Reports that are the same every time, of every command: made-up times, real statistics.

use std::sync::LazyLock;

use bench_harness::clock::ClockProfile;
use bench_harness::design::{Design, Material};
use bench_harness::entry::Entry;
use bench_harness::fan::Fan;
use bench_harness::job::Lateness;
use bench_harness::machine::Environment;
use bench_harness::measure::integrity::Tally;
use bench_harness::measure::latency::{Distribution, Recorder};
use bench_harness::measure::schedule::{Arrivals, Pace};
use bench_harness::measure::usage::{Usage, Used};
use bench_harness::report::document::{Report, SCHEMA, Settings};
use bench_harness::report::figures::figures;
use bench_harness::results::{Quietness, Round, Row, Status, Window};
use bench_harness::scenario::capacity_for;
use bench_harness::transport::WaitMode;
use bench_harness::transport::registry::{Contender, find};

const REFERENCE: &str = "pipe/park";
const SAMPLES: u64 = 1_500;

/// A name that breaks whatever doesn't escape it.
pub const HOSTILE: &str = "<script>|&*_";

fn pace(rate_per_second: u64, arrivals: Arrivals) -> Pace {
    Pace {
        rate_per_second,
        arrivals,
        seed: 0,
    }
}

fn make_run() -> Report {
    sample(
        &Design::Run {
            fan: Fan::PAIR,
            stopped: None,
            pace: pace(10_000, Arrivals::Poisson),
        },
        &[64],
        11,
    )
}

fn rtt() -> Report {
    sample(&Design::RoundTrips, &[64], 11)
}

fn sweep() -> Report {
    sample(
        &Design::Sweep,
        &[8, 64, 512, 4 << 10, 32 << 10, 256 << 10],
        3,
    )
}

fn curve() -> Report {
    let rates = [1_000, 10_000, 100_000, 1_000_000, 10_000_000];
    let paces = rates.map(|rate| pace(rate, Arrivals::Poisson)).to_vec();
    sample(&Design::Curve(paces), &[64], 3)
}

fn wake() -> Report {
    let paces = [100_000, 1_000, 100].map(|rate| pace(rate, Arrivals::Constant));
    sample(&Design::Wake(paces.to_vec()), &[64], 3)
}

fn fan() -> Report {
    let fans = [(1, 1), (1, 2), (2, 1), (2, 2)].map(|(producers, consumers)| Fan {
        producers,
        consumers,
    });
    sample(&Design::Fan(fans.to_vec()), &[64], 5)
}

fn topo() -> Report {
    sample(&Design::Topology, &[64], 3)
}

/// All of them, made once.
pub fn all() -> &'static [Report] {
    static ALL: LazyLock<Vec<Report>> =
        LazyLock::new(|| vec![make_run(), rtt(), sweep(), curve(), wake(), fan(), topo()]);
    &ALL
}

/// A whole run.
pub fn run() -> Report {
    all()[0].clone()
}

fn contenders() -> Vec<Contender> {
    let names = [
        "limit-line/spin",
        "limit-memcpy/spin",
        "limit-futex/park",
        "ring-spsc/spin",
        "ring-spsc-bytes/spin-park",
        "ring-spsc/park",
        "ring-mpmc/spin",
        "ring-mpmc/park",
        "unix-dgram/park",
        "posix-mq/park",
        REFERENCE,
        "unix-stream/park",
        "eventfd/park",
    ];
    let mut contenders: Vec<Contender> = names.iter().map(|name| find(name).unwrap()).collect();
    let own = Contender {
        name: HOSTILE,
        ..find("unix-seqpacket/park").unwrap()
    };
    contenders.push(own);
    contenders
}

fn sample(design: &Design, sizes: &[usize], rounds: u32) -> Report {
    let contenders = contenders();
    let entries = design.rows(&Material {
        contenders: &contenders,
        sizes,
        cores: &[0, 1, 2],
    });
    let mut random = fastrand::Rng::with_seed(11);
    let rows: Vec<Row> = entries
        .into_iter()
        .map(|entry| row(entry, rounds, &mut random))
        .collect();
    let (results, noise) = figures(&rows, None, REFERENCE, 7);
    let fans = design.fans();
    Report {
        schema: SCHEMA.to_owned(),
        command: design.command().to_owned(),
        arguments: vec![
            design.command().to_owned(),
            "--contender".into(),
            "ring-*".into(),
        ],
        began_unix_s: 1_767_225_600,
        environment: environment(),
        settings: Settings {
            rounds,
            rounds_completed: rounds,
            seed: 7,
            sizes: sizes.to_vec(),
            stream_window_ns: 50_000_000,
            round_trip_window_ns: 50_000_000,
            paced_window_ns: 50_000_000,
            paced_messages_min: Some(25),
            verify: false,
            producers: fans.iter().map(|fan| fan.producers).max().unwrap(),
            consumers: fans.iter().map(|fan| fan.consumers).max().unwrap(),
            stopped: None,
            reference: REFERENCE.to_owned(),
            planted_delay_ns: 0,
            planted_stall_ns: 0,
        },
        payload: None,
        workload: None,
        incomplete: false,
        quietness: Quietness {
            windows_ns: 9_000_000_000,
            involuntary_switches: 42,
            ran_together_share: Some(0.998),
            stolen_ns: 30_000_000,
            disturbed_sessions: 5,
            repeated_sessions: 4,
        },
        noise,
        warnings: vec!["the hypervisor took 30 ms from the measured cores".to_owned()],
        results,
        comparison: None,
    }
}

fn environment() -> Environment {
    Environment {
        cpu: "Example CPU 3000".to_owned(),
        kernel: "Linux 6.1.0".to_owned(),
        cores: 4,
        measured_cores: vec![0, 1],
        measured_cores_are_siblings: false,
        is_virtual: true,
        memory_bytes: Some(16 << 30),
        load_average: Some(0.25),
        clock_source: Some("tsc".to_owned()),
        clock: ClockProfile {
            read_cost_ns: 21.5,
            granularity_ns: 10,
            resolution_ns: 1,
        },
        architecture: "x86_64".to_owned(),
        harness_version: "0.0.0".to_owned(),
    }
}

/// About what a message takes, in nanoseconds.
fn base_ns(entry: &Entry) -> f64 {
    let name = entry.contender.name;
    // Something that differs from contender to contender.
    let own = name
        .bytes()
        .fold(7_u32, |sum, byte| sum * 31 % 97 + u32::from(byte))
        % 40;
    let waits = match entry.contender.wait {
        WaitMode::Spin => 1.0,
        WaitMode::SpinPark => 1.5,
        WaitMode::Park if name.starts_with("ring") => 4.0,
        WaitMode::Park => 30.0,
    };
    let limit = if name.starts_with("limit") { 0.4 } else { 1.0 };
    let apart = entry
        .cores
        .map_or(1.0, |[a, b]| 1.0 + 0.3 * a.abs_diff(b) as f64);
    let crowd = entry.fan.processes() as f64 / 2.0;
    (30.0 + f64::from(own)) * waits * limit * apart * crowd + entry.size as f64 / 10.0
}

fn row(entry: Entry, rounds: u32, random: &mut fastrand::Rng) -> Row {
    let mut row = Row::new(entry);
    if entry.contender.name == "posix-mq" {
        row.give_up(
            Status::Unavailable,
            "the limit of msgqueue is 0 bytes".to_owned(),
        );
        return row;
    }
    row.status = Status::Ok;
    row.capacity = Some(match entry.contender.name {
        "unix-dgram" => 278.min(capacity_for(entry.size)),
        _ => 1024,
    });
    row.tally = Tally {
        sent: 10_000,
        received: 10_000,
        ..Tally::default()
    };
    for number in 1..=rounds {
        row.rounds.push(round(&entry, number, random));
    }
    if row.is_saturated() && !entry.wanted.stream {
        row.status = Status::Saturated;
        row.reason = Some(
            "it fell 40.0 % behind the rate; at most 1 % makes latencies worth telling".to_owned(),
        );
    }
    row
}

fn round(entry: &Entry, number: u32, random: &mut fastrand::Rng) -> Round {
    let base = base_ns(entry);
    // The machine is a little slower in the middle, for all.
    let drift = 1.0 + 0.05 * (f64::from(number) - 4.0).abs().min(3.0);
    let mut time = || base * drift * (0.97 + 0.06 * random.f64());
    let (drained, working, trip) = (time(), time() * 1.1, time() * 5.0);
    let wanted = entry.wanted;
    let paced = wanted.paced.map(|pace| {
        let gap_ns = 1e9 / pace.rate_per_second as f64;
        let is_late = base * 1.25 > gap_ns;
        let mut window = timed(trip * 0.8, random);
        window.sender.waiting = Some(Used {
            cpu_ns: window.elapsed_ns / 2,
            switches: 1,
        });
        window.lateness = Some(Lateness {
            planned_ns: 1_000_000,
            late_ns: if is_late { 400_000 } else { 10 },
        });
        window
    });
    Round {
        number,
        began_ns: u64::from(number) * 400_000_000 + random.u64(..300_000_000),
        drained: wanted.stream.then(|| window(drained)),
        working: wanted.stream.then(|| window(working)),
        exchanges: wanted.round_trip.then(|| timed(trip, random)),
        paced,
        disturbance: (number == 3 && entry.contender.name == "pipe")
            .then(|| "the sender was taken off its core 2 times".to_owned()),
    }
}

fn window(ns_each: f64) -> Window {
    const COUNT: u64 = 10_000;
    let elapsed_ns = (COUNT as f64 * ns_each) as u64;
    let usage = Usage {
        cpu_ns: elapsed_ns,
        voluntary_switches: 5,
        involuntary_switches: 1,
        queued_ns: Some(100),
        system_calls: Some(COUNT / 10),
        resident_bytes: Some(3 << 20),
        waiting: None,
    };
    Window {
        count: COUNT,
        beside: 0,
        elapsed_ns,
        sender: usage,
        receiver: usage,
        times: None,
        lateness: None,
    }
}

/// A window with the times of its messages: most near the median, few far beyond it.
fn timed(median_ns: f64, random: &mut fastrand::Rng) -> Window {
    let mut recorder = Recorder::default();
    for _ in 0..SAMPLES {
        let tail = 1.0 / (1.0 - random.f64() * 0.9999);
        recorder.record((median_ns * (0.9 + 0.05 * tail)) as u64);
    }
    let times: Distribution = recorder.distribution();
    Window {
        times: Some(times),
        ..window(median_ns)
    }
}
