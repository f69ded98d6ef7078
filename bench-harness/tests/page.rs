//! Opens the page in a real browser without a screen: light and dark, wide and narrow.
//!
//! Where there is no Chromium the tests say that they were not run; with `BENCH_HARNESS_REQUIRE_CHROMIUM` set they fail then. `CHROMIUM` names
//! another program. `BENCH_HARNESS_KEEP_PAGES` names a directory for the pages and their pictures, to look at.

#[path = "support/sample.rs"]
mod sample;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench_harness::report::document::Report;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tempfile::TempDir;

const WIDE: u32 = 1400;
const NARROW: u32 = 390;
const HEIGHT: u32 = 2600;
/// A browser that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// The browser; none where there is none, which is told.
fn chromium() -> Option<PathBuf> {
    let named = std::env::var_os("CHROMIUM").map(PathBuf::from);
    let usual = [
        "/usr/bin/chromium",
        "/usr/bin/chromium-browser",
        "/usr/bin/google-chrome",
    ];
    let found = named
        .into_iter()
        .chain(usual.map(PathBuf::from))
        .find(|path| path.is_file());
    if found.is_none() {
        let is_required = std::env::var_os("BENCH_HARNESS_REQUIRE_CHROMIUM").is_some();
        assert!(
            !is_required,
            "no Chromium was found; install it, or name it in CHROMIUM"
        );
        eprintln!("not run: no Chromium was found");
    }
    found
}

/// What the browser said.
struct Said {
    out: String,
    log: String,
}

/// Runs the browser on a page, in a session and with a profile of its own.
fn open(browser: &Path, page: &Path, dark: bool, width: u32, more: &[String]) -> Said {
    let place = TempDir::new().unwrap();
    let (out, log) = (place.path().join("out"), place.path().join("log"));
    // 0 is dark, 1 is light.
    let scheme = i32::from(!dark);
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
        ])
        .args([
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
        ])
        .args([
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--enable-logging=stderr",
        ])
        .arg(format!(
            "--user-data-dir={}",
            place.path().join("profile").display()
        ))
        .arg(format!("--window-size={width},{HEIGHT}"))
        .arg(format!("--blink-settings=preferredColorScheme={scheme}"))
        .args(more)
        .arg(format!("file://{}", page.display()))
        .stdin(Stdio::null())
        .stdout(File::create(&out).unwrap())
        .stderr(File::create(&log).unwrap())
        .process_group(0);
    let mut child = command.spawn().unwrap();
    await_end(&mut child);
    Said {
        out: fs::read_to_string(out).unwrap(),
        log: fs::read_to_string(log).unwrap(),
    }
}

/// Ends it with all its processes if it takes too long.
fn await_end(child: &mut Child) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "the browser ended with {status}");
            return;
        }
        if Instant::now() > deadline {
            killpg(Pid::from_raw(child.id().cast_signed()), Signal::SIGKILL).unwrap();
            child.wait().unwrap();
            panic!("the browser didn't end within {PATIENCE:?}");
        }
        thread::sleep(Duration::from_millis(20));
    }
}

/// A page in a directory of its own, which is removed with it; kept where the user asks for it.
struct Page {
    file: PathBuf,
    _own: Option<TempDir>,
}

impl Page {
    fn of(report: &Report) -> Self {
        let kept = std::env::var_os("BENCH_HARNESS_KEEP_PAGES").map(PathBuf::from);
        let own = kept.is_none().then(|| TempDir::new().unwrap());
        let directory = kept
            .or_else(|| own.as_ref().map(|own| own.path().to_owned()))
            .unwrap();
        let file = directory.join(format!("{}.html", report.command));
        fs::write(&file, report.to_html()).unwrap();
        Self { file, _own: own }
    }

    /// A picture of it.
    fn picture(&self, browser: &Path, dark: bool, width: u32) -> Picture {
        let name = format!("{width}-{}.png", if dark { "dark" } else { "light" });
        let file = self.file.with_extension(name);
        let shot = format!("--screenshot={}", file.display());
        let said = open(browser, &self.file, dark, width, &[shot]);
        let complaints: Vec<&str> = said
            .log
            .lines()
            .filter(|line| line.contains("CONSOLE"))
            .collect();
        assert_eq!(complaints, [""; 0], "the console isn't silent");
        Picture::read(&file)
    }
}

struct Picture {
    width: u32,
    height: u32,
    colours: HashSet<[u8; 3]>,
    /// In the upper right corner, where nothing stands.
    background: [u8; 3],
}

