//! A process that dies with a claim or a message in hand, in a ring of several producers and consumers, gives all of it back: who waits goes on within 100 ms, and
//! who runs at once, however patient the ring is with the living.

use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, watchdog};
use shm_ringbuf::{Config, Multi};

/// Long enough that the other process sleeps by then.
const ASLEEP: Duration = Duration::from_millis(100);
/// What is promised to happen within 100 ms, on a machine that may be busy.
const PROMISED: Duration = Duration::from_secs(5);
/// So patient that nothing of what is tested happens because patience has ended.
const FOR_EVER: Duration = Duration::from_secs(60);

const HOLDER: u64 = 5_000_000;

/// A ring of so many messages, whatever its form: bytes have a cell for each.
fn config(form: Form, capacity: usize) -> Config<Multi> {
    match form {
        Form::Bytes => {
            let cell = (4096 / capacity).max(64);
            Config::mpmc().capacity(capacity * cell).cell(cell)
        }
        _ => Config::mpmc().capacity(capacity),
    }
}

/// A process with one end: `producers` or `consumers` says of which side.
fn start(name: &Name, form: Form, first: u64, side: &str) -> Peer {
    let first = first.to_string();
    let form = form.argument();
    let arguments = ["--name", name.as_str(), "--form", form, "--first", &first];
    // With 56 bytes a message has a cell of 64 for itself, whatever is beside it.
    let arguments = [&["puppet"], &arguments[..], &["--len-max", "48"]].concat();
    let mut peer = Peer::start(ring_peer!(), &arguments);
    peer.expect("ready");
    assert_eq!(peer.ask(&format!("{side} 1")), "attached 1");
    peer
}

/// Kills one process and says how long it took until another one, which waits if there is anything to wait for, said this.
#[track_caller]
fn kill_and_expect(victim: &mut Peer, waiter: &mut Peer, expected: &str) {
    std::thread::sleep(ASLEEP);
    let start = Instant::now();
    victim.kill();
    waiter.expect(expected);
    let took = start.elapsed();
    eprintln!("`{expected}` {took:?} after the kill");
    assert!(took < PROMISED, "`{expected}` after {took:?}");
}

/// With the patience of a ring that would wait for the living.
fn patient(form: Form, capacity: usize) -> Name {
    let name = Name::new("patient");
    let config = config(form, capacity)
        .patience(FOR_EVER)
        .wait(WaitWay::Park.into());
    form.create_multi(&config, name.as_str()).unwrap();
    name
}

/// The message of another producer is behind the claim.
fn die_with_a_claim_before_a_waiting_consumer(form: Form, capacity: usize) {
    let name = patient(form, capacity);
    let mut victim = start(&name, form, HOLDER, "producers");
    let mut other = start(&name, form, 0, "producers");
    let mut consumer = start(&name, form, 0, "consumers");
    assert_eq!(victim.ask("claim 0"), "holding");
    assert_eq!(other.ask("send 0 1"), "sent 1");
    consumer.say("recv 0 1");
    kill_and_expect(&mut victim, &mut consumer, "got 0");
}

/// The same, and the consumer looks only afterwards.
fn die_with_a_claim_before_a_running_consumer(form: Form, capacity: usize) {
    let name = patient(form, capacity);
    let mut victim = start(&name, form, HOLDER, "producers");
    let mut other = start(&name, form, 0, "producers");
    let mut consumer = start(&name, form, 0, "consumers");
    assert_eq!(victim.ask("claim 0"), "holding");
    assert_eq!(other.ask("send 0 1"), "sent 1");
    victim.kill();
    let start = Instant::now();
    let answer = consumer.ask("poll 0");
    assert_eq!(answer, "got 0, then Empty", "{form:?} of {capacity}");
    assert!(start.elapsed() < PROMISED, "after {:?}", start.elapsed());
}

