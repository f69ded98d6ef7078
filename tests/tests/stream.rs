//! Long streams between two processes: every message of random length and content, in every way
//! to send and to receive, in all ways of waiting, many times around the ring.

use std::sync::Mutex;

use integration_tests::children::Peer;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, short_or_long, watchdog};
use shm_ringbuf::Config;

/// Two pairs of spinning processes on two cores would measure the scheduler.
static ONE_PAIR_AT_A_TIME: Mutex<()> = Mutex::new(());

struct Course {
    form: Form,
    wait: WaitWay,
    /// In messages or bytes, as the form has it.
    capacity: usize,
    count: u64,
    /// For bytes: the longest message, at most what the ring takes.
    len_max: usize,
    batch: usize,
}

impl Course {
    fn run(&self) {
        let turn = ONE_PAIR_AT_A_TIME.lock();
        let name = Name::new("stream");
        let config = Config::spsc()
            .capacity(self.capacity)
            .wait(self.wait.into());
        let len_max = self
            .form
            .create(&config, name.as_str())
            .unwrap()
            .min(self.len_max);
        let seed = u64::from(std::process::id()) << 32 | self.count;
        let arguments = |role: &str| {
            format!(
                "{role} --name {name} --form {} --count {} --seed {seed} --len-max {len_max} --batch {}",
                self.form.argument(),
                self.count,
                self.batch,
            )
        };
        let start = |role: &str| {
            let arguments = arguments(role);
            Peer::start(ring_peer!(), &arguments.split(' ').collect::<Vec<_>>())
        };
        let mut consumer = start("consume");
        let mut producer = start("produce");
        let said = (producer.line(), consumer.line());
        let Self { count, .. } = self;
        let expected = (
            Some(format!("sent {count}")),
            Some(format!("received {count}, then Disconnected")),
        );
        assert_eq!(said, expected, "seed {seed}, {}", arguments("produce"));
        producer.finish();
        consumer.finish();
        drop(turn);
    }
}

/// A ring that is large enough to run freely.
fn roomy(form: Form, wait: WaitWay) {
    let capacity = if form == Form::Bytes {
        1 << 16
    } else {
        1 << 10
    };
    let count = short_or_long(300_000, 20_000_000);
    Course {
        form,
        wait,
        capacity,
        count,
        len_max: 3000,
        batch: 32,
    }
    .run();
}

/// A ring so small that both sides wait for each other all the time.
fn tight(form: Form, wait: WaitWay) {
    let capacity = if form == Form::Bytes { 4096 } else { 2 };
    let count = match wait {
        // Without a core for each side every turn of a spinner costs it a slice of time.
        WaitWay::Spin => short_or_long(10_000, 1_000_000),
        WaitWay::SpinPark => short_or_long(30_000, 2_000_000),
        WaitWay::Park => short_or_long(10_000, 500_000),
    };
    Course {
        form,
        wait,
        capacity,
        count,
        len_max: usize::MAX,
        batch: 2,
    }
    .run();
}

// A lost wakeup is made good after some milliseconds, by a sleeper that looks for itself. A tight ring that lost them all
// would run into its limit, which is a hundred times what it takes.
macro_rules! courses {
    ($($limit_s:literal s: $test:ident: $course:ident($form:ident, $wait:ident);)*) => {
        $(
            #[test]
            fn $test() {
                let _watchdog = watchdog!($limit_s);
                $course(Form::$form, WaitWay::$wait);
            }
        )*
    };
}

courses! {
    300 s: words_arrive_in_order_and_whole_between_spinning_processes: roomy(Word, Spin);
    300 s: words_arrive_in_order_and_whole_when_spinning_then_parking: roomy(Word, SpinPark);
    300 s: words_arrive_in_order_and_whole_between_parking_processes: roomy(Word, Park);
    300 s: lines_arrive_in_order_and_whole_between_spinning_processes: roomy(Line, Spin);
    300 s: lines_arrive_in_order_and_whole_when_spinning_then_parking: roomy(Line, SpinPark);
    300 s: lines_arrive_in_order_and_whole_between_parking_processes: roomy(Line, Park);
    300 s: odd_sizes_arrive_in_order_and_whole_between_spinning_processes: roomy(Odd, Spin);
    300 s: odd_sizes_arrive_in_order_and_whole_when_spinning_then_parking: roomy(Odd, SpinPark);
    300 s: odd_sizes_arrive_in_order_and_whole_between_parking_processes: roomy(Odd, Park);
    300 s: bytes_arrive_in_order_and_whole_between_spinning_processes: roomy(Bytes, Spin);
    300 s: bytes_arrive_in_order_and_whole_when_spinning_then_parking: roomy(Bytes, SpinPark);
    300 s: bytes_arrive_in_order_and_whole_between_parking_processes: roomy(Bytes, Park);
    300 s: a_tight_ring_of_words_loses_nothing_when_spinning: tight(Word, Spin);
    60 s: a_tight_ring_of_words_loses_no_wakeup_when_spinning_then_parking: tight(Word, SpinPark);
    60 s: a_tight_ring_of_words_loses_no_wakeup_when_parking: tight(Word, Park);
    60 s: a_tight_ring_of_lines_loses_no_wakeup_when_parking: tight(Line, Park);
    300 s: a_tight_ring_of_bytes_loses_nothing_when_spinning: tight(Bytes, Spin);
    60 s: a_tight_ring_of_bytes_loses_no_wakeup_when_spinning_then_parking: tight(Bytes, SpinPark);
    60 s: a_tight_ring_of_bytes_loses_no_wakeup_when_parking: tight(Bytes, Park);
}

#[test]
fn a_ring_of_one_message_works() {
    let _watchdog = watchdog!(120);
    let count = short_or_long(5_000, 200_000);
    Course {
        form: Form::Word,
        wait: WaitWay::Park,
        capacity: 1,
        count,
        len_max: 0,
        batch: 1,
    }
    .run();
}