impl Picture {
    fn read(file: &Path) -> Self {
        let decoder = png::Decoder::new(BufReader::new(File::open(file).unwrap()));
        let mut reader = decoder.read_info().unwrap();
        let mut bytes = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bytes).unwrap();
        let depth = info.color_type.samples();
        let pixel = |x: u32, y: u32| {
            let at = y as usize * info.line_size + x as usize * depth;
            [bytes[at], bytes[at + 1], bytes[at + 2]]
        };
        let all = (0..info.height).flat_map(|y| (0..info.width).map(move |x| (x, y)));
        Self {
            width: info.width,
            height: info.height,
            colours: all.map(|(x, y)| pixel(x, y)).collect(),
            background: pixel(info.width - 2, 2),
        }
    }

    fn brightness(&self) -> u32 {
        self.background
            .iter()
            .map(|&part| u32::from(part))
            .sum::<u32>()
            / 3
    }
}

#[test]
fn the_page_of_a_run_is_drawn_in_light_and_dark_wide_and_narrow() {
    let Some(browser) = chromium() else { return };
    let page = Page::of(&sample::run());
    for width in [WIDE, NARROW] {
        let [light, dark] = [false, true].map(|dark| page.picture(&browser, dark, width));
        for picture in [&light, &dark] {
            // A browser without a screen has windows no narrower than that.
            assert!(picture.width >= width && picture.height == HEIGHT);
            assert!(
                picture.colours.len() > 50,
                "only {} colours",
                picture.colours.len()
            );
        }
        assert!(light.brightness() > 230, "light: {:?}", light.background);
        assert!(dark.brightness() < 40, "dark: {:?}", dark.background);
        assert!(light.colours.intersection(&dark.colours).count() < light.colours.len() / 2);
    }
}

/// The page itself needs no script; this one measures it, in a frame as wide as a telephone, and asks what the page fetched.
const MEASURE: &str = "onload = () => { const of = document.querySelector('iframe'); const d = of.contentDocument; \
    const told = [d.documentElement.scrollWidth, of.clientWidth, d.querySelectorAll('figure > svg').length, \
    of.contentWindow.performance.getEntriesByType('resource').length]; \
    document.body.dataset.told = told.join(' '); }";

#[test]
fn no_page_is_wider_than_a_narrow_window_and_all_have_their_charts() {
    let Some(browser) = chromium() else { return };
    for report in sample::all() {
        let page = Page::of(report);
        let around = page.file.with_extension("around.html");
        let name = page.file.file_name().unwrap().to_str().unwrap();
        let text = format!(
            "<!DOCTYPE html><body><iframe style='width:{NARROW}px;height:2000px;border:0' src='{name}'></iframe><script>{MEASURE}</script>"
        );
        fs::write(&around, text).unwrap();
        let more = ["--dump-dom", "--allow-file-access-from-files"].map(str::to_owned);
        let said = open(&browser, &around, false, WIDE, &more);
        fs::remove_file(&around).unwrap();
        let told = said
            .out
            .split("data-told=\"")
            .nth(1)
            .and_then(|rest| rest.split('"').next());
        let told: Vec<u32> = told
            .unwrap_or_else(|| panic!("nothing was measured: {} {}", said.out, said.log))
            .split(' ')
            .map(|number| number.parse().unwrap())
            .collect();
        let &[content, window, charts, fetched] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(window, NARROW);
        assert!(
            content <= window,
            "{}: {content} px in a window of {window}",
            report.command
        );
        assert!(charts >= 1, "{}: no charts", report.command);
        assert_eq!(fetched, 0, "{}: it fetched something", report.command);
    }
}

#[test]
fn a_page_refers_to_nothing_outside_and_escapes_what_comes_from_there() {
    for report in sample::all() {
        let page = report.to_html();
        for outside in [
            "http:", "https:", "src=", "url(", "@import", "<script", "//",
        ] {
            assert!(!page.contains(outside), "{}: {outside}", report.command);
        }
        assert!(
            page.contains("&lt;script&gt;|&amp;*_"),
            "{}",
            report.command
        );
        let links = page.matches("href=\"").count();
        assert_eq!(
            links,
            page.matches("href=\"#").count() + 1,
            "{}",
            report.command
        );
    }
}

#[test]
fn the_page_tells_how_to_repeat_it_and_what_still_bends_it() {
    let page = sample::run().to_html();
    let command = "bench-harness run --contender 'ring-*' --seed 7";
    assert!(page.contains(&format!("<pre>{command}</pre>")), "{page}");
    let (_, biases) = page.split_once("<section id=\"biases\">").unwrap();
    for bias in [
        "virtual machine",
        "closed loop",
        "pinned",
        "noise floor",
        "clock",
    ] {
        assert!(biases.contains(bias), "{bias}");
    }
}
