//! A process that is stopped in the middle of a send or a receive, or holds a claim or a guard for long, holds up nobody else; and one that dies there gives all of it back.

use std::time::{Duration, Instant};

use integration_tests::children::Peer;
use integration_tests::crowd::ledger::Ledger;
use integration_tests::crowd::verdict::{Notes, Policy};
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::{Folder, Name};
use integration_tests::{children, ring_peer, short_or_long, watchdog};
use nix::sys::signal::Signal;
use shm_ringbuf::{Config, Multi};

/// Long enough that the other process sleeps by then.
const ASLEEP: Duration = Duration::from_millis(100);
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

/// The numbers in an answer, with their stars; whatever it says else comes back as it is.
fn numbers(answer: &str) -> Vec<&str> {
    let list = answer
        .strip_prefix("got")
        .unwrap_or_else(|| panic!("{answer}"));
    list.split(' ')
        .filter(|number| !number.is_empty())
        .collect()
}

/// Two producers send so many messages each through a consumer, all of them processes. What the consumer gets comes back.
fn pass_messages(producers: &mut [Peer; 2], consumer: &mut Peer, count: usize) -> Vec<u64> {
    consumer.say(&format!("recv 0 {}", 2 * count));
    for producer in &mut *producers {
        producer.say(&format!("send 0 {count}"));
    }
    for producer in producers {
        producer.expect(&format!("sent {count}"));
    }
    let answer = consumer.line().unwrap();
    let got = numbers(&answer);
    got.iter()
        .map(|number| {
            number
                .parse()
                .unwrap_or_else(|_| panic!("{number} in {answer}"))
        })
        .collect()
}

/// Each of two producers has sent its messages from there on, in order.
fn assert_two_streams(got: &[u64], firsts: [u64; 2], count: u64) {
    for first in firsts {
        let of_one: Vec<u64> = got
            .iter()
            .copied()
            .filter(|number| (first..first + 1_000_000).contains(number))
            .collect();
        assert_eq!(of_one, (first..first + count).collect::<Vec<u64>>());
    }
    assert_eq!(got.len() as u64, 2 * count);
}

const HOLDER: u64 = 5_000_000;
const FIRSTS: [u64; 2] = [0, 2_000_000];

/// A producer holds a claim, stopped or not, while two others send; then it does what it is told, and says what came of it.
fn hold_a_claim(form: Form, capacity: usize, stopped: bool, order: &str) {
    let name = Name::new("held-claim");
    form.create_multi(&config(form, capacity), name.as_str())
        .unwrap();
    let mut holder = start(&name, form, HOLDER, "producers");
    let mut others = FIRSTS.map(|first| start(&name, form, first, "producers"));
    let mut consumer = start(&name, form, 0, "consumers");
    assert_eq!(holder.ask("claim 0"), "holding");
    if stopped {
        holder.signal(Signal::SIGSTOP);
    }
    let count = capacity + 20;
    let got = pass_messages(&mut others, &mut consumer, count);
    assert_two_streams(&got, FIRSTS, count as u64);
    assert_eq!(consumer.ask("poll 0"), "got, then Empty");
    if stopped {
        holder.signal(Signal::SIGCONT);
    }
    let what = format!("{form:?} of {capacity}, stopped: {stopped}");
    let (said, found) = match order {
        "commit" => ("committed", format!("got {HOLDER}, then Empty")),
        _ => ("aborted", "got, then Empty".to_owned()),
    };
    assert_eq!(holder.ask(order), said, "{what}");
    assert_eq!(consumer.ask("poll 0"), found, "{what}");
    // Everybody gets on, and the ring holds as much as ever.
    assert_eq!(holder.ask("send 0 1"), "sent 1");
    let next = HOLDER + u64::from(order == "commit");
    assert_eq!(consumer.ask("recv 0 1"), format!("got {next}"), "{what}");
    let filled = others[0].ask("fill 0");
    assert_eq!(filled, format!("sent {capacity}, then Full"), "{what}");
}

