//! Death of a side: what was committed arrives, what was not is never seen, a successor goes on.

use std::time::{Duration, SystemTime};

use integration_tests::children;
use integration_tests::forms::{Form, WaitWay};
use integration_tests::names::Name;
use integration_tests::{ring_peer, skip_aloud, watchdog};
use nix::sys::signal::Signal;
use shm_ringbuf::{Config, Peer, RecvError, Ring, SendError, Wait};

/// Long enough that the other process sleeps by then.
const ASLEEP: Duration = Duration::from_millis(150);

fn start(role: &str, name: &Name, form: Form, more: &[&str]) -> children::Peer {
    let mut arguments = vec![role, "--name", name.as_str(), "--form", form.argument()];
    arguments.extend(more);
    let mut peer = children::Peer::start(ring_peer!(), &arguments);
    peer.expect("ready");
    peer
}

fn config(form: Form) -> Config {
    Config::spsc().capacity(if form == Form::Bytes { 4096 } else { 16 })
}

#[test]
fn a_sleeping_consumer_gets_all_that_a_killed_producer_committed_and_then_its_death() {
    let _watchdog = watchdog!(60);
    for wait in WaitWay::ALL {
        for form in Form::ALL {
            let name = Name::new("kill-producer");
            form.create(&config(form).wait(wait.into()), name.as_str())
                .unwrap();
            let mut producer = start("producer", &name, form, &[]);
            let mut consumer = start("consumer", &name, form, &[]);
            consumer.say("drain");
            assert_eq!(producer.ask("send 5"), "sent 5");
            std::thread::sleep(ASLEEP / 3);
            producer.kill();
            consumer.expect("got 0 1 2 3 4, then OwnerDied");
        }
    }
}

#[test]
fn what_a_killed_producer_committed_waits_for_a_consumer_that_comes_later() {
    let _watchdog = watchdog!(60);
    for form in Form::ALL {
        let name = Name::new("kill-then-attach");
        form.create(&config(form), name.as_str()).unwrap();
        let mut producer = start("producer", &name, form, &[]);
        assert_eq!(producer.ask("send 3"), "sent 3");
        producer.kill();
        let mut consumer = start("consumer", &name, form, &[]);
        assert_eq!(
            consumer.ask("drain"),
            "got 0 1 2, then OwnerDied",
            "{form:?}"
        );
    }
}

#[test]
fn a_blocked_producer_learns_that_the_consumer_was_killed() {
    let _watchdog = watchdog!(60);
    for wait in WaitWay::ALL {
        let name = Name::new("kill-consumer");
        Form::Word
            .create(&config(Form::Word).wait(wait.into()), name.as_str())
            .unwrap();
        let mut producer = start("producer", &name, Form::Word, &[]);
        let mut consumer = start("consumer", &name, Form::Word, &[]);
        assert_eq!(producer.ask("fill"), "sent 16, then TimedOut");
        producer.say("send 1");
        std::thread::sleep(ASLEEP);
        assert_eq!(producer.line_if_any(), None, "the consumer lives");
        consumer.kill();
        producer.expect("sent 0, then OwnerDied");
        // What it sent is kept for a successor, which makes room again.
        let mut consumer = start("consumer", &name, Form::Word, &[]);
        assert_eq!(consumer.ask("recv 4"), "got 0 1 2 3");
        assert_eq!(producer.ask("send 2"), "sent 2");
        assert_eq!(
            consumer.ask("recv 14"),
            "got 4 5 6 7 8 9 10 11 12 13 14 15 16 17"
        );
    }
}

#[test]
fn after_the_death_of_the_consumer_a_producer_sends_while_there_is_room() {
    let _watchdog = watchdog!(60);
    let name = Name::new("room-after-death");
    let ring: Ring<u64> = config(Form::Word).create(name.as_str()).unwrap();
    let mut tx = ring.producer().unwrap();
    let mut consumer = start("consumer", &name, Form::Word, &[]);
    consumer.kill();
    assert!(
        matches!(tx.peer().unwrap(), Peer::Died { pid } if pid == consumer.pid()),
        "{:?}",
        tx.peer().unwrap()
    );
    (0..16).for_each(|n| tx.send(n).expect("there is room"));
    assert_eq!(
        tx.try_send(16),
        Err(SendError::OwnerDied(16)),
        "full, and nobody will come"
    );
    assert_eq!(tx.send(17), Err(SendError::OwnerDied(17)));
    let mut rx = ring.consumer().unwrap();
    (0..16).for_each(|n| assert_eq!(rx.recv(), Ok(n)));
}

