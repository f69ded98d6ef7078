//! Opens the page in a real browser without a screen: light and dark, wide and narrow.
//!
//! Where there is no Chromium the tests say that they were not run; with `BENCH_HARNESS_REQUIRE_CHROMIUM` set they fail then. `CHROMIUM` names
//! another program. `BENCH_HARNESS_KEEP_PAGES` names a directory for the pages and their pictures, to look at.

#[path = "support/sample.rs"]
mod sample;
#[path = "support/saved.rs"]
mod saved;

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::BufReader;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use bench_harness::compare::document::{ComparedRuns, Document, SCHEMA};
use bench_harness::compare::make::{Controls, Named, compare_runs};
use bench_harness::report::document::Report;
use bench_harness::report::html::comparison_page;
use bench_harness::stats::Verdict;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use saved::Saved;
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
    fn of(name: &str, text: &str) -> Self {
        let kept = std::env::var_os("BENCH_HARNESS_KEEP_PAGES").map(PathBuf::from);
        let own = kept.is_none().then(|| TempDir::new().unwrap());
        let directory = kept
            .or_else(|| own.as_ref().map(|own| own.path().to_owned()))
            .unwrap();
        let file = directory.join(format!("{name}.html"));
        fs::write(&file, text).unwrap();
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

fn compared(before: (&str, &Report), after: (&str, &Report)) -> ComparedRuns {
    let [before, after] = [before, after].map(|(name, report)| Named { name, report });
    compare_runs(before, after, &Controls::default()).unwrap()
}

/// Runs that differ in all that a page shows: some rows are slower, some faster, all names are long, one is in the way of every form.
fn saved_runs() -> [(String, Report); 3] {
    let usual = Saved::default().report();
    let slower = Saved {
        seed: 5,
        planted: Some((200.0, "ring-")),
        ..Saved::default()
    };
    let mut changed = slower.report();
    let faster = changed
        .results
        .iter_mut()
        .filter(|row| row.contender == sample::HOSTILE);
    for window in faster.flat_map(|row| &mut row.windows) {
        window.ns_each /= 2.0;
    }
    let short = |mut report: Report| {
        report.settings.rounds_completed = 3;
        for row in &mut report.results {
            row.windows.retain(|window| window.round <= 3);
            row.cores = Some([100, 101]);
        }
        report
    };
    let long = format!(
        "{}before <script>|&*_.json",
        "a-directory-without-end/".repeat(9)
    );
    [
        (long, usual.clone()),
        ("after.json".to_owned(), changed),
        ("quick.json".to_owned(), short(usual)),
    ]
}

/// Runs of so many rows that no chart has all of them, and one of which has a name that no line has room for.
fn sweeps() -> [(String, Report); 2] {
    const LONG: &str =
        "a-program-of-the-users-own-whose-name-is-much-longer-than-any-line-of-a-chart";
    let find = |report: &&Report| report.command == "sweep";
    let before = sample::all().iter().find(find).unwrap();
    let named = |slower: f64| {
        let mut report = before.clone();
        let rows = report
            .results
            .iter_mut()
            .filter(|row| row.contender == "unix-stream");
        for row in rows {
            LONG.clone_into(&mut row.contender);
            for window in &mut row.windows {
                window.ns_each *= slower;
            }
        }
        report
    };
    [("sweep.json", 1.0), ("other.json", 300.0)]
        .map(|(name, slower)| (name.to_owned(), named(slower)))
}

/// A run with its baseline.
fn run_with_baseline() -> Report {
    let [before, (_, mut after), _] = saved_runs();
    after.comparison = Some(compared((&before.0, &before.1), ("this run", &after)));
    after
}

/// What `compare` writes of several files.
fn page_of_comparisons() -> String {
    let [before, after, mut quick] = saved_runs();
    let mut quick_before = quick.clone();
    "quick-before.json".clone_into(&mut quick_before.0);
    quick.1.results.retain(|row| row.contender != "ring-mpmc");
    for window in quick.1.results.iter_mut().flat_map(|row| &mut row.windows) {
        window.ns_each *= 1.0 + f64::from(window.round) / 100.0;
    }
    let [sweep, other_sweep] = sweeps();
    let pairs = [
        (&before, &after),
        (&quick_before, &quick),
        (&sweep, &other_sweep),
    ];
    let comparisons = pairs.map(|(one, other)| compared((&one.0, &one.1), (&other.0, &other.1)));
    let document = Document {
        schema: SCHEMA.to_owned(),
        comparisons: comparisons.into(),
    };
    let arguments = ["compare", "before.json", "after.json"].map(str::to_owned);
    comparison_page(&document, &[before, after, quick], &arguments)
}

/// Every kind of page.
fn pages() -> Vec<(String, String)> {
    let of_reports = sample::all().iter();
    let of_reports = of_reports.map(|report| (report.command.clone(), report.to_html()));
    let compared = [
        ("baseline".to_owned(), run_with_baseline().to_html()),
        ("compare".to_owned(), page_of_comparisons()),
    ];
    of_reports.chain(compared).collect()
}

#[test]
fn the_page_of_a_run_is_drawn_in_light_and_dark_wide_and_narrow() {
    is_drawn("run", &sample::run().to_html());
}

#[test]
fn the_pages_of_comparisons_are_drawn_in_light_and_dark_wide_and_narrow() {
    is_drawn("baseline", &run_with_baseline().to_html());
    is_drawn("compare", &page_of_comparisons());
}

fn is_drawn(name: &str, text: &str) {
    let Some(browser) = chromium() else { return };
    let page = Page::of(&format!("{name}-drawn"), text);
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
    d.querySelectorAll('details').forEach(one => one.open = true); \
    const box = one => one.getBoundingClientRect(); \
    const meets = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom; \
    const clipped = [...d.querySelectorAll('svg.forest')].filter(svg => { \
      const texts = [...svg.querySelectorAll('text')].map(box), frame = box(svg); \
      return texts.some((one, at) => one.left < frame.left - 1 || one.right > frame.right + 1 || one.bottom > frame.bottom + 1 \
        || texts.slice(at + 1).some(other => meets(one, { left: other.left, right: other.right, top: other.top + 4, bottom: other.bottom - 4 }))); }); \
    const told = [d.documentElement.scrollWidth, of.clientWidth, d.querySelectorAll('figure > svg').length, clipped.length, \
    of.contentWindow.performance.getEntriesByType('resource').length]; \
    document.body.dataset.told = told.join(' '); }";

#[test]
fn no_page_is_wider_than_a_narrow_window_and_all_have_their_charts() {
    let Some(browser) = chromium() else { return };
    for (kind, text) in pages() {
        let page = Page::of(&kind, &text);
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
        let &[content, window, charts, clipped, fetched] = &told[..] else {
            panic!("{told:?}")
        };
        assert_eq!(window, NARROW);
        assert!(
            content <= window,
            "{kind}: {content} px in a window of {window}"
        );
        assert!(charts >= 1, "{kind}: no charts");
        assert_eq!(
            clipped, 0,
            "{kind}: text is cut off, or runs into other text"
        );
        assert_eq!(fetched, 0, "{kind}: it fetched something");
    }
}

#[test]
fn a_page_refers_to_nothing_outside_and_escapes_what_comes_from_there() {
    for (kind, page) in pages() {
        for outside in [
            "http:", "https:", "src=", "url(", "@import", "<script", "//",
        ] {
            assert!(!page.contains(outside), "{kind}: {outside}");
        }
        assert!(page.contains("&lt;script&gt;|&amp;*_"), "{kind}");
        let links = page.matches("href=\"").count();
        assert_eq!(links, page.matches("href=\"#").count() + 1, "{kind}");
        for target in page.split("href=\"#").skip(1) {
            let (id, _) = target.split_once('"').unwrap();
            assert!(
                page.contains(&format!("<section id=\"{id}\">")),
                "{kind}: {id}"
            );
        }
    }
}

#[test]
fn the_page_of_a_run_has_the_comparison_with_its_baseline() {
    let report = run_with_baseline();
    let runs = report.comparison.as_ref().unwrap();
    let page = report.to_html();
    let (_, section) = page.split_once("<section id=\"compared\">").unwrap();
    let (section, _) = section.split_once("</section>").unwrap();
    let (open, folded) = section.split_once("<details>").unwrap();
    let count = |text: &str, part: &str| text.matches(part).count();
    let of = |verdict: Verdict| {
        let is_it = |one: &&_| matches!(one, bench_harness::compare::document::ComparedFigure { comparison, .. } if comparison.verdict == verdict);
        runs.figures.iter().filter(is_it).count()
    };
    assert!(of(Verdict::Slower) > 9 && of(Verdict::Faster) >= 1);
    assert_eq!(count(open, ">slower</td>"), of(Verdict::Slower));
    assert_eq!(count(open, ">faster</td>"), of(Verdict::Faster));
    assert!(open.rfind(">slower</td>") < open.find(">faster</td>"));
    let none = ">no detectable difference</td>";
    assert_eq!(count(open, none), 0);
    assert_eq!(count(folded, none), of(Verdict::NoDetectableDifference));
    // Every figure is in a chart, with its floor behind it.
    assert_eq!(count(section, "class=\"floor\""), runs.figures.len());
    assert_eq!(count(section, "x slower</text>"), of(Verdict::Slower));
    for sentence in &runs.summary {
        let start = sentence.split(':').next().unwrap();
        assert!(open.contains(start), "{start}");
    }
}

#[test]
fn a_page_of_comparisons_has_all_runs_and_how_to_repeat_them() {
    let page = page_of_comparisons();
    for part in [
        "<section id=\"compared-1\">",
        "<section id=\"compared-2\">",
        "after.json compared with",
        ": too few rounds</summary>",
        "as far as the rounds suffice",
        "<pre>bench-harness compare before.json after.json</pre>",
        "What can't be compared",
        "more, nearer to 1, are in the tables",
    ] {
        assert!(page.contains(part), "{part}");
    }
    let (_, surroundings) = page.split_once("<section id=\"environment\">").unwrap();
    assert_eq!(surroundings.matches("Example CPU 3000").count(), 3);
    assert_eq!(surroundings.matches("--seed 5").count(), 1);
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
