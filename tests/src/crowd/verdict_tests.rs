use super::*;

fn id(producer: u32, sequence: u64) -> Id {
    Id { producer, sequence }
}

/// A message that was taken at a time, and released.
fn taken(consumer: u32, id: Id, position: u64, at_ns: u64) -> Delivery {
    Delivery {
        id,
        consumer,
        mark: Some((position, false)),
        begun_ns: at_ns,
        seen_ns: at_ns + 1,
        phase: Phase::Released,
    }
}

/// Calls that found nothing, and that did not wait.
fn vain<const N: usize>(looks: [(u64, u64); N]) -> Vec<VainLook> {
    let look = |(begun_ns, ended_ns)| VainLook {
        begun_ns,
        ended_ns,
        timeout_ns: 0,
    };
    looks.map(look).to_vec()
}

/// Producers 1 and 2 send three messages each, in turn, and consumers 3 and 4 receive them in turn.
fn sound() -> Notes {
    let line = Line {
        attempted: 3,
        committed: 3,
        ..Line::default()
    };
    let order = [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2), (2, 2)];
    let deliveries = order.into_iter().enumerate().map(|(at, (producer, n))| {
        let at = at as u64;
        taken(3 + at as u32 % 2, id(producer, n), 10 + at, 1000 + 10 * at)
    });
    let sendings = order.into_iter().enumerate().map(|(at, (producer, n))| {
        let begun_ns = 100 + 10 * at as u64;
        Sending {
            first: id(producer, n),
            count: 1,
            begun_ns,
            ended_ns: begun_ns + 5,
        }
    });
    Notes {
        lines: [(1, line), (2, line)].into(),
        deliveries: deliveries.collect(),
        sendings: sendings.collect(),
        empties: vain([(50, 60), (90, 103), (1045, 1060), (1070, 1080)]),
    }
}

/// The same, but consumer 4 was killed with so many messages in hand, and has not released the last one that it took.
fn with_a_death(in_hand: u64, unseen: u64) -> Notes {
    let mut notes = sound();
    let line = Line {
        in_hand,
        unseen,
        dead: true,
        ..Line::default()
    };
    notes.lines.insert(4, line);
    notes.deliveries[5].phase = Phase::Held;
    notes
}

fn again(mut delivery: Delivery, consumer: u32) -> Delivery {
    delivery.consumer = consumer;
    delivery.mark = delivery.mark.map(|(position, _)| (position, true));
    delivery.seen_ns += 500;
    delivery.phase = Phase::Released;
    delivery
}

#[track_caller]
fn assert_faults(notes: &Notes, policy: Policy, expected: &[Fault]) {
    assert_eq!(notes.judge(policy), Err(expected.to_vec()));
}

#[test]
fn a_sound_course_passes() {
    let summary = Summary {
        received: 6,
        ..Summary::default()
    };
    assert_eq!(sound().judge(Policy::Mark), Ok(summary));
    assert_eq!(sound().judge(Policy::Drop), Ok(summary));
}

#[test]
fn unknown_and_lost_messages_are_found() {
    let mut notes = sound();
    notes.deliveries[3].id = id(7, 0);
    notes.deliveries[5].id = id(2, 3);
    let expected = [
        Fault::Unknown(id(7, 0)),
        Fault::Unknown(id(2, 3)),
        Fault::Lost(id(2, 1)),
        Fault::Lost(id(2, 2)),
    ];
    assert_faults(&notes, Policy::Mark, &expected);
}

#[test]
fn a_duplicate_is_found_unless_the_first_one_died_with_it() {
    let mut notes = sound();
    notes.deliveries.push(again(notes.deliveries[5], 3));
    assert_faults(&notes, Policy::Mark, &[Fault::Duplicated(id(2, 2))]);
    let mut notes = with_a_death(1, 0);
    notes.deliveries.push(again(notes.deliveries[5], 3));
    let summary = notes.judge(Policy::Mark).unwrap();
    assert_eq!((summary.received, summary.again), (6, 1));
    assert_faults(&notes, Policy::Drop, &[Fault::Duplicated(id(2, 2))]);
    notes.deliveries[5].phase = Phase::Releasing;
    assert!(notes.judge(Policy::Mark).is_ok());
    notes.deliveries[5].phase = Phase::Released;
    assert_faults(&notes, Policy::Mark, &[Fault::Duplicated(id(2, 2))]);
}

#[test]
fn a_redelivered_message_without_a_mark_is_found() {
    let mut notes = with_a_death(1, 0);
    let mut delivery = again(notes.deliveries[5], 3);
    delivery.mark = Some((16, false));
    notes.deliveries.push(delivery);
    assert_faults(&notes, Policy::Mark, &[Fault::Unmarked(id(2, 2))]);
}

#[test]
fn a_mark_in_vain_is_found() {
    let mut notes = sound();
    notes.deliveries[2].mark = Some((12, true));
    assert_faults(&notes, Policy::Mark, &[Fault::MarkedInVain(id(1, 1))]);
    let mut notes = with_a_death(1, 1);
    notes.deliveries[2].mark = Some((12, true));
    assert_eq!(notes.judge(Policy::Mark).unwrap().again, 1);
}

