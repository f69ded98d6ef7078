//! Rings on a tmpfs that is almost too small for them.

use std::fs::{self, File};
use std::io::Write as _;

use integration_tests::names::SHM_FOLDER;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use nix::sys::statvfs::statvfs;
use shm_ringbuf::{Config, Error};

use crate::namespace::enter;

const SIZE: usize = 1 << 20;

/// Says `skipped WHY`, or `done` after each step went as it should; else it panics.
pub(crate) fn play() {
    if let Err(why) = mount_small_tmpfs() {
        println!("skipped {why}");
        return;
    }
    let config = |capacity| Config::spsc().capacity(capacity);
    too_large_leaves_nothing();
    // A fit: every byte of it can be used although others eat up the rest.
    let ring = config(SIZE / 4)
        .create::<[u8]>("/fits")
        .expect("a quarter fits");
    eat_the_rest();
    assert!(matches!(
        config(4096).create::<u64>("/late"),
        Err(Error::NoSpace { .. })
    ));
    assert!(!fs::exists(format!("{SHM_FOLDER}/late")).expect("readable"));
    let mut producer = ring.producer().expect("no space is needed");
    let mut consumer = ring.consumer().expect("no space is needed");
    let message = vec![0x5a; ring.max_message_len() / 3];
    let mut buffer = vec![0; ring.max_message_len()];
    for _ in 0..100 {
        producer.try_send(&message).expect("room");
        let len = consumer.try_recv(&mut buffer).expect("a message");
        assert_eq!(buffer[..len], message);
    }
    println!("done");
}

fn too_large_leaves_nothing() {
    let free = || {
        let status = statvfs(SHM_FOLDER).expect("mounted");
        status.blocks_available()
    };
    let before = free();
    for capacity in [SIZE, 2 * SIZE, 64 * SIZE] {
        let result = Config::spsc().capacity(capacity).create::<[u8]>("/large");
        assert!(
            matches!(result, Err(Error::NoSpace { .. })),
            "{capacity}: {result:?}"
        );
        let result = Config::spsc()
            .capacity(capacity)
            .open_or_create::<[u8]>("/large");
        assert!(
            matches!(result, Err(Error::NoSpace { .. })),
            "{capacity}: {result:?}"
        );
    }
    assert_eq!(
        free(),
        before,
        "a ring that was refused gives all its pages back"
    );
    assert_eq!(fs::read_dir(SHM_FOLDER).expect("mounted").count(), 0);
}

pub(crate) fn eat_the_rest() {
    let mut file = File::create(format!("{SHM_FOLDER}/eater")).expect("an inode");
    while file.write_all(&[0; 4096]).is_ok() {}
}

/// Puts a tmpfs of one megabyte where shared memory is, for this process alone.
pub(crate) fn mount_small_tmpfs() -> Result<(), String> {
    enter(CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).map_err(|error| format!("mount: {error}"))?;
    let options = format!("size={SIZE},mode=1777");
    let (kind, options) = (Some("tmpfs"), Some(options.as_str()));
    mount(Some("small"), SHM_FOLDER, kind, MsFlags::empty(), options)
        .map_err(|error| format!("mount tmpfs: {error}"))
}
