//! An event loop that waits for another process: a worker counts up in shared memory, and a task of tokio follows it while a timer goes on beside it.
#![allow(unsafe_code, reason = "words in mapped memory")]

use std::fs::File;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use memmap2::{MmapOptions, MmapRaw};
use shm_semaphore::{EventCount, Pollable, Prepared, WaitKey, Waitable};
use tokio::io::{Interest, unix::AsyncFd};

/// How far the worker counts.
const STEPS: u32 = 200;

/// A page that both processes map: an event count, and behind it the number that it tells of.
struct Page(MmapRaw);

impl Page {
    fn map(file: &File) -> std::io::Result<Self> {
        MmapOptions::new().len(4096).map_raw(file).map(Self)
    }

    fn word(&self, index: usize) -> *mut u32 {
        let words: *mut u32 = self.0.as_mut_ptr().cast();
        words.wrapping_add(index)
    }

    fn changed(&self) -> &EventCount {
        // SAFETY: the first word of a page that is mapped for as long as `self` lives; all use it as an event count.
        unsafe { EventCount::from_ptr(self.word(0)) }
    }

    fn steps(&self) -> &AtomicU32 {
        // SAFETY: the second word of the same page; all use it as an atomic.
        unsafe { AtomicU32::from_ptr(self.word(1)) }
    }
}

/// What a [`Pollable`] needs: it keeps the page mapped for as long as it sleeps there.
impl Waitable for Page {
    fn prepared(&self, key: WaitKey) -> Prepared<'_> {
        self.changed().prepared(key)
    }
}

fn work(page: &Page) {
    for step in 1..=STEPS {
        page.steps().store(step, Ordering::Release);
        page.changed().notify_all();
        if step % 10 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn follow(page: Arc<Page>) -> std::io::Result<()> {
    let pollable = Pollable::new(Arc::clone(&page))?;
    // SAFETY: a pollable keeps one descriptor open for as long as it lives.
    let pollable = unsafe { AsyncFd::register_with_interest(pollable, Interest::READABLE) }?;
    let (mut seen, mut looks) = (0, 0);
    while seen < STEPS {
        let key = page.changed().prepare_wait();
        let now = page.steps().load(Ordering::Acquire);
        looks += 1;
        if now == seen {
            // Nothing since the last look: readable when there is, and now and then without a reason.
            pollable.get_ref().arm(key);
            pollable.readable().await?.clear_ready();
        } else {
            page.changed().cancel_wait(key);
            seen = now;
        }
    }
    println!("followed {seen} steps with {looks} looks");
    Ok(())
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    if let Some(path) = std::env::args_os().nth(1) {
        let file = File::options().read(true).write(true).open(path)?;
        work(&Page::map(&file)?);
        return Ok(());
    }
    let path = format!("/dev/shm/example-tokio-{}", std::process::id());
    let file = File::options()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&path)?;
    let mapped = file.set_len(4096).and_then(|()| Page::map(&file));
    let worker = mapped.and_then(|page| {
        let worker = Command::new(std::env::current_exe()?).arg(&path).spawn()?;
        Ok((page, worker))
    });
    let result = match worker {
        Ok((page, mut worker)) => {
            let mut timer = tokio::time::interval(Duration::from_millis(10));
            let mut following = std::pin::pin!(follow(Arc::new(page)));
            let mut ticks = 0;
            let followed = loop {
                tokio::select! {
                    followed = &mut following => break followed,
                    _ = timer.tick() => ticks += 1,
                }
            };
            println!("the timer went on: {} ticks", ticks.min(1));
            worker.wait().and(followed)
        }
        Err(error) => Err(error),
    };
    std::fs::remove_file(&path)?;
    Ok(result?)
}
