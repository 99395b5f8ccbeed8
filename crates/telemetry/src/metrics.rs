//! Counters and gauges as statics, and the registry that prints them in Prometheus' text form.
//! A metric costs one relaxed atomic addition; nothing on a statement's road takes a lock here.

use std::cell::Cell;
use std::fmt::Write as _;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// A number that only grows.
#[derive(Debug)]
pub struct Counter {
    name: &'static str,
    help: &'static str,
    value: AtomicU64,
}

impl Counter {
    /// A counter at 0.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, value: AtomicU64::new(0) }
    }

    /// Adds one.
    pub fn increment(&self) {
        self.add(1);
    }

    /// Adds `amount`.
    pub fn add(&self, amount: u64) {
        self.value.fetch_add(amount, Ordering::Relaxed);
    }

    /// Its present value.
    pub fn get(&self) -> u64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// Places of a [`SpreadCounter`]; threads beyond share them.
const PLACES: usize = 64;

/// A place on a cache line of its own.
#[derive(Debug)]
#[repr(align(64))]
struct Place(AtomicU64);

static NEXT_PLACE: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The place of this thread; `PLACES` before it has one.
    static PLACE: Cell<usize> = const { Cell::new(PLACES) };
}

/// A number that only grows, for what many threads count at every statement: each adds to a place of
/// its own.
#[derive(Debug)]
pub struct SpreadCounter {
    name: &'static str,
    help: &'static str,
    places: [Place; PLACES],
}

impl SpreadCounter {
    /// A counter at 0.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, places: [const { Place(AtomicU64::new(0)) }; PLACES] }
    }

    /// Adds one.
    pub fn increment(&self) {
        let mut place = PLACE.get();
        if place == PLACES {
            place = NEXT_PLACE.fetch_add(1, Ordering::Relaxed) % PLACES;
            PLACE.set(place);
        }
        self.places[place].0.fetch_add(1, Ordering::Relaxed);
    }

    /// Its present value.
    pub fn get(&self) -> u64 {
        self.places.iter().map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

/// A number that goes up and down.
#[derive(Debug)]
pub struct Gauge {
    name: &'static str,
    help: &'static str,
    value: AtomicI64,
}

impl Gauge {
    /// A gauge at 0.
    pub const fn new(name: &'static str, help: &'static str) -> Self {
        Self { name, help, value: AtomicI64::new(0) }
    }

    /// Adds `amount`, which may be negative.
    pub fn add(&self, amount: i64) {
        self.value.fetch_add(amount, Ordering::Relaxed);
    }

    /// Sets it.
    pub fn set(&self, value: i64) {
        self.value.store(value, Ordering::Relaxed);
    }

    /// Its present value.
    pub fn get(&self) -> i64 {
        self.value.load(Ordering::Relaxed)
    }
}

/// Something that the registry can print.
pub trait Metric: Sync {
    /// Appends the metric in Prometheus' text form.
    fn print(&self, out: &mut String);
    /// Its name.
    fn name(&self) -> &'static str;
}

fn print(out: &mut String, name: &str, help: &str, kind: &str, value: i128) {
    writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}")
        .expect("writing to a String cannot fail");
}

impl Metric for Counter {
    fn print(&self, out: &mut String) {
        print(out, self.name, self.help, "counter", i128::from(self.get()));
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

impl Metric for SpreadCounter {
    fn print(&self, out: &mut String) {
        print(out, self.name, self.help, "counter", i128::from(self.get()));
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

impl Metric for Gauge {
    fn print(&self, out: &mut String) {
        print(out, self.name, self.help, "gauge", i128::from(self.get()));
    }

    fn name(&self) -> &'static str {
        self.name
    }
}

/// Metrics by the order of their registration; bounded by the statics of the program.
static REGISTRY: Mutex<Vec<&'static dyn Metric>> = Mutex::new(Vec::new());

/// Makes the registry print these too; one that is registered already is left as it is.
pub fn register(metrics: &[&'static dyn Metric]) {
    let mut registry = REGISTRY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for metric in metrics {
        if !registry.iter().any(|known| known.name() == metric.name()) {
            registry.push(*metric);
        }
    }
}

/// All registered metrics in Prometheus' text form.
pub fn text() -> String {
    let registry = REGISTRY.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let mut out = String::new();
    for metric in registry.iter() {
        metric.print(&mut out);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    static SEEN: Counter = Counter::new("test_seen_total", "Things seen.");
    static SPREAD: SpreadCounter = SpreadCounter::new("test_spread_total", "Counted apart.");
    static OPEN: Gauge = Gauge::new("test_open", "Things open.");

    #[test]
    fn what_threads_count_apart_is_added_up() {
        let threads = (0..3).map(|_| {
            std::thread::spawn(|| {
                SPREAD.increment();
                SPREAD.increment();
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
        register(&[&SPREAD]);
        assert!(text().contains("\ntest_spread_total 6\n"));
    }

    #[test]
    fn registered_metrics_print_once() {
        register(&[&SEEN, &OPEN]);
        register(&[&SEEN]);
        SEEN.add(3);
        OPEN.add(-2);
        let text = text();
        assert_eq!(text.matches("# TYPE test_seen_total counter").count(), 1);
        assert!(text.contains("\ntest_seen_total 3\n"));
        assert!(text.contains("\ntest_open -2\n"));
    }
}