/// Others pass a claim and fill the ring; then it is committed.
fn commit_late(form: Form, capacity: usize) {
    let name = Name::new("late-commit");
    form.create_multi(&config(form, capacity), name.as_str())
        .unwrap();
    let mut holder = start(&name, form, HOLDER, "producers");
    let mut others = FIRSTS.map(|first| start(&name, form, first, "producers"));
    let mut consumer = start(&name, form, 0, "consumers");
    assert_eq!(holder.ask("claim 0"), "holding");
    // Others pass it, so that its place is gone for certain.
    let count = 2 * capacity + 20;
    pass_messages(&mut others, &mut consumer, count);
    let filled = others[0].ask("fill 0");
    let sent: usize = filled
        .strip_prefix("sent ")
        .and_then(|rest| rest.strip_suffix(", then Full"))
        .and_then(|sent| sent.parse().ok())
        .unwrap_or_else(|| panic!("{filled}"));
    assert!((capacity - 1..=capacity).contains(&sent), "{filled}");
    holder.say("commit");
    let mut expected: Vec<u64> = (0..sent as u64).map(|n| count as u64 + n).collect();
    let mut got = Vec::new();
    let end = Instant::now() + children::patience();
    while got.len() <= sent {
        let answer = consumer.ask("wait 0 1000");
        let answer = answer.replace(", then TimedOut", "");
        got.extend(numbers(&answer).iter().map(|n| n.parse::<u64>().unwrap()));
        assert!(Instant::now() < end, "{form:?} of {capacity}: {got:?}");
    }
    holder.expect("committed");
    assert_eq!(got.iter().filter(|number| **number == HOLDER).count(), 1);
    got.retain(|number| *number != HOLDER);
    expected.sort_unstable();
    assert_eq!(got, expected, "{form:?} of {capacity}");
    assert_eq!(consumer.ask("poll 0"), "got, then Empty");
}

/// A consumer holds a message, stopped or not, while others send and receive.
fn hold_a_guard(form: Form, capacity: usize, stopped: bool) {
    let what = format!("{form:?} of {capacity}, stopped: {stopped}");
    let name = Name::new("held-guard");
    form.create_multi(&config(form, capacity), name.as_str())
        .unwrap();
    let mut holder = start(&name, form, 0, "consumers");
    let mut others = FIRSTS.map(|first| start(&name, form, first, "producers"));
    assert_eq!(others[0].ask("send 0 1"), "sent 1");
    assert_eq!(holder.ask("hold 0"), "holding 0");
    let mut consumer = start(&name, form, 0, "consumers");
    if stopped {
        holder.signal(Signal::SIGSTOP);
    }
    let count = capacity + 20;
    let got = pass_messages(&mut others, &mut consumer, count);
    assert_two_streams(&got, [1, FIRSTS[1]], count as u64);
    assert_eq!(consumer.ask("poll 0"), "got, then Empty", "{what}");
    if stopped {
        holder.signal(Signal::SIGCONT);
    }
    assert_eq!(holder.ask("release"), "released", "{what}");
    assert_eq!(consumer.ask("poll 0"), "got, then Empty", "{what}");
    let filled = others[0].ask("fill 0");
    assert_eq!(filled, format!("sent {capacity}, then Full"), "{what}");
    let answer = holder.ask(&format!("guard 0 {capacity}"));
    assert!(!answer.contains('*'), "{answer}: {what}");
    assert_eq!(numbers(&answer).len(), capacity, "{what}");
}

/// Three producers and three consumers, of which one of each side is stopped at a random instant, again and again: the others get on meanwhile.
fn stop_at_random(form: Form, capacity: usize, wait: WaitWay) {
    const SIGN_OF_LIFE: usize = 30;
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut random = fastrand::Rng::with_seed(seed);
    let (name, folder) = (Name::new("stops"), Folder::new("stops"));
    let config = config(form, capacity).wait(wait.into());
    let len_max = form.create_multi(&config, name.as_str()).unwrap();
    let ledger_file = folder.entry("ledger");
    let ledger = Ledger::create(ledger_file.as_ref(), 1 << 20);
    let start = |role: &str, actor: u32| {
        let line = format!(
            "{role} --name {name} --form {} --ledger {ledger_file} --actor {actor} --seed 3 --len-max {} --batch {} --pauses 300 --stay",
            form.argument(),
            len_max.clamp(8, 500),
            (capacity / 4).clamp(1, 8),
        );
        let mut peer = Peer::start(ring_peer!(), &line.split(' ').collect::<Vec<_>>());
        peer.expect("ready");
        peer.say("go");
        peer
    };
    let mut producers: Vec<Peer> = (0..3).map(|n| start("crowd-producer", n)).collect();
    let mut consumers: Vec<Peer> = (3..6).map(|n| start("crowd-consumer", n)).collect();
    for _ in 0..short_or_long(15, 2000) {
        let both = [&producers[random.usize(..3)], &consumers[random.usize(..3)]];
        // One of them or both: each keeps a cell or two, and the others need one.
        let stopped = match random.u8(..if capacity > 2 { 3 } else { 2 }) {
            0 => &both[..1],
            1 => &both[1..],
            _ => &both[..],
        };
        for peer in stopped {
            peer.signal(Signal::SIGSTOP);
        }
        let before = ledger.delivered();
        let end = Instant::now() + children::patience();
        while ledger.delivered() < before + SIGN_OF_LIFE && ledger.room() > 50_000 {
            assert!(Instant::now() < end, "nothing goes on, seed {seed}");
            std::thread::sleep(Duration::from_micros(200));
        }
        for peer in stopped {
            peer.signal(Signal::SIGCONT);
        }
        std::thread::sleep(Duration::from_micros(random.u64(..2000)));
    }
    for side in [&mut producers, &mut consumers] {
        side.iter_mut().for_each(Peer::close_stdin);
        for mut peer in side.drain(..) {
            let said = peer.line().unwrap_or_default();
            assert!(!said.starts_with("failed"), "{said}, seed {seed}");
            peer.finish();
        }
    }
    match Notes::from(&ledger).judge(Policy::Mark) {
        Ok(summary) => assert_eq!((summary.again, summary.never_came), (0, 0)),
        Err(faults) => panic!("seed {seed}: {:?}", &faults[..faults.len().min(20)]),
    }
}

