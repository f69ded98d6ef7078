//! A stream whose two ends are killed, stopped and replaced at random instants, over and over, and
//! a journal that proves at the end that nothing was lost, doubled, reordered or made up.

use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::journal::Journal;
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use nix::sys::signal::Signal;
use shm_ringbuf::Config;

/// A ring under attack.
struct Siege {
    form: Form,
    name: Name,
    folder: Folder,
    len_max: usize,
    generation: u32,
}

/// What happens to an end of the ring.
#[derive(Clone, Copy, Debug)]
enum Blow {
    KillProducer,
    KillConsumer,
    KillBoth,
    StopProducer,
    StopConsumer,
}

/// A process at one end, and whether it has said that it is ready.
struct End {
    peer: Peer,
    ready: bool,
}

impl End {
    fn wait_until_ready(&mut self) {
        if !self.ready {
            self.peer.expect("ready");
            self.ready = true;
        }
    }

    /// Kills it. It may have said before that it was ready, but nothing of a failure.
    fn kill(&mut self) {
        self.peer.kill();
        while let Some(line) = self.peer.line() {
            assert_eq!(line, "ready");
        }
    }

    fn stop_for(&self, time: Duration) {
        self.peer.signal(Signal::SIGSTOP);
        std::thread::sleep(time);
        self.peer.signal(Signal::SIGCONT);
    }
}

impl Siege {
    fn new(form: Form, wait: WaitWay, capacity: usize) -> Self {
        let name = Name::new("siege");
        let config = Config::spsc().capacity(capacity).wait(wait.into());
        let len_max = form.create(&config, name.as_str()).unwrap().clamp(8, 500);
        let folder = Folder::new("siege");
        Self {
            form,
            name,
            folder,
            len_max,
            generation: 0,
        }
    }

    fn start(&self, role: &str, more: &[&str]) -> End {
        let journal = self.folder.entry("journal");
        let len_max = self.len_max.to_string();
        let mut arguments = vec![role, "--name", self.name.as_str(), "--journal", &journal];
        arguments.extend([
            "--form",
            self.form.argument(),
            "--seed",
            "5",
            "--len-max",
            &len_max,
        ]);
        arguments.extend(more);
        End {
            peer: Peer::start(ring_peer!(), &arguments),
            ready: false,
        }
    }

    fn producer(&mut self) -> End {
        let generation = self.generation.to_string();
        self.generation += 1;
        self.start("journaled-producer", &["--generation", &generation])
    }

    fn consumer(&self) -> End {
        self.start("journaled-consumer", &[])
    }

    /// Deals so many blows, then lets the stream end and checks all of it.
    fn run(mut self, blows: &[Blow], rounds: usize, seed: u64) {
        let journal = Journal::create(&self.folder.path().join("journal"), 4 << 20);
        let mut random = fastrand::Rng::with_seed(seed);
        let mut producer = self.producer();
        let mut consumer = self.consumer();
        let mut consumers_killed = 0;
        for _ in 0..rounds {
            // Now and then the blow falls while they start.
            if random.u8(..8) != 0 {
                producer.wait_until_ready();
                consumer.wait_until_ready();
            }
            let pause = Duration::from_micros(random.u64(..4000));
            std::thread::sleep(pause);
            match blows[random.usize(..blows.len())] {
                Blow::KillProducer => {
                    producer.kill();
                    producer = self.producer();
                }
                Blow::KillConsumer => {
                    consumer.kill();
                    consumer = self.consumer();
                    consumers_killed += 1;
                }
                Blow::KillBoth => {
                    producer.kill();
                    consumer.kill();
                    consumer = self.consumer();
                    producer = self.producer();
                    consumers_killed += 1;
                }
                Blow::StopProducer => producer.stop_for(pause * 5),
                Blow::StopConsumer => consumer.stop_for(pause * 5),
            }
        }
        producer.peer.close_stdin();
        assert_eq!(
            last_line(&mut producer.peer).as_deref(),
            Some("done"),
            "seed {seed}"
        );
        assert_eq!(
            last_line(&mut consumer.peer).as_deref(),
            Some("done"),
            "seed {seed}"
        );
        match journal.history().check() {
            Ok(summary) => {
                assert!(summary.delivered > 100, "{summary:?} is no stream");
                let most = consumers_killed * BATCH_MAX;
                assert!(
                    summary.redelivered <= most,
                    "{summary:?}: at most {most} were held"
                );
            }
            Err(faults) => {
                let shown = &faults[..faults.len().min(20)];
                panic!(
                    "{:?}, seed {seed}: {} faults, as {shown:?}",
                    self.form,
                    faults.len()
                );
            }
        }
    }
}

/// The last thing that it says.
fn last_line(peer: &mut Peer) -> Option<String> {
    let mut last = None;
    while let Some(line) = peer.line() {
        last = Some(line);
    }
    last
}

/// How many messages a consumer holds at once at most.
const BATCH_MAX: u64 = 8;

const KILLS: [Blow; 3] = [Blow::KillProducer, Blow::KillConsumer, Blow::KillBoth];
const ALL: [Blow; 5] = [
    Blow::KillProducer,
    Blow::KillConsumer,
    Blow::KillBoth,
    Blow::StopProducer,
    Blow::StopConsumer,
];

fn besiege(form: Form, wait: WaitWay, capacity: usize, blows: &[Blow]) {
    for part in 0..short_or_long(1, 40) {
        let seed = fastrand::u64(..);
        let rounds = short_or_long(40, 100);
        eprintln!("part {part}: seed {seed}");
        Siege::new(form, wait, capacity).run(blows, rounds, seed);
    }
}

macro_rules! sieges {
    ($($test:ident: $form:ident, $wait:ident, $capacity:expr, $blows:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let _watchdog = watchdog!(200);
                besiege(Form::$form, WaitWay::$wait, $capacity, &$blows);
            }
        )*
    };
}

sieges! {
    a_stream_of_words_survives_kills_of_the_producer: Word, SpinPark, 64, [Blow::KillProducer];
    a_stream_of_words_survives_kills_of_the_consumer: Word, SpinPark, 64, [Blow::KillConsumer];
    a_stream_of_words_survives_every_blow_in_a_large_ring: Word, SpinPark, 4096, ALL;
    a_stream_of_words_survives_every_blow_in_a_tiny_ring: Word, Park, 2, ALL;
    a_stream_of_lines_survives_every_blow: Line, SpinPark, 64, ALL;
    a_stream_of_odd_sizes_survives_every_blow: Odd, Park, 16, ALL;
    a_stream_of_bytes_survives_kills_of_the_producer: Bytes, SpinPark, 8192, [Blow::KillProducer];
    a_stream_of_bytes_survives_kills_of_the_consumer: Bytes, SpinPark, 8192, [Blow::KillConsumer];
    a_stream_of_bytes_survives_every_blow_in_a_large_ring: Bytes, SpinPark, 1 << 18, ALL;
    a_stream_of_bytes_survives_every_blow_in_a_tiny_ring: Bytes, Park, 4096, ALL;
    a_stream_between_spinning_sides_survives_kills: Word, Spin, 256, KILLS;
    a_stream_of_bytes_between_spinning_sides_survives_kills: Bytes, Spin, 8192, KILLS;
}