#[test]
fn a_waiting_producer_goes_on_when_another_one_dies_with_a_claim() {
    let _watchdog = watchdog!(120);
    for form in [Form::Word, Form::Bytes] {
        let name = patient(form, 1);
        let mut victim = start(&name, form, HOLDER, "producers");
        let mut other = start(&name, form, 0, "producers");
        let mut consumer = start(&name, form, 0, "consumers");
        assert_eq!(victim.ask("claim 0"), "holding");
        other.say("send 0 1");
        kill_and_expect(&mut victim, &mut other, "sent 1");
        assert_eq!(consumer.ask("poll 0"), "got 0, then Empty");
    }
}

/// Another consumer waits for the message.
fn die_with_a_message(form: Form, capacity: usize) {
    let name = patient(form, capacity);
    let mut victim = start(&name, form, 0, "consumers");
    let mut producer = start(&name, form, 0, "producers");
    assert_eq!(producer.ask("send 0 1"), "sent 1");
    assert_eq!(victim.ask("hold 0"), "holding 0");
    let mut other = start(&name, form, 0, "consumers");
    other.say("guard 0 1");
    kill_and_expect(&mut victim, &mut other, "got 0*");
    assert_eq!(producer.ask("send 0 1"), "sent 1");
    assert_eq!(other.ask("poll 0"), "got 1, then Empty");
}

#[test]
fn one_that_was_killed_and_not_reaped_holds_nothing() {
    let _watchdog = watchdog!(120);
    for form in [Form::Word, Form::Bytes] {
        let name = patient(form, 2);
        let mut holder = start(&name, form, 0, "consumers");
        let mut victim = start(&name, form, HOLDER, "producers");
        let mut producer = start(&name, form, 0, "producers");
        assert_eq!(producer.ask("send 0 1"), "sent 1");
        assert_eq!(holder.ask("hold 0"), "holding 0");
        assert_eq!(victim.ask("claim 0"), "holding");
        holder.kill_without_reaping();
        victim.kill_without_reaping();
        let mut consumer = start(&name, form, 0, "consumers");
        assert_eq!(consumer.ask("guard 0 1"), "got 0*", "{form:?}");
        let filled = producer.ask("fill-up 0");
        assert_eq!(filled, "sent 2, then TimedOut", "{form:?}");
        assert_eq!(consumer.ask("guard 0 2"), "got 1 2", "{form:?}");
    }
}

#[test]
fn a_producer_that_waits_for_room_learns_that_the_last_consumer_died_with_a_message() {
    let _watchdog = watchdog!(120);
    let name = patient(Form::Word, 2);
    let mut victim = start(&name, Form::Word, 0, "consumers");
    let mut producer = start(&name, Form::Word, 0, "producers");
    assert_eq!(producer.ask("send 0 1"), "sent 1");
    assert_eq!(victim.ask("hold 0"), "holding 0");
    let filled = producer.ask("fill 0");
    assert!(filled.ends_with(", then Full"), "{filled}");
    producer.say("send 0 1");
    kill_and_expect(&mut victim, &mut producer, "sent 0, then OwnerDied");
}

macro_rules! at_capacity {
    ($($name:ident: $capacity:expr;)*) => {
        $(
            mod $name {
                use super::*;

                const CAPACITY: usize = $capacity;
                const FORMS: [Form; 2] = [Form::Word, Form::Bytes];

                #[test]
                fn a_waiting_consumer_gets_what_another_one_dies_with() {
                    let _watchdog = watchdog!(120);
                    for form in FORMS {
die_with_a_message(form, CAPACITY);
}
                }

                #[test]
                fn a_consumer_goes_on_when_a_producer_dies_with_a_claim_before_it() {
                    let _watchdog = watchdog!(120);
                    if CAPACITY > 1 {
                        for form in FORMS {
 die_with_a_claim_before_a_waiting_consumer(form, CAPACITY);
                        die_with_a_claim_before_a_running_consumer(form, CAPACITY);
}
                    }
                }
            }
        )*
    };
}

at_capacity! {
    of_one: 1;
    of_two: 2;
    of_eight: 8;
    of_many: 256;
}
