//! A participant of a semaphore that is killed, or stopped, at every instruction of what it does.
//!
//! An instruction that does not change the segment leaves to the others what the one before it left. So the victim meets its fate after each one that does, and
//! here and there in between: at a few places in the short form, at a thousand in the long one, which are all instructions of a short operation. (What
//! dies with the victim, its locks above all, is the same at all of them.)

use std::cell::Cell;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use integration_tests::children::Peer;
use integration_tests::names::Name;
use integration_tests::stepper::{Step, Stepper, stay_on_one_processor};
use integration_tests::{ring_peer, short_or_long, skip_aloud, watchdog};
use shm_semaphore::{AcquireError, NamedSemaphore, SemaphoreOptions};

const PERMITS: u32 = 4;
const PARTICIPANTS_MAX: u32 = 4;
/// How long the others may need for what they are promised: a generous multiple of 100 ms.
const PROMISED: Duration = Duration::from_secs(10);
/// Places beside those where the segment changes.
const SAMPLES: usize = 3;
const SAMPLES_LONG: usize = 1000;
/// The header does not change.
const HEADER_LEN: u64 = 4096;
/// All behind it: the words, and the participants.
const SHARED_LEN_MAX: usize = 128 * (1 + PARTICIPANTS_MAX as usize);
/// After so many rounds we have the semaphore to ourselves.
const ROUNDS_TO_OWN: u32 = 1000;
/// For a permit that may never come.
const A_WHILE: Duration = Duration::from_millis(60);

/// A victim's operation, and what it meets.
#[derive(Clone, Copy)]
struct Scene {
    /// The operation, as the peer calls it.
    what: &'static str,
    participants: u32,
    /// A participant that owns a permit has died before.
    has_dead: bool,
    /// We have the semaphore to ourselves.
    is_ours: bool,
    /// So many permits we have taken, as nobody's own.
    taken: u32,
    /// So many of them we give back when the victim sleeps for the second time.
    given: u32,
    /// So many permits may be lost with a killed victim.
    lost_max: u32,
}

impl Scene {
    fn of(what: &'static str) -> Self {
        Self {
            what,
            participants: PARTICIPANTS_MAX,
            has_dead: false,
            is_ours: false,
            taken: 0,
            given: 0,
            lost_max: 0,
        }
    }
}

/// Where in the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// After so many changes of the segment.
    Change(usize),
    /// After so many instructions.
    Instruction(usize),
}

impl Place {
    /// Behind every operation.
    const END: Self = Self::Change(usize::MAX);
}

/// What becomes of the victim there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Killed,
    /// Others get on meanwhile, and then it goes on as well.
    Stopped,
}

/// How long an operation was, if it came to its end.
#[derive(Clone, Copy, Debug)]
struct Length {
    changes: usize,
    instructions: usize,
}

/// A semaphore with us as a participant.
struct Stage {
    scene: Scene,
    name: Name,
    file: File,
    us: NamedSemaphore,
    /// Permits that we hold.
    held: Cell<u32>,
}

impl Stage {
    fn new(scene: Scene) -> Self {
        let name = Name::new("every-instruction");
        let options = SemaphoreOptions::new().participants(scene.participants);
        let us = options.create(name.as_str(), PERMITS).unwrap();
        let stage = Self {
            scene,
            file: File::open(name.file()).unwrap(),
            name,
            us,
            held: Cell::new(0),
        };
        if scene.has_dead {
            let mut dead = stage.start("take");
            assert_eq!(dead.ask("go"), "done");
            dead.kill();
        }
        stage
    }

    fn start(&self, what: &str) -> Peer {
        let mut peer = Peer::start(ring_peer!(), &["step", self.name.as_str(), what]);
        peer.expect("ready");
        peer
    }

    /// A victim that is ready to begin, and we are as well.
    fn start_victim(&self) -> Peer {
        let victim = self.start(self.scene.what);
        if self.scene.is_ours {
            for _ in 0..ROUNDS_TO_OWN {
                self.us.acquire().unwrap();
                self.us.release(1).unwrap();
            }
        }
        self.us.try_acquire_many(self.scene.taken).unwrap();
        self.held.set(self.scene.taken);
        victim
    }

    /// The words and the participants.
    fn bytes(&self) -> [u8; SHARED_LEN_MAX] {
        let mut bytes = [0; SHARED_LEN_MAX];
        // A smaller segment ends before.
        self.file.read_at(&mut bytes, HEADER_LEN).unwrap();
        bytes
    }

    /// Takes the victim to a place, or to its end if that comes before.
    fn come_to(&self, place: Place, stepper: &mut Stepper<'_>) -> Option<Length> {
        let (mut changes, mut instructions, mut sleeps) = (0, 0, 0);
        let mut before = self.bytes();
        while place != Place::Change(changes) && place != Place::Instruction(instructions) {
            match stepper.step() {
                Step::Done => instructions += 1,
                Step::Mark => {
                    return Some(Length {
                        changes,
                        instructions,
                    });
                }
                Step::Asleep => {
                    sleeps += 1;
                    if sleeps == 2 {
                        self.give_what_is_waited_for();
                        before = self.bytes();
                    }
                }
            }
            let now = self.bytes();
            changes += usize::from(now != before);
            before = now;
        }
        None
    }

    /// If we have not done so before.
    fn give_what_is_waited_for(&self) {
        if self.held.get() == self.scene.taken {
            self.give(self.scene.given);
        }
    }

