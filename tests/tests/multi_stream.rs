//! Streams between several producers and several consumers, all of them processes: every message of random length and content, in every way to send and to receive,
//! in all ways of waiting, and a judgement of the whole course at the end.

use std::sync::Mutex;

use integration_tests::children::Peer;
use integration_tests::crowd::ledger::Ledger;
use integration_tests::crowd::verdict::{Notes, Policy};
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::{Folder, Name};
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::{Config, Multi};

/// Several crowds of spinning processes on two cores would measure the scheduler.
static ONE_CROWD_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Bytes that a message takes at least.
const CELL: usize = 64;

struct Course {
    config: Config<Multi>,
    form: Form,
    wait: WaitWay,
    producers: u32,
    consumers: u32,
    /// In messages or cells, as the form has it.
    capacity: usize,
    /// Of each producer.
    count: u64,
    batch: usize,
    pauses: u32,
}

impl Course {
    fn new(producers: u32, consumers: u32, form: Form) -> Self {
        let config = match (producers, consumers) {
            (1, _) => Config::spmc(),
            (_, 1) => Config::mpsc(),
            _ => Config::mpmc(),
        };
        let total = short_or_long(12_000, 2_000_000);
        Self {
            config,
            form,
            wait: WaitWay::SpinPark,
            producers,
            consumers,
            capacity: 256,
            count: total / u64::from(producers),
            batch: 16,
            pauses: 5,
        }
    }

    fn any_side(mut self) -> Self {
        self.config = Config::mpmc();
        self
    }

    fn wait(mut self, wait: WaitWay) -> Self {
        self.wait = wait;
        self
    }

    /// A ring so small that everybody waits for the others all the time, and fewer messages.
    fn tight(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self.count /= short_or_long(8, 20);
        self.batch = 2;
        self
    }

    fn run(self) {
        let turn = ONE_CROWD_AT_A_TIME.lock();
        let name = Name::new("crowd-stream");
        let folder = Folder::new("crowd-stream");
        let capacity = match self.form {
            Form::Bytes => self.capacity * CELL,
            _ => self.capacity,
        };
        let config = self.config.capacity(capacity).wait(self.wait.into());
        let len_max = self
            .form
            .create_multi(&config.cell(CELL), name.as_str())
            .unwrap()
            .clamp(8, 3000);
        let ledger = folder.entry("ledger");
        let room = (self.count * u64::from(self.producers)) as usize + 30_000;
        let notes = Ledger::create(ledger.as_ref(), room);
        let seed = fastrand::u64(..);
        eprintln!("seed {seed}");
        let start = |role: &str, actor: u32, more: &[&str]| {
            let line = format!(
                "{role} --name {name} --form {} --ledger {ledger} --actor {actor} --seed {seed} \
                 --len-max {len_max} --batch {} --pauses {}",
                self.form.argument(),
                self.batch,
                self.pauses,
            );
            let arguments: Vec<&str> = line.split(' ').chain(more.iter().copied()).collect();
            let mut peer = Peer::start(ring_peer!(), &arguments);
            peer.expect("ready");
            peer
        };
        let count = self.count.to_string();
        let count = ["--count", &count];
        let producers = (0..self.producers).map(|actor| start("crowd-producer", actor, &count));
        let mut producers: Vec<Peer> = producers.collect();
        let consumers =
            (0..self.consumers).map(|actor| start("crowd-consumer", self.producers + actor, &[]));
        let mut consumers: Vec<Peer> = consumers.collect();
        for peer in consumers.iter_mut().chain(&mut producers) {
            peer.say("go");
        }
        for mut producer in producers {
            let said = producer.line();
            assert_eq!(said, Some(format!("sent {}", self.count)), "seed {seed}");
            producer.finish();
        }
        for mut consumer in consumers {
            let said = consumer.line().unwrap_or_default();
            let is_end = said.starts_with("received ") && said.ends_with(", then Disconnected");
            assert!(is_end, "{said}, seed {seed}");
            consumer.finish();
        }
        let total = self.count * u64::from(self.producers);
        match Notes::from(&notes).judge(Policy::Mark) {
            Ok(summary) => assert_eq!((summary.received, summary.again), (total, 0)),
            Err(faults) => {
                let shown = &faults[..faults.len().min(20)];
                panic!("seed {seed}: {} faults, as {shown:?}", faults.len());
            }
        }
        drop(turn);
    }
}

macro_rules! courses {
    ($($test:ident: $course:expr;)*) => {
        $(
            #[test]
            fn $test() {
                let _watchdog = watchdog!(300);
                $course.run();
            }
        )*
    };
}

courses! {
    words_from_one_to_one: Course::new(1, 1, Form::Word).any_side();
    words_from_two_to_one: Course::new(2, 1, Form::Word);
    words_from_one_to_two: Course::new(1, 2, Form::Word);
    words_from_two_to_two: Course::new(2, 2, Form::Word);
    words_from_two_to_one_where_there_may_be_more: Course::new(2, 1, Form::Word).any_side();
    words_from_one_to_two_where_there_may_be_more: Course::new(1, 2, Form::Word).any_side();
    words_from_eight_to_eight: Course::new(8, 8, Form::Word);
    words_from_eight_to_eight_that_park: Course::new(8, 8, Form::Word).wait(WaitWay::Park);
    words_from_two_to_two_that_park: Course::new(2, 2, Form::Word).wait(WaitWay::Park);
    words_from_two_to_two_that_spin: Course::new(2, 2, Form::Word).wait(WaitWay::Spin).tight(16);
    lines_from_two_to_two: Course::new(2, 2, Form::Line);
    lines_from_eight_to_eight: Course::new(8, 8, Form::Line);
    odd_sizes_from_two_to_two: Course::new(2, 2, Form::Odd);
    bytes_from_one_to_one: Course::new(1, 1, Form::Bytes).any_side();
    bytes_from_two_to_one: Course::new(2, 1, Form::Bytes);
    bytes_from_one_to_two: Course::new(1, 2, Form::Bytes);
    bytes_from_two_to_two: Course::new(2, 2, Form::Bytes);
    bytes_from_eight_to_eight: Course::new(8, 8, Form::Bytes);
    bytes_from_eight_to_eight_that_park: Course::new(8, 8, Form::Bytes).wait(WaitWay::Park);
    bytes_from_two_to_two_that_spin: Course::new(2, 2, Form::Bytes).wait(WaitWay::Spin).tight(64);
    a_tight_ring_of_words: Course::new(2, 2, Form::Word).tight(2);
    a_tight_ring_of_words_whose_users_park: Course::new(2, 2, Form::Word).tight(2).wait(WaitWay::Park);
    a_ring_of_one_word: Course::new(2, 2, Form::Word).tight(1);
    a_ring_of_one_word_whose_users_park: Course::new(3, 3, Form::Word).tight(1).wait(WaitWay::Park);
    a_tight_ring_of_bytes: Course::new(2, 2, Form::Bytes).tight(64);
    a_tight_ring_of_bytes_whose_users_park: Course::new(4, 4, Form::Bytes).tight(64).wait(WaitWay::Park);
}