#[test]
fn a_second_producer_goes_on_where_the_committed_messages_of_a_killed_one_end() {
    let _watchdog = watchdog!(60);
    for form in Form::ALL {
        let name = Name::new("producer-successor");
        form.create(&config(form), name.as_str()).unwrap();
        let mut consumer = start("consumer", &name, form, &[]);
        let mut expected = Vec::new();
        for generation in 0..20 {
            let first = format!("{}", generation * 1000);
            let mut producer = start("producer", &name, form, &["--first", &first]);
            assert_eq!(producer.ask("send 3"), "sent 3");
            // Killed with a claim in hand, written but not committed.
            assert_eq!(producer.ask("claim"), "holding");
            producer.kill();
            expected.extend((0..3).map(|n| format!(" {}", generation * 1000 + n)));
            if generation % 2 == 1 {
                let answer = consumer.ask(&format!("guard {}", expected.len()));
                assert_eq!(answer, format!("got{}", expected.concat()), "{form:?}");
                expected.clear();
            }
        }
        assert_eq!(
            consumer.ask("drain"),
            "got, then OwnerDied",
            "nothing uncommitted is seen"
        );
    }
}

#[test]
fn a_claim_that_filled_the_ring_gives_all_of_it_back_at_the_death_of_its_owner() {
    let _watchdog = watchdog!(60);
    let name = Name::new("claim-gives-back");
    let ring: Ring<[u8]> = Config::spsc().capacity(4096).create(name.as_str()).unwrap();
    let len_max = format!("{}", ring.max_message_len());
    let mut rx = ring.consumer().unwrap();
    for _ in 0..5 {
        let more = ["--len-max", &len_max];
        let mut producer = start("producer", &name, Form::Bytes, &more);
        assert_eq!(producer.ask("claim"), "holding");
        producer.kill();
        assert_eq!(rx.recv(&mut [0; 8]), Err(RecvError::OwnerDied));
        let mut tx = ring.producer().unwrap();
        let longest = vec![9; ring.max_message_len()];
        tx.try_send(&longest).expect("the whole ring is free");
        assert_eq!(rx.recv_ref().unwrap().to_vec(), longest);
    }
}

#[test]
fn a_message_that_a_killed_consumer_held_comes_again_and_is_marked() {
    let _watchdog = watchdog!(60);
    for form in Form::ALL {
        let name = Name::new("consumer-successor");
        form.create(&config(form), name.as_str()).unwrap();
        let mut producer = start("producer", &name, form, &[]);
        assert_eq!(producer.ask("send 5"), "sent 5");
        let mut first = start("consumer", &name, form, &[]);
        assert_eq!(first.ask("guard 2"), "got 0 1");
        assert_eq!(first.ask("hold"), "holding 2");
        first.kill();
        let mut second = start("consumer", &name, form, &[]);
        assert_eq!(second.ask("hold"), "holding 2*", "{form:?}");
        second.kill();
        let mut third = start("consumer", &name, form, &[]);
        assert_eq!(
            third.ask("guard 3"),
            "got 2* 3 4",
            "{form:?}: only what was taken is marked"
        );
        assert_eq!(producer.ask("send 2"), "sent 2");
        assert_eq!(third.ask("guard 2"), "got 5 6", "{form:?}");
        third.finish();
    }
}

#[test]
fn a_message_that_was_released_never_comes_again() {
    let _watchdog = watchdog!(120);
    for form in Form::ALL {
        let name = Name::new("released-stays-released");
        form.create(&config(form), name.as_str()).unwrap();
        let mut producer = start("producer", &name, form, &[]);
        let mut next = 0;
        for round in 1..=6 {
            assert_eq!(
                producer.ask(&format!("send {round}")),
                format!("sent {round}")
            );
            let mut consumer = start("consumer", &name, form, &[]);
            let expected: Vec<String> = (next..next + round).map(|n| format!(" {n}")).collect();
            let order = if round % 2 == 0 { "recv" } else { "guard" };
            let answer = consumer.ask(&format!("{order} {round}"));
            assert_eq!(
                answer,
                format!("got{}", expected.concat()),
                "{form:?}: after a kill"
            );
            next += round;
            consumer.kill();
        }
    }
}

#[test]
fn a_batch_that_a_killed_consumer_held_comes_again_and_is_marked() {
    let _watchdog = watchdog!(60);
    let name = Name::new("batch-redelivered");
    Form::Bytes
        .create(&config(Form::Bytes), name.as_str())
        .unwrap();
    let mut producer = start("producer", &name, Form::Bytes, &[]);
    assert_eq!(producer.ask("send 8"), "sent 8");
    let mut first = start("consumer", &name, Form::Bytes, &[]);
    assert_eq!(first.ask("recv 1"), "got 0");
    assert_eq!(first.ask("hold-batch 4"), "holding 1 2 3 4");
    first.kill();
    let mut second = start("consumer", &name, Form::Bytes, &[]);
    assert_eq!(second.ask("guard 7"), "got 1* 2* 3* 4* 5 6 7");
}