    fn give(&self, permits: u32) {
        self.us.release(permits).unwrap();
        self.held.set(self.held.get() - permits);
    }

    /// Takes a permit, which is there for us unless others may have them all.
    fn get_on(&self) {
        let Scene {
            taken, has_dead, ..
        } = self.scene;
        let must_be_there = taken + u32::from(has_dead) + 1 < PERMITS;
        let patience = if must_be_there { PROMISED } else { A_WHILE };
        let answer = self.us.acquire_timeout(patience);
        assert!(
            answer.is_ok() || !must_be_there && answer == Err(AcquireError::TimedOut),
            "{answer:?}"
        );
        self.held.set(self.held.get() + u32::from(answer.is_ok()));
        if answer.is_ok() && self.scene.given > 0 {
            // It was meant for the victim.
            self.give(1);
        }
    }

    /// Every permit is there, once, but for so many that may be lost.
    fn count(&self, lost_max: u32) {
        let missing = PERMITS - self.held.get();
        let come_back = missing.saturating_sub(lost_max);
        let answer = self.us.acquire_many_timeout(come_back, PROMISED);
        let left = self.us.permits();
        assert_eq!(
            answer,
            Ok(()),
            "{come_back} come back, but there are {left}"
        );
        assert!(left <= missing - come_back, "{left} too many");
        assert_eq!(self.us.participants(), 1, "we alone are left");
    }
}

/// Plays a scene: the victim meets its fate at a place, and the others keep what they were promised. Says how long the operation was if that place is behind
/// its end.
fn play(scene: Scene, place: Place, fate: Fate) -> Option<Length> {
    let stage = Stage::new(scene);
    let mut victim = stage.start_victim();
    let mut stepper = Stepper::seize(&mut victim).expect("it was asked before");
    stepper.say_and_run_to_mark("go");
    let length = stage.come_to(place, &mut stepper);
    if fate == Fate::Killed && length.is_none() {
        stepper.kill();
        stage.count(scene.lost_max);
        return None;
    }
    if length.is_none() {
        stage.get_on();
    }
    stepper.let_go();
    stage.give_what_is_waited_for();
    victim.expect("done");
    victim.finish();
    stage.count(0);
    length
}

/// Plays a scene at every place that matters, and says how long it was; `None` where the system lets nobody be traced.
fn play_everywhere(scene: Scene) -> Option<Length> {
    if !may_trace() {
        return None;
    }
    stay_on_one_processor();
    let length = play(scene, Place::END, Fate::Stopped).expect("nothing is behind the end");
    assert!(length.changes > 0, "it does something");
    let apart = length
        .instructions
        .div_ceil(short_or_long(SAMPLES, SAMPLES_LONG));
    let samples = (0..length.instructions).step_by(apart);
    let changes = (1..=length.changes).map(Place::Change);
    for place in changes.chain(samples.map(Place::Instruction)) {
        for fate in [Fate::Killed, Fate::Stopped] {
            let played = catch_unwind(AssertUnwindSafe(|| play(scene, place, fate)));
            if let Err(panic) = played {
                eprintln!("{}: {fate:?} at {place:?} of {length:?}", scene.what);
                resume_unwind(panic);
            }
        }
    }
    Some(length)
}

/// Whether the system lets us trace a child.
fn may_trace() -> bool {
    let stage = Stage::new(Scene::of("take"));
    let mut victim = stage.start_victim();
    let answer = Stepper::seize(&mut victim).map(drop);
    if let Err(error) = answer {
        skip_aloud("every instruction", &format!("no tracing here: {error}"));
    }
    answer.is_ok()
}

#[test]
fn an_owned_permit_that_is_taken_comes_back() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene::of("take"));
}

#[test]
fn an_owned_permit_that_is_given_back_comes_back_once() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene::of("give"));
}

#[test]
fn a_permit_that_nobody_owns_is_lost_at_most_once() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene {
        lost_max: 1,
        ..Scene::of("unowned")
    });
}

#[test]
fn a_participant_that_begins_to_have_it_to_itself_loses_nothing() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene::of("begin-bias"));
}

#[test]
fn a_participant_that_has_it_to_itself_loses_nothing() {
    let _watchdog = watchdog!(120);
    if let Some(length) = play_everywhere(Scene::of("biased")) {
        assert_eq!(length.changes, 2, "it takes and gives, a word each");
    }
}

#[test]
fn a_participant_that_takes_it_from_the_one_who_has_it_loses_nothing() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene {
        is_ours: true,
        ..Scene::of("take")
    });
}

#[test]
fn a_participant_that_brings_back_what_a_dead_one_owned_brings_it_back_once() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene {
        has_dead: true,
        taken: PERMITS - 1,
        ..Scene::of("look")
    });
}

#[test]
fn a_waiter_takes_no_permit_and_no_wake_with_it() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene {
        taken: PERMITS,
        given: 1,
        ..Scene::of("wait")
    });
}

#[test]
fn a_newcomer_leaves_nothing_behind() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene::of("join"));
}

#[test]
fn a_newcomer_on_the_seat_of_a_dead_one_leaves_nothing_behind() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene {
        participants: 2,
        has_dead: true,
        ..Scene::of("join")
    });
}

#[test]
fn one_who_leaves_gives_all_back_once() {
    let _watchdog = watchdog!(120);
    play_everywhere(Scene::of("leave"));
}