#[test]
fn what_a_dead_consumer_held_must_come_again_or_be_dropped() {
    let notes = with_a_death(1, 0);
    assert_faults(&notes, Policy::Mark, &[Fault::Lost(id(2, 2))]);
    assert_eq!(notes.judge(Policy::Drop).unwrap().missing, 1);
    let notes = with_a_death(0, 0);
    assert_faults(&notes, Policy::Drop, &[Fault::Lost(id(2, 2))]);
    let mut notes = with_a_death(1, 0);
    notes.deliveries[5].phase = Phase::Releasing;
    assert_eq!(notes.judge(Policy::Mark).unwrap().doubtful, 1);
    // One that it may have released before it could note it.
    let mut notes = with_a_death(1, 1);
    notes.deliveries.remove(5);
    assert_eq!(notes.judge(Policy::Mark).unwrap().missing, 1);
}

#[test]
fn a_doubt_leaves_no_hole_and_no_torn_batch() {
    let mut notes = sound();
    let line = notes.lines.get_mut(&1).unwrap();
    (line.attempted, line.dead) = (6, true);
    assert_eq!(notes.judge(Policy::Mark).unwrap().never_came, 3);
    notes.lines.get_mut(&1).unwrap().whole = true;
    assert_eq!(notes.judge(Policy::Mark).unwrap().never_came, 3);
    notes.deliveries.push(taken(3, id(1, 3), 16, 2000));
    assert_faults(&notes, Policy::Mark, &[Fault::Torn(id(1, 4))]);
    notes.deliveries.push(taken(3, id(1, 5), 17, 2010));
    assert_faults(&notes, Policy::Mark, &[Fault::Lost(id(1, 4))]);
    notes.deliveries.insert(7, taken(3, id(1, 4), 17, 2010));
    notes.deliveries[8].mark = Some((18, false));
    assert!(notes.judge(Policy::Mark).is_ok());
}

#[test]
fn an_order_that_a_consumer_must_not_see_is_found() {
    let mut notes = sound();
    // Both were received by consumer 3.
    (notes.deliveries[0].id, notes.deliveries[2].id) = (id(1, 1), id(1, 0));
    (notes.deliveries[0].mark, notes.deliveries[2].mark) = (None, None);
    let fault = Fault::OutOfOrder(id(1, 1), id(1, 0));
    assert_faults(&notes, Policy::Mark, &[fault]);
}

#[test]
fn wrong_positions_are_found() {
    let mut notes = sound();
    notes.sendings.clear();
    (notes.deliveries[1].mark, notes.deliveries[3].mark) = (Some((13, false)), Some((11, false)));
    let expected = [
        Fault::PositionBack(id(2, 0), id(2, 1)),
        Fault::PositionsAgainstTime(id(2, 0), id(2, 1)),
    ];
    assert_faults(&notes, Policy::Mark, &expected);
    let mut notes = sound();
    notes.deliveries[1].mark = Some((10, false));
    let fault = Fault::SamePosition(id(1, 0), id(2, 0));
    assert_faults(&notes, Policy::Mark, &[fault]);
}

#[test]
fn positions_that_go_against_the_order_of_sending_are_found() {
    let mut notes = sound();
    (notes.sendings[4].begun_ns, notes.sendings[4].ended_ns) = (10, 20);
    let faults = notes.judge(Policy::Mark).unwrap_err();
    let fault = Fault::PositionsAgainstTime(id(1, 0), id(1, 2));
    assert!(faults.contains(&fault), "{faults:?}");
    // If they overlap any order will do.
    (notes.sendings[4].begun_ns, notes.sendings[4].ended_ns) = (10, 400);
    assert!(notes.judge(Policy::Mark).is_ok());
}

#[test]
fn a_message_that_was_overlooked_is_found() {
    let mut notes = sound();
    // The last one was sent by 155, and nobody began to receive it before 1050.
    notes.empties = vain([(160, 1049)]);
    let fault = Fault::Overlooked {
        id: id(2, 2),
        before_ns: 5,
        look_ns: 889,
        after_ns: 1,
        behind: None,
    };
    assert_faults(&notes, Policy::Mark, &[fault]);
    notes.empties = vain([(160, 1050)]);
    assert!(notes.judge(Policy::Mark).is_ok());
    notes.empties = vain([(100, 1040)]);
    assert!(notes.judge(Policy::Mark).is_ok());
}

#[test]
fn what_was_overlooked_by_a_call_that_was_stopped_is_told_with_what_lay_in_its_way() {
    const LATER_NS: u64 = 10 * OVERRUN_NS;
    let mut notes = sound();
    // The first producer's last claim was under way before the other one's last message was sent, and both are received long after the look.
    for delivery in &mut notes.deliveries[4..] {
        delivery.begun_ns += LATER_NS;
        delivery.seen_ns += LATER_NS;
    }
    notes.sendings[4].ended_ns = LATER_NS;
    let look = VainLook {
        begun_ns: 160,
        ended_ns: 160 + 5 * OVERRUN_NS,
        timeout_ns: 3 * OVERRUN_NS,
    };
    let behind = |notes: &mut Notes, look| {
        notes.empties = vec![look];
        let faults = notes.judge(Policy::Mark).unwrap_err();
        match faults[..] {
            [Fault::Overlooked { behind, .. }] => behind,
            _ => panic!("{faults:?}"),
        }
    };
    assert_eq!(behind(&mut notes, look), Some(id(1, 2)));
    let in_time = VainLook {
        ended_ns: 160 + 3 * OVERRUN_NS,
        ..look
    };
    assert_eq!(behind(&mut notes, in_time), None);
    let without_waiting = VainLook {
        timeout_ns: 0,
        ..look
    };
    assert_eq!(behind(&mut notes, without_waiting), None);
    notes.sendings[4].ended_ns = 160 + OVERRUN_NS;
    assert_eq!(behind(&mut notes, look), None);
}