#[test]
fn a_mark_of_redelivery_outlives_the_successor_that_saw_only_a_part() {
    let _watchdog = watchdog!(60);
    let name = Name::new("mark-outlives");
    Form::Bytes
        .create(&config(Form::Bytes), name.as_str())
        .unwrap();
    let mut producer = start("producer", &name, Form::Bytes, &[]);
    assert_eq!(producer.ask("send 6"), "sent 6");
    let mut first = start("consumer", &name, Form::Bytes, &[]);
    assert_eq!(first.ask("hold-batch 4"), "holding 0 1 2 3");
    first.kill();
    let mut second = start("consumer", &name, Form::Bytes, &[]);
    assert_eq!(second.ask("guard 1"), "got 0*");
    assert_eq!(second.ask("hold"), "holding 1*");
    second.kill();
    // The first one had seen 2 and 3 too.
    let mut third = start("consumer", &name, Form::Bytes, &[]);
    assert_eq!(third.ask("guard 5"), "got 1* 2* 3* 4 5");
}

#[test]
fn both_sides_killed_in_their_claims_leave_a_ring_that_works() {
    let _watchdog = watchdog!(60);
    for form in Form::ALL {
        let name = Name::new("both-killed");
        form.create(&config(form), name.as_str()).unwrap();
        for round in 0..5 {
            let first = (round * 100).to_string();
            let mut producer = start("producer", &name, form, &["--first", &first]);
            let mut consumer = start("consumer", &name, form, &[]);
            assert_eq!(producer.ask("send 2"), "sent 2");
            assert_eq!(consumer.ask("hold"), format!("holding {}", round * 100));
            assert_eq!(producer.ask("claim"), "holding");
            producer.kill();
            consumer.kill();
            let mut consumer = start("consumer", &name, form, &[]);
            let expected = format!("got {}* {}, then OwnerDied", round * 100, round * 100 + 1);
            assert_eq!(consumer.ask("drain"), expected, "{form:?}");
            consumer.kill();
        }
    }
}

#[test]
fn a_peer_that_was_killed_and_not_reaped_is_reported_as_died() {
    let _watchdog = watchdog!(60);
    let name = Name::new("zombie");
    let ring: Ring<u64> = config(Form::Word).create(name.as_str()).unwrap();
    let mut rx = ring.consumer().unwrap();
    let mut producer = start("producer", &name, Form::Word, &[]);
    assert_eq!(producer.ask("send 1"), "sent 1");
    producer.kill_without_reaping();
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
    assert!(
        matches!(rx.peer().unwrap(), Peer::Died { pid } if pid == producer.pid()),
        "{:?}",
        rx.peer().unwrap()
    );
    let mut tx = ring.producer().expect("a zombie holds no role");
    tx.send(5).unwrap();
    assert_eq!(rx.recv(), Ok(5));
}

#[test]
fn a_process_that_ends_without_dropping_its_endpoint_counts_as_crashed() {
    let _watchdog = watchdog!(60);
    let name = Name::new("leave");
    Form::Word
        .create(&config(Form::Word), name.as_str())
        .unwrap();
    let mut producer = start("producer", &name, Form::Word, &[]);
    let mut consumer = start("consumer", &name, Form::Word, &[]);
    assert_eq!(producer.ask("send 1"), "sent 1");
    consumer.say("drain");
    producer.say("leave");
    assert!(producer.wait().success());
    consumer.expect("got 0, then OwnerDied");
}

#[test]
fn a_process_that_becomes_another_program_counts_as_crashed_although_it_lives() {
    let _watchdog = watchdog!(60);
    let name = Name::new("exec");
    let ring: Ring<u64> = config(Form::Word).create(name.as_str()).unwrap();
    let mut rx = ring.consumer().unwrap();
    let mut producer = start("producer", &name, Form::Word, &[]);
    assert_eq!(producer.ask("send 1"), "sent 1");
    // The other program says this, and has no ring.
    assert_eq!(producer.ask("exec"), "ready");
    assert_eq!(rx.recv(), Ok(0));
    assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
    let mut tx = ring.producer().expect("the role is free");
    tx.send(1).unwrap();
    assert_eq!(rx.recv(), Ok(1));
}

