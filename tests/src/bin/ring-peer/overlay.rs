//! A ring on an overlay, which hands a mapping to another file than the one that was opened.

use std::fs::create_dir;

use integration_tests::names::SHM_FOLDER;
use nix::mount::{MsFlags, mount};
use nix::sched::CloneFlags;
use shm_ringbuf::{Config, Error};

use crate::namespace::enter;

/// Says `skipped WHY`; `refused`; or `works`, after two producers were not let in and a death was told. Else it panics.
pub(crate) fn play() {
    if let Err(why) = mount_overlay() {
        println!("skipped {why}");
        return;
    }
    let name = format!("{SHM_FOLDER}/merged/ring");
    match Config::spsc().create::<u64>(&name) {
        Err(Error::Unsupported { .. }) => {
            assert_eq!(
                std::fs::read_dir(format!("{SHM_FOLDER}/merged"))
                    .expect("mounted")
                    .count(),
                0
            );
            println!("refused");
        }
        Err(error) => panic!("{error}"),
        Ok(ring) => {
            let _first = ring.producer().expect("the first");
            assert!(matches!(ring.producer(), Err(Error::RoleTaken { .. })));
            println!("works");
        }
    }
}

fn mount_overlay() -> Result<(), String> {
    enter(CloneFlags::CLONE_NEWNS)?;
    let nothing: Option<&str> = None;
    let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
    mount(nothing, "/", nothing, private, nothing).map_err(|error| format!("mount: {error}"))?;
    mount(
        Some("below"),
        SHM_FOLDER,
        Some("tmpfs"),
        MsFlags::empty(),
        nothing,
    )
    .map_err(|error| format!("mount tmpfs: {error}"))?;
    let folder = |name: &str| format!("{SHM_FOLDER}/{name}");
    for name in ["lower", "upper", "work", "merged"] {
        create_dir(folder(name)).map_err(|error| format!("{name}: {error}"))?;
    }
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        folder("lower"),
        folder("upper"),
        folder("work")
    );
    let (kind, at, options) = (Some("overlay"), folder("merged"), Some(options.as_str()));
    mount(
        Some("overlay"),
        at.as_str(),
        kind,
        MsFlags::empty(),
        options,
    )
    .map_err(|error| format!("mount overlay: {error}"))
}