/// A ring of one can't go on without its cell, but it does when it has it back.
#[test]
fn a_ring_of_one_goes_on_when_its_cell_is_given_back() {
    let _watchdog = watchdog!(120);
    for form in [Form::Word, Form::Bytes] {
        let name = Name::new("one");
        form.create_multi(&config(form, 1), name.as_str()).unwrap();
        let mut holder = start(&name, form, HOLDER, "producers");
        let mut other = start(&name, form, 0, "producers");
        let mut consumer = start(&name, form, 0, "consumers");
        for (order, said) in [("commit", "committed"), ("abort", "aborted")] {
            assert_eq!(holder.ask("claim 0"), "holding");
            holder.signal(Signal::SIGSTOP);
            other.say("send 0 1");
            consumer.say("guard 0 1");
            std::thread::sleep(ASLEEP);
            holder.signal(Signal::SIGCONT);
            holder.say(order);
            let first = consumer.line().unwrap();
            if order == "commit" {
                let second = consumer.ask("guard 0 1");
                let mut both = [first, second];
                both.sort_unstable();
                assert_eq!(
                    both,
                    ["got 0".to_owned(), format!("got {HOLDER}")],
                    "{form:?}"
                );
            } else {
                assert_eq!(first, "got 1", "{form:?}");
            }
            other.expect("sent 1");
            holder.expect(said);
        }
        assert_eq!(other.ask("send 0 1"), "sent 1");
        assert_eq!(consumer.ask("hold 0"), "holding 2");
        consumer.signal(Signal::SIGSTOP);
        other.say("send 0 1");
        std::thread::sleep(ASLEEP);
        consumer.signal(Signal::SIGCONT);
        assert_eq!(consumer.ask("release"), "released");
        other.expect("sent 1");
        assert_eq!(consumer.ask("poll 0"), "got 3, then Empty", "{form:?}");
    }
}

macro_rules! at_capacity {
    ($($name:ident: $capacity:expr;)*) => {
        $(
            mod $name {
                use super::*;

                const CAPACITY: usize = $capacity;
                const FORMS: [Form; 2] = [Form::Word, Form::Bytes];

                #[test]
                fn others_go_on_past_a_claim_that_is_held_for_long() {
                    let _watchdog = watchdog!(120);
                    for form in FORMS {
                        hold_a_claim(form, CAPACITY, false, "commit");
                        hold_a_claim(form, CAPACITY, false, "abort");
                    }
                }

                #[test]
                fn others_go_on_past_the_claim_of_a_stopped_process() {
                    let _watchdog = watchdog!(120);
                    for form in FORMS {
                        hold_a_claim(form, CAPACITY, true, "commit");
                        hold_a_claim(form, CAPACITY, true, "abort");
                    }
                }

                #[test]
                fn a_claim_that_lost_its_place_waits_for_room_when_it_is_committed() {
                    let _watchdog = watchdog!(120);
                    for form in FORMS {
commit_late(form, CAPACITY);
}
                }

                #[test]
                fn others_go_on_past_a_message_that_is_held_for_long() {
                    let _watchdog = watchdog!(120);
                    for form in FORMS {
hold_a_guard(form, CAPACITY, false);
}
                }

                #[test]
                fn others_go_on_past_the_message_of_a_stopped_process() {
                    let _watchdog = watchdog!(120);
                    for form in FORMS {
hold_a_guard(form, CAPACITY, true);
}
                }

                #[test]
                fn words_go_on_past_whoever_is_stopped_at_random() {
                    let _watchdog = watchdog!(120);
                    stop_at_random(Form::Word, CAPACITY, WaitWay::SpinPark);
                }

                #[test]
                fn bytes_go_on_past_whoever_is_stopped_at_random() {
                    let _watchdog = watchdog!(120);
                    stop_at_random(Form::Bytes, CAPACITY, WaitWay::Park);
                }

            }
        )*
    };
}

// A ring of one stands still while somebody keeps its cell; what it does then has a test of its own.
at_capacity! {
    of_two: 2;
    of_eight: 8;
    of_many: 256;
}