#[test]
fn life_and_death_are_seen_across_pid_namespaces() {
    let _watchdog = watchdog!(60);
    let name = Name::new("pid-namespaces");
    let ring: Ring<u64> = config(Form::Word).create(name.as_str()).unwrap();
    let start = |role: &str| {
        let target = [role, "--name", name.as_str(), "--form", "word"];
        children::Peer::start(ring_peer!(), &[&["--pid-namespace"], &target[..]].concat())
    };
    let (mut producer, mut consumer) = (start("producer"), start("consumer"));
    for peer in [&mut producer, &mut consumer] {
        let said = peer.line().unwrap();
        if let Some(why) = said.strip_prefix("skipped ") {
            return skip_aloud("life and death across PID namespaces", why);
        }
        assert_eq!(said, "ready");
    }
    // Each is process 1 of its own world, so by their numbers they could not tell each other from themselves.
    for peer in [&mut producer, &mut consumer] {
        let said = peer.ask("peer");
        assert!(said.contains("Attached { pid: 1,"), "{said}");
    }
    consumer.say("recv 3");
    std::thread::sleep(ASLEEP);
    assert_eq!(consumer.line_if_any(), None, "nobody is taken for dead");
    assert_eq!(producer.ask("send 2"), "sent 2");
    producer.kill();
    consumer.expect("got 0 1, then OwnerDied");
    assert!(matches!(
        ring.consumer_peer().unwrap(),
        Peer::Attached { pid: 1, .. }
    ));
    assert_eq!(ring.producer_peer().unwrap(), Peer::Died { pid: 1 });
}

#[test]
fn a_stopped_peer_is_alive() {
    let _watchdog = watchdog!(60);
    let name = Name::new("stopped");
    let ring: Ring<u64> = config(Form::Word).create(name.as_str()).unwrap();
    let mut rx = ring.consumer().unwrap();
    let mut producer = start("producer", &name, Form::Word, &[]);
    producer.signal(Signal::SIGSTOP);
    assert_eq!(rx.recv_timeout(3 * ASLEEP), Err(RecvError::TimedOut));
    assert!(matches!(rx.peer().unwrap(), Peer::Attached { pid, .. } if pid == producer.pid()));
    assert!(ring.producer().is_err(), "its role is taken");
    producer.signal(Signal::SIGCONT);
    assert_eq!(producer.ask("send 1"), "sent 1");
    assert_eq!(rx.recv(), Ok(0));
}

#[test]
fn the_kernel_is_asked_who_lives() {
    let _watchdog = watchdog!(60);
    let name = Name::new("who-lives");
    let ring: Ring<u64> = config(Form::Word).create(name.as_str()).unwrap();
    assert_eq!(
        (ring.producer_peer().unwrap(), ring.consumer_peer().unwrap()),
        (Peer::Absent, Peer::Absent)
    );
    let before = SystemTime::now();
    let mut producer = start("producer", &name, Form::Word, &[]);
    let after = SystemTime::now();
    let Peer::Attached { pid, since } = ring.producer_peer().unwrap() else {
        panic!("{:?}", ring.producer_peer().unwrap());
    };
    assert_eq!(pid, producer.pid());
    let second = Duration::from_secs(1);
    assert!(
        before - second <= since && since <= after + second,
        "{before:?} {since:?} {after:?}"
    );
    assert!(
        ring.producer_peer().unwrap() == Peer::Attached { pid, since },
        "it is the same as before"
    );
    producer.kill();
    assert_eq!(ring.producer_peer().unwrap(), Peer::Died { pid });
    let mut producer = start("producer", &name, Form::Word, &[]);
    assert_eq!(producer.ask("close"), "closed");
    assert_eq!(ring.producer_peer().unwrap(), Peer::Closed);
    assert_eq!(ring.consumer_peer().unwrap(), Peer::Absent);
}

#[test]
fn a_successor_ends_the_state_that_its_predecessor_left() {
    let _watchdog = watchdog!(60);
    let name = Name::new("state-ends");
    let ring: Ring<u64> = config(Form::Word)
        .wait(Wait::Park)
        .create(name.as_str())
        .unwrap();
    let mut rx = ring.consumer().unwrap();
    for _ in 0..3 {
        let mut producer = start("producer", &name, Form::Word, &[]);
        producer.kill();
        assert_eq!(rx.recv(), Err(RecvError::OwnerDied));
        assert_eq!(rx.recv(), Err(RecvError::OwnerDied), "it stays so");
        assert_eq!(rx.try_recv(), Err(RecvError::OwnerDied));
        let mut producer = start("producer", &name, Form::Word, &[]);
        assert_eq!(
            rx.try_recv(),
            Err(RecvError::Empty),
            "there is a producer again"
        );
        assert_eq!(producer.ask("send 1"), "sent 1");
        assert_eq!(rx.recv(), Ok(0));
        producer.finish();
        assert_eq!(
            rx.recv(),
            Err(RecvError::Disconnected),
            "and this one closed"
        );
    }
}
